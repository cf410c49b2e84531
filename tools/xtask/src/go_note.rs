//! `cargo xtask go-note`: another implementation of C2SP's signed notes verifies each signature
//! line of votekit's checkpoints, and refuses damaged ones: Go's `golang.org/x/mod/sumdb/note`,
//! called by `tools/go_note`. `cargo xtask test` leaves it out, because Go is a large package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{packages, project};

/// Verify each signature line of checkpoints with the note package of Go; damaged ones must fail.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run this votekit instead of building one.
    #[arg(long, value_name = "FILE")]
    votekit: Option<PathBuf>,
}

/// Where Debian installs the sources of Go packages.
const GOPATH: &str = "/usr/share/gocode";

/// The package that verifies, below [`GOPATH`].
const NOTE_PACKAGE: &str = "src/golang.org/x/mod/sumdb/note";

/// Golden policies and checkpoints, below `fixtures/`.
const GOLDEN: [(&str, &str); 5] = [
    ("vectors/bundle/three-of-four/policy", "vectors/bundle/three-of-four/checkpoint"),
    ("vectors/bundle/draft/policy", "vectors/bundle/draft/checkpoint"),
    ("vectors/bundle/annulled/policy", "vectors/bundle/annulled/checkpoint"),
    ("vectors/log/policy.txt", "vectors/log/checkpoint.cosigned"),
    ("election/bundle.policy", "election/bundle/checkpoint"),
];

/// The demo has four authorities of which three are a quorum: one signs the log, three cosign.
const DEMO: [&str; 6] = ["demo", "--authorities", "4", "--electors", "20", "--json"];
const DEMO_LINES_MIN: usize = 4;

/// An outside witness that has not signed. Its key is a golden key that is not in the policy.
const OUTSIDE_WITNESS: &str = "\
witness outside other.example/witness+f20714c1+BJPbny7g9+OelC+1lEEZC/ILnEPPzIoFGhUkmc85K3o3 \
https://witness.example/
";

/// The start of a signature line.
const SIGNATURE: &str = "— ";

/// Exit code of the program for a line that it does not verify; other failures have another.
const REFUSED: i32 = 1;

/// The verdicts that the program prints.
const VERIFIED: &str = " verified";
const UNVERIFIED: &str = " does not verify";
const UNKNOWN: &str = " has no key in the policy";

/// A change of a checkpoint that must be detected.
struct Damage {
    name: &'static str,
    apply: fn(&str) -> Result<String>,
    verdict: &'static str,
}

// The blob of a line is the key id (4 bytes), in a cosignature the time (8 bytes), and the
// signature (64 bytes). A cosignature is last, the log's signature first.
const DAMAGES: [Damage; 6] = [
    Damage {
        name: "a byte of a cosignature changed",
        apply: |checkpoint| change_byte(checkpoint, last_line(checkpoint)?, 60),
        verdict: UNVERIFIED,
    },
    Damage {
        name: "the time of a cosignature changed",
        apply: |checkpoint| change_byte(checkpoint, last_line(checkpoint)?, 9),
        verdict: UNVERIFIED,
    },
    Damage {
        name: "a byte of the log's signature changed",
        apply: |checkpoint| change_byte(checkpoint, first_line(checkpoint)?, 30),
        verdict: UNVERIFIED,
    },
    Damage { name: "another tree size", apply: replace_size, verdict: UNVERIFIED },
    Damage {
        name: "a line of a stranger",
        apply: |checkpoint| add_stranger(checkpoint, last_line(checkpoint)?),
        verdict: UNKNOWN,
    },
    Damage {
        name: "a line with the name of a signer and another key id",
        apply: |checkpoint| change_byte(checkpoint, last_line(checkpoint)?, 0),
        verdict: UNKNOWN,
    },
];

/// Verifies all checkpoints, and damaged copies of each.
///
/// # Errors
/// When Go is missing and cannot be installed, a line of a checkpoint does not verify, or a damage
/// is not detected.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let go = find_or_install()?;
    let folder = project::scratch("go-note")?;
    let program = build(&go, &folder)?;
    let fixtures = project::root().join("fixtures");
    for (policy, checkpoint) in GOLDEN {
        verify(&program, &fixtures.join(policy), &fixtures.join(checkpoint), &folder)?;
    }
    let (policy, checkpoint) = GOLDEN[0];
    let with_witness = policy_with_witness(&fixtures.join(policy), &folder)?;
    verify(&program, &with_witness, &fixtures.join(checkpoint), &folder)?;
    let demo = hold_demo(arguments, &folder)?;
    let lines = verify(&program, &demo.join("policy"), &demo.join("bundle/checkpoint"), &folder)?;
    ensure!(
        lines >= DEMO_LINES_MIN,
        "the demo's checkpoint has {lines} signature lines, at least {DEMO_LINES_MIN} expected"
    );
    println!(
        "{} pairs of policy and checkpoint verified in Go; {} damaged copies of each refused",
        // With the demo's, and the first one under a policy with an outside witness.
        GOLDEN.len() + 2,
        DAMAGES.len()
    );
    Ok(())
}

/// The compiler. Installs it and the note package where that needs no confirmation: on Debian, as
/// root.
fn find_or_install() -> Result<PathBuf> {
    let missing = missing_packages();
    if !missing.is_empty() {
        packages::install(&missing).context("nothing was verified in Go")?;
    }
    let missing = missing_packages();
    ensure!(
        missing.is_empty(),
        "nothing was verified in Go: {} installed, but not found",
        missing.join(" ")
    );
    packages::in_path("go").context("nothing was verified in Go: no go in PATH")
}

fn missing_packages() -> Vec<&'static str> {
    let packages = [
        (packages::in_path("go").is_some(), "golang-go"),
        (Path::new(GOPATH).join(NOTE_PACKAGE).is_dir(), "golang-golang-x-mod-dev"),
    ];
    packages.iter().filter(|(there, _)| !there).map(|(_, package)| *package).collect()
}

/// Builds `tools/go_note` from installed sources only, whatever the user's settings of Go are.
fn build(go: &Path, folder: &Path) -> Result<PathBuf> {
    let program = folder.join("go_note");
    let mut command = Command::new(go);
    command
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(project::root().join("tools/go_note"))
        .env("GOPATH", GOPATH)
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("GOENV", "off")
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0")
        // Kept between runs: newer versions of Go compile their standard library into it.
        .env("GOCACHE", project::target_dir()?.join("xtask-files/go-cache"));
    project::succeed(&mut command)?;
    Ok(program)
}

/// Holds a referendum of four authorities. Returns its folder.
fn hold_demo(arguments: &Arguments, folder: &Path) -> Result<PathBuf> {
    let votekit = match &arguments.votekit {
        Some(votekit) => std::path::absolute(votekit).context("--votekit")?,
        None => {
            // In the configuration of all other checks, so that nothing compiles twice.
            let build = ["build", "--quiet", "--workspace", "--bins", "--examples"];
            project::succeed(&mut project::cargo(build))?;
            project::target_dir()?.join("debug/votekit")
        }
    };
    let demo = folder.join("demo");
    let mut command = Command::new(votekit);
    command.args(DEMO).arg("--dir").arg(&demo).stdin(Stdio::null()).stdout(Stdio::null());
    project::succeed(&mut command)?;
    Ok(demo)
}

/// Writes a copy of a policy that names an outside witness too.
fn policy_with_witness(policy: &Path, folder: &Path) -> Result<PathBuf> {
    let text = read(policy)?;
    let (keys, groups) = text.split_once("group ").context("a policy without a group")?;
    let (group, _) = groups.split_once('\n').context("a policy without a quorum")?;
    let nested = "group witnesses 1 outside\ngroup both all authorities witnesses\nquorum both\n";
    let copy = folder.join("policy-with-witness");
    fs::write(&copy, format!("{keys}{OUTSIDE_WITNESS}group {group}\n{nested}"))
        .with_context(|| format!("writing {}", copy.display()))?;
    Ok(copy)
}

/// Verifies a checkpoint, and damaged copies of it. Returns the number of its signature lines.
fn verify(program: &Path, policy: &Path, checkpoint: &Path, folder: &Path) -> Result<usize> {
    let name = checkpoint.strip_prefix(project::root()).unwrap_or(checkpoint).display();
    let text = read(checkpoint)?;
    let lines = text.lines().filter(|line| line.starts_with(SIGNATURE)).count();
    let output = run_verifier(program, policy, checkpoint)?;
    let printed = String::from_utf8_lossy(&output.stdout);
    print!("{name}\n{printed}");
    let verified = printed.lines().filter(|line| line.ends_with(VERIFIED)).count();
    ensure!(
        output.status.success() && verified == lines,
        "{name}: {verified} of {lines} signature lines verified, {}",
        output.status
    );
    for damage in &DAMAGES {
        let copy = folder.join("damaged");
        fs::write(&copy, (damage.apply)(&text).with_context(|| name.to_string())?)
            .with_context(|| format!("writing {}", copy.display()))?;
        let output = run_verifier(program, policy, &copy)?;
        let printed = String::from_utf8_lossy(&output.stdout);
        if output.status.code() != Some(REFUSED)
            || !printed.lines().any(|line| line.ends_with(damage.verdict))
        {
            bail!("{name}, {}: not refused, {}:\n{printed}", damage.name, output.status);
        }
    }
    Ok(lines)
}

fn run_verifier(program: &Path, policy: &Path, checkpoint: &Path) -> Result<Output> {
    let mut command = Command::new(program);
    command.arg(policy).arg(checkpoint).stdin(Stdio::null()).stderr(Stdio::inherit());
    command.output().with_context(|| format!("starting {}", project::words(&command)))
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

fn first_line(checkpoint: &str) -> Result<&str> {
    let mut lines = checkpoint.lines().filter(|line| line.starts_with(SIGNATURE));
    lines.next().context("a checkpoint without a signature line")
}

fn last_line(checkpoint: &str) -> Result<&str> {
    let mut lines = checkpoint.lines().filter(|line| line.starts_with(SIGNATURE));
    lines.next_back().context("a checkpoint without a signature line")
}

/// Changes one byte of the blob of a signature line.
///
/// Four characters of base64 are three bytes, and the first character is the upper six bits of the
/// first byte, so a byte whose offset is a multiple of three changes alone, without a decoder.
fn change_byte(checkpoint: &str, line: &str, offset: usize) -> Result<String> {
    ensure!(offset.is_multiple_of(3), "byte {offset} shares its characters with others");
    let (start, blob) = line.rsplit_once(' ').context("a signature line without a blob")?;
    let index = offset / 3 * 4;
    let old = blob.get(index..=index).context("a signature line that is too short")?;
    let new = if old == "A" { "B" } else { "A" };
    let changed = format!("{start} {}{new}{}", &blob[..index], &blob[index + 1..]);
    Ok(checkpoint.replacen(line, &changed, 1))
}

/// Changes the size of the tree, the second line, which every signature covers.
fn replace_size(checkpoint: &str) -> Result<String> {
    let mut parts = checkpoint.splitn(3, '\n');
    let (Some(origin), Some(size), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        bail!("a checkpoint without a size");
    };
    Ok(format!("{origin}\n{size}0\n{rest}"))
}

/// Adds a line by a signer whom no policy names.
fn add_stranger(checkpoint: &str, line: &str) -> Result<String> {
    let (_, blob) = line.rsplit_once(' ').context("a signature line without a blob")?;
    Ok(format!("{checkpoint}{SIGNATURE}stranger.example/witness {blob}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The indices of the characters that differ. Both texts have the same length.
    fn changes(old: &str, new: &str) -> Vec<usize> {
        assert_eq!(old.len(), new.len());
        let pairs = old.bytes().zip(new.bytes()).enumerate();
        pairs.filter(|(_, (old, new))| old != new).map(|(index, _)| index).collect()
    }

    #[test]
    fn a_damage_changes_one_line_in_its_place() -> Result<()> {
        // The names have equal lengths, and "AAAA" is a blob of three zero bytes.
        let checkpoint = "origin\n7\nroot\n\n— log AAAAAAAA\n— wit BBBBAAAA\n";
        let (first, last) = (first_line(checkpoint)?, last_line(checkpoint)?);
        assert_eq!((first, last), ("— log AAAAAAAA", "— wit BBBBAAAA"));
        let blob = |line: &str| checkpoint.find(line).unwrap_or_default() + "— log ".len();
        assert_eq!(changes(checkpoint, &change_byte(checkpoint, first, 0)?), [blob(first)]);
        assert_eq!(changes(checkpoint, &change_byte(checkpoint, last, 3)?), [blob(last) + 4]);
        assert!(change_byte(checkpoint, last, 4).is_err(), "not a byte of its own");
        assert!(change_byte(checkpoint, last, 6).is_err(), "behind the end");
        assert!(replace_size(checkpoint)?.starts_with("origin\n70\nroot\n\n— log "));
        let stranger = add_stranger(checkpoint, last)?;
        let added = "— stranger.example/witness BBBBAAAA\n";
        assert_eq!(stranger.strip_prefix(checkpoint), Some(added));
        Ok(())
    }

    #[test]
    fn every_damage_changes_every_golden_checkpoint() -> Result<()> {
        for (_, checkpoint) in GOLDEN {
            let text = read(&project::root().join("fixtures").join(checkpoint))?;
            for damage in &DAMAGES {
                assert_ne!((damage.apply)(&text)?, text, "{checkpoint}: {}", damage.name);
            }
        }
        Ok(())
    }
}
