//! The policy of an election: its authorities, how many of them it takes, and outside witnesses if
//! it has any.

use super::{Authority, Policy, PolicyError, PolicyRule, Witness};
use crate::log::note::{KeyName, VerifierKey};

/// The group of the authorities.
pub(super) const AUTHORITIES: &str = "authorities";
/// The group of the outside witnesses.
pub(super) const WITNESSES: &str = "witnesses";
/// The group of both groups.
const BOTH: &str = "both";

impl Policy {
    /// Writes the policy of an election: every log key of its authorities, and a quorum of their
    /// cosigners.
    ///
    /// # Errors
    /// [`PolicyError`] if there is no authority, if the quorum is below a majority or above their
    /// number, if two share a name or a key, if a key is of the wrong type, if log keys differ in
    /// their name, or if a log key cosigns; the line is that of the resulting policy.
    pub fn of_election(authorities: &[Authority], quorum: usize) -> Result<Self, PolicyError> {
        Self::of_election_with_witnesses(authorities, quorum, &[], 0)
    }

    /// As [`Policy::of_election`], where `witness_quorum` of the outside witnesses must have
    /// cosigned too. Without witnesses, and then with a `witness_quorum` of 0, it is the same
    /// policy.
    ///
    /// # Errors
    /// As [`Policy::of_election`]; and if `witness_quorum` is not from 1 to the number of
    /// witnesses, or if a witness has a key or name of an authority, a name that is used for a
    /// group or is not a key name, or a URL with white space or other than ASCII.
    pub fn of_election_with_witnesses(
        authorities: &[Authority],
        quorum: usize,
        witnesses: &[Witness],
        witness_quorum: usize,
    ) -> Result<Self, PolicyError> {
        let groups_line = 2 * authorities.len() + witnesses.len() + 1;
        let at = |line, rule| PolicyError::Malformed { line, rule };
        if witnesses.is_empty() && witness_quorum != 0 {
            return Err(at(groups_line + 1, PolicyRule::Threshold { members: 0 }));
        }
        for (place, witness) in witnesses.iter().enumerate() {
            if !is_plain(witness) {
                return Err(at(2 * authorities.len() + place + 1, PolicyRule::WitnessForm));
            }
        }
        let policy = Self::parse(&encode(authorities, quorum, witnesses, witness_quorum))?;
        policy.check_keys()?;
        let least = authorities.len() / 2 + 1;
        if quorum < least {
            return Err(at(groups_line, PolicyRule::Majority { least }));
        }
        Ok(policy)
    }

    /// Checks the rules on the keys of an election beyond those of every policy. The logs come
    /// first, one line each, then the witnesses.
    fn check_keys(&self) -> Result<(), PolicyError> {
        let (logs, witnesses) = (&self.logs, &self.witnesses);
        if let Some(place) = logs.iter().position(|log| log.key.name() != logs[0].key.name()) {
            return Err(PolicyError::Malformed { line: place + 1, rule: PolicyRule::SecondOrigin });
        }
        let is_log =
            |key: &VerifierKey| logs.iter().any(|log| log.key.public_key() == key.public_key());
        if let Some(place) = witnesses.iter().position(|witness| is_log(&witness.key)) {
            return Err(PolicyError::Malformed {
                line: logs.len() + place + 1,
                rule: PolicyRule::SharedKey,
            });
        }
        Ok(())
    }

    /// Whether this is, byte for byte, the policy of an election with this origin, with or without
    /// outside witnesses, with a quorum of a majority of its authorities or more, and with cosigner
    /// keys that are named after their authorities.
    #[must_use]
    pub fn is_of_election(&self, origin: &str) -> bool {
        let Some((own, outside)) = self.witnesses.split_at_checked(self.logs.len()) else {
            return false;
        };
        let names = own
            .iter()
            .map(|witness| std::str::from_utf8(witness.name.as_bytes()).ok()?.parse().ok());
        let authorities: Option<Vec<Authority>> = names
            .zip(self.logs.iter().zip(own))
            .map(|(name, (log, witness))| {
                Some(Authority {
                    name: name?,
                    log_key: log.key.clone(),
                    cosigner_key: witness.key.clone(),
                })
            })
            .collect();
        let Some(authorities) = authorities else { return false };
        // `<base>/<law>` or `<base>/test/<law>`: a base may itself end in `/test`.
        let parent = origin.rsplit_once('/').map(|(parent, _)| parent);
        let bases = [parent, parent.and_then(|parent| parent.strip_suffix("/test"))];
        let is_named_below = |base: &str| {
            authorities.iter().all(|Authority { name, cosigner_key, .. }| {
                cosigner_key.name().as_str() == format!("{base}/authority/{name}")
            })
        };
        // The form fixes the order of the groups.
        let threshold = |place: usize| self.groups.get(place).map_or(0, |group| group.threshold);
        let witness_quorum = if outside.is_empty() { 0 } else { threshold(1) };
        let expected = || {
            Self::of_election_with_witnesses(&authorities, threshold(0), outside, witness_quorum)
        };
        self.logs.iter().all(|log| log.key.name().as_str() == origin)
            && bases.into_iter().flatten().any(is_named_below)
            && expected().is_ok_and(|policy| policy == *self)
    }
}

/// Whether the witness's name is that of a key and its URL one word. With a space or a line feed in
/// them the lines would read as something else than was meant.
fn is_plain(witness: &Witness) -> bool {
    let Witness { name, url, .. } = witness;
    let is_name =
        std::str::from_utf8(name.as_bytes()).is_ok_and(|name| name.parse::<KeyName>().is_ok());
    let is_url = |url: &Vec<u8>| !url.is_empty() && url.iter().all(u8::is_ascii_graphic);
    is_name && url.as_ref().is_none_or(is_url)
}

/// The bytes of the policy, in its one order of lines.
fn encode(
    authorities: &[Authority],
    quorum: usize,
    witnesses: &[Witness],
    witness_quorum: usize,
) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for authority in authorities {
        lines.push(format!("log {}", authority.log_key).into_bytes());
    }
    for authority in authorities {
        let Authority { name, cosigner_key, .. } = authority;
        lines.push(format!("witness {name} {cosigner_key}").into_bytes());
    }
    for Witness { name, key, url } in witnesses {
        let key = key.to_string();
        let mut line = [b"witness ".as_slice(), name.as_bytes(), b" ", key.as_bytes()].concat();
        if let Some(url) = url {
            line.push(b' ');
            line.extend_from_slice(url);
        }
        lines.push(line);
    }
    let members = authorities.iter().map(|authority| authority.name.as_str().as_bytes());
    lines.push(group_line(AUTHORITIES, &quorum.to_string(), members));
    let top = if witnesses.is_empty() {
        AUTHORITIES
    } else {
        let members = witnesses.iter().map(|witness| witness.name.as_bytes());
        lines.push(group_line(WITNESSES, &witness_quorum.to_string(), members));
        let groups = [AUTHORITIES, WITNESSES].map(str::as_bytes);
        lines.push(group_line(BOTH, "all", groups.into_iter()));
        BOTH
    };
    lines.push(format!("quorum {top}").into_bytes());
    lines.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
}

fn group_line<'a>(name: &str, threshold: &str, members: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut line = format!("group {name} {threshold}").into_bytes();
    for member in members {
        line.push(b' ');
        line.extend_from_slice(member);
    }
    line
}

#[cfg(test)]
#[path = "election_test.rs"]
mod tests;
