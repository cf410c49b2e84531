//! The peppers that stay in a data folder after a purge.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use votekit_core::id::ElectionId;
use votekit_core::manifest::Manifest;

use crate::context::Context;
use crate::output::plain;

/// States which files of peppers stay, and when to delete them. A node needs a pepper while an
/// election that is not purged uses it, so the purge of one election destroys none.
pub(super) fn note(data: Option<&Path>, law_id: &ElectionId, context: &Context) {
    let Some(data) = data else {
        context.output.note(
            "the pepper of the roll, if it has one, stays in the folder of the node \
             (keys/pepper): once every election under it is purged, delete it there, with all its \
             copies",
        );
        return;
    };
    for (file, others) in kept(data, law_id) {
        let others: Vec<&str> = others.iter().map(ElectionId::as_str).collect();
        let when = match others.is_empty() {
            true => {
                "delete it, with all its copies, unless another election is to use it".to_owned()
            }
            false => format!(
                "delete it, with all its copies, once these elections are purged too: {}",
                others.join(", ")
            ),
        };
        let file = plain(&file.display().to_string());
        context.output.note(format_args!("{file}, the pepper of the roll, stays: {when}"));
    }
}

/// The file of each pepper under which a roll of the law is hashed, with the other laws that have
/// rolls under it. Files that cannot be read are left out: the purge has succeeded.
fn kept(data: &Path, law_id: &ElectionId) -> BTreeMap<PathBuf, BTreeSet<ElectionId>> {
    let manifests: Vec<Manifest> = fs::read_dir(data.join("rolls"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|roll| fs::read(roll.path().join(Manifest::FILE_NAME)).ok())
        .filter_map(|bytes| Manifest::parse(&bytes).ok())
        .collect();
    let mut found: BTreeMap<PathBuf, BTreeSet<ElectionId>> = BTreeMap::new();
    for marks in manifests
        .iter()
        .filter(|manifest| manifest.law(law_id).is_some())
        .filter_map(|manifest| manifest.body().pepper.as_ref())
    {
        let file = data.join("keys/pepper").join(marks.id.to_hex());
        if !file.is_file() {
            continue;
        }
        let same = manifests
            .iter()
            .map(Manifest::body)
            .filter(|body| body.pepper.as_ref().is_some_and(|other| other.id == marks.id));
        let laws = same.flat_map(|body| body.laws.iter().map(|law| law.law_id.clone()));
        found.entry(file).or_default().extend(laws.filter(|law| law != law_id));
    }
    found
}
