//! Manifests, the files that they list, and the division of a roll into files.

use votekit_core::manifest::ManifestError;
use votekit_core::roll::ShardPlanError;
use votekit_core::shard::{ChangesError, ShardError, ShardHead};

use crate::InWords;

impl InWords for ShardPlanError {
    fn in_words(&self) -> String {
        match self {
            Self::ShardSize { shard_size } => {
                format!("a shard holds 1 to {} keys, not {shard_size}", ShardHead::KEYS_MAX)
            }
            Self::TooManyShards { law_id, shards } => format!(
                "the law {law_id} would have {shards} shards, more than {}",
                ShardHead::SHARDS_MAX
            ),
            other => other.to_string(),
        }
    }

    fn hint(&self) -> Option<String> {
        let is_many = matches!(self, Self::TooManyShards { .. });
        is_many.then(|| "choose a larger --shard-size".to_owned())
    }
}

impl InWords for ManifestError {
    fn in_words(&self) -> String {
        match self {
            Self::Json { reason, .. } => format!("not a manifest: {reason}"),
            Self::CodeLength { length } => format!(
                "the manifest states {length} characters for the shortest access code; a code has \
                 4 to 32, or 0 if none was hashed"
            ),
            Self::LawOrder { law_id } => {
                format!("the manifest lists the law {law_id} twice or out of order")
            }
            Self::ShardNumbers { law_id, shards } => {
                format!("the manifest's shards are not numbered 1 to {shards} for the law {law_id}")
            }
            Self::LawCount { law_id, stated, found } => format!(
                "the manifest states {stated} keys for the law {law_id}, its files add up to \
                 {found}"
            ),
            Self::Rows { stated, found } => format!(
                "the manifest states {stated} rows of the roll, its parts add up to {found}"
            ),
            Self::TooManyRows { rows } => {
                format!("the manifest states {rows} rows of the roll; at most 2^53 - 1 are allowed")
            }
            Self::PepperMissing { id } => {
                format!("the manifest was made with the pepper {id}; none was given")
            }
            Self::PepperOther { expected, given } => format!(
                "the manifest was made with the pepper {expected}; the one given is {given}"
            ),
            Self::NotCanonical => {
                "the manifest is not in canonical form: it was edited or reformatted".to_owned()
            }
            Self::Scheme => {
                "the manifest's hash scheme and pepper do not match: hmac-sha256 needs a pepper, \
                 and sha256 has none"
                    .to_owned()
            }
            Self::Date => "the manifest's date is not a day such as 2026-11-21".to_owned(),
            Self::Kind => "the manifest mixes fields of a roll and of a supplement".to_owned(),
            Self::PepperUnasked => {
                "the manifest was made without a pepper; one was given".to_owned()
            }
            file => file_rule(file),
        }
    }
}

/// The text for a fault of a file of a manifest, or of its row.
fn file_rule(error: &ManifestError) -> String {
    match error {
        ManifestError::FileOrder { file } => format!(
            "the manifest's row for {file} is out of order, or belongs to a law that the manifest \
             does not list"
        ),
        ManifestError::FileName { file } => {
            format!("the manifest lists the file {file:?}, whose name is not allowed")
        }
        ManifestError::ShardCount { file, count } => {
            format!("{file} states {count} keys, more than a shard can hold")
        }
        ManifestError::FileDigest { file, expected, found } => format!(
            "{file} has been changed: its SHA-256 is {found}, the manifest states {expected}"
        ),
        ManifestError::FileCount { file, expected, found } => {
            format!("{file} holds {found} keys, the manifest states {expected}")
        }
        ManifestError::Shard { file, error } => format!("{file}: {}", error.in_words()),
        ManifestError::ShardHead { file } => {
            format!("{file} has another law or number than the manifest states")
        }
        ManifestError::Changes { file, error } => format!("{file}: {}", error.in_words()),
        ManifestError::ChangesCount { file } => {
            format!("{file} adds or revokes a different number of keys than the manifest states")
        }
        other => other.to_string(),
    }
}

impl InWords for ShardError {
    fn in_words(&self) -> String {
        match self {
            Self::Malformed { offset } => format!("unexpected byte at offset {offset}"),
            Self::Law(error) => error.in_words(),
            Self::Number { shard, shards } => format!("shard {shard} of {shards} does not exist"),
            Self::TooMany { count } => format!("{count} keys are more than a shard can hold"),
            Self::Count { stated } => {
                format!("the shard states {stated} keys, but contains a different number")
            }
            Self::Key { key } => format!("key {key} is malformed"),
            Self::Order { key } => format!("key {key} is out of order or repeated"),
            other => other.to_string(),
        }
    }
}

impl InWords for ChangesError {
    fn in_words(&self) -> String {
        match self {
            Self::Json { line, column } => {
                format!("not a change file: line {line}, column {column}")
            }
            Self::NotCanonical => "not in canonical form".to_owned(),
            Self::Order { list } => format!("the list '{list}' is out of order"),
            Self::Repeated => "a key is listed twice".to_owned(),
            other => other.to_string(),
        }
    }
}
