//! From a roll of late registrations and a roll of lost letters to change files.

use std::collections::{BTreeMap, BTreeSet};

use super::hashes::{Conflict, GatheredRoll, HashedRoll};
use super::repetition::Sequential;
use super::run::Run;
use crate::credential::RegistryKey;
use crate::id::LawId;
use crate::shard::{Changes, ChangesError};

/// Two rolls, compared.
#[derive(Debug)]
pub struct HashedSupplement {
    /// The roll of additions, with its faults.
    pub add: HashedRoll,
    /// The roll of revocations, with its faults.
    pub revoke: HashedRoll,
    /// A file a law, by id.
    pub changes: Vec<Changes>,
    /// The same NAS, law and code in both: `first_line` is the addition's, `line` the revocation's.
    pub unchanged: Vec<Conflict>,
}

/// Compares additions and revocations. The same NAS and law in both is a replacement.
///
/// # Errors
/// [`ChangesError`] cannot come from rolls that were hashed under one scheme and have no conflict.
pub fn hash_supplement(
    add: GatheredRoll,
    revoke: GatheredRoll,
) -> Result<HashedSupplement, ChangesError> {
    let law_ids: BTreeSet<LawId> = add.laws.keys().chain(revoke.laws.keys()).cloned().collect();
    let mut changes = Vec::new();
    let mut unchanged = Vec::new();
    for law_id in law_ids {
        let mut added = by_nas(add.laws.get(&law_id));
        let mut revoked = by_nas(revoke.laws.get(&law_id));
        let both: Vec<u32> =
            added.keys().filter(|nas| revoked.contains_key(nas)).copied().collect();
        let mut replace = Vec::with_capacity(both.len());
        for nas in both {
            if let (Some((old, line)), Some((new, first_line))) =
                (revoked.remove(&nas), added.remove(&nas))
            {
                if old == new {
                    unchanged.push(Conflict { law_id: law_id.clone(), first_line, line });
                } else {
                    replace.push((old, new));
                }
            }
        }
        let keys = |rest: BTreeMap<u32, (RegistryKey, u64)>| {
            rest.into_values().map(|(key, _)| key).collect()
        };
        changes.push(Changes::new(law_id, keys(added), keys(revoked), replace)?);
    }
    let (add, revoke) = (add.finish(&Sequential), revoke.finish(&Sequential));
    Ok(HashedSupplement { add, revoke, changes, unchanged })
}

/// Key and line of each NAS; of a repeated one, the first in the order of the file.
fn by_nas(runs: Option<&Vec<Run>>) -> BTreeMap<u32, (RegistryKey, u64)> {
    let mut found: BTreeMap<u32, (RegistryKey, u64)> = BTreeMap::new();
    for (elector, key) in
        runs.into_iter().flatten().flat_map(|run| run.electors.iter().zip(&run.keys))
    {
        let line = u64::from(elector.line);
        let entry = found.entry(elector.nas).or_insert((*key, line));
        if line < entry.1 {
            *entry = (*key, line);
        }
    }
    found
}
