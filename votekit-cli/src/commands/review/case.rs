//! A decided request as shown to reviewers, and the search for it in a log.

use std::collections::HashMap;

use serde::Serialize;
use votekit_core::credential::CredentialHash;
use votekit_core::decision::{Decision, Entry};
use votekit_core::id::{BatchNumber, ElectionId, RequestId};
use votekit_core::log::leaf::Leaf;
use votekit_node::archive::Archive;
use votekit_store::ReviewNote;

use crate::error::CommandError;

/// A decided request.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Case {
    pub(super) request: String,
    pub(super) decision: &'static str,
    /// Attempt number of a duplicate, from 2.
    pub(super) attempt: Option<u32>,
    /// Why the request is invalid.
    pub(super) reason: Option<&'static str>,
    /// Time of receipt, to the minute, RFC 3339.
    pub(super) minute: String,
    /// Its batch, as NODE/EPOCH/SEQUENCE.
    pub(super) batch: String,
    pub(super) leaf_index: u64,
    pub(super) remarks: Vec<Remark>,
    #[serde(skip)]
    pub(super) hash: Option<CredentialHash>,
}

/// A reviewer's remark.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Remark {
    pub(super) at: String,
    pub(super) by: String,
    pub(super) text: String,
}

/// Decisions that `--decision` selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// The credential had voted before
    Duplicate,
    /// The vote does not count, and its credential remains unused
    Invalid,
}

/// Selection of requests
#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// Only requests with this decision
    #[arg(long, value_name = "DECISION")]
    decision: Option<Kind>,

    /// Only requests that are invalid for this reason
    #[arg(long, value_name = "REASON", value_parser = ["unknown", "revoked", "early", "late"])]
    reason: Option<String>,

    /// Only requests in batches of this node
    #[arg(long, value_name = "NODE_ID")]
    from_node: Option<String>,

    /// Only requests without a remark
    #[arg(long)]
    unmarked: bool,
}

impl Filter {
    fn takes(&self, case: &Case) -> bool {
        let kind = match self.decision {
            None => case.decision != "accepted",
            Some(Kind::Duplicate) => case.decision == "duplicate",
            Some(Kind::Invalid) => case.decision == "invalid",
        };
        let reason = self.reason.as_deref().is_none_or(|wanted| case.reason == Some(wanted));
        let node = self
            .from_node
            .as_deref()
            .is_none_or(|wanted| case.batch.split('/').next() == Some(wanted));
        kind && reason && node && (!self.unmarked || case.remarks.is_empty())
    }

    /// Returns the selected requests, in log order.
    pub(super) fn cases(
        &self,
        archive: &Archive,
        law_id: &ElectionId,
    ) -> Result<Vec<Case>, CommandError> {
        let remarks = remarks(archive, law_id)?;
        let mut cases = Vec::new();
        for_each_case(archive, law_id, |entry, mut case| {
            if !matches!(entry.decision, Decision::Accepted { .. }) {
                case.remarks = remarks.get(&entry.request).cloned().unwrap_or_default();
                if self.takes(&case) {
                    cases.push(case);
                }
            }
        })?;
        Ok(cases)
    }
}

/// Finds one decided request, with its remarks; `None` if the log does not have it.
pub(super) fn find(
    archive: &Archive,
    law_id: &ElectionId,
    request: RequestId,
) -> Result<Option<Case>, CommandError> {
    let mut found = None;
    for_each_case(archive, law_id, |entry, case| {
        if entry.request == request {
            found = Some(case);
        }
    })?;
    if let Some(case) = &mut found {
        case.remarks = remarks(archive, law_id)?.remove(&request).unwrap_or_default();
    }
    Ok(found)
}

/// The error for a request id that was not decided.
pub(super) fn unknown(law_id: &ElectionId, request: RequestId) -> CommandError {
    CommandError::bad_input(format!("the log of {law_id} has no request {}", request.to_hex()))
        .hint("`votekit review list` shows those that did not count")
}

/// Calls `each` with every decided request, without its remarks, in log order.
pub(super) fn for_each_case(
    archive: &Archive,
    law_id: &ElectionId,
    mut each: impl FnMut(&Entry, Case),
) -> Result<(), CommandError> {
    let mut leaf_index = 0;
    let mut batch = None;
    archive.for_each_leaf(law_id, |bytes| -> Result<(), CommandError> {
        let leaf = Leaf::parse(bytes).map_err(|error| {
            CommandError::configuration(format!(
                "leaf {leaf_index} of {law_id} is damaged: {error}"
            ))
        })?;
        match leaf {
            Leaf::Batch(leaf) => batch = Some(leaf.number()),
            Leaf::Entry(entry) => each(&entry, case(&entry, batch, leaf_index)),
            _ => {}
        }
        leaf_index += 1;
        Ok(())
    })
}

fn case(entry: &Entry, batch: Option<BatchNumber>, leaf_index: u64) -> Case {
    let (decision, hash, attempt, reason) = match entry.decision {
        Decision::Accepted { hash } => ("accepted", Some(hash), None, None),
        Decision::Duplicate { hash, attempt } => ("duplicate", Some(hash), Some(attempt), None),
        Decision::Invalid { reason, .. } => ("invalid", None, None, Some(reason.as_str())),
        // A decision that only a later version knows.
        _ => ("unknown to this version", None, None, None),
    };
    let number = |number: BatchNumber| {
        format!("{}/{}/{}", number.node.to_hex(), number.epoch.0, number.sequence.0)
    };
    Case {
        request: entry.request.to_hex(),
        decision,
        attempt,
        reason,
        minute: votekit_core::instant::UnixSeconds(entry.minute.0 * 60).to_rfc3339(),
        batch: batch.map(number).unwrap_or_default(),
        leaf_index,
        remarks: Vec::new(),
        hash,
    }
}

fn remarks(
    archive: &Archive,
    law_id: &ElectionId,
) -> Result<HashMap<RequestId, Vec<Remark>>, CommandError> {
    let mut remarks: HashMap<RequestId, Vec<Remark>> = HashMap::new();
    for ReviewNote { request, at, by, text } in archive.review_notes(law_id)? {
        remarks.entry(request).or_default().push(Remark { at: at.to_rfc3339(), by, text });
    }
    Ok(remarks)
}
