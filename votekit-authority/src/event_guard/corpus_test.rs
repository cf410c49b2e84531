//! Blocks that a lying leader makes with the honest code and false parameters: the log's check
//! accepts each of them, and one guard alone refuses it. Without that guard the lie would pass.

use std::collections::BTreeSet;

use votekit_core::ballot::BallotSecretKey;
use votekit_core::batch::{NodeKey, NodePublicKey};
use votekit_core::binding::BindingRule;
use votekit_core::credential::HashScheme;
use votekit_core::election::{Definition, State};
use votekit_core::election_log::{BlockContent, BlockMaker, ElectionLog, LogEvent};
use votekit_core::id::{Epoch, Sequence};

use super::refusal::Fault;
use super::sample::{
    Rolls, Stage, World, ballot_key, definition, epoch, leader, load, log_at, maker, manifest,
    minute, node_key,
};
use super::{EventRefusal, MissingFact, check_block, faults, guards};

/// A block about to be made, and the facts of the authority that checks it.
struct Block {
    world: World,
    maker: BlockMaker,
    content: Content,
    /// The log before it; `None` before the first block.
    log: Option<ElectionLog>,
}

enum Content {
    Draft(Definition),
    Event(LogEvent),
    Close,
}

/// A lie: an honest block, and what the leader or the ledger makes of it.
struct Case {
    rule: &'static str,
    honest: fn() -> Block,
    lie: fn(&mut Block),
}

const fn case(rule: &'static str, honest: fn() -> Block, lie: fn(&mut Block)) -> Case {
    Case { rule, honest, lie }
}

impl Block {
    fn after(stage: Stage, content: Content) -> Self {
        let log = log_at(stage);
        let mut world = World::new();
        world.first_leaf = log.tree().size();
        world.state = Some(log.state());
        world.takes_votes = log.state() == State::Open;
        Self { world, maker: maker(100), content, log: Some(log) }
    }

    fn draft() -> Self {
        let mut world = World::new();
        world.state = None;
        Self { world, maker: maker(100), content: Content::Draft(definition()), log: None }
    }

    fn roll() -> Self {
        Self::after(Stage::Draft, Content::Event(LogEvent::Load(load())))
    }

    fn node() -> Self {
        Self::after(Stage::Rolled, Content::Event(LogEvent::Admit(node_key().public_key())))
    }

    fn opening() -> Self {
        let open = LogEvent::Open { opens: minute(100), waivers: vec![] };
        let mut block = Self::after(Stage::Rolled, Content::Event(open));
        block.world.takes_votes = true;
        block
    }

    fn closing() -> Self {
        let mut block = Self::after(Stage::Open, Content::Event(closing_at(101)));
        block.world.takes_votes = false;
        block
    }

    /// The node has published nothing, and its epoch is fenced.
    fn retirement() -> Self {
        let retire = LogEvent::Retire { node: node_key().node_id(), epoch: Epoch(1) };
        let mut block = Self::after(Stage::Open, Content::Event(retire));
        block.world.epochs = Some(vec![epoch(0, false)]);
        block
    }

    fn close() -> Self {
        let mut block = Self::after(Stage::Closing, Content::Close);
        block.world.epochs = Some(vec![epoch(0, true)]);
        block
    }

    /// Makes the block, which the log's check accepts.
    fn make(&mut self) -> Vec<u8> {
        let content = match (&self.content, &self.log) {
            (Content::Draft(definition), None) => {
                let (log, block) = ElectionLog::begin(definition.clone(), &self.maker);
                ElectionLog::check_first(&block.leaves).expect("the check sees no lie");
                self.world.is_open_after = log.state() == State::Open;
                return block.leaves;
            }
            (Content::Event(event), Some(_)) => BlockContent::Events(std::slice::from_ref(event)),
            (Content::Close, Some(_)) => BlockContent::Close,
            _ => panic!("a draft is the first block, and nothing else is"),
        };
        let log = self.log.as_ref().expect("only a draft has none");
        let proposal = log.propose(&content, &self.maker).expect("the log allows it");
        let leaves = proposal.block.leaves;
        let checked = log.check(&leaves, &ballot_key(), &mut Rolls).expect("the check sees no lie");
        assert_eq!(checked.block.leaves, leaves);
        self.world.is_open_after = checked.effect.state() == State::Open;
        leaves
    }
}

fn closing_at(closes: u64) -> LogEvent {
    LogEvent::Closing { closes: minute(closes), reason: Some("panne".to_owned()) }
}

/// Lies about the maker and the minute of a block, and about what the ledger does after it.
fn of_blocks() -> Vec<Case> {
    vec![
        case("term-ahead", Block::node, |block| block.maker.term = 9),
        case("leader-unknown", Block::node, |block| block.maker.leader = "authority-9".to_owned()),
        case("leader-other", Block::node, |block| block.maker.leader = "authority-2".to_owned()),
        case("block-minute-behind", Block::node, |block| block.maker.at = minute(98)),
        case("block-minute-ahead", Block::node, |block| block.maker.at = minute(102)),
        case("proposal-behind", Block::node, |block| block.world.proposed_at.0 -= 61),
        case("proposal-ahead", Block::node, |block| block.world.proposed_at.0 += 61),
        // Voters could not be answered during a poll, or would be answered after it.
        case("takes-votes", Block::opening, |block| block.world.takes_votes = false),
    ]
}

fn of_events() -> Vec<Case> {
    vec![
        case("draft-law", Block::draft, |block| {
            let law_id = "L2".parse().expect("law id");
            block.content = Content::Draft(Definition { law_id, ..definition() });
        }),
        case("election-exists", Block::draft, |block| block.world.state = Some(State::Open)),
        case("ballot-key", Block::draft, |block| {
            let ballot_key = BallotSecretKey::from_seed(&[9; 32]).public_key();
            block.content = Content::Draft(Definition { ballot_key, ..definition() });
        }),
        case("manifest-unsigned", Block::roll, |block| block.world.rolls[0].is_signed = false),
        case("roll-scheme", Block::roll, |block| {
            let mut load = load();
            load.scheme = HashScheme::HmacSha256;
            block.content = Content::Event(LogEvent::Load(load));
        }),
        case("roll-parent", Block::roll, |block| {
            let mut load = load();
            load.parent = Some(manifest(9));
            block.content = Content::Event(LogEvent::Load(load));
        }),
        case("authority-key", Block::node, |block| {
            let key = NodePublicKey::from_bytes(block.world.authorities.members()[1].statement);
            block.content = Content::Event(LogEvent::Admit(key));
        }),
        case("opening-ahead", Block::opening, |block| {
            let open = LogEvent::Open { opens: minute(190), waivers: vec![] };
            block.content = Content::Event(open);
        }),
        case("binding-rule", Block::opening, |block| {
            block.world.unmet = Some(vec![BindingRule::Pepper]);
        }),
        case("closing-past", Block::closing, |block| {
            block.world.latest_stamp = None;
            block.content = Content::Event(closing_at(98));
        }),
        case("closing-stamp", Block::closing, |block| {
            block.world.latest_stamp = Some(minute(101));
        }),
    ]
}

fn of_epochs() -> Vec<Case> {
    vec![
        case("retired-not-given", Block::retirement, |block| block.world.epochs = Some(vec![])),
        case("retired-unfenced", Block::retirement, |block| {
            block.world.epoch().is_fenced = false;
        }),
        case("retired-lease", Block::retirement, |block| block.world.epoch().has_lease = true),
        case("retired-staged", Block::retirement, |block| {
            block.world.epoch().progress.staged_through = Some(Sequence(1));
        }),
        // The ledger shows no batch any more, and this authority has seen one.
        case("retired-observed", Block::retirement, |block| {
            block.world.observed = vec![(node_key().node_id(), Epoch(1), Sequence(1))];
        }),
        case("retired-confirmed", Block::retirement, |block| {
            block.world.epoch().confirmed_through = Sequence(1);
        }),
        // The log knows of no epoch of the node: its check finds nothing to wait for.
        case("closed-open-epoch", Block::close, |block| {
            block.world.epoch().progress.is_ended = false;
        }),
        case("closed-staged", Block::close, |block| {
            block.world.epoch().progress.is_admitted = false;
            block.world.epoch().progress.is_ended = false;
            block.world.epoch().progress.staged_through = Some(Sequence(1));
        }),
        case("closed-observed", Block::close, |block| {
            block.world.observed = vec![(node_key().node_id(), Epoch(1), Sequence(1))];
        }),
    ]
}

fn corpus() -> Vec<Case> {
    [of_blocks(), of_events(), of_epochs()].into_iter().flatten().collect()
}

#[test]
fn one_guard_alone_refuses_each_lie() {
    let mut rules = BTreeSet::new();
    for Case { rule, honest, lie } in corpus() {
        let mut block = honest();
        let leaves = block.make();
        assert_eq!(check_block(&leaves, &block.world.facts()), Ok(()), "{rule}, without the lie");
        lie(&mut block);
        let leaves = block.make();
        let faults = faults(&leaves, &block.world.facts());
        let broken: Vec<&str> = faults
            .iter()
            .filter_map(|(_, fault)| match fault {
                Fault::Broken(rule) => Some(rule.as_str()),
                Fault::Missing(_) => None,
            })
            .collect();
        assert_eq!(broken, [rule], "{faults:?}");
        let refusal = check_block(&leaves, &block.world.facts()).expect_err(rule);
        assert_eq!(refusal.rule(), rule, "{refusal}");
        let EventRefusal::Refused { rule: broken, .. } = &refusal else { panic!("{refusal}") };
        let of_clock = ["-minute-", "proposal-", "opening-ahead", "closing-past"];
        let is_of_clock = of_clock.iter().any(|part| rule.contains(part));
        assert_eq!(broken.depends_on_clock(), is_of_clock, "{rule}");
        assert!(rules.insert(rule), "{rule} is there twice");
    }
    // Two guards break no rule, and only wait: for the first proposal of a block, and for the
    // record of a node.
    assert_eq!(rules.len(), guards().count() - 2, "a guard without a case: {rules:?}");
    let is_token = |rule: &&str| {
        let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=40).contains(&rule.len()) && rule.bytes().all(is_part)
    };
    assert!(rules.iter().all(is_token), "{rules:?}");
}

#[test]
fn a_node_that_only_the_leader_admits_waits() {
    let mut block = Block::node();
    let key = NodeKey::from_seed(&[9; 32]).public_key();
    block.content = Content::Event(LogEvent::Admit(key));
    let leaves = block.make();
    let what = MissingFact::NodeRecord { node: key.node_id() };
    assert_eq!(check_block(&leaves, &block.world.facts()), Err(EventRefusal::Undecided { what }));
    block.world.admitted.push(key);
    assert_eq!(check_block(&leaves, &block.world.facts()), Ok(()));
}

#[test]
fn a_block_dated_back_into_an_earlier_term_needs_that_leaders_proposal() {
    let mut block = Block::node();
    block.maker = BlockMaker { term: 2, leader: "authority-2".to_owned(), at: minute(92) };
    let leaves = block.make();
    let what = MissingFact::FirstProposal { term: 2 };
    let waits = Err(EventRefusal::Undecided { what });
    assert_eq!(check_block(&leaves, &block.world.facts()), waits);
    block.world.signed_by.push(leader(2, 3));
    assert_eq!(check_block(&leaves, &block.world.facts()), waits, "another leader of that term");
    block.world.signed_by.push(leader(2, 2));
    assert_eq!(check_block(&leaves, &block.world.facts()), Ok(()));
}
