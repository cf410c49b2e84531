use votekit_core::id::Sequence;

use super::*;
use crate::quiescence::Obstacle;

const TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
const GONE: NodeId = NodeId::from_bytes([7; 8]);
const OTHER: NodeId = NodeId::from_bytes([8; 8]);

fn at(milliseconds: u64) -> Monotonic {
    Monotonic(Duration::from_millis(milliseconds))
}

fn epoch(node: NodeId, number: u32, staged: u64, sealed: u64, is_ended: bool) -> EpochProgress {
    EpochProgress {
        node,
        epoch: Epoch(number),
        is_given: true,
        is_missing: false,
        is_admitted: true,
        staged_through: Some(Sequence(staged)).filter(|staged| staged.0 > 0),
        unsigned_through: None,
        sealed_through: Sequence(sealed),
        is_open: sealed > 0 && !is_ended,
        is_ended,
    }
}

/// A retirement of [`GONE`] up to its fence.
fn fenced(epochs: Vec<EpochProgress>) -> Retirement {
    let (mut retirement, first) = Retirement::begin(GONE, TIMEOUT, POLL, at(0));
    assert_eq!(first, Command::ReadEpochs);
    assert_eq!(retirement.step(Event::Epochs(epochs), at(0)), Command::Fence(GONE));
    assert_eq!(retirement.step(Event::Fenced, at(0)), Command::ReadLeases);
    retirement
}

fn looked(retirement: &mut Retirement, epochs: Vec<EpochProgress>, now: Monotonic) -> Command {
    let leases = Event::Leases(vec![(OTHER, Epoch(1)), (GONE, Epoch(9))]);
    assert_eq!(retirement.step(leases, now), Command::SettleBallotBox);
    assert_eq!(retirement.step(Event::Settled, now), Command::SealStaged);
    assert_eq!(retirement.step(Event::Sealed, now), Command::ReadEpochs);
    retirement.step(Event::Epochs(epochs), now)
}

#[test]
fn the_epochs_of_the_node_at_the_beginning_are_retired_and_no_others() {
    let epochs = vec![
        epoch(GONE, 1, 4, 4, true),
        epoch(GONE, 2, 6, 6, false),
        epoch(GONE, 3, 0, 0, false),
        epoch(OTHER, 1, 5, 2, false),
    ];
    let mut retirement = fenced(epochs.clone());
    // The node has returned in between, and answers in a new epoch.
    let later = [epochs, vec![epoch(GONE, 9, 2, 1, false)]].concat();
    let retired = vec![(GONE, Epoch(2)), (GONE, Epoch(3))];
    let command = looked(&mut retirement, later, at(10));
    assert_eq!(command, Command::RecordRetirements(retired));
    assert_eq!(retirement.step(Event::Recorded, at(20)), Command::Done);
}

#[test]
fn a_retirement_waits_for_the_lease_and_gives_up_after_its_patience() {
    let mut retirement = fenced(vec![epoch(GONE, 2, 6, 6, false)]);
    let lease = || Event::Leases(vec![(GONE, Epoch(2))]);
    assert_eq!(retirement.step(lease(), at(100)), Command::Wait(POLL));
    assert_eq!(retirement.step(Event::Waited, at(150)), Command::ReadLeases);
    let obstacle = Obstacle::Lease { node: GONE, epoch: Epoch(2) };
    assert_eq!(retirement.step(lease(), at(20_000)), Command::GiveUp(obstacle));
}

#[test]
fn an_epoch_is_not_retired_below_what_is_staged() {
    let epochs = vec![epoch(GONE, 2, 6, 5, false)];
    let mut retirement = fenced(epochs.clone());
    let command = looked(&mut retirement, epochs.clone(), at(10));
    assert_eq!(command, Command::Wait(POLL));
    retirement.step(Event::Waited, at(60));
    let command = looked(&mut retirement, epochs, at(20_000));
    assert!(matches!(command, Command::GiveUp(Obstacle::Unsealed { .. })), "{command:?}");
}

#[test]
fn a_row_that_the_node_has_not_signed_delays_its_retirement_and_does_not_prevent_it() {
    let row = Some(Sequence(1_000_000));
    let unsigned = EpochProgress { unsigned_through: row, ..epoch(GONE, 2, 6, 6, false) };
    let mut retirement = fenced(vec![unsigned]);
    for early in [10, 14_999] {
        assert_eq!(looked(&mut retirement, vec![unsigned], at(early)), Command::Wait(POLL));
        assert_eq!(retirement.step(Event::Waited, at(early)), Command::ReadLeases);
    }
    // A batch that it has signed is sealed first, whatever is above it.
    let unsealed = EpochProgress { staged_through: Some(Sequence(7)), ..unsigned };
    assert_eq!(looked(&mut retirement, vec![unsealed], at(15_000)), Command::Wait(POLL));
    retirement.step(Event::Waited, at(15_000));
    let command = looked(&mut retirement, vec![unsigned], at(15_000));
    assert_eq!(command, Command::RecordRetirements(vec![(GONE, Epoch(2))]));
}

#[test]
fn an_epoch_is_not_retired_below_what_was_seen_staged() {
    let mut lost = epoch(GONE, 2, 5, 5, false);
    lost.note_observed(Sequence(6));
    let mut retirement = fenced(vec![lost]);
    let command = looked(&mut retirement, vec![lost], at(20_000));
    assert!(matches!(command, Command::GiveUp(Obstacle::Unsealed { .. })), "{command:?}");
}

#[test]
fn a_node_without_open_epochs_is_retired_already() {
    let epochs = vec![epoch(GONE, 1, 4, 4, true)];
    let mut retirement = fenced(epochs.clone());
    assert_eq!(looked(&mut retirement, epochs, at(10)), Command::Done);
}
