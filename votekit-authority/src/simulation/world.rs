//! A run: authorities, ingest nodes and the ledger, one step at a time, with faults between.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use votekit_core::election_log::Block;

use super::authority::Authority;
use super::checks::Checks;
use super::election::Election;
use super::environment::Environment;
use super::ingest::IngestNode;
use super::ledger::{Answer, CallContext, Ledger, Request};
use super::network::{Arrival, CallId, Caller, Network};
use super::random::Random;
use super::row::{CertifiedBlock, Leaves, point_of};
use super::scenario::{Mutation, Scenario};
use super::violation::Rule;

/// The steps with faults.
const FAULT_STEPS: u64 = 3500;

/// The steps after which a run that has not closed its poll counts as making no progress. The
/// faults end long before: the remaining time is many times the pauses of leader election.
const STEPS_MAX: u64 = FAULT_STEPS + 40_000;

/// The steps with faults when an authority holds the lease and is not elected. The others suspect
/// it after ten seconds each time, several times in a run.
const FAULT_STEPS_WITH_HOLDER: u64 = 12_000;
const STEPS_MAX_WITH_HOLDER: u64 = FAULT_STEPS_WITH_HOLDER + 120_000;

/// The longest time that an authority is down, in milliseconds.
const DOWN_MAX: u64 = 600;

/// The longest time that an authority is disconnected from the ledger, in milliseconds.
const CUT_MAX: u64 = 800;

/// The state of a run.
#[derive(Debug)]
pub(super) struct World {
    pub(super) env: Environment,
    pub(super) ledger: Ledger,
    pub(super) steps: u64,
    pub(super) crashes: u64,
    pub(super) cuts: u64,
    pub(super) rollbacks: u64,
    authorities: Vec<Authority>,
    ingest_nodes: Vec<IngestNode>,
    /// When each stopped authority starts again.
    restarts: BTreeMap<usize, u64>,
    /// When each disconnected authority is connected again.
    reconnects: BTreeMap<usize, u64>,
    /// The copy of the ledger from which it is restored, once at most.
    copy: Option<Ledger>,
}

impl World {
    pub(super) fn new(seed: u64, mutation: Option<Mutation>, has_idle_holder: bool) -> Self {
        let mut random = Random::new(seed);
        let scenario = Scenario::new(mutation, has_idle_holder, &mut random);
        let election = Election::new(scenario.ingest_nodes, &mut random);
        let (_, base) = election.base();
        let base: Vec<Arc<CertifiedBlock>> =
            base.iter().map(|block| base_block(block, &scenario)).collect();
        let choices = election.definition.choices.len();
        let checks = Checks::new(scenario.quorum.quorum, &base, choices);
        let false_blocks = u32::from(scenario.faults.false_block);
        let mut env = Environment {
            now: 0,
            random,
            scenario,
            election,
            network: Network::default(),
            checks,
            is_healed: false,
            false_blocks,
            proposed_again: 0,
            suspicions: 0,
            events: VecDeque::new(),
        };
        let mut authorities: Vec<Authority> = (0..env.scenario.quorum.authorities)
            .map(|number| Authority::new(number, &base, &mut env))
            .collect();
        if let Some(number) = env.scenario.idle_holder {
            // It does not participate, and is never started again.
            authorities[number].crash();
        }
        let ingest_nodes = (0..env.scenario.ingest_nodes).map(IngestNode::new).collect();
        Self {
            env,
            ledger: Ledger::new(base),
            steps: 0,
            crashes: 0,
            cuts: 0,
            rollbacks: 0,
            authorities,
            ingest_nodes,
            restarts: BTreeMap::new(),
            reconnects: BTreeMap::new(),
            copy: None,
        }
    }

    /// Runs until the poll is closed everywhere, or a rule is broken.
    pub(super) fn run(&mut self) {
        while self.env.checks.violation.is_none() {
            self.steps += 1;
            if self.env.is_healed && self.is_closed() {
                return self.check_end();
            }
            if self.steps > self.limits().1 {
                let states: Vec<String> =
                    self.authorities.iter().map(|one| one.describe(&self.env)).collect();
                let detail = states.join("\n  ");
                return self.env.checks.fail(Rule::NoProgress, detail);
            }
            self.step();
        }
    }

    /// Whether every authority that takes part has closed the poll.
    fn is_closed(&self) -> bool {
        let idle_holder = self.env.scenario.idle_holder;
        let mut authorities = self.authorities.iter().enumerate();
        authorities.all(|(number, one)| Some(number) == idle_holder || one.is_closed())
    }

    /// The steps with faults, and all steps.
    fn limits(&self) -> (u64, u64) {
        match self.env.scenario.idle_holder {
            Some(_) => (FAULT_STEPS_WITH_HOLDER, STEPS_MAX_WITH_HOLDER),
            None => (FAULT_STEPS, STEPS_MAX),
        }
    }

    fn step(&mut self) {
        self.env.now += 1 + self.env.random.below(3);
        self.deliver();
        self.deliver();
        if self.steps == self.limits().0 {
            self.heal();
        }
        if !self.env.is_healed {
            self.inject_faults();
        }
        self.recover();
        let actor = self.env.random.index(self.authorities.len() + self.ingest_nodes.len());
        match self.authorities.get_mut(actor) {
            Some(_) if self.env.scenario.idle_holder == Some(actor) => {
                let request = Request::Acquire { at_least: 0, passes_over: None };
                self.env.call(Caller::Authority(actor), request);
            }
            Some(authority) => authority.step(&mut self.env),
            None => {
                let node = actor - self.authorities.len();
                self.ingest_nodes[node].step(&self.ledger, &mut self.env);
            }
        }
    }

    /// Delivers one message that is due.
    fn deliver(&mut self) {
        let env = &mut self.env;
        match env.network.arrival(env.now, &mut env.random) {
            Some(Arrival::Request { id, caller, request }) => {
                self.answer(id, caller, &request);
            }
            Some(Arrival::Answer { id, caller: Caller::Authority(number), answer }) => {
                self.authorities[number].answered(id, answer, env);
            }
            Some(Arrival::Answer { id, caller: Caller::Ingest(number), .. }) => {
                self.ingest_nodes[number].answered(id);
            }
            None => {}
        }
    }

    fn answer(&mut self, id: CallId, caller: Caller, request: &Request) {
        let env = &mut self.env;
        let name = match caller {
            Caller::Authority(number) => &self.authorities[number].name,
            // Ingest nodes have no lease and write no rows: the name does not matter.
            Caller::Ingest(_) => &self.authorities[0].name,
        };
        let mut context = CallContext {
            now: env.now,
            caller: name,
            is_fenced: env.scenario.is_fenced,
            lease_length: env.scenario.lease_length,
            random: &mut env.random,
        };
        let answer = self.ledger.answer(request, &mut context);
        if let (Request::Append(block), Answer::Done) = (request, &answer) {
            env.checks.appended(block, &env.election);
        }
        env.network.reply(id, caller, answer, env.now, &env.scenario, &mut env.random);
    }

    fn inject_faults(&mut self) {
        let authorities = self.authorities.len();
        let busy: Vec<usize> = (0..authorities)
            .filter(|number| self.authorities[*number].is_busy(&self.env))
            .collect();
        let env = &mut self.env;
        // Half of the faults hit an authority that is executing steps.
        let mut target = || match busy.is_empty() || env.random.happens(1, 2) {
            true => env.random.index(authorities),
            false => busy[env.random.index(busy.len())],
        };
        let (crashed, cut) = (target(), target());
        if env.random.happens(env.scenario.faults.crash, 600)
            && self.authorities[crashed].is_running()
        {
            self.authorities[crashed].crash();
            self.crashes += 1;
            self.restarts.insert(crashed, env.now + env.random.below(DOWN_MAX));
            env.note(format_args!("{} crashes", self.authorities[crashed].name));
        }
        if env.random.happens(env.scenario.faults.cut, 600) && env.network.cut.insert(cut) {
            self.cuts += 1;
            self.reconnects.insert(cut, env.now + env.random.below(CUT_MAX));
            env.note(format_args!("{} is cut off", self.authorities[cut].name));
        }
        if env.random.happens(env.scenario.faults.expire, 600) && self.ledger.expire_lease(env.now)
        {
            env.note(format_args!("the lease ends early"));
        }
        if env.scenario.faults.rolled_back && self.rollbacks == 0 {
            self.roll_back();
        }
    }

    /// Copies the ledger, and restores it from the copy later, when some memory contains all blocks
    /// certified since.
    fn roll_back(&mut self) {
        let env = &mut self.env;
        let head = self.ledger.head().height;
        let is_kept = self.authorities.iter().any(|one| one.certified_height(env) >= head);
        match self.copy.take() {
            None if env.random.happens(1, 400) => self.copy = Some(self.ledger.clone()),
            Some(copy) if is_kept && env.random.happens(1, 300) => {
                env.note(format_args!(
                    "the ledger is rolled back from height {head} to {}",
                    copy.head().height
                ));
                self.ledger = copy;
                self.rollbacks += 1;
            }
            copy => self.copy = copy,
        }
    }

    /// Restarts and reconnects the authorities that are due.
    fn recover(&mut self) {
        let env = &mut self.env;
        while let Some(number) = due(&self.reconnects, env.now) {
            self.reconnects.remove(&number);
            env.network.cut.remove(&number);
            env.note(format_args!("{} is connected", self.authorities[number].name));
        }
        while let Some(number) = due(&self.restarts, env.now) {
            self.restarts.remove(&number);
            env.note(format_args!("{} starts again", self.authorities[number].name));
            self.authorities[number].start(env);
        }
    }

    /// Ends the faults. From now on the poll should close.
    fn heal(&mut self) {
        self.env.is_healed = true;
        self.env.network.is_reliable = true;
        self.restarts.values_mut().chain(self.reconnects.values_mut()).for_each(|at| *at = 0);
        self.env.note(format_args!("the faults end"));
    }

    fn check_end(&mut self) {
        let checks = &mut self.env.checks;
        let reference = &checks.reference;
        let is_same = self.authorities.iter().filter_map(Authority::log).all(|log| {
            let registered = log.electorate().registered();
            *log.report() == reference.report
                && log.results().counts == reference.counts
                && log.report().reconcile(&reference.counts, registered).is_ok()
        });
        let missing = self.env.election.numbers().find(|one| !reference.sealed.contains(one));
        match missing {
            Some(number) => checks.fail(Rule::NotSealed, format!("batch {number}")),
            None if !is_same => {
                let detail = format!("the reference has {}", reference.report);
                checks.fail(Rule::Unbalanced, detail);
            }
            None => {}
        }
    }
}

/// An authority whose time has come.
fn due(times: &BTreeMap<usize, u64>, now: u64) -> Option<usize> {
    times.iter().find(|(_, at)| **at <= now).map(|(number, _)| *number)
}

fn base_block(block: &Block, scenario: &Scenario) -> Arc<CertifiedBlock> {
    Arc::new(CertifiedBlock {
        first_leaf: block.first_leaf,
        point: point_of(block),
        leaves: Arc::new(Leaves::new(block.leaves.clone())),
        cosigners: scenario.names.iter().cloned().collect(),
    })
}
