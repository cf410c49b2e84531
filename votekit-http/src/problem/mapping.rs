//! Maps the errors that the node returns to voters and readers to problems.

use std::fmt::Display;
use std::time::Instant;

use votekit_core::envelope::FieldError;
use votekit_messages::InWords as _;
use votekit_node::config::Role;
use votekit_node::{ReadError, ReceiptError, ResultsError, SubmitError};
use votekit_store::EngineError;
use votekit_store::log_summary::LogSummary;

use super::{FieldProblem, Problem};
use crate::live::readers::NoSlot;

/// Limits a flood of refusals to one log line a second, with their number: the log may be on the
/// disk that is full.
static VOTES_NOT_STORED: LogSummary = LogSummary::new();
static CALLS_FAILED: LogSummary = LogSummary::new();

impl Problem {
    /// Maps the error of a vote that was not taken.
    pub(crate) fn not_taken(error: SubmitError) -> Self {
        match error {
            SubmitError::UnknownElection => Self::UnknownElection,
            SubmitError::UnknownChoice => Self::UnknownChoice,
            SubmitError::NotOpen { early, state, opens, closes } => {
                Self::NotOpen { early, state, opens, closes }
            }
            SubmitError::Clock { .. } => Self::Clock,
            SubmitError::Halted => Self::Halted,
            SubmitError::RateLimited { retry_after } => Self::RateLimited { retry_after },
            SubmitError::BackOff { retry_after } => Self::BackOff { retry_after },
            SubmitError::NotRecognised { retry_after } => Self::NotRecognised { retry_after },
            SubmitError::TooManyDuplicates { retry_after } => {
                Self::TooManyDuplicates { retry_after }
            }
            SubmitError::Busy { retry_after } => Self::Busy { retry_after },
            SubmitError::Unavailable(error) => {
                if let Some(count) = VOTES_NOT_STORED.due(Instant::now()) {
                    tracing::warn!(event = "vote_store_failed", %error, count, "vote not stored");
                }
                Self::NotStored
            }
            SubmitError::OutcomeUnknown { request } => Self::OutcomeUnknown { request },
        }
    }

    /// The reason is for the log of the node: it says nothing to a reader.
    fn of_damaged_log(reason: &str) -> Self {
        report_failed_read(&reason);
        Self::Internal
    }
}

fn report_failed_read(error: &dyn Display) {
    if let Some(count) = CALLS_FAILED.due(Instant::now()) {
        tracing::warn!(event = "engine_read_failed", %error, count, "engine read failed");
    }
}

impl From<Vec<FieldError>> for Problem {
    fn from(errors: Vec<FieldError>) -> Self {
        let errors = errors
            .into_iter()
            .map(|error| FieldProblem { field: error.field.into(), rule: error.rule.in_words() })
            .collect();
        Self::Malformed { errors }
    }
}

/// A failed read gives no information about the stored data.
impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        report_failed_read(&error);
        match error {
            EngineError::Unavailable { .. } | EngineError::OutcomeUnknown { .. } => {
                Self::Unavailable
            }
            _ => Self::Internal,
        }
    }
}

impl From<NoSlot> for Problem {
    fn from(refused: NoSlot) -> Self {
        match refused {
            NoSlot::Full => Self::TooManyReaders,
            NoSlot::AddressShare => Self::TooManyConnections,
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Halted => Self::UnreadableLog,
            ReadError::Damaged { reason } => Self::of_damaged_log(&reason),
            ReadError::Engine(error) => error.into(),
        }
    }
}

impl From<ReceiptError> for Problem {
    fn from(error: ReceiptError) -> Self {
        match error {
            ReceiptError::Unknown => Self::UnknownRequest,
            ReceiptError::Pending => Self::NotRecordedYet,
            ReceiptError::Halted => Self::UnreadableLog,
            ReceiptError::Damaged { reason } => Self::of_damaged_log(&reason),
            ReceiptError::Engine(error) => error.into(),
        }
    }
}

impl From<ResultsError> for Problem {
    fn from(error: ResultsError) -> Self {
        match error {
            ResultsError::UnknownElection => Self::UnknownElection,
            ResultsError::Withheld { policy, state } => Self::ResultsWithheld { policy, state },
            ResultsError::NotHere => Self::NotServedHere { needs: Role::Seal },
            ResultsError::Halted => Self::UnreadableLog,
            ResultsError::Damaged { reason } => Self::of_damaged_log(&reason),
            ResultsError::Engine(error) => error.into(),
        }
    }
}
