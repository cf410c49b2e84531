//! Parses leaves with the recount's own code (`docs/formats.md`, section 6). Keys that it does not
//! need are ignored: `votekit verify bundle` checks whether the log is canonical.

use serde::Deserialize;

use super::BatchName;

/// The parts of a leaf that the recount needs.
pub(super) enum Line {
    Definition(LogDefinition),
    Opening {
        opens: u64,
    },
    Closing {
        closes: u64,
    },
    /// A roll, or with `is_root` false a supplement, by the digest of its manifest.
    Roll {
        manifest: [u8; 32],
        is_root: bool,
        is_keyed: bool,
    },
    Batch {
        name: BatchName,
        count: u64,
        digest: String,
    },
    Outcome(LogOutcome),
    Totals {
        through: u64,
        values: Vec<u64>,
    },
    Block {
        height: u64,
    },
    Other,
}

/// The definition of the election.
#[derive(Deserialize)]
pub(super) struct LogDefinition {
    pub(super) law_id: String,
    pub(super) choices: Vec<LogChoice>,
    pub(super) closes: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct LogChoice {
    pub(super) id: String,
}

/// The log's statement about one envelope.
pub(super) struct LogOutcome {
    pub(super) request: [u8; 16],
    pub(super) decision: LogDecision,
    /// Only in accepted and duplicate votes.
    pub(super) hash: Option<[u8; 32]>,
    /// Only in invalid votes and replays.
    pub(super) envelope: Option<[u8; 32]>,
    /// Not in replays.
    pub(super) minute: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogDecision {
    Accepted,
    Duplicate {
        attempt: u32,
    },
    /// No roll contains the credential.
    Unknown,
    Revoked,
    Early,
    Late,
    Clash,
    Replay,
}

#[derive(Deserialize)]
struct Fields<'a> {
    leaf: &'a str,
    opens: Option<u64>,
    closes: Option<u64>,
    definition: Option<LogDefinition>,
    node: Option<&'a str>,
    epoch: Option<u32>,
    sequence: Option<u64>,
    count: Option<u64>,
    digest: Option<&'a str>,
    request: Option<&'a str>,
    decision: Option<&'a str>,
    reason: Option<&'a str>,
    attempt: Option<u32>,
    hash: Option<&'a str>,
    envelope: Option<&'a str>,
    minute: Option<u64>,
    through: Option<u64>,
    values: Option<Vec<u64>>,
    height: Option<u64>,
    manifest: Option<&'a str>,
    parent: Option<&'a str>,
    scheme: Option<&'a str>,
}

impl Line {
    /// Parses a leaf.
    ///
    /// # Errors
    /// The fault, for people.
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        let fields: Fields<'_> =
            serde_json::from_slice(text).map_err(|_| "not a leaf".to_owned())?;
        let line = match fields.leaf {
            "election" => Some(match fields {
                Fields { definition: Some(definition), .. } => Self::Definition(definition),
                Fields { opens: Some(opens), .. } => Self::Opening { opens },
                Fields { closes: Some(closes), .. } => Self::Closing { closes },
                _ => Self::Other,
            }),
            "roll" => fields.roll(),
            "batch" => fields.batch(),
            "entry" => fields.decision().and_then(|decision| fields.outcome(decision)),
            "replay" => fields.outcome(LogDecision::Replay),
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

    fn roll(&self) -> Option<Line> {
        let is_keyed = match self.scheme? {
            "sha256" => false,
            "hmac-sha256" => true,
            _ => return None,
        };
        let manifest = digest(self.manifest?)?;
        Some(Line::Roll { manifest, is_root: self.parent.is_none(), is_keyed })
    }

    fn decision(&self) -> Option<LogDecision> {
        Some(match (self.decision?, self.reason) {
            ("accepted", None) => LogDecision::Accepted,
            ("duplicate", None) => LogDecision::Duplicate { attempt: self.attempt? },
            ("invalid", Some("unknown")) => LogDecision::Unknown,
            ("invalid", Some("revoked")) => LogDecision::Revoked,
            ("invalid", Some("early")) => LogDecision::Early,
            ("invalid", Some("late")) => LogDecision::Late,
            ("invalid", Some("clash")) => LogDecision::Clash,
            _ => return None,
        })
    }

    fn outcome(&self, decision: LogDecision) -> Option<Line> {
        let (hash, envelope) = (self.hash.map(digest), self.envelope.map(digest));
        // An accepted or duplicate vote shows H, every other leaf the digest of its envelope.
        let counted = matches!(decision, LogDecision::Accepted | LogDecision::Duplicate { .. });
        if counted != hash.is_some() || counted == envelope.is_some() {
            return None;
        }
        Some(Line::Outcome(LogOutcome {
            request: digest(self.request?)?,
            decision,
            hash: hash.map_or(Some(None), |hash| hash.map(Some))?,
            envelope: envelope.map_or(Some(None), |envelope| envelope.map(Some))?,
            minute: self.minute,
        }))
    }
}

fn digest<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    const_hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}
