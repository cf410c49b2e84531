//! Maps errors of the server and of the connection to [`EngineError`].

use std::error::Error as _;
use std::time::Instant;

use deadpool_postgres::PoolError;
use tokio_postgres::error::{DbError, Severity};

use crate::EngineError;
pub(super) use crate::error::{malformed, malformed_write};
use crate::log_summary::LogSummary;

/// The engine's name in errors.
pub(super) const ENGINE: &str = "PostgreSQL";

/// Whether a statement changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Limits what a flood of rows that cannot be used writes.
static ROWS_PASSED_OVER: LogSummary = LogSummary::new();

/// Reports a row that is not used.
pub(super) fn report_passed_over(reason: &str) {
    if let Some(count) = ROWS_PASSED_OVER.due(Instant::now()) {
        tracing::error!(
            event = "ledger_row_passed_over",
            alarm = true,
            reason,
            count,
            "a row of the ledger was not written by votekit, skipped"
        );
    }
}

pub(super) fn unavailable(reason: impl Into<String>) -> EngineError {
    EngineError::Unavailable { engine: ENGINE, reason: reason.into() }
}

pub(super) fn outcome_unknown(reason: impl Into<String>) -> EngineError {
    EngineError::OutcomeUnknown { engine: ENGINE, reason: reason.into() }
}

pub(super) fn corrupt(reason: impl Into<String>) -> EngineError {
    EngineError::Corrupt { engine: ENGINE, reason: reason.into() }
}

pub(super) fn misconfigured(reason: impl Into<String>, hint: impl Into<String>) -> EngineError {
    EngineError::Misconfigured { engine: ENGINE, reason: reason.into(), hint: hint.into() }
}

/// The error when no connection was available: nothing was sent.
pub(super) fn pool_error(error: &PoolError) -> EngineError {
    match error {
        PoolError::Backend(error) => unavailable(describe(error)),
        error => unavailable(error.to_string()),
    }
}

/// The error of a statement that failed after it may have been sent.
pub(super) fn statement_error(error: &tokio_postgres::Error, access: Access) -> EngineError {
    let reason = describe(error);
    let lost = |reason| match access {
        Access::Read => unavailable(reason),
        Access::Write => outcome_unknown(reason),
    };
    let Some(answer) = error.as_db_error() else { return lost(reason) };
    // The server closed the connection, and does not report how far the statement got.
    if ends_connection(answer) {
        return lost(reason);
    }
    // An ERROR is reported after everything the statement did was rolled back.
    match answer.code().code() {
        // A page that does not read, or an index out of order.
        "XX001" | "XX002" => corrupt(reason),
        code if RETRIED.contains(&code) || SET_BY_HAND.contains(&code) => unavailable(reason),
        code => match &code[..2] {
            // A constraint that only writes of other programs can break.
            "23" => corrupt(reason),
            // Temporary: locks, timeouts, a cancelled statement, no space, a server that became a
            // replica.
            "08" | "25" | "40" | "53" | "55" | "57" | "58" => unavailable(reason),
            // The schema does not know the statement: another program has changed it since.
            _ => EngineError::Fatal { engine: ENGINE, reason },
        },
    }
}

/// A cached plan whose tables were changed by a concurrent migration; a prepared statement that a
/// pooler lost.
const RETRIED: [&str; 2] = ["0A000", "26000"];

/// A counter that another program set to its largest value, and a table of one row that it emptied
/// or added to. Nothing was written, and nothing can be until an operator sets that right: the node
/// waits for it and serves what it has.
const SET_BY_HAND: [&str; 3] = ["22003", "P0002", "P0003"];

/// Whether a failed statement was rolled back and may be repeated at once.
pub(super) fn is_worth_repeating(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|answer| {
        !ends_connection(answer) && matches!(answer.code().code(), "40001" | "40P01")
    })
}

fn ends_connection(answer: &DbError) -> bool {
    matches!(answer.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
}

/// The message of the server or the network, with its code. Contains no password: neither sees it.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(answer) = error.as_db_error() {
        return format!("{} ({})", answer.message(), answer.code().code());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
