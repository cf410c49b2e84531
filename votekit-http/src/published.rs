//! The elections that the public sees: those whose poll was opened. A draft may still change, or
//! never open: it is for officials. By its id others learn only that it is not open yet, and when
//! it is planned to open.

use votekit_core::election::State;
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixSeconds;
use votekit_node::{ElectionView, Node};

use crate::drafts::is_draft;
use crate::problem::Problem;

/// The elections that the public sees, in the order of their ids. One whose log cannot be read is
/// among them: it may be open, and its voters must learn that it is halted.
pub(crate) fn elections(node: &Node) -> Vec<ElectionView> {
    let mut elections = node.elections();
    elections.retain(|election| !is_draft(node, election));
    elections
}

/// An election that the public sees.
///
/// # Errors
/// [`Problem::UnknownElection`]; [`Problem::NotOpen`] for a draft.
pub(crate) fn election(node: &Node, law: &ElectionId) -> Result<ElectionView, Problem> {
    let election = node.election(law).ok_or(Problem::UnknownElection)?;
    check(node, &election).map(|()| election)
}

/// Refuses a draft to those who are no officials.
///
/// # Errors
/// [`Problem::NotOpen`] for a draft.
pub(crate) fn check(node: &Node, election: &ElectionView) -> Result<(), Problem> {
    if is_draft(node, election) {
        return Err(not_open(election, true, node.now().seconds()));
    }
    Ok(())
}

/// That a poll takes no votes now: not yet, or not any more. A poll that was closed by hand has the
/// end of that minute as its closing: no time after `now` is named for it.
pub(crate) fn not_open(election: &ElectionView, early: bool, now: UnixSeconds) -> Problem {
    let minute = |rfc3339: Option<&str>| {
        let second = UnixSeconds::from_rfc3339(rfc3339?).ok()?;
        Some(second.minute_floor())
    };
    Problem::NotOpen {
        early,
        state: if early { State::Draft } else { State::Closed },
        opens: minute(election.opens.as_deref()),
        closes: minute(election.closes.as_deref()).map(|closes| closes.min(now.minute_floor())),
    }
}
