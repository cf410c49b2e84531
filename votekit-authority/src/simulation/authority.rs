//! One authority: its durable memory, and the process that runs with it.
//!
//! In one step, a process makes a durable write, a write to the ledger, or one decision, so it can
//! crash between any two of these. At most one call to the ledger is in flight, and besides it one
//! request for the lease.

mod statements;
mod follow;
mod lead;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use votekit_core::authority::{LogPoint, Statement, StatementBody, TermLeader};
use votekit_core::batch::Batch;
use votekit_core::election::State;
use votekit_core::election_log::{
    CheckError, Effect, ElectionLog, Evidence, Proposal, Refusal, ReplaySource, RollContent,
    batches_of_block,
};
use votekit_core::id::{BatchNumber, Digest};
use votekit_core::log::leaf::{BatchLeaf, RollEvent};
use votekit_core::log::note::KeyName;

use super::election::Election;
use super::environment::Environment;
use super::ledger::{Answer, ReadRequest, Request, RowOutcome, Seen, SeenRows};
use super::memory::{Memory, Write};
use super::network::{CallId, Caller};
use super::readings::Readings;
use super::row::{CertifiedBlock, Leaves, ProposedBlock, Row, RowBody, RowKey, point_of};
use super::scenario::Scenario;
use super::violation::Rule;
use crate::leader_election::{Command, Event, LeaderElection};
use crate::leader_lease::{self, LeaderLease};
use crate::monotonic::Monotonic;

/// How long a process waits for an answer, in milliseconds.
const CALL_TIMEOUT: u64 = 100;

/// How long a round may make no progress before its rows are read, and its statements sent, once
/// more, in milliseconds. Without this, an authority would not notice that the ledger was restored
/// from an older copy if new rows have reused the ids of lost rows.
const STALL: u64 = 1000;

/// An authority.
#[derive(Debug)]
pub(super) struct Authority {
    pub(super) name: KeyName,
    number: usize,
    /// The speed of its clock, in thousandths.
    clock_rate: u64,
    durable: Memory,
    /// `None` while it is down.
    process: Option<Process>,
}

/// The volatile state of a running authority.
#[derive(Debug)]
struct Process {
    memory: Memory,
    log: ElectionLog,
    election: LeaderElection,
    /// The steps that are decided and not executed yet.
    steps: VecDeque<Step>,
    call: Option<PendingCall>,
    lease_call: Option<(CallId, u64)>,
    /// The leadership that the ledger showed last.
    leadership: Option<TermLeader>,
    /// The head of the ledger; `None` while a call of this process may have moved it.
    head: Option<LogPoint>,
    /// The blocks read from the ledger above the last certified block.
    blocks: BTreeMap<u64, Arc<CertifiedBlock>>,
    staged: BTreeMap<BatchNumber, Arc<Batch>>,
    readings: Readings,
    rows_read: u64,
    /// The own rows whose storing the ledger has answered.
    sent: BTreeSet<RowKey>,
    /// The candidates for the next block that this process has recomputed, by the digest of their
    /// leaves.
    made: BTreeMap<Digest, (LogPoint, Effect)>,
    /// Own proposals: one for each term and height.
    proposed: BTreeMap<(u64, u64), Arc<ProposedBlock>>,
    next_read: u64,
    parts_to_read: Vec<ReadPart>,
    /// When the log was last continued, by the own clock.
    continued_at: u64,
    /// When it began to lead without being able to propose.
    stuck_since: Option<u64>,
    /// When a block became ready to be appended.
    appendable_since: Option<u64>,
}

/// A step of a process.
#[derive(Debug)]
enum Step {
    /// Writes to the durable memory, and then to that of the process.
    Durable(Write),
    /// A mutation: writes only to the memory of the process.
    Volatile(Write),
    /// A mutation: writes to the durable memory only after the process has acted on it.
    Belated(Write),
    /// Sends a row.
    Put { row: Arc<Row>, as_leader: bool },
    /// Applies a certified block that this process has made.
    Apply(Digest),
}

#[derive(Debug)]
struct PendingCall {
    id: CallId,
    since: u64,
    purpose: Purpose,
}

#[derive(Debug)]
enum Purpose {
    Read,
    Put(RowKey),
    /// A call that may change the head.
    Change,
}

/// A part of the ledger that is read separately.
#[derive(Debug, Clone, Copy)]
enum ReadPart {
    Rows,
    Head,
    Leadership,
    Staged,
}

impl ReadPart {
    const ALL: [Self; 4] = [Self::Rows, Self::Head, Self::Leadership, Self::Staged];
}

/// The outcome of making a block.
enum Making {
    Made(LogPoint),
    /// The leaves are wrong.
    Refused(Box<Refusal>),
    /// An input is missing.
    Waiting,
}

/// The inputs from which an authority recomputes a block.
struct Inputs<'a> {
    election: &'a Election,
    memory: &'a Memory,
    staged: &'a BTreeMap<BatchNumber, Arc<Batch>>,
}

impl Inputs<'_> {
    fn holds(&self, number: &BatchNumber) -> bool {
        self.staged.contains_key(number) || self.memory.batches.contains_key(number)
    }
}

impl ReplaySource for Inputs<'_> {
    fn roll(&mut self, _event: &RollEvent) -> Option<RollContent> {
        Some(self.election.roll())
    }

    fn evidence(&mut self, leaf: &BatchLeaf) -> Option<Evidence> {
        let number = leaf.number();
        if self.holds(&number) { self.election.evidence(&number) } else { None }
    }
}

impl Process {
    /// Starts with the durable memory, as after any crash.
    fn start(
        name: &KeyName,
        durable: &mut Memory,
        scenario: &Scenario,
        election: &Election,
        own_now: u64,
    ) -> Self {
        durable.incarnation += 1;
        let lease = LeaderLease::new(scenario.lease_length, scenario.lease_length / 5);
        let mut leader_election = LeaderElection::new(lease, name.clone(), scenario.quorum);
        if let Some(promise) = &durable.round.promise {
            // An earlier process may have proposed in its own term, so this process begins another.
            leader_election.require_term(promise.term + 1);
        }
        Self {
            memory: durable.clone(),
            log: restored_log(durable, election),
            election: leader_election,
            steps: VecDeque::new(),
            call: None,
            lease_call: None,
            leadership: None,
            head: None,
            blocks: BTreeMap::new(),
            staged: BTreeMap::new(),
            readings: Readings::default(),
            rows_read: 0,
            sent: BTreeSet::new(),
            made: BTreeMap::new(),
            proposed: BTreeMap::new(),
            next_read: 0,
            parts_to_read: Vec::new(),
            continued_at: own_now,
            stuck_since: None,
            appendable_since: None,
        }
    }

    /// Recomputes a block from the own log and the own batches, and keeps the result.
    fn make(&mut self, leaves: &Leaves, election: &Election) -> Making {
        let mut inputs = Inputs { election, memory: &self.memory, staged: &self.staged };
        // Checked also for a block made before: the ledger may have been restored from an older
        // copy since, and may have lost batches that are not in the memory yet.
        if batches_of_block(&leaves.bytes).any(|number| !inputs.holds(&number)) {
            return Making::Waiting;
        }
        if let Some((point, _)) = self.made.get(&leaves.digest) {
            return Making::Made(*point);
        }
        match self.log.check(&leaves.bytes, &election.ballot_key, &mut inputs) {
            Ok(Proposal { block, effect, .. }) => {
                let point = point_of(&block);
                self.made.insert(leaves.digest, (point, effect));
                Making::Made(point)
            }
            Err(CheckError::Refused(refusal)) => Making::Refused(refusal),
            Err(_) => Making::Waiting,
        }
    }

    /// Discards the read position and the set of sent rows: the ledger may have been restored from
    /// an older copy.
    fn reset_reads(&mut self) {
        self.rows_read = 0;
        self.sent.clear();
    }
}

/// Rebuilds the log from the certified blocks of a memory.
fn restored_log(memory: &Memory, election: &Election) -> ElectionLog {
    let (mut log, base) = election.base();
    let staged = BTreeMap::new();
    for block in memory.blocks.values().skip(base.len()) {
        let mut inputs = Inputs { election, memory, staged: &staged };
        let proposal = log
            .check(&block.leaves.bytes, &election.ballot_key, &mut inputs)
            .expect("the memory holds its certified blocks with their batches");
        log.apply(proposal.effect);
    }
    log
}

impl Authority {
    /// An authority whose memory begins with the first blocks of a log.
    pub(super) fn new(number: usize, base: &[Arc<CertifiedBlock>], env: &mut Environment) -> Self {
        let mut durable = Memory::default();
        for block in base {
            durable.write(&env.election.law_id, &Write::Certified(Arc::clone(block)));
        }
        let name = env.scenario.names[number].clone();
        let clock_rate = 950 + env.random.below(101);
        let mut authority = Self { name, number, clock_rate, durable, process: None };
        authority.start(env);
        authority
    }

    pub(super) fn start(&mut self, env: &mut Environment) {
        let own_now = self.own_now(env);
        let Environment { scenario, election, .. } = &*env;
        let process = Process::start(&self.name, &mut self.durable, scenario, election, own_now);
        let point = LogPoint {
            height: process.log.height(),
            size: process.log.tree().size(),
            root: process.log.root(),
        };
        self.process = Some(process);
        env.checks.applied(&self.name, &point);
    }

    pub(super) fn crash(&mut self) {
        self.process = None;
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Whether a fault would hit a round: it leads, or is writing.
    pub(super) fn is_busy(&self, env: &Environment) -> bool {
        self.process.as_ref().is_some_and(|process| {
            let is_writing = |call: &PendingCall| matches!(call.purpose, Purpose::Put(_));
            !process.steps.is_empty()
                || process.call.as_ref().is_some_and(is_writing)
                || process.election.candidate_term().is_some()
                || process.election.term(self.clock(env)).is_some()
        })
    }

    /// The height up to which its memory can restore the ledger.
    pub(super) fn certified_height(&self, env: &Environment) -> u64 {
        self.durable.certified(&env.election.law_id).height
    }

    pub(super) fn log(&self) -> Option<&ElectionLog> {
        self.process.as_ref().map(|process| &process.log)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.log().is_some_and(|log| log.state() == State::Closed)
    }

    /// In words, for a run that makes no progress.
    pub(super) fn describe(&self, env: &Environment) -> String {
        let election = self.durable.election(&env.election.law_id);
        let process = self.process.as_ref().map(|process| {
            let (seen, head) = (&process.leadership, process.head.map(|head| head.height));
            let term = process.election.term(self.clock(env));
            format!("sees {seen:?} and head {head:?}, leads {term:?}, waits {:?}", process.call)
        });
        format!(
            "{}: promise {:?}, certified {}, accepted {:?}, cosigned {:?}; {process:?}",
            self.name,
            self.durable.round.promise,
            election.certified.height,
            election.accepted.map(|accepted| (accepted.term, accepted.point.height)),
            election.cosigned.map(|point| point.height),
        )
    }

    fn own_now(&self, env: &Environment) -> u64 {
        env.now * self.clock_rate / 1000
    }

    fn clock(&self, env: &Environment) -> Monotonic {
        Monotonic(Duration::from_millis(self.own_now(env)))
    }

    /// Does one small thing, if anything is due.
    pub(super) fn step(&mut self, env: &mut Environment) {
        let Some(process) = &mut self.process else { return };
        if let Some(step) = process.steps.pop_front() {
            return self.perform(step, env);
        }
        self.tick(env);
        let own_now = self.own_now(env);
        let Some(process) = &mut self.process else { return };
        if let Some(call) = &process.call {
            if env.now > call.since + CALL_TIMEOUT {
                // The outcome is unknown. Whatever is still due is decided again.
                process.call = None;
            }
            return;
        }
        if own_now > process.continued_at + STALL {
            process.continued_at = own_now;
            process.reset_reads();
        }
        if !self.decide(env) {
            self.read(env);
        }
    }

    /// Decides what to do next. Returns whether anything is under way.
    fn decide(&mut self, env: &mut Environment) -> bool {
        let Some(head) = self.process.as_ref().and_then(|process| process.head) else {
            return false;
        };
        self.follow(env)
            || self.restore(head, env)
            || self.vote(env)
            || self.send_again(env)
            || self.lead(head, env)
            || self.accept(env)
            || self.cosign(env)
            || self.append(head, env)
    }

    fn perform(&mut self, step: Step, env: &mut Environment) {
        let own_now = self.own_now(env);
        let law_id = &env.election.law_id;
        let Some(process) = &mut self.process else { return };
        match step {
            Step::Durable(write) => {
                self.durable.write(law_id, &write);
                process.memory.write(law_id, &write);
                self.promised(&write);
            }
            Step::Volatile(write) => {
                process.memory.write(law_id, &write);
                self.promised(&write);
            }
            Step::Belated(write) => self.durable.write(law_id, &write),
            Step::Put { row, as_leader } => {
                env.checks.sent(&row);
                let purpose = Purpose::Put(row.key());
                self.call(Request::Put { row, as_leader }, purpose, env);
            }
            Step::Apply(digest) => {
                if let Some((point, effect)) = process.made.remove(&digest) {
                    process.log.apply(effect);
                    process.made.clear();
                    process.appendable_since = None;
                    process.continued_at = own_now;
                    env.checks.applied(&self.name, &point);
                }
            }
        }
    }

    fn promised(&mut self, write: &Write) {
        if let (Some(process), Write::Vote { leadership, .. }) = (&mut self.process, write) {
            process.election.record_promise(leadership);
        }
    }

    fn statement(&self, body: StatementBody) -> Arc<Statement> {
        let incarnation = self.durable.incarnation;
        Arc::new(Statement { authority: self.name.clone(), incarnation, body })
    }

    fn call(&mut self, request: Request, purpose: Purpose, env: &mut Environment) {
        let id = env.call(Caller::Authority(self.number), request);
        if let Some(process) = &mut self.process {
            process.call = Some(PendingCall { id, since: env.now, purpose });
        }
    }

    /// Processes an answer. Ignores an answer that arrives after its timeout or after a restart.
    pub(super) fn answered(&mut self, id: CallId, answer: Answer, env: &mut Environment) {
        let Some(process) = &mut self.process else { return };
        if process.lease_call.is_some_and(|(asked, _)| asked == id) {
            process.lease_call = None;
            let event = match answer {
                Answer::Granted { term } => leader_lease::Event::Granted { term },
                Answer::Following { leader, term } => {
                    let refused = leader_lease::Event::Refused { leader: leader.as_str().into() };
                    self.elect(Event::Lease(refused), env);
                    return self.watch(&TermLeader { term, leader }, env);
                }
                _ => leader_lease::Event::Failed,
            };
            return self.elect(Event::Lease(event), env);
        }
        let Some(call) = process.call.take_if(|call| call.id == id) else { return };
        match (call.purpose, answer) {
            (Purpose::Read, Answer::Seen(seen)) => self.take_in(*seen, env),
            (Purpose::Put(key), Answer::Put(outcome)) => {
                if outcome == RowOutcome::Other {
                    env.note(format_args!("{} finds another row under its key", self.name));
                }
                process.sent.insert(key);
            }
            (Purpose::Change, _) => process.head = None,
            _ => {}
        }
    }

    fn tick(&mut self, env: &mut Environment) {
        let Some(process) = &mut self.process else { return };
        if process.lease_call.is_some_and(|(_, since)| env.now > since + CALL_TIMEOUT) {
            process.lease_call = None;
            self.elect(Event::Lease(leader_lease::Event::Failed), env);
        }
        self.elect(Event::Lease(leader_lease::Event::Tick), env);
    }

    /// Passes an event to the leader election, and executes its commands.
    fn elect(&mut self, event: Event, env: &mut Environment) {
        let now = self.clock(env);
        let Some(process) = &mut self.process else { return };
        for command in process.election.step(event, now) {
            let Some(process) = &mut self.process else { return };
            match command {
                Command::Request { at_least, passes_over, .. } => {
                    let caller = Caller::Authority(self.number);
                    let id = env.call(caller, Request::Acquire { at_least, passes_over });
                    process.lease_call = Some((id, env.now));
                }
                Command::Suspect { leadership } => self.suspect(&leadership, env),
                Command::Release => {
                    env.call(Caller::Authority(self.number), Request::Release);
                }
                Command::VoteForSelf { term } => {
                    env.note(format_args!("{} holds the lease of term {term}", self.name));
                    let leader = self.name.clone();
                    process.leadership = Some(TermLeader { term, leader });
                }
                Command::Announce(role) => {
                    env.note(format_args!("{} is {role:?}", self.name));
                }
            }
        }
    }

    fn read(&mut self, env: &mut Environment) {
        let law_id = &env.election.law_id;
        let Some(process) = &mut self.process else { return };
        if env.now < process.next_read {
            return;
        }
        let rows = Some(process.rows_read);
        let blocks = Some(process.memory.certified(law_id).height);
        let is_first = process.leadership.is_none();
        let read = if process.parts_to_read.is_empty() && !is_first && env.random.happens(2, 3) {
            ReadRequest { rows_after: rows, blocks_above: blocks, leadership: true, staged: true }
        } else {
            // The parts are read at different times, so they may contradict each other.
            if process.parts_to_read.is_empty() {
                process.parts_to_read.extend(ReadPart::ALL);
                env.random.shuffle(&mut process.parts_to_read);
            }
            match process.parts_to_read.pop() {
                Some(ReadPart::Rows) => ReadRequest { rows_after: rows, ..ReadRequest::default() },
                Some(ReadPart::Head) => {
                    ReadRequest { blocks_above: blocks, ..ReadRequest::default() }
                }
                Some(ReadPart::Staged) => ReadRequest { staged: true, ..ReadRequest::default() },
                Some(ReadPart::Leadership) | None => {
                    ReadRequest { leadership: true, ..ReadRequest::default() }
                }
            }
        };
        if process.parts_to_read.is_empty() {
            process.next_read = env.now + env.random.below(10);
        }
        self.call(Request::Read(read), Purpose::Read, env);
    }

    fn take_in(&mut self, seen: Seen, env: &mut Environment) {
        // Rows first: what follows may show that they must be read again.
        if let Some(rows) = seen.rows {
            self.take_rows(rows, env);
        }
        let Some(process) = &mut self.process else { return };
        if let Some(staged) = seen.staged {
            process.staged = staged;
        }
        if let Some((head, blocks)) = seen.head {
            if process.head.is_some_and(|before| head.height < before.height) {
                process.reset_reads();
            }
            process.head = Some(head);
            process.blocks = blocks.into_iter().map(|block| (block.point.height, block)).collect();
        }
        if let Some(leadership) = seen.leadership
            && process.leadership.as_ref() != Some(&leadership)
        {
            process.reset_reads();
            process.leadership = Some(leadership);
        }
    }

    fn take_rows(&mut self, seen: SeenRows, env: &mut Environment) {
        let Some(process) = &mut self.process else { return };
        if seen.last < process.rows_read {
            env.note(format_args!("{} sees fewer rows than before", self.name));
            process.reset_reads();
            return;
        }
        let mut events = Vec::new();
        for (id, row) in seen.rows {
            process.rows_read = process.rows_read.max(id);
            process.readings.add(&row);
            let RowBody::Statement(statement) = &row.body else { continue };
            let authority = row.authority.clone();
            match &statement.body {
                StatementBody::Vote(vote) => {
                    // Others have promised this term: a lease below it would find no votes.
                    process.election.record_promise(&vote.leadership);
                    let leadership = vote.leadership.clone();
                    events.push(Event::Voted { authority, leadership });
                }
                StatementBody::Refuse(refuse) => {
                    events.push(Event::RefusedBy { authority, term: refuse.leadership.term });
                }
                StatementBody::Suspect(suspect) => {
                    events.push(Event::SuspectedBy { authority, term: suspect.leadership.term });
                }
                _ => {}
            }
        }
        for event in events {
            self.elect(event, env);
        }
    }

    /// Ends the run: no honest authority may halt.
    fn halt(&self, env: &mut Environment, why: &str) {
        env.checks.fail(Rule::Halted, format!("{} halts: {why}", self.name));
    }
}
