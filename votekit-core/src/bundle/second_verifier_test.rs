//! Compares the verifier in Python, `tools/second_verifier/`, with the one in Rust, on the same
//! bundles.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::*;
use crate::bundle::sample::{AuthorityKeys, Making, batch};
use crate::election::Definition;
use crate::election_log::LogEvent;
use crate::instant::UnixSeconds;
use crate::log::checkpoint::Cosigner;
use crate::log::leaf::BlockLeaf;
use crate::log::policy::Policy;

/// A bundle, and the rule that it breaks; `None` if both verifiers pass it.
type Case = (String, MemorySource, Option<Rule>);

/// How the rules that the two verifiers find are compared.
enum Compared {
    /// Both find the rule of the case. A wrong leaf may break further rules, which depend on where
    /// a verifier continues.
    Named,
    /// Both find the same rules.
    All,
}

#[test]
fn the_second_verifier_passes_its_own_vectors() {
    let output = run("selftest.py", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_second_verifier_agrees_on_every_state() {
    let cases = good_logs().into_iter().map(|(name, leaves)| (name, bundle_of(&leaves), None));
    agree(cases.collect(), &authority_keys(11).policy(), &[], &Compared::All);
}

#[test]
fn the_second_verifier_agrees_on_every_forgery() {
    let sample = Sample::certified();
    let cases = FORGERIES.iter().map(|(name, rule, edit)| {
        ((*name).to_owned(), bundle_of(&edited(&sample, edit)), Some(*rule))
    });
    agree(cases.collect(), &authority_keys(11).policy(), &[], &Compared::Named);
}

#[test]
fn the_second_verifier_agrees_on_files_and_signatures() {
    agree(file_cases(), &authority_keys(11).policy(), &[], &Compared::All);
}

/// Lines that no writer makes.
#[test]
fn the_second_verifier_agrees_on_what_is_a_leaf() {
    let good = Sample::certified().bundle();
    let log = std::str::from_utf8(&good[file::LEAVES]).expect("JSON");
    let cases = [
        ("law id", r#""law_id":"L2025-001""#, r#""law_id":"L2025 001""#),
        ("choice id", r#""id":"oui""#, r#""id":"Oui""#),
        ("confirmed", r#""sequence":1,"confirmed":0"#, r#""sequence":1,"confirmed":1"#),
        ("epoch", r#""epoch":1"#, r#""epoch":0"#),
        ("results", r#""results":"live""#, r#""results":"never""#),
        ("white space", r#"{"leaf":"block","#, r#"{"leaf": "block","#),
        ("sealed_at", r#""sealed_at":29"#, r#""sealed_at":029"#),
        ("the last line feed", "}\n", "}"),
    ];
    let cases = cases.into_iter().map(|(name, from, to)| {
        let (before, after) = log.rsplit_once(from).expect("the log has one");
        let mut bundle = good.clone();
        rewrite(&mut bundle, file::LEAVES, format!("{before}{to}{after}").into_bytes());
        (name.to_owned(), bundle, Some(Rule::Leaf))
    });
    agree(cases.collect(), &authority_keys(11).policy(), &[], &Compared::Named);
}

#[test]
fn the_second_verifier_agrees_on_a_policy_whose_cosigner_is_of_another_base() {
    let sample = Sample::certified();
    let name = "elsewhere/authority/authority-1".parse().expect("a name");
    let keys =
        AuthorityKeys { cosigner: Cosigner::from_seed(name, &[12; 32]), ..authority_keys(11) };
    let bundle = sample.bundle_of(&sample.leaves, &keys);
    let cases = vec![("misnamed".to_owned(), bundle, Some(Rule::PolicyForm))];
    agree(cases, &keys.policy(), &[], &Compared::All);
}

#[test]
fn the_second_verifier_agrees_on_quorums() {
    for (policy, cases) in quorum::cases() {
        agree(cases, &policy, &[], &Compared::All);
    }
}

#[test]
fn the_second_verifier_agrees_on_a_pinned_policy_that_is_none() {
    let bundle = Sample::certified().bundle();
    for pinned in [b"".as_slice(), b"no policy\n"] {
        let cases = vec![("good".to_owned(), bundle.clone(), Some(Rule::PolicyForm))];
        agree_under(cases, pinned, &[], &Compared::All);
    }
}

#[test]
fn the_second_verifier_agrees_on_electors() {
    let sample = Sample::certified();
    let mut cases: Vec<Case> =
        good_logs().into_iter().map(|(name, leaves)| (name, bundle_of(&leaves), None)).collect();
    for elector in [5, 50] {
        let leaves = edited(&sample, |leaves| {
            let place = find(leaves, |leaf| is_invalid(leaf, InvalidReason::Revoked));
            entry(&mut leaves[place]).decision = Decision::Accepted { hash: sample::hash(elector) };
        });
        let name = format!("elector {elector} votes");
        cases.push((name, bundle_of(&leaves), Some(Rule::Electorate)));
    }
    let leaves = edited(&sample, |leaves| {
        change!(leaves, is_supplement, Leaf::Roll(roll) => {
            roll.refused += 1;
            roll.revoked -= 1;
        });
    });
    cases.push(("a revocation refused".to_owned(), bundle_of(&leaves), Some(Rule::Electorate)));
    let shards = [sample.roll, sample.supplement];
    agree(cases, &authority_keys(11).policy(), &shards, &Compared::Named);
}

/// Entries that a folder can contain and a map of files cannot.
#[test]
fn the_second_verifier_reads_a_folder_as_the_formats_page_says() {
    let folder = Scratch::new("folder");
    let (bundle, policy) = (folder.0.join("bundle"), folder.0.join("policy"));
    fs::create_dir_all(&folder.0).expect("made");
    write_files(&bundle, &Sample::certified().bundle());
    fs::write(&policy, authority_keys(11).policy().as_bytes()).expect("written");
    let verify = || {
        let output = run("verify.py", &[&bundle, Path::new("--policy"), &policy]);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
    };

    for name in [".DS_Store", "manifests/Thumbs.db", "DESKTOP.INI", "._leaves.jsonl"] {
        fs::write(bundle.join(name), b"by an operating system").expect("written");
    }
    assert_eq!(verify(), (Some(0), "VERIFIED\n".to_owned()));

    for name in ["Thumbs.db.json", "DS_Store", "two\nlines"] {
        fs::write(bundle.join(name), b"extra").expect("written");
        let (code, printed) = verify();
        let line = format!("{} file-extra ", name.replace('\n', "\\n"));
        assert!(code == Some(5) && printed.starts_with(&line), "{name}: {printed}");
        fs::remove_file(bundle.join(name)).expect("removed");
    }

    #[cfg(unix)]
    for name in ["link", "._link"] {
        std::os::unix::fs::symlink(&policy, bundle.join(name)).expect("made");
        let (code, printed) = verify();
        assert!(code == Some(5) && printed.starts_with(&format!("{name} file-kind ")), "{printed}");
        fs::remove_file(bundle.join(name)).expect("removed");
    }

    fs::create_dir(bundle.join("empty")).expect("made");
    let (code, printed) = verify();
    assert!(code == Some(5) && printed.starts_with("empty file-kind "), "{printed}");
}

/// Logs that keep every rule, in every state that a bundle can be made in.
fn good_logs() -> Vec<(String, Vec<Vec<u8>>)> {
    let sample = Sample::certified();
    let ends = block_ends(&sample.parsed());
    let mut logs: Vec<(String, Vec<Vec<u8>>)> = ends
        .iter()
        .map(|end| (format!("up to leaf {end}"), sample.leaves[..=*end].to_vec()))
        .collect();
    // Every block but the last one, which certifies.
    let closed = &sample.leaves[..=ends[ends.len() - 2]];
    let at = UnixMinutes(CLOSES.0 + 61);
    let annulled = ElectionEvent::Annulled { at, reason: "a judgment".to_owned() };
    let purged = ElectionEvent::Purged { at };
    for (name, leaves, events) in [
        ("closed, annulled", closed, vec![&annulled]),
        ("closed, annulled, purged", closed, vec![&annulled, &purged]),
        ("certified, annulled", &sample.leaves, vec![&annulled]),
        ("certified, purged", &sample.leaves, vec![&purged]),
        ("certified, purged, annulled", &sample.leaves, vec![&purged, &annulled]),
    ] {
        logs.push((name.to_owned(), followed_by(leaves, &events)));
    }
    for (name, leaves) in [
        ("a roll and its supplement replaced", replaced_roll(&sample)),
        ("a waiver repeated", waived_twice(&sample)),
        ("opened without a roll", opened_without_roll(&sample)),
        ("closed without a planned closing", closed_unplanned()),
        ("closed early, a node retired", closed_early()),
    ] {
        logs.push((name.to_owned(), leaves));
    }
    logs
}

fn block_ends(leaves: &[Leaf]) -> Vec<usize> {
    let blocks = leaves.iter().enumerate().filter(|(_, leaf)| matches!(leaf, Leaf::Block(_)));
    blocks.map(|(place, _)| place).collect()
}

/// Adds a block for each event.
fn followed_by(leaves: &[Vec<u8>], events: &[&ElectionEvent]) -> Vec<Vec<u8>> {
    let mut leaves = leaves.to_vec();
    for event in events {
        let last = leaves.last().map(|leaf| Leaf::parse(leaf).expect("own leaf"));
        let Some(Leaf::Block(last)) = last else { panic!("a log ends with a block leaf") };
        let block = BlockLeaf { height: last.height + 1, sealed_at: event.at(), ..last };
        let event = Leaf::Election((*event).clone());
        leaves.extend([event.to_bytes(), Leaf::Block(block).to_bytes()]);
    }
    leaves
}

/// In the draft a supplement follows the roll; then the roll replaces both.
fn replaced_roll(sample: &Sample) -> Vec<Vec<u8>> {
    edited(sample, |leaves| {
        uncertify(leaves);
        let place = find(leaves, is!(Leaf::Roll(_)));
        let mut roll = leaves[place].clone();
        let mut supplement = leaves[find(leaves, is_supplement)].clone();
        if let Leaf::Roll(roll) = &mut roll {
            roll.replaces = Some(roll.manifest);
        }
        if let Leaf::Roll(supplement) = &mut supplement {
            // No elector has voted: no revocation is refused.
            supplement.revoked += std::mem::take(&mut supplement.refused);
        }
        leaves.splice(place + 1..place + 1, [supplement, roll]);
    })
}

fn waived_twice(sample: &Sample) -> Vec<Vec<u8>> {
    edited(sample, |leaves| {
        uncertify(leaves);
        change!(leaves, is!(Leaf::Election(ElectionEvent::Open { .. })),
            Leaf::Election(ElectionEvent::Open { waivers, .. }) => *waivers = vec!["results".to_owned(); 2]);
    })
}

fn opened_without_roll(sample: &Sample) -> Vec<Vec<u8>> {
    edited(sample, |leaves| {
        let opening = find(leaves, is!(Leaf::Election(ElectionEvent::Open { .. })));
        leaves.truncate(opening + 2);
        change!(leaves, is!(Leaf::Election(ElectionEvent::Open { .. })),
            Leaf::Election(ElectionEvent::Open { registered, .. }) => *registered = 0);
        leaves.retain(|leaf| !matches!(leaf, Leaf::Roll(_)));
    })
}

fn closed_unplanned() -> Vec<Vec<u8>> {
    let definition =
        Definition { closes: None, ..sample::definition(ResultsPolicy::AfterClose, 1) };
    let mut making = Making::open(definition);
    making.vote(&[batch(0, 1, false, &[(1, 0, 0, 0), (2, 1, 0, 1)])]);
    making.record(LogEvent::Closing { closes: CLOSES, reason: None }, CLOSES.0 + 5);
    making.vote(&[batch(0, 2, true, &[])]);
    making.close();
    making.certify();
    making.sample.leaves
}

/// The closing is after the minute in which it is recorded, by the most that is allowed.
fn closed_early() -> Vec<Vec<u8>> {
    let mut making = Making::open(sample::definition(ResultsPolicy::AfterVote, 1));
    making.vote(&[batch(0, 1, true, &[(1, 0, 0, 0)]), batch(1, 1, false, &[(2, 1, 1, 2)])]);
    let closes = UnixMinutes(CLOSES.0 - 60);
    let reason = Some("Panne de courant".to_owned());
    making.record(LogEvent::Closing { closes, reason }, closes.0 - 5);
    making.record(
        LogEvent::Retire { node: sample::node_key(1).node_id(), epoch: Epoch(1) },
        CLOSES.0,
    );
    making.close();
    making.certify();
    making.sample.leaves
}

/// Files that are missing, extra, changed or not listed, and checkpoints signed in other ways.
fn file_cases() -> Vec<Case> {
    let sample = Sample::certified();
    let good = sample.bundle();
    let mut cases = Vec::new();
    let mut case = |name: &str, rule: Option<Rule>, edit: &dyn Fn(&mut MemorySource)| {
        let mut bundle = good.clone();
        edit(&mut bundle);
        cases.push((name.to_owned(), bundle, rule));
    };
    for name in good.keys() {
        let is_manifest = name.starts_with("manifests/");
        let rule = if is_manifest { Rule::Manifest } else { Rule::FileMissing };
        case(&format!("without {name}").replace('/', " "), Some(rule), &|bundle| {
            bundle.remove(name);
        });
    }
    for name in [file::README, file::RESULTS_JSON] {
        let longer = [good[name].as_slice(), b"\n"].concat();
        case(&format!("{name} changed"), Some(Rule::FileChanged), &|bundle| {
            bundle.insert(name.to_owned(), longer.clone());
        });
        case(&format!("{name} changed, in the index too"), Some(Rule::Derived), &|bundle| {
            rewrite(bundle, name, longer.clone());
        });
    }
    case("a row of the index changed", Some(Rule::Index), &|bundle| {
        let mut index = crate::bundle::Index::parse(&bundle[file::INDEX]).expect("own index");
        index.files[0].size += 1;
        bundle.insert(file::INDEX.to_owned(), index.to_bytes());
    });
    case("an index with white space at its end", Some(Rule::Index), &|bundle| {
        bundle.get_mut(file::INDEX).expect("there").push(b' ');
    });
    for name in ["notes.txt", "manifests/x.json", "results/results.json"] {
        case(&format!("with {name}").replace('/', " "), Some(Rule::FileExtra), &|bundle| {
            bundle.insert(name.to_owned(), b"more".to_vec());
        });
    }
    case("a policy that is empty", Some(Rule::PolicyForm), &|bundle| {
        rewrite(bundle, file::POLICY, Vec::new());
    });
    cases.extend(checkpoint_cases(&sample));
    let other = sample.bundle_of(&sample.leaves, &authority_keys(21));
    cases.push(("another policy".to_owned(), other, Some(Rule::PolicyPinned)));
    cases
}

fn checkpoint_cases(sample: &Sample) -> Vec<Case> {
    let keys = authority_keys(11);
    let checkpoint = |leaves: &[Vec<u8>], seconds: u64| {
        keys.checkpoint_at(leaves, UnixSeconds(seconds)).to_string()
    };
    let line = |checkpoint: &str, place: usize| {
        let (_, signatures) = checkpoint.split_once("\n\n").expect("a note");
        format!("{}\n", signatures.lines().nth(place).expect("signed"))
    };
    let (old, new) = (60 * OPENS.0, 60 * (CLOSES.0 + 62));
    let good = checkpoint(&sample.leaves, new);
    let late = checkpoint(&sample.leaves, old);
    let other = checkpoint(&sample.leaves[..2], new);
    [
        (
            "a log signature of another tree too",
            good.clone() + &line(&other, 0),
            Some(Rule::Checkpoint),
        ),
        (
            "a cosignature of another tree too",
            good.clone() + &line(&other, 1),
            Some(Rule::Checkpoint),
        ),
        ("an older cosignature by the same key", good.clone() + &line(&late, 1), None),
        ("an older cosignature first", late.clone() + &line(&good, 1), Some(Rule::CosignatureTime)),
        ("a signature of a stranger", good + "— stranger AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", None),
    ]
    .into_iter()
    .map(|(name, checkpoint, rule)| {
        let mut bundle = sample.bundle();
        rewrite(&mut bundle, file::CHECKPOINT, checkpoint.into_bytes());
        (name.to_owned(), bundle, rule)
    })
    .collect()
}

fn bundle_of(leaves: &[Vec<u8>]) -> MemorySource {
    Sample::certified().bundle_of(leaves, &authority_keys(11))
}

/// Verifies each bundle with both verifiers, under the same policy and with the same shards.
fn agree(cases: Vec<Case>, policy: &Policy, shards: &[MemorySource], compared: &Compared) {
    agree_under(cases, policy.as_bytes(), shards, compared);
}

/// As [`agree`], with any bytes pinned.
fn agree_under(cases: Vec<Case>, pinned: &[u8], shards: &[MemorySource], compared: &Compared) {
    let label = format!("agree-{:?}", std::thread::current().id());
    let folder = Scratch::new(&label);
    let mut arguments = vec![PathBuf::from("--batch"), folder.0.join("bundles")];
    for (name, bundle, _) in &cases {
        write_files(&arguments[1].join(name), bundle);
    }
    for (place, files) in shards.iter().enumerate() {
        let shards = folder.0.join(format!("shards {place}"));
        write_files(&shards, files);
        arguments.extend([PathBuf::from("--shards"), shards]);
    }
    let file = folder.0.join("policy");
    fs::write(&file, pinned).expect("written");
    arguments.extend([PathBuf::from("--policy"), file]);
    let arguments: Vec<&Path> = arguments.iter().map(PathBuf::as_path).collect();
    let output = run("verify.py", &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found.as_object().expect("an object").len(), cases.len());

    let mut differences = Vec::new();
    for (name, bundle, rule) in &cases {
        let sources = shards.iter().map(|files| files as &dyn Source).collect();
        let pin = Some(Pin::Policy(pinned.to_vec()));
        let options = Options { pin, shards: sources, ..Options::default() };
        let first = verify(bundle, &options).expect("memory reads");
        let first: BTreeSet<&str> = rules(&first).into_iter().map(Rule::name).collect();
        let second: BTreeSet<&str> = found[name]["failures"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|failure| failure["rule"].as_str())
            .collect();
        let verdict = if rule.is_some() { "FAILED" } else { "VERIFIED" };
        let expected = |rules: &BTreeSet<&str>| match rule {
            None => rules.is_empty(),
            Some(rule) => rules.contains(rule.name()),
        };
        let same = matches!(compared, Compared::Named) || first == second;
        if !expected(&first) || !expected(&second) || !same || found[name]["verdict"] != verdict {
            let failures = &found[name]["failures"];
            differences.push(format!("{name}: {rule:?}, {first:?}, {second:?}: {failures}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Runs a program of `tools/second_verifier/`.
fn run(program: &str, arguments: &[&Path]) -> Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/second_verifier");
    Command::new("python3").arg(folder.join(program)).args(arguments).output().unwrap_or_else(
        |error| panic!("python3 did not start ({error}): install the Debian package python3"),
    )
}

fn write_files(folder: &Path, files: &MemorySource) {
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, bytes).expect("written");
    }
}

/// A folder that is removed at the end, even if the test fails.
struct Scratch(PathBuf);

impl Scratch {
    fn new(label: &str) -> Self {
        let name = format!("votekit-second-{}-{label}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        let _ = fs::remove_dir_all(&folder.0);
        folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
