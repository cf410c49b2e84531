//! Gathers the facts by which a binding election is checked before it opens.

use votekit_core::binding::{BindingFacts, BindingRule};

use crate::data_folder::DataFolder;
use crate::election::ElectionHandle;
use crate::error::AdminError;
use crate::roll_store;

/// The requirements that an election does not meet, waived or not. Reads the manifests of its
/// rolls.
///
/// # Errors
/// [`AdminError::Folder`] or [`AdminError::Roll`] when the base name or a manifest cannot be read.
pub(crate) fn unmet_rules(
    folder: &DataFolder,
    election: &ElectionHandle,
    is_confidential: bool,
) -> Result<Vec<BindingRule>, AdminError> {
    let (definition, scheme, manifests) = {
        let log = election.log();
        (log.definition().clone(), log.scheme(), log.manifests().to_vec())
    };
    if !definition.binding {
        return Ok(Vec::new());
    }
    let base = folder.base()?;
    let mut code_lengths = Vec::with_capacity(manifests.len());
    for digest in manifests {
        let manifest = roll_store::manifest(folder, &digest)?;
        code_lengths.push((digest, manifest.body().roll.code_length_min));
    }
    let facts = BindingFacts {
        definition: &definition,
        scheme,
        base: base.as_str(),
        is_confidential,
        code_lengths: &code_lengths,
    };
    Ok(facts.unmet())
}
