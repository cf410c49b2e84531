//! Writes shards and manifest into a folder that appears whole.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use votekit_core::manifest::{Manifest, ManifestBody};
use votekit_core::roll::parallel::ScopedThreads;
use votekit_core::roll::{LawKeys, ShardPlanError, law_rows, plan_shards};
use votekit_core::shard::ShardFormat;
use votekit_messages::InWords as _;

use super::shard_file;
use crate::atomic_output::{StagedFile, StagedFolder};
use crate::error::CommandError;
use crate::progress;

/// Output folder and layout of the shards.
pub(super) struct Folder<'a> {
    pub(super) out: &'a Path,
    pub(super) format: ShardFormat,
    pub(super) shard_size: usize,
}

impl Folder<'_> {
    /// Writes all files and commits them together with the file of rejects, which is needed to
    /// correct the skipped rows. Returns the manifest, and the time spent on flushing to disk.
    pub(super) fn write(
        &self,
        mut body: ManifestBody,
        laws: &[LawKeys],
        rejects: Option<StagedFile>,
        threads: ScopedThreads,
    ) -> Result<(Manifest, Duration), CommandError> {
        let shards = plan_shards(laws, self.shard_size).map_err(|error| plan_error(&error))?;
        let pool = ThreadPoolBuilder::new().num_threads(threads.0.get()).build();
        let pool = pool.map_err(|error| {
            CommandError::configuration(format!("cannot start threads: {error}"))
        })?;
        let folder = StagedFolder::create(self.out)?;
        let bar = progress::count("Writing shards", Some(shards.len() as u64));
        // In pairs, unless that would leave threads idle.
        let together = if shards.len() >= 2 * pool.current_num_threads() { 2 } else { 1 };
        let write = |shards| {
            shard_file::write(shards, self.format, &folder, self.out)
                .inspect(|rows| bar.inc(rows.len() as u64))
        };
        let rows: Result<Vec<_>, CommandError> =
            pool.install(|| shards.par_chunks(together).map(write).collect());
        bar.finish_and_clear();
        body.shards = rows?.into_iter().flatten().collect();
        body.laws = law_rows(&shards);
        let manifest = finish_manifest(body)?;
        let flush = Instant::now();
        // In parallel, so that the disk can choose the order.
        pool.install(|| {
            manifest.body().shards.par_iter().try_for_each(|row| folder.sync_file(&row.file))
        })?;
        folder.write(Manifest::FILE_NAME, &manifest.encode())?;
        folder.commit_with(rejects)?;
        Ok((manifest, flush.elapsed()))
    }
}

fn plan_error(error: &ShardPlanError) -> CommandError {
    CommandError::usage(error.in_words()).hint_if(error.hint())
}

/// Checks a manifest made here. The date is its only user input.
pub(super) fn finish_manifest(body: ManifestBody) -> Result<Manifest, CommandError> {
    use votekit_core::manifest::ManifestError;
    Manifest::new(body).map_err(|error| match error {
        ManifestError::Date => CommandError::usage("--date: expected a day such as 2026-11-21"),
        other => {
            let reason = other.in_words();
            CommandError::internal(format!("the manifest would be inconsistent: {reason}"))
        }
    })
}

/// The rejects of `hashes` go to `hashes-rejects.csv`.
pub(super) fn default_rejects_path(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push("-rejects.csv");
    out.with_file_name(name)
}
