//! The report of a verifier: its verdict, its failures, and the rules that it checks.

use std::collections::BTreeMap;
use std::fmt;

/// The result of verifying a bundle or a receipt. The variants are complete: a further variant
/// would be a breaking change, because callers decide by the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Nothing is wrong, and the policy is the pinned one: the authorities of that policy vouch for
    /// the log, and everything shown follows from it.
    Proven,
    /// Nothing is wrong, but no policy was pinned: anyone could have made it.
    Consistent,
    /// Something is wrong: do not rely on it.
    Failed,
}

impl Verdict {
    /// A stable name for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Consistent => "consistent",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One failure: where, which rule, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The file, by its name in the bundle.
    pub file: String,
    /// The line, from 1, in files where lines have a meaning. In `leaves.jsonl` it is the leaf's
    /// index plus one.
    pub line: Option<u64>,
    /// The broken rule.
    pub rule: Rule,
    /// The fault that was found.
    pub found: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(formatter, ", line {line}")?;
        }
        write!(formatter, ": {} [{}: {}]", self.found, self.rule.name(), self.rule)
    }
}

/// All failures: of each rule the first [`Failures::LISTED_MAX`] in full, and their number in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    list: Vec<Failure>,
    counts: BTreeMap<Rule, u64>,
}

impl Failures {
    /// The most failures of one rule that are kept.
    pub const LISTED_MAX: u64 = 100;

    /// Adds a failure.
    pub fn add(&mut self, file: &str, line: Option<u64>, rule: Rule, found: fmt::Arguments<'_>) {
        let count = self.counts.entry(rule).or_default();
        *count += 1;
        if *count <= Self::LISTED_MAX {
            self.list.push(Failure { file: file.to_owned(), line, rule, found: found.to_string() });
        }
    }

    /// The failures kept, in the order they were found.
    #[must_use]
    pub fn list(&self) -> &[Failure] {
        &self.list
    }

    /// The number of failures of each rule.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<Rule, u64> {
        &self.counts
    }

    /// The number of all failures.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Whether no failure was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Whether a kept failure concerns a file.
    #[must_use]
    pub fn concern(&self, file: &str) -> bool {
        self.list.iter().any(|failure| failure.file == file)
    }
}

/// Defines the rules: variant, stable name, and the rule as a sentence.
macro_rules! rules {
    ($($variant:ident $name:literal $sentence:literal)*) => {
        /// The rules of a bundle, as section 13 of `docs/formats.md` lists them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Rule {
            $(#[doc = $sentence] $variant,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name, for programs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl fmt::Display for Rule {
            /// The rule as a sentence.
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(match self { $(Self::$variant => $sentence,)* })
            }
        }
    };
}

rules! {
    FileMissing "file-missing" "every file of a bundle is there"
    FileExtra "file-extra" "nothing is there that does not belong to the bundle"
    FileKind "file-kind" "every file is a regular file, and no folder is empty"
    FileSize "file-size" "no file is longer than it can honestly be"
    Index "index" "index.json lists every other file with its size and SHA-256, in its one canonical form"
    FileChanged "file-changed" "each file is as index.json states"
    Derived "derived" "results and README are what follows from the log, byte for byte"
    PolicyForm "policy-form" "the policy is that of this election, in its one canonical form"
    PolicyPinned "policy-pinned" "the policy is the one that was pinned"
    Checkpoint "checkpoint" "the checkpoint is signed as the policy asks"
    CosignatureTime "cosignature-time" "no cosignature is older than the last block's minute, less a minute"
    Origin "origin" "the origin of the log names this election, and says whether it binds"
    Root "root" "the leaves are those of the checkpoint: as many, with the same root"
    Leaf "leaf" "each line is a leaf in its one canonical form, ended by a line feed"
    BlockOrder "block-order" "a block is election, roll and node leaves, batches with their entries and replays, counts, totals, and its block leaf"
    BlockHeight "block-height" "heights count from 1 without a gap"
    BlockTerm "block-term" "terms never decrease"
    BlockTime "block-time" "the minutes of blocks never decrease"
    LeafTime "leaf-time" "no time in a leaf is after its block's minute, and no event is before the block before"
    BlockLeader "block-leader" "blocks are led by authorities of the policy"
    State "state" "an election is drafted, opened, closing, closed, certified, in this order and once each; only a draft is amended; after that it can be annulled, and purged at the end"
    Definition "definition" "the definition keeps its own rules"
    Amendment "amendment" "an amendment keeps the law, whether it binds, and the ballot key"
    Window "window" "the poll opens not before it was planned, closes after it opens, at most 5 minutes after the closing is recorded, not after it was planned, and before only with a reason"
    Registered "registered" "registered = loaded + added - revoked, and no more votes are accepted"
    ZeroReport "zero-report" "at the opening the box is empty"
    Binding "binding" "a binding election has a pepper and access codes of 8 characters in every roll, and shows results after the close unless that is waived"
    RollChain "roll-chain" "one roll comes first and can be replaced in a draft only; each supplement names the manifest before it; none comes once the poll is closing"
    RollCounts "roll-counts" "a roll leaf counts what its manifest counts for this law"
    Manifest "manifest" "each manifest that the log names is there, with that SHA-256, and keeps the rules of its form"
    Electorate "electorate" "each accepted or duplicate hash was registered and not revoked, in the shards given"
    NodeAdmission "node-admission" "a node is admitted once, under the id of a usable key, before its first batch and before the closing"
    NodeRetirement "node-retirement" "a retired epoch ends where the log has come with it, not below what its node had confirmed"
    BatchNumber "batch-number" "batch numbers follow one another in each epoch, and none follows the last"
    BatchOnce "batch-once" "no two batches have one digest"
    BatchSignature "batch-signature" "a batch leaf carries its node's signature over what it shows"
    BatchState "batch-state" "no batch comes before the opening or after the close"
    BatchCount "batch-count" "a batch has exactly one entry or replay for each of its envelopes"
    BatchEnvelopes "batch-envelopes" "the entries and replays of a batch are those of the envelopes that its node signed, in order"
    BatchMinute "batch-minute" "minutes never decrease in an epoch"
    EpochEnd "epoch-end" "every epoch of a node, from 1 on, has ended or was retired before the close"
    RequestOnce "request-once" "each request is decided once; a clash repeats the request of an earlier decision"
    Replay "replay" "a replay repeats the request of an earlier decision"
    AcceptedOnce "accepted-once" "each credential has one accepted vote"
    DuplicateAttempt "duplicate-attempt" "a duplicate follows an acceptance, and its attempt counts on"
    EntryTime "entry-time" "votes count from the opening until before the close, to the minute"
    CountsForm "counts-form" "a block commits to each choice and to spoiled votes, in elements of ristretto255, none of them neutral"
    TotalsPlace "totals-place" "totals go up to a block that is there, never back, and at the close to its own"
    TotalsPolicy "totals-policy" "before the close totals are opened only under the policy live, and never for a small range"
    TotalsOpen "totals-open" "totals open the sums of the commitments"
    TotalsFall "totals-fall" "no total ever falls"
    TotalsSum "totals-sum" "totals add up to the votes accepted so far"
    CloseReport "close-report" "the close accounts for every envelope"
    Certified "certified" "the certified digest is that of results.json"
    Receipt "receipt" "the leaf of the receipt stands in its place"
}
