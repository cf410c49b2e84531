//! `votekit verify` on the golden election of `fixtures/election`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/election").join(name)
}

fn votekit(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_votekit")).args(arguments).output().expect("run votekit")
}

fn path(name: &str) -> String {
    golden(name).to_str().expect("text").to_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Copies the golden bundle, so that it may be damaged.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    fs::create_dir(folder.path().join("manifests")).expect("folder");
    for sub in ["", "manifests"] {
        for entry in fs::read_dir(golden("bundle").join(sub)).expect("the golden bundle") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_file() {
                fs::copy(entry.path(), folder.path().join(sub).join(entry.file_name()))
                    .expect("copied");
            }
        }
    }
    folder
}

fn fingerprint() -> String {
    let output = votekit(&[
        "--json",
        "verify",
        "bundle",
        &path("bundle"),
        "--policy",
        &path("bundle.policy"),
    ]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    report["policy_fingerprint"].as_str().expect("a fingerprint").to_owned()
}

#[test]
fn the_golden_bundle_is_verified_for_a_citizen() {
    let output =
        votekit(&["verify", "bundle", &path("bundle"), "--policy", &path("bundle.policy")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for part in [
        "VERIFIED",
        "L2025-001",
        "certified",
        "4  Oui / Yes",
        "1  Bulletin blanc / Blank ballot",
        "12 registered",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let output = votekit(&["verify", "bundle", &path("bundle"), "--fingerprint", &fingerprint()]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn with_the_shards_every_hash_is_looked_up() {
    let (roll, supplement) = (path("shards"), path("shards-supplement"));
    let bundle = path("bundle");
    let policy = path("bundle.policy");
    let arguments = [
        "--json",
        "verify",
        "bundle",
        &bundle,
        "--policy",
        &policy,
        "--shards",
        &roll,
        "--shards",
        &supplement,
    ];
    let output = votekit(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["shards_checked"], &report["verified"]), (&true.into(), &true.into()));
    assert_eq!(report["results"]["oui_count"], 4);
}

/// A mistake in the command is no failure of the bundle.
#[test]
fn folders_of_another_roll_are_an_error_of_input() {
    let (roll, supplement) = (path("shards"), path("shards-supplement"));
    let (bundle, policy) = (path("bundle"), path("bundle.policy"));
    let other = tempfile::tempdir().expect("folder");
    let other = other.path().join("hashes").to_str().expect("text").to_owned();
    let rows = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/rolls/good.csv");
    let hashed = votekit(&["hashgen", rows.to_str().expect("text"), "--out", &other]);
    assert!(hashed.status.success(), "{}", stderr(&hashed));
    let digest = |folder: &str| {
        let bytes = fs::read(Path::new(folder).join("manifest.json")).expect("a manifest");
        votekit_core::id::Digest::compute(&bytes).to_string()
    };
    let missing =
        |folder: &str| format!("missing: the folder with the manifest {}", digest(folder));
    let extra = format!("not of this election: the folder with the manifest {}", digest(&other));
    for (folders, texts) in [
        (&[&roll][..], vec![missing(&supplement)]),
        (&[&other], vec![missing(&roll), missing(&supplement), extra.clone()]),
        (&[&roll, &supplement, &other], vec![extra]),
    ] {
        let mut arguments = vec!["verify", "bundle", &bundle, "--policy", &policy];
        arguments.extend(folders.iter().flat_map(|folder| ["--shards", folder.as_str()]));
        let output = votekit(&arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert_eq!(stdout(&output), "", "nothing is said about the bundle");
        assert!(said.contains("are not those of this election"), "{said}");
        assert!(texts.iter().all(|text| said.contains(text)), "{said}");
        assert_eq!(said.matches("the folder with the manifest").count(), texts.len(), "{said}");
    }
    // A bundle that fails otherwise is reported as such, without the line on the shards.
    let broken = copy();
    fs::remove_file(broken.path().join("results.csv")).expect("there");
    let broken = broken.path().to_str().expect("text");
    let output = votekit(&["verify", "bundle", broken, "--policy", &policy, "--shards", &other]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(!stdout(&output).contains("was looked up"), "{}", stdout(&output));
}

#[test]
fn without_a_pin_it_is_not_authenticated() {
    let output = votekit(&["verify", "bundle", &path("bundle")]);
    assert_eq!(output.status.code(), Some(6));
    assert!(stdout(&output).contains("NOT AUTHENTICATED") && stderr(&output).contains("hint: "));
}

#[test]
fn links_and_empty_folders_fail_a_bundle() {
    let linked = copy();
    let results = linked.path().join("results.json");
    fs::remove_file(&results).expect("there");
    std::os::unix::fs::symlink(golden("bundle").join("results.json"), &results).expect("made");
    let emptied = copy();
    fs::create_dir(emptied.path().join("more")).expect("made");
    for (folder, name) in [(&linked, "results.json"), (&emptied, "more")] {
        let bundle = folder.path().to_str().expect("text");
        let output =
            votekit(&["--json", "verify", "bundle", bundle, "--policy", &path("bundle.policy")]);
        assert_eq!(output.status.code(), Some(5), "{name}: {}", stderr(&output));
        let report = stdout(&output);
        assert!(report.contains("file-kind") && report.contains(name), "{report}");
    }
}

#[test]
fn damage_is_reported_with_its_file() {
    for (name, rule) in [
        ("leaves.jsonl", "root"),
        ("results.json", "derived"),
        ("results.csv", "derived"),
        ("results.nist.json", "derived"),
        ("README.md", "derived"),
        ("index.json", "index"),
        ("policy", "policy-pinned"),
        ("checkpoint", "checkpoint"),
    ] {
        let folder = copy();
        let file = folder.path().join(name);
        let mut bytes = fs::read(&file).expect("there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).expect("written");
        let output = votekit(&[
            "--json",
            "verify",
            "bundle",
            folder.path().to_str().expect("text"),
            "--policy",
            &path("bundle.policy"),
        ]);
        assert_eq!(output.status.code(), Some(5), "{name}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let failures = report["failures"].as_array().expect("a list");
        assert!(
            failures.iter().any(|failure| failure["file"] == name && failure["rule"] == rule),
            "{name}: {failures:?}"
        );
    }
}

/// One damaged line breaks many rules; the report marks which failures may follow from it.
#[test]
fn failures_that_may_follow_from_a_damaged_line_are_marked_once() {
    let folder = copy();
    let file = folder.path().join("leaves.jsonl");
    let log = fs::read_to_string(&file).expect("there");
    fs::write(&file, log.replacen("{\"leaf\"", "{\"leef\"", 1)).expect("written");
    let bundle = folder.path().to_str().expect("text");
    let output = votekit(&["verify", "bundle", bundle, "--policy", &path("bundle.policy")]);
    assert_eq!(output.status.code(), Some(5));
    let sentence = "the following failures may be consequences of this one";
    assert_eq!(stdout(&output).matches(sentence).count(), 1, "{}", stdout(&output));
}

#[test]
fn extra_and_missing_files_are_reported() {
    let folder = copy();
    fs::write(folder.path().join("notes.txt"), "more").expect("written");
    fs::remove_file(folder.path().join("results.csv")).expect("removed");
    let output = votekit(&[
        "verify",
        "bundle",
        folder.path().to_str().expect("text"),
        "--policy",
        &path("bundle.policy"),
    ]);
    assert_eq!(output.status.code(), Some(5));
    let text = stdout(&output);
    assert!(
        text.contains("notes.txt: ") && text.contains("results.csv: ") && text.contains("FAILED"),
        "{text}"
    );
}

#[test]
fn unreadable_bundles_are_bad_input() {
    assert_eq!(votekit(&["verify", "bundle", &path("nowhere")]).status.code(), Some(3));
    let bundle = path("bundle");
    assert_eq!(
        votekit(&["verify", "bundle", &bundle, "--policy", &path("receipt.txt")]).status.code(),
        Some(3)
    );
    assert_eq!(
        votekit(&["verify", "bundle", &bundle, "--fingerprint", "12"]).status.code(),
        Some(2)
    );
    assert_eq!(
        votekit(&["verify", "receipt", &path("bundle.policy"), "--policy", &path("bundle.policy")])
            .status
            .code(),
        Some(3)
    );
}

#[test]
fn receipt_shows_the_decision_in_words() {
    let (receipt, policy, bundle) = (path("receipt.txt"), path("bundle.policy"), path("bundle"));
    let output =
        votekit(&["verify", "receipt", &receipt, "--policy", &policy, "--bundle", &bundle]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("accepted: the vote counts") && text.contains("VERIFIED"), "{text}");
    assert_eq!(
        votekit(&["verify", "receipt", &receipt, "--bundle", &bundle]).status.code(),
        Some(6)
    );
    assert_eq!(votekit(&["verify", "receipt", &receipt]).status.code(), Some(2));
    let fingerprint = fingerprint();
    let arguments =
        ["verify", "receipt", &receipt, "--fingerprint", &fingerprint, "--bundle", &bundle];
    assert_eq!(votekit(&arguments).status.code(), Some(0));
}

#[test]
fn no_byte_of_a_receipt_can_change() {
    let bytes = fs::read(golden("receipt.txt")).expect("the golden receipt");
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("receipt.txt");
    let policy = path("bundle.policy");
    for position in (0..bytes.len()).step_by(29) {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        fs::write(&file, changed).expect("written");
        let output =
            votekit(&["verify", "receipt", file.to_str().expect("text"), "--policy", &policy]);
        assert!(
            matches!(output.status.code(), Some(3 | 5)),
            "byte {position}: {}",
            stdout(&output)
        );
    }
}

#[test]
fn a_receipt_of_another_log_is_not_in_the_bundle() {
    let folder = copy();
    let file = folder.path().join("leaves.jsonl");
    let log = fs::read_to_string(&file).expect("there");
    fs::write(&file, log.replacen("\"decision\":\"accepted\"", "\"decision\":\"rejected\"", 1))
        .expect("written");
    let bundle = folder.path().to_str().expect("text");
    let (receipt, policy) = (path("receipt.txt"), path("bundle.policy"));
    let arguments = ["verify", "receipt", &receipt, "--policy", &policy, "--bundle", bundle];
    let output = votekit(&arguments);
    assert_eq!(output.status.code(), Some(5));
    assert!(stderr(&output).contains("leaves.jsonl, line "), "{}", stderr(&output));
    let output = votekit(&[["--json"].as_slice(), &arguments].concat());
    let error: Value = serde_json::from_str(&stderr(&output)).expect("JSON");
    assert_eq!(error["error"]["details"]["rule"], "receipt", "{error}");
}

#[test]
fn a_fingerprint_is_taken_as_people_copy_it() {
    let fingerprint = fingerprint();
    let groups: Vec<&str> = fingerprint
        .as_bytes()
        .chunks(4)
        .map(|group| str::from_utf8(group).expect("ASCII"))
        .collect();
    let copies = [
        fingerprint.to_uppercase(),
        groups.join(" "),
        groups.join(":"),
        format!(" {fingerprint}\n"),
    ];
    for copied in copies {
        let output = votekit(&["verify", "bundle", &path("bundle"), "--fingerprint", &copied]);
        assert_eq!(output.status.code(), Some(0), "{copied:?}: {}", stderr(&output));
    }
    for wrong in [&fingerprint[1..], &fingerprint.replace('a', "g"), ""] {
        let output = votekit(&["verify", "bundle", &path("bundle"), "--fingerprint", wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn files_of_the_operating_system_fail_no_bundle() {
    let folder = copy();
    for name in [".DS_Store", "manifests/Thumbs.db", "._leaves.jsonl"] {
        fs::write(folder.path().join(name), "bytes").expect("written");
    }
    let bundle = folder.path().to_str().expect("text");
    let verify = || votekit(&["verify", "bundle", bundle, "--policy", &path("bundle.policy")]);
    let output = verify();
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(
        stderr(&output)
            .contains("manifests/Thumbs.db was created by the operating system; delete it"),
        "{}",
        stderr(&output)
    );
    fs::write(folder.path().join("notes"), "bytes").expect("written");
    assert_eq!(verify().status.code(), Some(5), "what is not of the system still fails");
}
