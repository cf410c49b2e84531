//! One outside witness in the file `authorities`.

use std::fmt;

use super::set_rule::{AuthoritySetRule, NAME_LENGTH_MAX, check_length, check_name};
use crate::log::checkpoint::Checkpoint;
use crate::log::note::{KeyKind, KeyName, VerifierKey};
use crate::log::policy::Witness;

/// An outside witness: any witness of C2SP tlog-witness that is not an authority.
#[derive(Clone, PartialEq, Eq)]
pub struct SetWitness {
    /// The name, which is also its name in the policy of an election.
    pub name: KeyName,
    /// The key under which it cosigns (type 0x04).
    pub key: VerifierKey,
    /// The prefix of its addresses: `<url>/add-checkpoint` takes checkpoints.
    pub url: String,
    /// The authority that sends it the heads of all logs, and whose log key it is configured with.
    pub fed_by: KeyName,
}

impl SetWitness {
    /// Parses a line of the file, without its line feed.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn parse_line(line: &str) -> Result<Self, AuthoritySetRule> {
        let witness = Self::parse_form(line)?;
        witness.check()?;
        Ok(witness)
    }

    pub(super) fn parse_form(line: &str) -> Result<Self, AuthoritySetRule> {
        let words: Vec<&str> = line.split(' ').collect();
        let ["witness", name, key, url, fed_by] = words.as_slice() else {
            return Err(AuthoritySetRule::WitnessForm);
        };
        Ok(Self {
            name: name.parse().map_err(AuthoritySetRule::Name)?,
            key: key.parse().map_err(AuthoritySetRule::WitnessKey)?,
            url: (*url).to_owned(),
            fed_by: fed_by.parse().map_err(AuthoritySetRule::Name)?,
        })
    }

    pub(super) fn check(&self) -> Result<(), AuthoritySetRule> {
        check_name(&self.name)?;
        check_length(self.key.name())?;
        if self.key.kind() != KeyKind::CosignatureV1 {
            return Err(AuthoritySetRule::WitnessKeyKind);
        }
        let rest = ["http://", "https://"].iter().find_map(|scheme| self.url.strip_prefix(scheme));
        let is_usable = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
            && self.url.len() <= NAME_LENGTH_MAX
            && self.url.bytes().all(|byte| byte.is_ascii_graphic());
        if is_usable { Ok(()) } else { Err(AuthoritySetRule::WitnessUrl) }
    }

    /// The address that takes checkpoints.
    #[must_use]
    pub fn submission_url(&self) -> String {
        Self::submission_url_of(&self.url)
    }

    /// The address that takes checkpoints, below the prefix of a witness's addresses.
    #[must_use]
    pub fn submission_url_of(prefix: &str) -> String {
        format!("{}/add-checkpoint", prefix.trim_end_matches('/'))
    }

    /// Whether a line (without its line feed) is a valid cosignature of this witness over a
    /// checkpoint.
    #[must_use]
    pub fn has_cosigned(&self, checkpoint: &Checkpoint, line: &[u8]) -> bool {
        self.to_policy_witness().cosignature(checkpoint, line).is_some()
    }

    /// The line of the policy.
    pub(super) fn to_policy_witness(&self) -> Witness {
        Witness {
            name: self.name.as_str().parse().expect("a key name without U+007F is a policy name"),
            key: self.key.clone(),
            url: Some(self.url.as_bytes().to_vec()),
        }
    }
}

impl fmt::Display for SetWitness {
    /// Writes the line, without its line feed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, key, url, fed_by } = self;
        write!(formatter, "witness {name} {key} {url} {fed_by}")
    }
}

impl fmt::Debug for SetWitness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}
