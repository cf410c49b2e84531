//! Rolls in the data folder of an authority whose node is stopped.
//!
//! Several authorities share one ledger, which is not in such a folder. Therefore no node is
//! started on the folder, and only the roll is written.

use std::path::Path;

use votekit_core::id::Digest;

use crate::admin::roll_loading::{LoadOutcome, LoadReport, LoadedLaw};
use crate::admin::rolls::follows;
use crate::admin::supplement_report::SupplementReport;
use crate::data_folder::DataFolder;
use crate::error::AdminError;
use crate::roll_store::{self, KeptRolls, LoadProgress, PepperNeed};

/// Keeps a hashed roll or supplement in the folder of one of several authorities whose node is
/// stopped: every digest, count and signature is checked. It takes effect where the leader records
/// it in the log of an election. Keeping it again changes nothing.
///
/// # Errors
/// [`AdminError`], among others for a second roll of a law, or a supplement out of order.
pub fn keep_roll_of_stopped(
    folder: &DataFolder,
    source: &Path,
    pepper_file: Option<&Path>,
) -> Result<LoadReport, AdminError> {
    let offered = roll_store::offered_manifest(source)?;
    let kept = KeptRolls::read(folder)?;
    if !kept.contains(&offered.digest()) {
        for row in &offered.body().laws {
            let of_law = kept.in_effect(&row.law_id);
            let of_law: Vec<Digest> = of_law.iter().map(|manifest| manifest.digest()).collect();
            follows(&row.law_id, &offered, &of_law)?;
        }
    }
    let pepper = (pepper_file, PepperNeed::Optional);
    let kept = roll_store::keep(folder, source, pepper, &LoadProgress::default())?;
    let mut laws = Vec::with_capacity(kept.manifest.body().laws.len());
    for row in &kept.manifest.body().laws {
        let content = match kept.manifest.is_supplement() {
            true => roll_store::content(folder, &kept.manifest.digest(), &row.law_id)?,
            false => None,
        };
        laws.push(LoadedLaw {
            law_id: row.law_id.to_string(),
            keys: row.registered,
            outcome: LoadOutcome::Kept,
            registered: 0,
            changes: content.as_ref().and_then(SupplementReport::planned),
        });
    }
    Ok(LoadReport::new(&kept, laws))
}
