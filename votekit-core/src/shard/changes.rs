//! The change file of one law in a supplement: additions, revocations and replacements.

use serde::{Deserialize, Serialize};

use crate::credential::RegistryKey;
use crate::id::ElectionId;

/// The changes of a supplement for one law. Every list is ascending, and no key occurs twice in the
/// file.
///
/// ```
/// use votekit_core::{credential::RegistryKey, shard::Changes};
/// let added = RegistryKey::from_bytes([1; 32]);
/// let changes = Changes::new("L1".parse()?, vec![added], vec![], vec![])?;
/// assert_eq!(Changes::decode(&changes.encode())?.add(), [added]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes(Body);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    format: Format,
    law_id: ElectionId,
    add: Vec<RegistryKey>,
    revoke: Vec<RegistryKey>,
    replace: Vec<(RegistryKey, RegistryKey)>,
    /// Usually empty, and then left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    readmit: Vec<(RegistryKey, RegistryKey)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "votekit-changes/1")]
    Changes1,
}

/// Why bytes are not a valid change file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangesError {
    /// The JSON is malformed, or has other keys or types.
    #[error("changes malformed: line {line}, column {column}")]
    Json {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
    },
    /// The bytes are not the canonical form of a change file.
    #[error("changes not canonical")]
    NotCanonical,
    /// A list is not ascending.
    #[error("list '{list}': not ascending")]
    Order {
        /// `add`, `revoke`, `replace` or `readmit`.
        list: &'static str,
    },
    /// A key occurs twice.
    #[error("repeated key")]
    Repeated,
}

impl Changes {
    /// Sorts the lists and checks that no key occurs twice.
    ///
    /// # Errors
    /// [`ChangesError::Repeated`].
    pub fn new(
        law_id: ElectionId,
        mut add: Vec<RegistryKey>,
        mut revoke: Vec<RegistryKey>,
        mut replace: Vec<(RegistryKey, RegistryKey)>,
    ) -> Result<Self, ChangesError> {
        add.sort_unstable();
        revoke.sort_unstable();
        replace.sort_unstable();
        let readmit = Vec::new();
        let changes =
            Self(Body { format: Format::Changes1, law_id, add, revoke, replace, readmit });
        changes.check_disjoint()?;
        Ok(changes)
    }

    /// Adds pairs (revoked before, added): new credentials of electors whose earlier one was
    /// revoked by an earlier supplement.
    ///
    /// # Errors
    /// [`ChangesError::Repeated`].
    pub fn with_readmissions(
        mut self,
        mut readmit: Vec<(RegistryKey, RegistryKey)>,
    ) -> Result<Self, ChangesError> {
        readmit.sort_unstable();
        self.0.readmit = readmit;
        self.check_disjoint()?;
        Ok(self)
    }

    /// The law.
    #[must_use]
    pub fn law_id(&self) -> &ElectionId {
        &self.0.law_id
    }

    /// Keys that are only added.
    #[must_use]
    pub fn add(&self) -> &[RegistryKey] {
        &self.0.add
    }

    /// Keys that are only revoked.
    #[must_use]
    pub fn revoke(&self) -> &[RegistryKey] {
        &self.0.revoke
    }

    /// Pairs (revoked, added), applied together or, if the revoked credential has been used, not at
    /// all.
    #[must_use]
    pub fn replace(&self) -> &[(RegistryKey, RegistryKey)] {
        &self.0.replace
    }

    /// Pairs (revoked before, added): the second is added only if the first was actually revoked.
    #[must_use]
    pub fn readmit(&self) -> &[(RegistryKey, RegistryKey)] {
        &self.0.readmit
    }

    /// Number of keys added, including replacements and readmissions.
    #[must_use]
    pub fn added_count(&self) -> u64 {
        (self.0.add.len() + self.0.replace.len() + self.0.readmit.len()) as u64
    }

    /// Number of keys revoked, including replaced keys.
    #[must_use]
    pub fn revoked_count(&self) -> u64 {
        (self.0.revoke.len() + self.0.replace.len()) as u64
    }

    /// The file name, `<law_id>.changes.json`.
    #[must_use]
    pub fn file_name(law_id: &ElectionId) -> String {
        format!("{law_id}.changes.json")
    }

    /// Encodes the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec(&self.0).expect("lists of hexadecimal text always serialise");
        bytes.push(b'\n');
        bytes
    }

    /// Decodes a change file; accepts only the exact bytes that [`Changes::encode`] produces.
    ///
    /// # Errors
    /// [`ChangesError`] for the first fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, ChangesError> {
        let body: Body = serde_json::from_slice(bytes)
            .map_err(|error| ChangesError::Json { line: error.line(), column: error.column() })?;
        let changes = Self(body);
        if changes.encode() != bytes {
            return Err(ChangesError::NotCanonical);
        }
        let Body { add, revoke, replace, readmit, .. } = &changes.0;
        for (list, ascending) in [
            ("add", add.is_sorted()),
            ("revoke", revoke.is_sorted()),
            ("replace", replace.is_sorted()),
            ("readmit", readmit.is_sorted()),
        ] {
            if !ascending {
                return Err(ChangesError::Order { list });
            }
        }
        changes.check_disjoint()?;
        Ok(changes)
    }

    fn check_disjoint(&self) -> Result<(), ChangesError> {
        let Body { add, revoke, replace, readmit, .. } = &self.0;
        let pairs = replace.iter().chain(readmit).flat_map(|(revoked, added)| [revoked, added]);
        let mut all: Vec<&RegistryKey> = add.iter().chain(revoke).chain(pairs).collect();
        all.sort_unstable();
        if all.windows(2).any(|pair| pair[0] == pair[1]) {
            Err(ChangesError::Repeated)
        } else {
            Ok(())
        }
    }
}
