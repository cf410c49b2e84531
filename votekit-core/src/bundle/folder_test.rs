use super::*;
use crate::bundle::sample::{Sample, authority_keys};
use crate::bundle::verify::{Options, Pin, verify};
use crate::bundle::{Rule, Verdict, file};

/// A new folder, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    /// A folder with the sample's bundle.
    fn with_bundle(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("votekit-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("manifests")).expect("a writable folder");
        let scratch = Self(root);
        for (name, bytes) in Sample::certified().bundle() {
            fs::write(scratch.0.join(name), bytes).expect("a writable folder");
        }
        scratch
    }

    /// The verdict on the bundle, and the rules that it breaks.
    fn verify(&self) -> (Verdict, Vec<Rule>) {
        let bundle = FolderSource::open(&self.0).expect("a folder");
        let policy = authority_keys(11).policy().as_bytes().to_vec();
        let options = Options { pin: Some(Pin::Policy(policy)), ..Options::default() };
        let found = verify(&bundle, &options).expect("readable files");
        (found.verdict(), found.failures.counts().keys().copied().collect())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Remaining files are in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_bundle_in_a_folder_is_proven_despite_files_of_the_system() {
    let scratch = Scratch::with_bundle("folder-proven");
    assert_eq!(scratch.verify(), (Verdict::Proven, vec![]));
    fs::write(scratch.0.join("manifests/.DS_Store"), "x").expect("a writable folder");
    assert_eq!(scratch.verify(), (Verdict::Proven, vec![]));
    let source = FolderSource::open(&scratch.0).expect("a folder");
    assert_eq!(source.system_files(), ["manifests/.DS_Store"]);
    let sizes = Sample::certified().bundle().values().map(|bytes| bytes.len() as u64).sum::<u64>();
    assert_eq!(source.size(), sizes + 1);
}

#[test]
fn an_empty_folder_breaks_the_rule_of_file_kinds() {
    let scratch = Scratch::with_bundle("folder-empty");
    fs::create_dir(scratch.0.join("manifests/empty")).expect("a writable folder");
    assert_eq!(scratch.verify(), (Verdict::Failed, vec![Rule::FileKind]));
}

#[cfg(unix)]
#[test]
fn a_link_breaks_the_rule_of_file_kinds() {
    let scratch = Scratch::with_bundle("folder-link");
    let results = scratch.0.join(file::RESULTS_CSV);
    let target = scratch.0.with_extension("target");
    fs::rename(&results, &target).expect("a writable folder");
    std::os::unix::fs::symlink(&target, &results).expect("a writable folder");
    let found = scratch.verify();
    fs::remove_file(&target).expect("a writable folder");
    assert_eq!(found, (Verdict::Failed, vec![Rule::FileKind]));
}

#[test]
fn only_listed_files_are_opened() {
    let scratch = Scratch::with_bundle("folder-names");
    let source = FolderSource::open(scratch.0.join("manifests")).expect("a folder");
    assert_eq!(source.names().expect("listed").len(), 2);
    for name in ["../leaves.jsonl", "", ".", "missing"] {
        let error = Source::open(&source, name).err().map(|error| error.kind());
        assert_eq!(error, Some(io::ErrorKind::NotFound), "{name}");
    }
    let missing = FolderSource::open(scratch.0.join("missing"));
    assert_eq!(missing.err().map(|error| error.kind()), Some(io::ErrorKind::NotFound));
}

#[test]
fn system_files_are_known_by_name() {
    for name in [".DS_Store", "manifests/.DS_Store", "._L1.0001.json", "Thumbs.db", "Desktop.ini"] {
        assert!(is_system_file(name), "{name}");
    }
    for name in ["DS_Store", "a._b", "leaves.jsonl", ".hidden", "Thumbs.db.json"] {
        assert!(!is_system_file(name), "{name}");
    }
}
