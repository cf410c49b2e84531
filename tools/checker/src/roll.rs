//! The roll the votes came from: maps credential hashes to rows.

use std::collections::HashMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::error::{ReadError, read_text};

/// Row of the roll (from 1) by credential hash in hexadecimal.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    pub(crate) row_by_hash: HashMap<String, u64>,
}

/// Reads `nas,code,law_id` as written by `votekit roll sample`: columns in this order, no quotes,
/// canonical values. Hashes with plain SHA-256, without a pepper.
pub(crate) fn read(path: &Path) -> Result<Roll, ReadError> {
    let text = read_text(path)?;
    let mut roll = Roll::default();
    for (index, line) in text.lines().enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let [nas, code, law] = fields[..] else {
            return Err(ReadError::form(path, index + 1, "expected nas,code,law_id"));
        };
        if index == 0 {
            if (nas, code, law) != ("nas", "code", "law_id") {
                return Err(ReadError::form(path, 1, "expected the header nas,code,law_id"));
            }
            continue;
        }
        let hash = const_hex::encode(Sha256::digest(format!("{nas}|{code}|{law}")));
        roll.row_by_hash.insert(hash, index as u64);
    }
    Ok(roll)
}
