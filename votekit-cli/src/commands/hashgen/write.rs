//! Writing shards and manifest into a folder that appears whole.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rayon::ThreadPool;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use votekit_core::id::Digest;
use votekit_core::manifest::{FileRow, LawRow, Manifest, ManifestBody};
use votekit_core::roll::LawKeys;
use votekit_core::shard::{ShardEncoder, ShardFormat, ShardHead};

use crate::atomic_output::{StagedFile, StagedFolder};
use crate::error::CommandError;
use crate::progress;

/// How shards are laid out.
pub(super) struct Folder<'a> {
    pub(super) out: &'a Path,
    pub(super) format: ShardFormat,
    pub(super) shard_size: usize,
}

/// A shard that is to be written: its head, and the keys of its law that it holds, by rank.
struct Planned<'k> {
    head: ShardHead,
    law: &'k LawKeys,
    ranks: Range<usize>,
}

/// Keys that are encoded, digested and written together: they stay in the second cache of a core from the first to the last.
const KEYS_AT_ONCE: usize = 2048;

impl Folder<'_> {
    /// Writes everything and makes it appear, the file of rejects first: without it nobody could mend the rows left out.
    /// Gives the manifest, and the time that the disk took for what had been written.
    pub(super) fn write(
        &self,
        mut body: ManifestBody,
        laws: &[LawKeys],
        rejects: Option<(PathBuf, StagedFile)>,
        pool: &ThreadPool,
    ) -> Result<(Manifest, Duration), CommandError> {
        let shards = self.plan(laws)?;
        let folder = StagedFolder::create(self.out)?;
        let bar = progress::count("Writing shards", Some(shards.len() as u64));
        let written: Result<Vec<(FileRow, File)>, CommandError> = pool.install(|| {
            shards.par_iter().map(|shard| self.write_shard(&folder, shard).inspect(|_| bar.inc(1))).collect()
        });
        bar.finish_and_clear();
        let (rows, files): (Vec<_>, Vec<_>) = written?.into_iter().unzip();
        body.shards = rows;
        body.laws = laws.iter().map(|law| law_row(law, &shards)).collect();
        let manifest = finish_manifest(body)?;
        let flush = Instant::now();
        // All at once, so that the disk can put them in the order it likes.
        pool.install(|| {
            let synced = files.par_iter().zip(&manifest.body().shards);
            synced.try_for_each(|(file, row)| file.sync_all().map_err(|error| self.failed(&row.file, &error)))
        })?;
        folder.write(Manifest::FILE_NAME, &manifest.encode())?;
        match rejects {
            None => folder.commit()?,
            Some((path, rejects)) => {
                rejects.commit()?;
                // Nothing more can be done about a reject file that cannot be removed: the error below is what matters.
                folder.commit().inspect_err(|_| drop(fs::remove_file(path)))?;
            }
        }
        Ok((manifest, flush.elapsed()))
    }

    fn plan<'k>(&self, laws: &'k [LawKeys]) -> Result<Vec<Planned<'k>>, CommandError> {
        let mut plan = Vec::new();
        for law in laws {
            let law_id = law.law_id();
            let shards = law.count().div_ceil(self.shard_size);
            if shards > ShardHead::SHARDS_MAX {
                let text = format!("the law {law_id} would have {shards} shards, more than {}", ShardHead::SHARDS_MAX);
                return Err(CommandError::usage(text).hint("choose a larger --shard-size"));
            }
            for (shard, start) in (1..).zip((0..law.count()).step_by(self.shard_size)) {
                let head = ShardHead { law_id: law_id.clone(), shard, shards: shards as u32 };
                plan.push(Planned { head, law, ranks: start..law.count().min(start + self.shard_size) });
            }
        }
        Ok(plan)
    }

    /// Writes a shard and does not wait for the disk.
    fn write_shard(&self, folder: &StagedFolder, planned: &Planned<'_>) -> Result<(FileRow, File), CommandError> {
        let Planned { head, law, ranks } = planned;
        let name = head.file_name(self.format);
        let mut file = folder.create_file(&name)?;
        let mut digest = Sha256::new();
        let mut bytes = Vec::new();
        let mut encoder = ShardEncoder::start(head, self.format, ranks.len(), &mut bytes);
        let mut ascending = law.ranks(ranks.clone());
        while let Some(keys) = ascending.next_keys() {
            for keys in keys.chunks(KEYS_AT_ONCE) {
                encoder.push(keys, &mut bytes);
                digest.update(&bytes);
                file.write_all(&bytes).map_err(|error| self.failed(&name, &error))?;
                bytes.clear();
            }
        }
        let ShardHead { law_id, shard, .. } = head.clone();
        let sha256 = Digest::from_bytes(digest.finalize().into());
        Ok((FileRow { file: name, law_id, shard, count: ranks.len() as u64, sha256 }, file))
    }

    fn failed(&self, name: &str, error: &io::Error) -> CommandError {
        CommandError::writing(&self.out.join(name), error)
    }
}

fn law_row(law: &LawKeys, shards: &[Planned<'_>]) -> LawRow {
    let own = shards.iter().find(|shard| shard.head.law_id == *law.law_id());
    LawRow {
        law_id: law.law_id().clone(),
        registered: law.count() as u64,
        shards: own.map_or(0, |shard| shard.head.shards),
        revoked: 0,
    }
}

/// Checks a manifest of our own making. The date is the one thing that the user put in.
pub(super) fn finish_manifest(body: ManifestBody) -> Result<Manifest, CommandError> {
    use votekit_core::manifest::ManifestError;
    Manifest::new(body).map_err(|error| match error {
        ManifestError::Date => CommandError::usage("--date wants a day such as 2026-11-21"),
        other => CommandError::internal(format!("the manifest would be inconsistent: {other}")),
    })
}

/// `hashes` has its rejects in `hashes-rejects.csv`.
pub(super) fn default_rejects_path(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push("-rejects.csv");
    out.with_file_name(name)
}
