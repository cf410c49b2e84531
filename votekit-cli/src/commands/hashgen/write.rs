//! Writing shards and manifest into a folder that appears whole.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::ThreadPool;
use rayon::prelude::*;
use votekit_core::credential::RegistryKey;
use votekit_core::id::Digest;
use votekit_core::manifest::{FileRow, LawRow, Manifest, ManifestBody};
use votekit_core::roll::LawKeys;
use votekit_core::shard::{ShardFormat, ShardHead};

use crate::atomic_output::{StagedFile, StagedFolder};
use crate::error::CommandError;
use crate::progress;

/// How shards are laid out.
pub(super) struct Folder<'a> {
    pub(super) out: &'a Path,
    pub(super) format: ShardFormat,
    pub(super) shard_size: usize,
}

impl Folder<'_> {
    /// Writes everything and makes it appear, the file of rejects first: without it nobody could mend the rows left out.
    pub(super) fn write(
        &self,
        mut body: ManifestBody,
        laws: &[LawKeys],
        rejects: Option<(PathBuf, StagedFile)>,
        pool: &ThreadPool,
    ) -> Result<Manifest, CommandError> {
        let shards = self.plan(laws)?;
        let folder = StagedFolder::create(self.out)?;
        let bar = progress::count("Writing shards", Some(shards.len() as u64));
        let rows: Result<Vec<FileRow>, CommandError> = pool.install(|| {
            shards.par_iter().map(|(head, keys)| self.write_shard(&folder, head, keys).inspect(|_| bar.inc(1))).collect()
        });
        bar.finish_and_clear();
        body.shards = rows?;
        body.laws = laws.iter().map(|law| law_row(law, &shards)).collect();
        let manifest = finish_manifest(body)?;
        folder.write(Manifest::FILE_NAME, &manifest.encode())?;
        match rejects {
            None => folder.commit()?,
            Some((path, rejects)) => {
                rejects.commit()?;
                // Nothing more can be done about a reject file that cannot be removed: the error below is what matters.
                folder.commit().inspect_err(|_| drop(fs::remove_file(path)))?;
            }
        }
        Ok(manifest)
    }

    fn plan<'k>(&self, laws: &'k [LawKeys]) -> Result<Vec<(ShardHead, &'k [RegistryKey])>, CommandError> {
        let mut plan = Vec::new();
        for law in laws {
            let shards = law.keys.len().div_ceil(self.shard_size);
            if shards > ShardHead::SHARDS_MAX {
                let text = format!("the law {} would have {shards} shards, more than {}", law.law_id, ShardHead::SHARDS_MAX);
                return Err(CommandError::usage(text).hint("choose a larger --shard-size"));
            }
            for (shard, keys) in (1..).zip(law.keys.chunks(self.shard_size)) {
                plan.push((ShardHead { law_id: law.law_id.clone(), shard, shards: shards as u32 }, keys));
            }
        }
        Ok(plan)
    }

    fn write_shard(&self, folder: &StagedFolder, head: &ShardHead, keys: &[RegistryKey]) -> Result<FileRow, CommandError> {
        let bytes = head.encode(self.format, keys);
        let file = head.file_name(self.format);
        folder.write(&file, &bytes)?;
        let ShardHead { law_id, shard, .. } = head.clone();
        Ok(FileRow { file, law_id, shard, count: keys.len() as u64, sha256: Digest::of(&bytes) })
    }
}

fn law_row(law: &LawKeys, shards: &[(ShardHead, &[RegistryKey])]) -> LawRow {
    let own = shards.iter().find(|(head, _)| head.law_id == law.law_id);
    LawRow {
        law_id: law.law_id.clone(),
        registered: law.keys.len() as u64,
        shards: own.map_or(0, |(head, _)| head.shards),
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
