//! Leaves, read by the recount's own reader (`docs/formats.md`, section 6). Keys it does not need
//! are passed over: whether the log is canonical is for `votekit verify bundle` to say.

use serde::Deserialize;

use super::BatchName;

/// What the recount takes from a leaf.
pub(super) enum Line {
    Draft(LogDefinition),
    Batch { name: BatchName, count: u64, digest: String },
    Entry(LogEntry),
    Totals { through: u64, values: Vec<u64> },
    Block { height: u64 },
    Other,
}

/// What is put to the vote.
#[derive(Deserialize)]
pub(super) struct LogDefinition {
    pub(super) law_id: String,
    pub(super) choices: Vec<LogChoice>,
}

#[derive(Deserialize)]
pub(super) struct LogChoice {
    pub(super) id: String,
}

/// One decision.
pub(super) struct LogEntry {
    pub(super) request: [u8; 16],
    pub(super) accepted: bool,
    /// Only of accepted and duplicate votes.
    pub(super) hash: Option<[u8; 32]>,
    pub(super) minute: u64,
}

#[derive(Deserialize)]
struct Fields<'a> {
    leaf: &'a str,
    definition: Option<LogDefinition>,
    node: Option<&'a str>,
    epoch: Option<u32>,
    sequence: Option<u64>,
    count: Option<u64>,
    digest: Option<&'a str>,
    request: Option<&'a str>,
    decision: Option<&'a str>,
    hash: Option<&'a str>,
    minute: Option<u64>,
    through: Option<u64>,
    values: Option<Vec<u64>>,
    height: Option<u64>,
}

impl Line {
    /// Reads a leaf.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        let fields: Fields<'_> =
            serde_json::from_slice(text).map_err(|_| "not a leaf".to_owned())?;
        let line = match fields.leaf {
            "election" => Some(fields.definition.map_or(Self::Other, Self::Draft)),
            "batch" => fields.batch(),
            "entry" => fields.entry().map(Self::Entry),
            "totals" => fields
                .through
                .zip(fields.values)
                .map(|(through, values)| Self::Totals { through, values }),
            "block" => fields.height.map(|height| Self::Block { height }),
            _ => Some(Self::Other),
        };
        line.ok_or_else(|| "a leaf without what its kind must have".to_owned())
    }
}

impl Fields<'_> {
    fn batch(&self) -> Option<Line> {
        let name =
            BatchName { node: self.node?.to_owned(), epoch: self.epoch?, sequence: self.sequence? };
        Some(Line::Batch { name, count: self.count?, digest: self.digest?.to_owned() })
    }

    fn entry(&self) -> Option<LogEntry> {
        let mut request = [0; 16];
        const_hex::decode_to_slice(self.request?, &mut request).ok()?;
        let hash = match self.hash {
            None => None,
            Some(digits) => {
                let mut hash = [0; 32];
                const_hex::decode_to_slice(digits, &mut hash).ok()?;
                Some(hash)
            }
        };
        Some(LogEntry {
            request,
            accepted: self.decision? == "accepted",
            hash,
            minute: self.minute?,
        })
    }
}
