//! Tests of the close: each step, a simulated installation with and without its polls, and the
//! closing time.

use proptest::prelude::*;
use votekit_core::id::Sequence;

use super::*;
use crate::quiescence::{EPOCH_STEP_MAX, Event, counted_epochs, missing_epochs};

const LEASE_LENGTH_MS: u64 = 3000;

const RULES: Rules = Rules {
    has_other_nodes: true,
    has_several_authorities: false,
    lease_length: Duration::from_millis(LEASE_LENGTH_MS),
    clock_margin: Duration::from_secs(2),
    recording: Duration::from_secs(2),
    timeout: Duration::from_secs(20),
    poll_interval: Duration::from_millis(50),
};

const SINGLE_NODE: Rules = Rules { has_other_nodes: false, ..RULES };

const SEVERAL_AUTHORITIES: Rules = Rules { has_several_authorities: true, ..RULES };

fn at(milliseconds: u64) -> Monotonic {
    Monotonic(Duration::from_millis(milliseconds))
}

fn clocks(own: u64, ledger: Option<u64>) -> Clocks {
    Clocks {
        own: UnixMillis(own),
        ledger: ledger.map(UnixMillis),
        latest_stamp: UnixMillis(0),
        log_time: UnixMinutes(0),
    }
}

fn node(number: u8) -> NodeId {
    NodeId::from_bytes([number; 8])
}

fn epoch(number: u8, staged: Option<u64>, sealed: u64, is_ended: bool) -> EpochProgress {
    EpochProgress {
        node: node(number),
        epoch: Epoch(1),
        is_given: true,
        is_missing: false,
        is_admitted: true,
        staged_through: staged.map(Sequence),
        unsigned_through: None,
        sealed_through: Sequence(sealed),
        is_open: sealed > 0 && !is_ended,
        is_ended,
    }
}

/// The closing that a close records when it reads these clocks.
fn recorded_closing(rules: Rules, clocks: Clocks) -> (UnixMinutes, Option<UnixMillis>) {
    let (mut close, _) = Close::begin(rules, at(0));
    match close.step(Event::Clocks(clocks), at(0)) {
        Command::RecordClosing { closes, not_after } => (closes, not_after),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_closing_time_lies_after_the_last_possible_stamp() {
    // 10:00:50, in minutes since 10:00.
    assert_eq!(recorded_closing(SINGLE_NODE, clocks(50_000, None)), (UnixMinutes(1), None));
    // 2 s to record, 3 s of leases, 2 s between clocks: a stamp of 10:00:57 at the latest.
    let shared = recorded_closing(RULES, clocks(50_000, Some(90_000)));
    assert_eq!(shared, (UnixMinutes(1), Some(UnixMillis(92_000))));
    // A stamp of 10:01:00 is possible.
    assert_eq!(recorded_closing(RULES, clocks(53_000, Some(90_000))).0, UnixMinutes(2));
}

#[test]
fn the_closing_time_lies_after_every_stamp_given_and_every_time_in_the_log() {
    let stamped = Clocks { latest_stamp: UnixMillis(600_000), ..clocks(0, None) };
    assert_eq!(recorded_closing(SINGLE_NODE, stamped).0, UnixMinutes(11));
    let logged = Clocks { log_time: UnixMinutes(30), ..clocks(0, None) };
    assert_eq!(recorded_closing(SINGLE_NODE, logged).0, UnixMinutes(31));
}

/// A lease of node 1.
fn lease() -> Event {
    Event::Leases(vec![(node(1), Epoch(1))])
}

/// A close by several authorities in term 3. The leases were stopped at 0, and those that are left
/// are read next.
fn awaiting_leases() -> Close {
    let (mut close, first) = Close::begin(SEVERAL_AUTHORITIES, at(0));
    assert_eq!(first, Command::ReadClocks);
    assert_eq!(close.step(Event::Clocks(clocks(50_000, Some(90_000))), at(0)), Command::ReadTerm);
    assert_eq!(close.step(Event::Term(Some(3)), at(0)), Command::StopLeases);
    assert_eq!(close.step(Event::LeasesStopped, at(10)), Command::ReadLeases);
    close
}

/// The command after the term was read again at a time in milliseconds.
fn read_term_again(mut close: Close, term: Option<u64>, milliseconds: u64) -> (Close, Command) {
    let command = close.step(Event::Term(term), at(milliseconds));
    (close, command)
}

#[test]
fn several_authorities_propose_a_closing_after_the_last_lease() {
    let mut close = awaiting_leases();
    for milliseconds in [20, 2000] {
        let wait = close.step(lease(), at(milliseconds));
        assert_eq!(wait, Command::Wait(SEVERAL_AUTHORITIES.poll_interval));
        assert_eq!(close.step(Event::Waited, at(milliseconds + 50)), Command::ReadLeases);
    }
    assert_eq!(close.step(Event::Leases(Vec::new()), at(3000)), Command::ReadTerm);
    let (mut close, proposed) = read_term_again(close, Some(3), 4999);
    // The same closing time as with one authority, and no deadline.
    let (closes, _) = recorded_closing(RULES, clocks(50_000, Some(90_000)));
    assert_eq!(proposed, Command::RecordClosing { closes, not_after: None });
    assert_eq!(close.step(Event::Recorded, at(5100)), Command::FinishIntake);
}

#[test]
fn several_authorities_wait_for_leases_no_longer_than_a_lease_and_the_recording() {
    let too_late = |close: Close| {
        let (mut close, granted) = read_term_again(close, Some(3), 5000);
        assert_eq!(granted, Command::GrantLeases);
        let given_up = close.step(Event::LeasesGranted, at(5010));
        assert_eq!(given_up, Command::GiveUp(Obstacle::TooLate));
    };
    // A lease is left at the end of the wait.
    let mut close = awaiting_leases();
    close.step(lease(), at(4940));
    assert_eq!(close.step(Event::Waited, at(4999)), Command::ReadLeases);
    close.step(lease(), at(4999));
    assert_eq!(close.step(Event::Waited, at(5000)), Command::ReadTerm);
    too_late(close);
    // The last read of the leases takes too long.
    let mut close = awaiting_leases();
    assert_eq!(close.step(Event::Leases(Vec::new()), at(4999)), Command::ReadTerm);
    too_late(close);
    // The leases were stopped too late.
    let (mut close, _) = Close::begin(SEVERAL_AUTHORITIES, at(0));
    close.step(Event::Clocks(clocks(50_000, Some(90_000))), at(0));
    close.step(Event::Term(Some(3)), at(0));
    assert_eq!(close.step(Event::LeasesStopped, at(5000)), Command::ReadTerm);
    too_late(close);
}

#[test]
fn a_closing_is_not_proposed_in_another_term() {
    // Not even leases are granted again: that is for the next leader to decide.
    let not_leading = Command::GiveUp(Obstacle::NotLeading);
    for term in [None, Some(2), Some(4)] {
        for milliseconds in [3000, 5000] {
            let mut close = awaiting_leases();
            close.step(Event::Leases(Vec::new()), at(milliseconds));
            assert_eq!(read_term_again(close, term, milliseconds).1, not_leading);
        }
    }
}

#[test]
fn a_node_that_does_not_lead_stops_no_leases() {
    let (mut close, _) = Close::begin(SEVERAL_AUTHORITIES, at(0));
    close.step(Event::Clocks(clocks(50_000, Some(90_000))), at(0));
    let given_up = close.step(Event::Term(None), at(0));
    assert_eq!(given_up, Command::GiveUp(Obstacle::NotLeading));
}

#[test]
fn leases_are_granted_again_after_a_refused_closing_of_several_authorities() {
    let mut close = awaiting_leases();
    close.step(Event::Leases(Vec::new()), at(20));
    let (mut close, _) = read_term_again(close, Some(3), 20);
    assert_eq!(close.step(Event::Refused, at(30)), Command::GrantLeases);
    let given_up = close.step(Event::LeasesGranted, at(40));
    assert_eq!(given_up, Command::GiveUp(Obstacle::Refused));
    // One authority has not stopped them.
    let (mut close, _) = Close::begin(RULES, at(0));
    close.step(Event::Clocks(clocks(0, Some(0))), at(0));
    assert_eq!(close.step(Event::Refused, at(0)), Command::GiveUp(Obstacle::Refused));
}

#[test]
fn leases_that_cannot_be_read_are_read_again_and_granted_again_in_the_end() {
    let mut close = awaiting_leases();
    let wait = close.step(Event::Unavailable, at(20));
    assert_eq!(wait, Command::Wait(SEVERAL_AUTHORITIES.poll_interval));
    assert_eq!(close.step(Event::Waited, at(70)), Command::ReadLeases);
    close.step(Event::Unavailable, at(4990));
    assert_eq!(close.step(Event::Waited, at(5040)), Command::ReadTerm);
    let (mut close, granted) = read_term_again(close, Some(3), 5050);
    assert_eq!(granted, Command::GrantLeases);
    let given_up = close.step(Event::LeasesGranted, at(5060));
    assert_eq!(given_up, Command::GiveUp(Obstacle::TooLate));
}

/// The command that follows when the looks find these epochs.
fn compare_epochs(epochs: Vec<EpochProgress>) -> Command {
    let (mut close, first) = Close::resume(RULES, at(0));
    assert_eq!(first, Command::ReadLeases);
    assert_eq!(close.step(Event::Leases(Vec::new()), at(0)), Command::SettleBallotBox);
    assert_eq!(close.step(Event::Settled, at(0)), Command::SealStaged);
    assert_eq!(close.step(Event::Sealed, at(0)), Command::ReadEpochs);
    close.step(Event::Epochs(epochs), at(0))
}

#[test]
fn a_close_gives_up_with_the_obstacle() {
    let (own, open) = (epoch(1, Some(4), 4, true), epoch(2, Some(9), 9, false));
    let unsealed = Obstacle::Unsealed {
        node: node(3),
        epoch: Epoch(1),
        staged: Sequence(7),
        sealed: Sequence(6),
    };
    let given_up = compare_epochs(vec![own, open, epoch(3, Some(7), 6, false)]);
    assert_eq!(given_up, Command::GiveUp(unsealed));
    let open_epoch = Obstacle::OpenEpoch { node: node(2), epoch: Epoch(1) };
    assert_eq!(compare_epochs(vec![own, open]), Command::GiveUp(open_epoch));
    assert_eq!(compare_epochs(vec![own]), Command::RecordClose);
}

#[test]
fn batches_after_a_retirement_are_void() {
    assert_eq!(compare_epochs(vec![epoch(1, Some(9), 4, true)]), Command::RecordClose);
    // Sealed and not staged: the ledger was restored from an older backup.
    let lost = compare_epochs(vec![epoch(1, Some(3), 4, true)]);
    assert!(matches!(lost, Command::GiveUp(Obstacle::Unsealed { .. })), "{lost:?}");
}

#[test]
fn a_row_that_the_node_of_an_open_epoch_has_not_signed_is_waited_for() {
    let row = |progress| EpochProgress { unsigned_through: Some(Sequence(9)), ..progress };
    for waits in [
        row(epoch(1, Some(4), 4, false)),
        row(epoch(1, None, 0, false)),
        row(EpochProgress { is_given: false, is_missing: true, ..epoch(1, None, 0, false) }),
    ] {
        let (staged, sealed) = (Sequence(9), waits.sealed_through);
        let obstacle = Obstacle::Unsealed { node: node(1), epoch: Epoch(1), staged, sealed };
        assert_eq!(compare_epochs(vec![waits]), Command::GiveUp(obstacle));
    }
    assert_eq!(compare_epochs(vec![row(epoch(1, Some(4), 4, true))]), Command::RecordClose);
}

#[test]
fn close_waits_for_a_batch_seen_staged_that_the_ledger_lost() {
    let observed = |mut progress: EpochProgress, sequence| {
        progress.note_observed(Sequence(sequence));
        progress
    };
    for (seen, staged) in [
        (observed(epoch(1, Some(4), 4, false), 5), Some(5)),
        (observed(epoch(1, None, 0, false), 1), Some(1)),
        (observed(EpochProgress { is_given: false, ..epoch(1, None, 0, false) }, 1), Some(1)),
    ] {
        assert_eq!(seen.staged_through, staged.map(Sequence));
        let waits = compare_epochs(vec![seen]);
        assert!(matches!(waits, Command::GiveUp(Obstacle::Unsealed { .. })), "{waits:?}");
    }
    let sealed = observed(epoch(1, Some(4), 4, true), 4);
    assert_eq!(sealed, epoch(1, Some(4), 4, true), "it is in the log");
    let unknown = EpochProgress { is_given: false, ..epoch(1, None, 4, true) };
    assert_eq!(observed(unknown, 3), unknown, "it is in the log");
    assert_eq!(compare_epochs(vec![sealed, unknown]), Command::RecordClose);
}

#[test]
fn unused_epochs_of_admitted_nodes_are_retired() {
    let stranger = EpochProgress { is_admitted: false, ..epoch(3, None, 0, false) };
    let retired =
        compare_epochs(vec![epoch(1, Some(1), 1, true), epoch(2, None, 0, false), stranger]);
    assert_eq!(retired, Command::RecordRetirements(vec![(node(2), Epoch(1))]));
}

#[test]
fn missing_epochs_are_retired_unless_something_of_them_is_staged() {
    let missing = EpochProgress { is_given: false, is_missing: true, ..epoch(1, None, 0, false) };
    let retired = Command::RecordRetirements(vec![(node(1), Epoch(1))]);
    assert_eq!(compare_epochs(vec![missing]), retired);
    let staged = EpochProgress { staged_through: Some(Sequence(1)), ..missing };
    let waits = compare_epochs(vec![staged]);
    assert!(matches!(waits, Command::GiveUp(Obstacle::Unsealed { .. })), "{waits:?}");
    let unknown = EpochProgress { is_missing: false, ..missing };
    assert_eq!(compare_epochs(vec![unknown]), Command::RecordClose);
}

#[test]
fn epochs_are_missing_before_later_ones_of_their_node_up_to_a_distance() {
    let of = epochs_of;
    let known = [of(1, &[4, 1, 2, 1]), of(2, &[3]), of(3, &[1, 2, u32::MAX])].concat();
    assert_eq!(missing_epochs(known), [of(1, &[3]), of(2, &[1, 2])].concat());
    assert_eq!(missing_epochs(of(1, &[EPOCH_STEP_MAX])).len(), EPOCH_STEP_MAX as usize - 1);
    assert!(missing_epochs(of(1, &[EPOCH_STEP_MAX + 1])).is_empty());
}

fn epochs_of(number: u8, epochs: &[u32]) -> Vec<(NodeId, Epoch)> {
    epochs.iter().map(|epoch| (node(number), Epoch(*epoch))).collect()
}

#[test]
fn epochs_far_above_the_last_signed_one_of_their_node_do_not_count() {
    let of = epochs_of;
    let given = [of(1, &[0, 1, 2, 1002, 1003, u32::MAX]), of(2, &[1000, 1001])].concat();
    let found = counted_epochs(given, of(1, &[2, 1]));
    assert_eq!(found.counted, [of(1, &[1, 2, 1002]), of(2, &[1000])].concat());
    assert_eq!(found.passed_over, [of(1, &[0, 1003, u32::MAX]), of(2, &[1001])].concat());
    // Rows of the ledger alone reach no further, however many there are.
    let ladder: Vec<u32> = (1..=50).map(|step| step * 500).collect();
    assert_eq!(counted_epochs(of(1, &ladder), []).counted, of(1, &[500, 1000]));
    // A batch that its node has signed counts wherever it is.
    let signed = counted_epochs(of(1, &[5000]), of(1, &[5000]));
    assert_eq!((signed.counted, signed.passed_over), (of(1, &[5000]), Vec::new()));
}

#[test]
fn the_gap_before_an_epoch_that_counts_is_always_filled() {
    for signed in [0, 7, 5000] {
        let last = epochs_of(1, &[signed]).into_iter().filter(|(_, epoch)| epoch.0 > 0);
        let known: Vec<(NodeId, Epoch)> = last.collect();
        let given = counted_epochs(epochs_of(1, &[signed + EPOCH_STEP_MAX]), known.clone());
        let missing = missing_epochs(known.into_iter().chain(given.counted));
        let above = missing.iter().filter(|(_, epoch)| epoch.0 > signed).count();
        assert_eq!(above, EPOCH_STEP_MAX as usize - 1, "above {signed}");
    }
}

#[test]
fn failed_poll_restarts_from_the_first_until_the_timeout() {
    let (mut close, _) = Close::begin(RULES, at(0));
    close.step(Event::Clocks(clocks(0, Some(0))), at(0));
    close.step(Event::Recorded, at(0));
    // The timeout counts from the first poll, however long the steps before it took.
    assert_eq!(close.step(Event::IntakeFinished, at(60_000)), Command::ReadLeases);
    close.step(Event::Leases(Vec::new()), at(60_000));
    let wait = close.step(Event::Unavailable, at(79_999));
    assert_eq!(wait, Command::Wait(RULES.poll_interval));
    assert_eq!(close.step(Event::Waited, at(80_049)), Command::ReadLeases);
    let lease = Event::Leases(vec![(node(1), Epoch(1))]);
    let obstacle = Obstacle::Lease { node: node(1), epoch: Epoch(1) };
    assert_eq!(close.step(lease, at(80_050)), Command::GiveUp(obstacle));
}

/// A simulated installation of three nodes. They answer voters, publish batches and fail at random;
/// node 0 runs the close and never fails.
struct Installation {
    random_state: u64,
    now_ms: u64,
    is_closing_recorded: bool,
    /// Whether the ledger grants leases before the closing is recorded.
    grants_leases: bool,
    nodes: Vec<Node>,
    /// A command that is reported as done but not executed: shows that the simulation detects a
    /// close that skips it.
    skipped: Option<Command>,
}

/// One epoch of one node, with the numbers of its batches that are published, staged and sealed.
struct Node {
    lease_until_ms: u64,
    is_alive: bool,
    published: u64,
    staged: u64,
    sealed: u64,
    /// The last batch, once the node has ended its epoch; 0 when it published none.
    end: Option<u64>,
}

impl Installation {
    fn new(seed: u64, skipped: Option<Command>) -> Self {
        let node = || Node {
            lease_until_ms: LEASE_LENGTH_MS,
            is_alive: true,
            published: 0,
            staged: 0,
            sealed: 0,
            end: None,
        };
        let nodes = vec![node(), node(), node()];
        Self {
            random_state: seed,
            now_ms: 0,
            is_closing_recorded: false,
            grants_leases: true,
            nodes,
            skipped,
        }
    }

    /// Draws a number below `limit` (SplitMix64).
    fn draw(&mut self, limit: u64) -> u64 {
        self.random_state = self.random_state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random_state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// Simulates up to three random events that no command causes.
    fn simulate_events(&mut self) {
        for _ in 0..self.draw(4) {
            self.now_ms += self.draw(200);
            let which = usize::try_from(self.draw(3)).expect("small");
            let event = self.draw(12);
            let (now_ms, is_closing_recorded) = (self.now_ms, self.is_closing_recorded);
            let grants_leases = self.grants_leases && !is_closing_recorded;
            let node = &mut self.nodes[which];
            let answers = node.is_alive && node.end.is_none() && now_ms < node.lease_until_ms;
            match event {
                0..4 if answers => node.published += 1,
                4..6 => node.staged = node.published.min(node.staged + 1),
                6 => node.sealed = node.staged.min(node.sealed + 1),
                7 if which > 0 => node.is_alive = false,
                // The ledger renews no lease once they are stopped or the closing is recorded.
                8 if answers && grants_leases => {
                    node.lease_until_ms = now_ms + LEASE_LENGTH_MS;
                }
                9 | 10 if node.is_alive && is_closing_recorded && node.end.is_none() => {
                    // The end is a batch too; an epoch without batches gets none.
                    if node.published > 0 {
                        node.published += 1;
                    }
                    node.end = Some(node.published);
                    node.lease_until_ms = now_ms;
                }
                _ => {}
            }
        }
    }

    fn epochs(&self) -> Vec<EpochProgress> {
        let epoch = |(number, node): (usize, &Node)| {
            let is_ended = node.end.is_some_and(|end| end > 0 && node.sealed >= end);
            let staged = Some(node.staged).filter(|staged| *staged > 0);
            epoch(u8::try_from(number).expect("small"), staged, node.sealed, is_ended)
        };
        self.nodes.iter().enumerate().map(epoch).collect()
    }

    fn execute(&mut self, command: &Command) -> Event {
        let executes = self.skipped.as_ref() != Some(command);
        if self.draw(20) == 0 && matches!(command, Command::ReadLeases | Command::SettleBallotBox) {
            return Event::Unavailable;
        }
        match command {
            Command::ReadClocks => Event::Clocks(clocks(self.now_ms, Some(self.now_ms))),
            Command::ReadTerm => Event::Term(Some(1)),
            Command::StopLeases => {
                self.grants_leases = false;
                Event::LeasesStopped
            }
            Command::GrantLeases => {
                self.grants_leases = true;
                Event::LeasesGranted
            }
            Command::RecordClosing { not_after, .. } => {
                // Without a deadline it may be certified late: no node may answer voters by now.
                let mut nodes = self.nodes.iter();
                let is_quiet = nodes.all(|node| self.now_ms >= node.lease_until_ms);
                assert!(not_after.is_some() || is_quiet, "a node can answer after the closing");
                self.is_closing_recorded = true;
                Event::Recorded
            }
            Command::FinishIntake => Event::IntakeFinished,
            Command::ReadLeases => {
                let lasting = self
                    .nodes
                    .iter()
                    .enumerate()
                    .filter(|(_, node)| executes && self.now_ms < node.lease_until_ms);
                let id = |number: usize| node(u8::try_from(number).expect("small"));
                Event::Leases(lasting.map(|(number, _)| (id(number), Epoch(1))).collect())
            }
            Command::SettleBallotBox => {
                self.nodes
                    .iter_mut()
                    .filter(|_| executes)
                    .for_each(|node| node.staged = node.published);
                Event::Settled
            }
            Command::SealStaged => {
                self.nodes
                    .iter_mut()
                    .filter(|_| executes)
                    .for_each(|node| node.sealed = node.staged);
                Event::Sealed
            }
            Command::ReadEpochs => Event::Epochs(self.epochs()),
            Command::Wait(pause) => {
                self.now_ms += u64::try_from(pause.as_millis()).expect("short");
                Event::Waited
            }
            Command::RecordRetirements(_) | Command::RecordClose => Event::Recorded,
            other => panic!("{other:?}"),
        }
    }

    fn run_close(&mut self, rules: Rules) -> CloseOutcome {
        for _ in 0..self.draw(8) {
            self.simulate_events();
        }
        let (mut close, mut command) = Close::begin(rules, at(self.now_ms));
        loop {
            self.simulate_events();
            let event = match &command {
                Command::Done => break,
                Command::GiveUp(_) => return CloseOutcome::GivenUp,
                command => self.execute(command),
            };
            command = close.step(event, at(self.now_ms));
        }
        // A node that can still answer voters does so now: its votes would be missing.
        for _ in 0..20 {
            self.simulate_events();
        }
        if self.nodes.iter().any(|node| node.published != node.sealed) {
            CloseOutcome::VotesLost
        } else {
            CloseOutcome::Closed
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum CloseOutcome {
    /// The close ended, and every answered vote is in the log.
    Closed,
    /// The close ended, and an answered vote is not in the log.
    VotesLost,
    GivenUp,
}

#[test]
fn no_answered_vote_is_missing_from_a_closed_log() {
    // With several authorities more nodes die while the close waits for leases.
    for (rules, closed_min) in [(RULES, 5_000), (SEVERAL_AUTHORITIES, 1_000)] {
        let mut closed = 0;
        for seed in 0..20_000 {
            let outcome = Installation::new(seed, None).run_close(rules);
            assert_ne!(outcome, CloseOutcome::VotesLost, "seed {seed}, {rules:?}");
            closed += usize::from(outcome == CloseOutcome::Closed);
        }
        assert!(closed > closed_min, "{closed} of 20000 closes ended: too few to be evidence");
    }
}

#[test]
fn close_that_skips_a_poll_loses_votes() {
    for skipped in [Command::ReadLeases, Command::SettleBallotBox] {
        let loses_votes = (0..20_000).any(|seed| {
            let mut installation = Installation::new(seed, Some(skipped.clone()));
            installation.run_close(RULES) == CloseOutcome::VotesLost
        });
        assert!(loses_votes, "{skipped:?} is not needed, or the simulation is too simple");
    }
}

proptest! {
    /// The latest stamp possible: the ledger stores the closing after `recorded_after`, another
    /// node then answers for `lease_left`, and its clock differs by `drift` (all in milliseconds).
    #[test]
    fn no_vote_can_be_stamped_at_the_closing_or_later(
        own in 0..10_000_000_u64,
        drift in -2000..=2000_i64,
        recorded_after in 0..2000_u64,
        lease_left in 0..3000_u64,
    ) {
        let (closes, not_after) = recorded_closing(RULES, clocks(own, Some(own)));
        prop_assert!(own + recorded_after <= not_after.expect("a ledger clock").0);
        let stamp = own.saturating_add(recorded_after + lease_left).saturating_add_signed(drift);
        prop_assert!(UnixMillis(stamp).minutes() < closes);
    }
}
