//! Builds of votekit that break an invariant on purpose: chaos can be trusted only if it detects
//! them.
//!
//! Copies the sources known to git, replaces one text, and builds the copy separately. The shipped
//! code has no switch for any of this.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::Profile;
use super::fault::Fault;
use crate::project;

/// One broken invariant.
#[derive(Debug)]
pub(super) struct Mutant {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// The file to change.
    file: &'static str,
    /// A text that occurs in it exactly once.
    text: &'static str,
    replacement: &'static str,
    /// The fault that exposes it.
    pub(super) fault: Fault,
}

const MUTANTS: [Mutant; 2] = [
    Mutant {
        name: "no-sync",
        about: "commits without waiting for the disk",
        file: "votekit-store/src/embedded/schema.rs",
        text: r#"connection.pragma_update(None, "synchronous", "FULL")"#,
        replacement: r#"connection.pragma_update(None, "synchronous", "OFF")"#,
        fault: Fault::PowerCut,
    },
    Mutant {
        name: "early-answer",
        about: "answers voters before their batch is durable",
        file: "votekit-node/src/ingest/intake.rs",
        text: "Ok(batch) => self.publish(&batch, envelopes, voters).await,",
        replacement: "Ok(batch) => {
                for voter in voters.drain(..) {
                    let _ = voter.send(Ok(()));
                }
                self.publish(&batch, envelopes, voters).await
            }",
        fault: Fault::Kill,
    },
];

impl Mutant {
    /// Finds a mutant by its name.
    pub(super) fn named(name: &str) -> Result<&'static Self> {
        let known: Vec<_> =
            MUTANTS.iter().map(|mutant| format!("{} ({})", mutant.name, mutant.about)).collect();
        let found = MUTANTS.iter().find(|mutant| mutant.name == name);
        found.with_context(|| format!("no mutant '{name}'; there are: {}", known.join(", ")))
    }

    /// Builds it, and returns the path of its `votekit`.
    pub(super) fn build(&self, profile: Profile) -> Result<PathBuf> {
        let folder = project::target_dir()?.join("mutants");
        let source = folder.join("source");
        copy_sources(&source)?;
        self.apply(&source)?;
        let target = folder.join("target");
        seed_target(&target, profile)?;
        let mut cargo = project::cargo(profile.build_arguments());
        project::succeed(cargo.current_dir(&source).env("CARGO_TARGET_DIR", &target))?;
        // Kept under its own name: the next mutant is built at the same path.
        let built = folder.join(format!("votekit-{}", self.name));
        if built.exists() {
            // Not overwritten: a running program's file cannot be.
            fs::remove_file(&built).context("removing an earlier binary of the mutant")?;
        }
        fs::copy(target.join(profile.folder()).join("votekit"), &built)
            .context("keeping the mutant's binary")?;
        Ok(built)
    }

    fn apply(&self, source: &Path) -> Result<()> {
        let path = source.join(self.file);
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        fs::write(&path, self.mutate(&text)?).with_context(|| format!("writing {}", path.display()))
    }

    fn mutate(&self, text: &str) -> Result<String> {
        let found = text.matches(self.text).count();
        ensure!(
            found == 1,
            "mutant {}: expected its text once in {}, found it {found} times; update the replaced \
             text in tools/xtask/src/chaos/mutants.rs",
            self.name,
            self.file
        );
        Ok(text.replace(self.text, self.replacement))
    }
}

/// Updates the copy of every file that git does not ignore. Unchanged files keep their time, so
/// that cargo builds only what changed.
fn copy_sources(to: &Path) -> Result<()> {
    let mut git = Command::new("git");
    let listed = git
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(project::root())
        .output()
        .context("listing the sources")?;
    ensure!(
        listed.status.success(),
        "git ls-files failed: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let mut wanted = Vec::new();
    for name in listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name =
            PathBuf::from(String::from_utf8(name.to_vec()).context("a file name is not UTF-8")?);
        let path = project::root().join(&name);
        // Deleted, but not committed yet.
        let Ok(bytes) = fs::read(&path) else { continue };
        let copy = to.join(&name);
        if fs::read(&copy).ok().as_ref() != Some(&bytes) {
            fs::create_dir_all(copy.parent().context("a file has a folder")?)?;
            fs::write(&copy, bytes).with_context(|| format!("writing {}", copy.display()))?;
        }
        wanted.push(name);
    }
    if wanted.is_empty() {
        bail!("git lists no file in {}", project::root().display());
    }
    wanted.sort();
    for name in project::files_below(to)? {
        if wanted.binary_search(&name).is_err() {
            fs::remove_file(to.join(&name))?;
        }
    }
    Ok(())
}

/// Seeds a new target folder with the existing builds of third-party crates. The project's own
/// crates are left out: cargo would take them as up to date although the mutant's sources differ.
fn seed_target(target: &Path, profile: Profile) -> Result<()> {
    let (from, to) = (project::target_dir()?.join(profile.folder()), target.join(profile.folder()));
    if to.exists() {
        return Ok(());
    }
    let own = [
        "votekit",
        "libvotekit",
        "xtask",
        "libxtask",
        "faultdisk",
        "libfaultdisk",
        "childguard",
        "libchildguard",
    ];
    for part in [".fingerprint", "build", "deps"] {
        fs::create_dir_all(to.join(part))?;
        let Ok(entries) = fs::read_dir(from.join(part)) else { continue };
        // Timestamps are preserved: cargo uses them to detect changes.
        let mut copy = Command::new("cp");
        copy.args(["--recursive", "--preserve=timestamps", "--target-directory"])
            .arg(to.join(part));
        if part == "deps" {
            // These files are large and never modified in place, because the compiler creates a
            // file and renames it. So hard links are safe.
            copy.arg("--link");
        }
        let arguments = copy.get_args().count();
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // In deps a name without an extension is a program: usually a test, and large.
            let is_program = part == "deps" && path.extension().is_none();
            if !is_program && !own.iter().any(|prefix| name.starts_with(prefix)) {
                copy.arg(path);
            }
        }
        if copy.get_args().count() > arguments {
            let done = copy.output().context("starting cp")?;
            ensure!(
                done.status.success(),
                "copying {part}: {}",
                String::from_utf8_lossy(&done.stderr)
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_finds_its_text_in_the_sources() -> Result<()> {
        for mutant in &MUTANTS {
            let text = fs::read_to_string(project::root().join(mutant.file))?;
            assert!(mutant.mutate(&text)?.contains(mutant.replacement), "{}", mutant.name);
        }
        Ok(())
    }

    #[test]
    fn missing_or_repeated_mutation_text_is_an_error() {
        let mutant = &MUTANTS[0];
        for text in [String::new(), mutant.text.repeat(2)] {
            let error = mutant.mutate(&text).expect_err("not once").to_string();
            assert!(error.contains("no-sync") && error.contains("mutants.rs"), "{error}");
        }
        assert!(Mutant::named("no-such").is_err());
    }
}
