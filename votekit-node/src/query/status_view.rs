//! The statuses that the authorities report of themselves, for operators, in addition to the facts
//! that their statements prove.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use votekit_core::authority::AuthorityStatus;
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixSeconds;

use crate::status_report;

/// The status that an authority reports of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusView {
    /// How long ago it reported, in seconds, on the ledger's clock.
    pub age_seconds: u64,
    /// Whether the report is so old that the authority is down, or cut off from the ledger.
    pub is_silent: bool,
    /// By how many milliseconds its clock is ahead of the ledger's; negative if it is behind.
    pub clock_offset_milliseconds: i64,
    /// Bytes free in the file system of its data folder, if it could measure them.
    pub free_bytes: Option<u64>,
    /// Whether it signs statements.
    pub signs: bool,
    /// The elections that need blocks or are halted on it.
    pub elections: Vec<ElectionStatusView>,
}

/// The progress of an authority with one election, by its own report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ElectionStatusView {
    /// The election.
    pub law_id: String,
    /// The height of the log as it has applied it; 0 if it could not read it.
    pub height: u64,
    /// How many blocks of the log it was behind when it reported.
    pub lag: u64,
    /// Whether a fault halted the election on it.
    pub halted: bool,
}

/// The view of a status. `heads` has the height of each log, `now` is the time on the ledger's
/// clock.
pub(crate) fn status_view(
    status: &AuthorityStatus,
    heads: &[(ElectionId, u64)],
    now: UnixSeconds,
) -> StatusView {
    let elections = status.elections.iter().map(|election| {
        let head = height_of(heads, &election.law_id);
        ElectionStatusView {
            law_id: election.law_id.to_string(),
            height: election.height,
            lag: head.saturating_sub(election.height),
            halted: election.is_halted,
        }
    });
    StatusView {
        age_seconds: status_report::age(status, now).as_secs(),
        is_silent: status_report::is_silent(status, now),
        clock_offset_milliseconds: status.clock_offset,
        free_bytes: status.free_bytes,
        signs: status.signs,
        elections: elections.collect(),
    }
}

/// The height of a log; 0 for a log that does not exist.
pub(crate) fn height_of(heads: &[(ElectionId, u64)], law_id: &ElectionId) -> u64 {
    heads.iter().find(|(of, _)| of == law_id).map_or(0, |(_, height)| *height)
}
