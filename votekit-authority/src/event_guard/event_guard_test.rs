use votekit_core::batch::NodePublicKey;
use votekit_core::binding::BindingRule;
use votekit_core::credential::HashScheme;
use votekit_core::election::{Definition, State};
use votekit_core::id::{Epoch, NodeId, Sequence};
use votekit_core::instant::UnixMillis;
use votekit_core::log::leaf::{BlockLeaf, NodeEvent, RollEvent};
use votekit_core::log::tile;
use votekit_core::reconcile::Report;

use super::sample::{
    NOW, TERM, World, ballot_key, definition, epoch, leader, manifest, minute, node_key,
};
use super::*;

fn block_of(leaves: &[Leaf]) -> Vec<u8> {
    let mut block = Vec::new();
    for leaf in leaves {
        tile::push_entry(&mut block, &leaf.to_bytes()).expect("short");
    }
    block
}

fn made(term: u64, leader: &str, at: u64) -> Leaf {
    let (leader, sealed_at) = (leader.to_owned(), minute(at));
    Leaf::Block(BlockLeaf { height: 2, term, leader, sealed_at })
}

/// The name of the rule by which these leaves, and an honest `block` leaf, are not accepted.
fn fault_of(world: &World, leaves: &[Leaf]) -> Option<&'static str> {
    fault_of_block(world, &[leaves, &[made(TERM, "authority-1", 100)]].concat())
}

fn fault_of_block(world: &World, leaves: &[Leaf]) -> Option<&'static str> {
    check_block(&block_of(leaves), &world.facts()).err().map(|refusal| refusal.rule())
}

#[test]
fn the_minute_of_a_block_is_within_a_minute_of_the_clock() {
    let mut world = World::new();
    let faults = [(98, Some("block-minute-behind")), (99, None), (100, None), (101, None)];
    // The first and the last millisecond of minute 100.
    for now in [NOW.0 - 30_000, NOW.0 + 29_999] {
        world.now = Some(UnixMillis(now));
        for (at, fault) in faults.into_iter().chain([(102, Some("block-minute-ahead"))]) {
            let found = fault_of_block(&world, &[made(TERM, "authority-1", at)]);
            // The proposal stays where it is, within 30 seconds of both.
            assert_eq!(found, fault, "minute {at} at {now}");
        }
    }
}

#[test]
fn the_time_of_a_proposal_is_within_a_minute_of_the_clock() {
    let mut world = World::new();
    let now = NOW.seconds().0;
    for (at, fault) in [
        (now - 61, Some("proposal-behind")),
        (now - 60, None),
        (now + 60, None),
        (now + 61, Some("proposal-ahead")),
    ] {
        world.proposed_at.0 = at;
        assert_eq!(fault_of(&world, &[]), fault, "{at}");
    }
}

#[test]
fn a_block_of_an_earlier_term_may_be_old_if_its_leader_has_proposed_it() {
    let mut world = World::new();
    let old = |at| [made(2, "authority-2", at)];
    assert_eq!(fault_of_block(&world, &old(20)), Some("no-first-proposal"));
    for other in [leader(2, 1), leader(1, 2), leader(TERM, 2)] {
        world.signed_by.push(other);
        assert_eq!(fault_of_block(&world, &old(20)), Some("no-first-proposal"));
    }
    world.signed_by.push(leader(2, 2));
    for (at, fault) in [(20, None), (101, None), (102, Some("block-minute-ahead"))] {
        assert_eq!(fault_of_block(&world, &old(at)), fault, "minute {at}");
    }
    world.proposed_at.0 -= 3600;
    assert_eq!(fault_of_block(&world, &old(20)), None);
    world.proposed_at.0 += 3661;
    assert_eq!(fault_of_block(&world, &old(20)), Some("proposal-ahead"));
}

#[test]
fn a_block_is_by_the_leader_of_its_term() {
    let world = World::new();
    for (term, leader, fault) in [
        (TERM, "authority-1", None),
        (TERM, "authority-2", Some("leader-other")),
        (TERM, "authority-5", Some("leader-unknown")),
        (TERM - 1, "authority-5", Some("leader-unknown")),
        (TERM + 1, "authority-1", Some("term-ahead")),
    ] {
        assert_eq!(fault_of_block(&world, &[made(term, leader, 100)]), fault, "{leader} {term}");
    }
}

#[test]
fn leases_follow_the_state_after_the_block() {
    let mut world = World::new();
    for (proposed, own) in [(false, false), (false, true), (true, false), (true, true)] {
        (world.takes_votes, world.is_open_after) = (proposed, own);
        assert_eq!(fault_of(&world, &[]), (proposed != own).then_some("takes-votes"));
    }
}

#[test]
fn a_missing_fact_delays_a_block_and_hides_no_broken_rule() {
    let mut world = World::new();
    world.now = None;
    assert_eq!(fault_of(&world, &[]), Some("no-clock"));
    assert_eq!(fault_of_block(&world, &[made(9, "authority-1", 100)]), Some("term-ahead"));
    world.takes_votes = true;
    assert_eq!(fault_of(&world, &[]), Some("takes-votes"));
}

fn draft(definition: Definition) -> [Leaf; 1] {
    [Leaf::Election(ElectionEvent::Draft { at: minute(100), definition })]
}

#[test]
fn a_draft_is_new_and_under_the_own_ballot_key() {
    let mut world = World::new();
    world.state = None;
    assert_eq!(fault_of(&world, &draft(definition())), None);
    let other_law = Definition { law_id: "L2".parse().expect("law id"), ..definition() };
    assert_eq!(fault_of(&world, &draft(other_law)), Some("draft-law"));
    let amended = ElectionEvent::Amended { at: minute(100), definition: definition() };
    let amended = [Leaf::Election(amended)];
    assert_eq!(fault_of(&world, &amended), None);
    world.ballot_key = None;
    assert_eq!(fault_of(&world, &draft(definition())), Some("no-ballot-key"));
    assert_eq!(fault_of(&world, &amended), Some("no-ballot-key"));
    let other = votekit_core::ballot::BallotSecretKey::from_seed(&[9; 32]).public_key();
    world.ballot_key = Some(other);
    assert_eq!(fault_of(&world, &draft(definition())), Some("ballot-key"));
    assert_eq!(fault_of(&world, &amended), Some("ballot-key"));
    world.ballot_key = Some(ballot_key().public_key());
    world.state = Some(State::Draft);
    assert_eq!(fault_of(&world, &draft(definition())), Some("election-exists"));
    assert_eq!(fault_of(&world, &amended), None);
}

#[test]
fn a_roll_is_as_its_signed_manifest_states() {
    let mut world = World::new();
    let roll = |manifest, parent, scheme| {
        let (loaded, added, revoked, refused) = (30, 0, 0, 0);
        let replaces = None;
        [Leaf::Roll(RollEvent {
            manifest,
            parent,
            replaces,
            scheme,
            loaded,
            added,
            revoked,
            refused,
        })]
    };
    let (sha, hmac) = (HashScheme::Sha256, HashScheme::HmacSha256);
    world.rolls.push(RollFacts {
        manifest: manifest(2),
        parent: Some(manifest(1)),
        scheme: hmac,
        is_signed: true,
    });
    for (leaf, fault) in [
        (roll(manifest(1), None, sha), None),
        (roll(manifest(1), None, hmac), Some("roll-scheme")),
        (roll(manifest(1), Some(manifest(2)), sha), Some("roll-parent")),
        (roll(manifest(2), Some(manifest(1)), hmac), None),
        (roll(manifest(2), Some(manifest(3)), hmac), Some("roll-parent")),
        (roll(manifest(2), None, hmac), Some("roll-parent")),
        (roll(manifest(3), None, sha), Some("no-roll")),
    ] {
        assert_eq!(fault_of(&world, &leaf), fault, "{leaf:?}");
    }
    world.rolls[0].is_signed = false;
    assert_eq!(fault_of(&world, &roll(manifest(1), None, sha)), Some("manifest-unsigned"));
}

#[test]
fn no_key_of_an_authority_is_that_of_a_node() {
    let world = World::new();
    let admitted =
        |key: NodePublicKey| [Leaf::Node(NodeEvent::Admitted { node: key.node_id(), key })];
    assert_eq!(fault_of(&world, &admitted(node_key().public_key())), None);
    for member in world.authorities.members() {
        for key in [member.log, member.cosigner, member.statement, member.transport] {
            let key = NodePublicKey::from_bytes(key);
            assert_eq!(fault_of(&world, &admitted(key)), Some("authority-key"), "{key}");
        }
    }
}

#[test]
fn a_node_is_admitted_once_an_authority_has_signed_its_record() {
    let mut world = World::new();
    let key = NodePublicKey::from_bytes([7; 32]);
    let admitted = [Leaf::Node(NodeEvent::Admitted { node: key.node_id(), key })];
    // Another writer of the ledger may have added it, or the record may be lost: the block waits.
    assert_eq!(fault_of(&world, &admitted), Some("no-node-record"));
    let with_opening = [opening(100, &[]), admitted[0].clone()];
    (world.takes_votes, world.is_open_after) = (true, true);
    assert_eq!(fault_of(&world, &with_opening), Some("no-node-record"));
    world.admitted.push(key);
    assert_eq!(fault_of(&world, &with_opening), None);
    world.admitted.clear();
    assert_eq!(fault_of(&world, &with_opening[..1]), None, "a poll may open without a node");
}

fn opening(opens: u64, waivers: &[&str]) -> Leaf {
    Leaf::Election(ElectionEvent::Open {
        at: minute(100),
        opens: minute(opens),
        closes: Some(minute(200)),
        registered: 30,
        waivers: waivers.iter().map(|waiver| (*waiver).to_owned()).collect(),
        zero_report: Report::default(),
    })
}

#[test]
fn a_poll_opens_now_or_as_planned() {
    let mut world = World::new();
    (world.takes_votes, world.is_open_after) = (true, true);
    for (planned, opens, fault) in [
        (None, 100, None),
        (None, 101, None),
        (None, 102, Some("opening-ahead")),
        (Some(95), 101, None),
        (Some(95), 102, Some("opening-ahead")),
        (Some(150), 150, None),
        (Some(150), 151, Some("opening-ahead")),
    ] {
        world.planned.opens = planned.map(minute);
        assert_eq!(fault_of(&world, &[opening(opens, &[])]), fault, "{planned:?} {opens}");
    }
    // The planned times of an amendment apply to an opening in the same block.
    let later = Definition { opens: Some(minute(160)), ..definition() };
    let amended = Leaf::Election(ElectionEvent::Amended { at: minute(100), definition: later });
    assert_eq!(fault_of(&world, &[amended.clone(), opening(160, &[])]), None);
    assert_eq!(fault_of(&world, &[amended, opening(161, &[])]), Some("opening-ahead"));
}

/// Requirements that are not met, waivers of the opening, and the fault.
type Requirements = (Vec<BindingRule>, &'static [&'static str], Option<&'static str>);

#[test]
fn a_binding_election_opens_when_its_requirements_are_met_or_waived() {
    let mut world = World::new();
    (world.takes_votes, world.is_open_after) = (true, true);
    let rows: [Requirements; 5] = [
        (vec![], &[], None),
        (vec![BindingRule::Results], &[], Some("binding-rule")),
        (vec![BindingRule::Results], &["results"], None),
        (vec![BindingRule::Pepper], &["results", "pepper"], Some("binding-rule")),
        (vec![BindingRule::Results, BindingRule::Pepper], &["results"], Some("binding-rule")),
    ];
    for (unmet, waivers, fault) in rows {
        world.unmet = Some(unmet.clone());
        assert_eq!(fault_of(&world, &[opening(100, waivers)]), fault, "{unmet:?} {waivers:?}");
    }
    world.unmet = None;
    assert_eq!(fault_of(&world, &[opening(100, &[])]), Some("no-binding-rules"));
}

fn closing(closes: u64) -> [Leaf; 1] {
    let (closes, reason) = (minute(closes), Some("panne".to_owned()));
    [Leaf::Election(ElectionEvent::Closing { at: minute(100), closes, reason })]
}

#[test]
fn a_poll_closes_neither_in_the_past_nor_before_a_vote_that_was_seen() {
    let mut world = World::new();
    world.latest_stamp = None;
    // Minute 99 begins exactly one minute before minute 100.
    let begin = NOW.0 - 30_000;
    for (now, closes, fault) in [
        (begin, 99, None),
        (begin + 1, 99, Some("closing-past")),
        (begin + 1, 100, None),
        (begin, 98, Some("closing-past")),
    ] {
        world.now = Some(UnixMillis(now));
        assert_eq!(fault_of(&world, &closing(closes)), fault, "{closes} at {now}");
    }
    world.latest_stamp = Some(minute(100));
    assert_eq!(fault_of(&world, &closing(100)), Some("closing-stamp"));
    assert_eq!(fault_of(&world, &closing(101)), None);
    // A poll that is closed long after its planned end has closed then.
    world.planned.closes = Some(minute(96));
    assert_eq!(fault_of(&world, &closing(96)), None);
    assert_eq!(fault_of(&world, &closing(95)), Some("closing-past"));
}

fn retired(through: u64) -> [Leaf; 1] {
    [Leaf::Node(NodeEvent::Retired {
        node: node_key().node_id(),
        epoch: Epoch(1),
        through: Sequence(through),
        confirmed: Sequence(0),
    })]
}

/// An open poll in which epoch 1 of the node is sealed and staged through 4.
fn retiring() -> World {
    let mut world = World::new();
    (world.takes_votes, world.is_open_after) = (true, true);
    world.state = Some(State::Open);
    world.epochs = Some(vec![epoch(4, false)]);
    world.epoch().confirmed_through = Sequence(4);
    world.observed = vec![(node_key().node_id(), Epoch(1), Sequence(4))];
    world
}

/// The fault of the retirement at 4 once the facts are changed.
fn fault_of_retirement(change: impl FnOnce(&mut World)) -> Option<&'static str> {
    let mut world = retiring();
    change(&mut world);
    fault_of(&world, &retired(4))
}

#[test]
fn an_epoch_is_retired_when_it_is_given_out_fenced_and_without_lease() {
    assert_eq!(fault_of_retirement(|_| {}), None);
    assert_eq!(fault_of_retirement(|world| world.epochs = None), Some("no-leases"));
    let not_given = |world: &mut World| world.epoch().progress.epoch = Epoch(2);
    assert_eq!(fault_of_retirement(not_given), Some("retired-not-given"));
    let unfenced = |world: &mut World| world.epoch().is_fenced = false;
    assert_eq!(fault_of_retirement(unfenced), Some("retired-unfenced"));
    // While the poll is closing no epoch gets a lease.
    let closing = |world: &mut World| {
        world.state = Some(State::Closing);
        (world.takes_votes, world.is_open_after) = (false, false);
        world.epoch().is_fenced = false;
    };
    assert_eq!(fault_of_retirement(closing), None);
    // An epoch that is open only in the log was never fenced.
    let of_log = |world: &mut World| {
        world.epoch().is_fenced = false;
        world.epoch().progress.is_given = false;
    };
    assert_eq!(fault_of_retirement(of_log), None);
    let unknown = |world: &mut World| {
        of_log(world);
        world.epoch().progress.is_open = false;
    };
    assert_eq!(fault_of_retirement(unknown), Some("retired-not-given"));
    // One that the ledger has lost is retired only at the close.
    let missing = |world: &mut World| {
        unknown(world);
        world.epoch().progress.is_missing = true;
    };
    assert_eq!(fault_of_retirement(missing), Some("retired-not-given"));
    let missing_at_close = |world: &mut World| {
        missing(world);
        closing(world);
    };
    assert_eq!(fault_of_retirement(missing_at_close), None);
    let leased = |world: &mut World| world.epoch().has_lease = true;
    assert_eq!(fault_of_retirement(leased), Some("retired-lease"));
}

#[test]
fn an_epoch_is_retired_above_everything_staged_seen_or_confirmed() {
    assert_eq!(fault_of_retirement(|world| world.is_settled = false), Some("not-settled"));
    for (staged, fault) in
        [(Some(3), Some("retired-staged")), (Some(5), Some("retired-staged")), (Some(4), None)]
    {
        let change = |world: &mut World| {
            world.epoch().progress.staged_through = staged.map(Sequence);
        };
        assert_eq!(fault_of_retirement(change), fault, "staged through {staged:?}");
    }
    // Nor does a row matter that the node has not signed.
    let unsigned = |world: &mut World| {
        world.epoch().progress.unsigned_through = Some(Sequence(9));
    };
    assert_eq!(fault_of_retirement(unsigned), None);
    for (observed, fault) in [(4, None), (5, Some("retired-observed"))] {
        let change = |world: &mut World| {
            world.observed.push((node_key().node_id(), Epoch(1), Sequence(observed)));
        };
        assert_eq!(fault_of_retirement(change), fault, "seen through {observed}");
    }
    // Batches seen of other epochs and other nodes do not matter.
    let others = |world: &mut World| {
        world.observed.push((node_key().node_id(), Epoch(2), Sequence(9)));
        world.observed.push((NodeId::from_bytes([9; 8]), Epoch(1), Sequence(9)));
    };
    assert_eq!(fault_of_retirement(others), None);
    for (confirmed, fault) in [(4, None), (5, Some("retired-confirmed"))] {
        let change = |world: &mut World| world.epoch().confirmed_through = Sequence(confirmed);
        assert_eq!(fault_of_retirement(change), fault, "confirmed through {confirmed}");
    }
}

/// The fault of a close after epoch 1, sealed and staged through 4, once the facts are changed.
fn fault_of_close(change: impl FnOnce(&mut World)) -> Option<&'static str> {
    let mut world = World::new();
    world.state = Some(State::Closing);
    world.epochs = Some(vec![epoch(4, true)]);
    world.observed = vec![(node_key().node_id(), Epoch(1), Sequence(4))];
    change(&mut world);
    let (at, report) = (minute(100), Report::default());
    fault_of(&world, &[Leaf::Election(ElectionEvent::Closed { at, registered: 30, report })])
}

#[test]
fn a_poll_is_closed_when_every_epoch_has_ended_and_is_sealed() {
    assert_eq!(fault_of_close(|_| {}), None);
    assert_eq!(fault_of_close(|world| world.epochs = None), Some("no-leases"));
    let open = |world: &mut World| world.epoch().progress.is_ended = false;
    assert_eq!(fault_of_close(open), Some("closed-open-epoch"));
    // Of a node that is not admitted nothing can be sealed, so nothing may be staged.
    let not_admitted = |world: &mut World| {
        *world.epoch() = epoch(0, false);
        world.epoch().progress.is_admitted = false;
        world.observed.clear();
    };
    assert_eq!(fault_of_close(not_admitted), None);
    // A row that its node has not signed may be a batch that can be repaired.
    let unsigned = |world: &mut World| {
        not_admitted(world);
        world.epoch().progress.unsigned_through = Some(Sequence(1));
    };
    assert_eq!(fault_of_close(unsigned), Some("closed-staged"));
    let staged = |staged: u64| {
        fault_of_close(|world| world.epoch().progress.staged_through = Some(Sequence(staged)))
    };
    assert_eq!(staged(3), Some("closed-staged"));
    assert_eq!(staged(5), None, "what came after the end of an epoch is void");
    let not_given = |world: &mut World| {
        world.epoch().progress.is_given = false;
        world.epoch().progress.staged_through = None;
    };
    assert_eq!(fault_of_close(not_given), None);
    for (epoch, observed, fault) in
        [(1, 4, None), (1, 5, Some("closed-observed")), (2, 1, Some("closed-observed"))]
    {
        let change = |world: &mut World| {
            world.observed.push((node_key().node_id(), Epoch(epoch), Sequence(observed)));
        };
        assert_eq!(fault_of_close(change), fault, "epoch {epoch} seen through {observed}");
    }
}

#[test]
fn a_refusal_names_the_leaf_and_damage_is_refused() {
    let mut world = World::new();
    world.first_leaf = 40;
    let key = NodePublicKey::from_bytes(world.authorities.members()[0].log);
    let good = Leaf::Node(NodeEvent::Admitted {
        node: node_key().node_id(),
        key: node_key().public_key(),
    });
    let bad = Leaf::Node(NodeEvent::Admitted { node: key.node_id(), key });
    let block = made(TERM, "authority-1", 100);
    let rule = EventRule::AuthorityKey { node: key.node_id() };
    let refused = Err(EventRefusal::Refused { leaf: 41, rule });
    let whole = block_of(&[good.clone(), bad, block.clone()]);
    assert_eq!(check_block(&whole, &world.facts()), refused);

    let malformed = |leaf| Err(EventRefusal::Refused { leaf, rule: EventRule::Malformed });
    let facts = world.facts();
    let whole = block_of(&[good.clone(), block]);
    assert_eq!(check_block(&whole, &facts), Ok(()));
    assert_eq!(check_block(&whole[..whole.len() - 1], &facts), malformed(41));
    assert_eq!(check_block(&block_of(&[good]), &facts), malformed(40));
    assert_eq!(check_block(&[], &facts), malformed(40));
    let counts = [&whole[..], b"\0\x10{\"leaf\":\"counts\""].concat();
    assert_eq!(check_block(&counts, &facts), malformed(40), "no block leaf at the end");
}
