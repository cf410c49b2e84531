//! A decided request as reviewers see it, and the search for it in a log.

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
    /// The how-manieth attempt of its credential, of a duplicate.
    pub(super) attempt: Option<u32>,
    /// Why it is invalid.
    pub(super) reason: Option<&'static str>,
    /// When it was received, to the minute, RFC 3339.
    pub(super) minute: String,
    /// The batch it came in, as NODE/EPOCH/SEQUENCE.
    pub(super) batch: String,
    /// Its place in the log.
    pub(super) leaf_index: u64,
    pub(super) remarks: Vec<Remark>,
    #[serde(skip)]
    pub(super) hash: Option<CredentialHash>,
}

/// A remark of a reviewer.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Remark {
    pub(super) at: String,
    pub(super) by: String,
    pub(super) text: String,
}

/// What became of requests, for `--decision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// The credential had voted before
    Duplicate,
    /// The vote does not count, and its credential stays unspent
    Invalid,
}

/// Which cases are wanted
#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// Only those decided so
    #[arg(long, value_name = "DECISION")]
    decision: Option<Kind>,

    /// Only those invalid for this reason
    #[arg(long, value_name = "REASON", value_parser = ["unknown", "revoked", "early", "late"])]
    reason: Option<String>,

    /// Only those that came in batches of this node
    #[arg(long, value_name = "NODE_ID")]
    from_node: Option<String>,

    /// Only those that nobody has remarked on
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

    /// The cases that are wanted, in the order of the log.
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

/// One decided request, with its remarks; `None` when the log does not know it.
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

/// That no request of this id was decided.
pub(super) fn unknown(law_id: &ElectionId, request: RequestId) -> CommandError {
    CommandError::bad_input(format!("the log of {law_id} has no request {}", request.to_hex()))
        .hint("`votekit review list` shows those that did not count")
}

/// Hands over each decided request, without its remarks, in the order of the log.
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
        // A decision that a later version knows.
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
