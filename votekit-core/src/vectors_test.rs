//! The golden vectors of `fixtures/vectors/` that state their inputs: every file is built here from
//! fixed inputs and compared byte for byte.
//!
//! The vectors of all formats are one list; add the vector of a new format here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::authority::sample::authority_set;
use crate::ballot::{BallotPublicKey, BallotSecretKey, ChoiceIndex};
use crate::batch::{Batch, BatchHeader, NodeKey, signed_header, signed_message};
use crate::bundle::sample::{Sample, authority_keys, checkpoint_by};
use crate::bundle::verify::{Options, Pin, verify};
use crate::bundle::{MemorySource, file};
use crate::credential::{Credential, CredentialHash, CredentialHasher, Pepper};
use crate::election::{Bilingual, Choice, Definition, ResultsPolicy, State};
use crate::envelope::{Envelope, RequestKey};
use crate::export::{csv::to_csv, json::certified_digest, json::to_json, nist::to_nist};
use crate::fixed_rng::FixedRng;
use crate::id::{BatchNumber, Digest, ElectionId, Epoch, RequestId, Sequence};
use crate::instant::UnixMinutes;
use crate::log::leaf::{ElectionEvent, Leaf};
use crate::log::note::{Note, SigningKey};
use crate::log::policy::Policy;
use crate::manifest::Manifest;
use crate::reconcile::Report;
use crate::results::Results;
use crate::tally::Counts;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/vectors")
}

fn law_id() -> ElectionId {
    "L2025-001".parse().expect("a law id")
}

fn hex(bytes: &[u8]) -> String {
    const_hex::encode(bytes)
}

/// Every file built here, by its name below `fixtures/vectors/`.
fn vectors() -> BTreeMap<String, Vec<u8>> {
    let mut files: BTreeMap<String, Vec<u8>> = [
        ("credential.json", credential()),
        ("member.json", member()),
        ("pepper.json", pepper_marks()),
        ("request.json", request()),
        ("envelopes.json", envelopes_digest()),
        ("batch.json", batch()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), pretty(&value)))
    .collect();
    files.extend(signed_manifest());
    for (name, results) in [("annulled", annulled_results()), ("draft", draft_results())] {
        files.extend(results_files(name, &results));
    }
    for (name, leaves) in [("draft", draft_log()), ("annulled", annulled_log())] {
        let bundle = Sample::certified().bundle_of(&leaves, &authority_keys(11));
        files.extend(
            bundle.into_iter().map(|(file, bytes)| (format!("bundle/{name}/{file}"), bytes)),
        );
    }
    files.extend(crate::authority::vectors::files());
    let bundle = three_of_four();
    let bundle =
        bundle.into_iter().map(|(file, bytes)| (format!("bundle/three-of-four/{file}"), bytes));
    files.extend(bundle);
    files
}

/// The golden election under four authorities, of which the third has not cosigned.
fn three_of_four() -> MemorySource {
    let sample = Sample::certified();
    let checkpoint = checkpoint_by(1, &[1, 2, 4], &sample.leaves);
    sample.bundle_under(&sample.leaves, &policy_of_four(), &checkpoint)
}

fn policy_of_four() -> Policy {
    authority_set(4, 3).policy(&law_id(), false).expect("distinct key ids")
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("text keys only");
    bytes.push(b'\n');
    bytes
}

fn pepper() -> Pepper {
    Pepper::from_bytes([7; 32])
}

fn credential() -> Value {
    let (nas, code) = ("012-345 678", " abcd2345\t");
    let credential = Credential::parse(nas.as_bytes(), code.as_bytes(), b"L2025-001")
        .expect("a well-formed credential");
    let hashed = |hasher: &CredentialHasher| {
        let hash = hasher.hash(&credential);
        json!({ "scheme": hasher.scheme(), "H": hash, "T": hasher.scheme().registry_key(&hash) })
    };
    json!({
        "input": { "nas": nas, "code": code, "law_id": "L2025-001", "pepper": hex(&[7; 32]) },
        "message": "012345678|ABCD2345|L2025-001",
        "hashes": [hashed(&CredentialHasher::plain()), hashed(&CredentialHasher::peppered(&pepper()))],
    })
}

fn member() -> Value {
    let hasher = CredentialHasher::for_members(&pepper());
    let account: [u8; 16] = std::array::from_fn(|index| index as u8);
    let hash = hasher.member_hash(&account, &law_id()).expect("under a members' key");
    let account = hex(&account);
    json!({
        "message": format!("votekit-member/1\n{account}\nL2025-001"),
        "H": hash,
        "T": hasher.scheme().registry_key(&hash),
        "input": { "account": account, "law_id": "L2025-001", "members_key": hex(&[7; 32]) },
    })
}

fn pepper_marks() -> Value {
    json!({
        "input": { "pepper": hex(&[7; 32]) },
        "file": pepper().to_file_text().as_str(),
        "id": pepper().id(),
        "check": pepper().check_value(),
    })
}

fn request() -> Value {
    let key = RequestKey::from_bytes([8; 32]);
    let hash = CredentialHash::from_bytes([0xcd; 32]);
    let request = key.request_id(&hash, ChoiceIndex(1), b"0b6a4b0e-retry");
    json!({
        "input": {
            "request_key": hex(&[8; 32]), "H": hash, "choice": 1, "idempotency_key": "0b6a4b0e-retry",
        },
        "request_id": request,
        "voter_token": key.voter_token(&request),
    })
}

/// The envelopes of `batch.hex`.
fn envelopes() -> Vec<Envelope> {
    [(1, 0), (2, 1), (3, 65_535)]
        .into_iter()
        .map(|(seed, choice)| Envelope {
            request: RequestId::from_bytes([seed; 16]),
            hash: CredentialHash::from_bytes([seed ^ 0xff; 32]),
            received: UnixMinutes(29_400_000),
            choice: ChoiceIndex(choice),
        })
        .collect()
}

fn envelopes_digest() -> Value {
    let envelopes = envelopes();
    let mut all = Sha256::new_with_prefix(b"votekit-envelopes/1\n");
    let rows: Vec<Value> = envelopes
        .iter()
        .map(|envelope| {
            let Envelope { request, hash, received, .. } = envelope;
            let message = [
                b"votekit-envelope/1\n".as_slice(),
                request.as_bytes(),
                &u32::try_from(received.0).expect("in range").to_be_bytes(),
                hash.as_bytes(),
            ]
            .concat();
            let digest = crate::envelope::EnvelopeDigest::new(request, *received, hash);
            assert_eq!(digest.as_bytes(), Digest::compute(&message).as_bytes());
            all.update(digest.as_bytes());
            json!({ "request": request, "H": hash, "minute": received, "c": digest })
        })
        .collect();
    json!({ "envelopes": rows, "E": hex(&all.finalize()) })
}

fn batch() -> Value {
    let (ballot, node) = (BallotSecretKey::from_seed(&[1; 32]), NodeKey::from_seed(&[2; 32]));
    let number = BatchNumber { node: node.node_id(), epoch: Epoch(3), sequence: Sequence(7) };
    let header =
        BatchHeader { law_id: law_id(), number, confirmed_through: Sequence(6), last: true };
    let envelopes = envelopes();
    let batch =
        Batch::seal(header.clone(), &envelopes, &ballot.public_key(), &node, &mut FixedRng::new(5))
            .expect("sealed");
    assert_eq!(
        hex(batch.as_bytes()) + "\n",
        include_str!("../../fixtures/vectors/batch.hex"),
        "batch.hex is another batch"
    );
    // The random bytes that HPKE takes from `FixedRng`.
    let drawn = Sha256::new().chain_update([5; 32]).chain_update([0; 8]).finalize().into();
    let ephemeral = BallotSecretKey::from_seed(&drawn);
    let signed = signed_header(&header, envelopes.len());
    let envelopes_hash = envelopes_digest()["E"].as_str().expect("text").parse().expect("hex");
    let plaintext: Vec<u8> =
        envelopes.iter().flat_map(|envelope| envelope.choice.0.to_be_bytes()).collect();
    let associated = batch.as_bytes().len() - 64 - 16 - plaintext.len();
    let encapsulated = 8 + signed.len();
    assert_eq!(
        ephemeral.public_key().as_bytes().as_slice(),
        &batch.as_bytes()[encapsulated..encapsulated + 32]
    );
    let rows: Vec<Value> = envelopes
        .iter()
        .map(|envelope| {
            let Envelope { request, hash, received, choice } = envelope;
            json!({ "request": request, "H": hash, "minute": received, "choice": choice.0 })
        })
        .collect();
    json!({
        "input": {
            "ballot_key_seed": hex(&[1; 32]),
            "ballot_secret_key": hex(ballot.expose_bytes()),
            "ballot_public_key": ballot.public_key(),
            "ephemeral_seed": hex(&drawn),
            "ephemeral_secret_key": hex(ephemeral.expose_bytes()),
            "node_seed": hex(&[2; 32]),
            "node_public_key": node.public_key(),
            "node_id": node.node_id(),
            "law_id": law_id(),
            "epoch": 3, "sequence": 7, "confirmed": 6, "last": true,
            "envelopes": rows,
        },
        "header": hex(&signed),
        "encapsulated_key": ephemeral.public_key(),
        "hpke_info": hex(b"votekit-ballot/1\nL2025-001"),
        "hpke_associated_data": hex(&batch.as_bytes()[..associated]),
        "hpke_plaintext": hex(&plaintext),
        "hpke_ciphertext": hex(&batch.as_bytes()[associated..batch.as_bytes().len() - 64]),
        "E": envelopes_hash,
        "D": batch.digest(),
        "signed_message": hex(&signed_message(&signed, &envelopes_hash, &batch.digest())),
        "signature": batch.signature(),
        "batch": hex(batch.as_bytes()),
    })
}

/// An official's key and the note over `manifest/manifest.json`.
fn signed_manifest() -> Vec<(String, Vec<u8>)> {
    let name = "elections.example/marie-tremblay";
    let key = SigningKey::from_seed(name.parse().expect("a key name"), &[9; 32]);
    let bytes = std::fs::read(folder().join("manifest/manifest.json")).expect("the manifest");
    let text = Manifest::parse(&bytes).expect("a manifest").note_text();
    let note = Note::new(text.clone(), vec![key.sign(&text)]).expect("one signature");
    assert!(note.verify(&[key.verifier().clone()]).is_ok());
    let line = format!("votekit-official-key/1 {name} {}\n", hex(&[9; 32]));
    vec![
        ("manifest/official.key".to_owned(), line.into_bytes()),
        ("manifest/official.vkey".to_owned(), format!("{}\n", key.verifier()).into_bytes()),
        ("manifest/manifest.note".to_owned(), note.to_string().into_bytes()),
    ]
}

fn definition(choices: Vec<Choice>) -> Definition {
    let bilingual = |fr: &str, en: &str| Bilingual { fr: fr.to_owned(), en: en.to_owned() };
    Definition {
        law_id: law_id(),
        title: bilingual("Élection <du> conseil & \"maire\"", "Council_election [#1]"),
        description: bilingual("", "Only in English."),
        choices,
        binding: true,
        results: ResultsPolicy::AfterClose,
        publish_every: 1,
        opens: Some(UnixMinutes(29_395_000)),
        closes: Some(UnixMinutes(29_396_440)),
        ballot_key: BallotPublicKey::from_bytes([9; 32]),
    }
}

fn choice(id: &str, fr: &str, en: &str) -> Choice {
    Choice { id: id.parse().expect("a choice id"), fr: fr.to_owned(), en: en.to_owned() }
}

/// Labels that need quoting, and labels that a spreadsheet would run as formulas.
fn annulled_results() -> Results {
    Results {
        definition: definition(vec![
            choice("-a", "=1+1", "@A"),
            choice("b", "Dupont, \"Jean\"", "+1"),
            choice("blanc", "Bulletin blanc", "-"),
        ]),
        state: State::Annulled,
        opened: Some(UnixMinutes(29_395_010)),
        closed: Some(UnixMinutes(29_396_440)),
        registered: 30,
        report: Report { received: 16, accepted: 10, duplicate: 3, invalid: 2, replayed: 1 },
        counts: Counts { choices: vec![5, 3, 1], spoiled: 1 },
        log_size: 99,
        log_root: Digest::compute(b"root"),
        updated_at: UnixMinutes(29_396_500),
    }
}

/// Before any event: no times, no electors.
fn draft_results() -> Results {
    let choices = vec![choice("oui", "Oui", "Yes"), choice("non", "Non", "No")];
    let definition = Definition {
        binding: false,
        opens: None,
        closes: None,
        results: ResultsPolicy::Live,
        description: Bilingual { fr: "Faut-il ?".to_owned(), en: "Shall we?".to_owned() },
        ..definition(choices)
    };
    Results {
        definition,
        state: State::Draft,
        opened: None,
        closed: None,
        registered: 0,
        report: Report::default(),
        counts: Counts { choices: vec![0, 0], spoiled: 0 },
        log_size: 2,
        log_root: Digest::compute(b"root"),
        updated_at: UnixMinutes(29_390_000),
    }
}

fn results_files(name: &str, results: &Results) -> Vec<(String, Vec<u8>)> {
    let input = json!({
        "definition": results.definition,
        "state": results.state,
        "opened": results.opened,
        "closed": results.closed,
        "registered": results.registered,
        "report": results.report,
        "counts": results.counts.choices,
        "spoiled": results.counts.spoiled,
        "log_size": results.log_size,
        "log_root": results.log_root,
        "updated_at": results.updated_at,
    });
    let as_certified = Results { state: results.state.min(State::Closed), ..results.clone() };
    let files = [
        ("input.json", pretty(&input)),
        (file::RESULTS_JSON, to_json(&as_certified)),
        (file::RESULTS_CSV, to_csv(results)),
        (file::RESULTS_NIST, to_nist(results)),
    ];
    files.map(|(file, bytes)| (format!("results/{name}/{file}"), bytes)).to_vec()
}

/// One block: a draft whose titles contain every character that README.md escapes.
fn draft_log() -> Vec<Vec<u8>> {
    let sample = Sample::certified();
    let leaves = sample.parsed();
    let Leaf::Election(ElectionEvent::Draft { at, definition }) = &leaves[0] else {
        panic!("a log begins with the draft")
    };
    let definition = Definition {
        title: Bilingual {
            fr: "Loi <b> & *co* \\ `x` a_b [c](d) # e | f".to_owned(),
            en: "Act > 1".to_owned(),
        },
        ..definition.clone()
    };
    let draft = Leaf::Election(ElectionEvent::Draft { at: *at, definition });
    let block = leaves.iter().find(|leaf| matches!(leaf, Leaf::Block(_))).expect("a block");
    vec![draft.to_bytes(), block.to_bytes()]
}

/// The golden election, annulled in an additional block.
fn annulled_log() -> Vec<Vec<u8>> {
    let sample = Sample::certified();
    let Some(Leaf::Block(last)) = sample.parsed().pop() else {
        panic!("a log ends with a block leaf")
    };
    let mut block = last.clone();
    block.height += 1;
    let reason = "Jugement 500-17 : scrutin à refaire".to_owned();
    let annulled = Leaf::Election(ElectionEvent::Annulled { at: last.sealed_at, reason });
    let mut leaves = sample.leaves;
    leaves.extend([annulled.to_bytes(), Leaf::Block(block).to_bytes()]);
    leaves
}

#[test]
fn the_golden_vectors_are_reproduced() {
    for (name, bytes) in vectors() {
        let found = std::fs::read(folder().join(&name)).unwrap_or_default();
        assert_eq!(
            String::from_utf8_lossy(&found),
            String::from_utf8_lossy(&bytes),
            "fixtures/vectors/{name} is not what the code makes"
        );
    }
}

#[test]
#[ignore = "writes the golden vectors after a deliberate change of format: cargo test -p votekit-core -- --ignored write_the_golden"]
fn write_the_golden_vectors() {
    for (name, bytes) in vectors() {
        let path = folder().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }
}

#[test]
fn the_golden_bundles_of_a_draft_and_of_an_annulled_election_are_proven() {
    for leaves in [draft_log(), annulled_log()] {
        let bundle: MemorySource = Sample::certified().bundle_of(&leaves, &authority_keys(11));
        let pin = Some(Pin::Policy(authority_keys(11).policy().as_bytes().to_vec()));
        let verification =
            verify(&bundle, &Options { pin, ..Options::default() }).expect("memory reads");
        assert_eq!(verification.failures.list(), []);
        assert!(verification.is_proven());
    }
}

#[test]
fn the_golden_bundle_of_four_authorities_is_proven_without_the_third() {
    let bundle = three_of_four();
    let pin = Some(Pin::Fingerprint(policy_of_four().fingerprint()));
    let verification =
        verify(&bundle, &Options { pin, ..Options::default() }).expect("memory reads");
    assert_eq!(verification.failures.list(), []);
    assert!(verification.is_proven());
    assert_eq!(verification.cosigned_by, ["authority-1", "authority-2", "authority-4"]);
}

#[test]
fn the_certified_digest_of_the_results_vector_is_that_of_its_file() {
    let results = annulled_results();
    let file = std::fs::read(folder().join("results/annulled/results.json")).expect("the vector");
    assert_eq!(certified_digest(&results), Digest::compute(&file));
}

/// Checks the example and the template in `docs/formats.md`, sections 4 and 9.
#[test]
fn the_formats_page_shows_the_manifest_and_the_readme_as_they_are() {
    let page = include_str!("../../docs/formats.md");
    let manifest = include_str!("../../fixtures/election/shards/manifest.json");
    assert!(page.contains(&format!("```json\n{manifest}```\n")), "the manifest's example");

    let (_, rest) = page.split_once("~~~~text\n").expect("the template");
    let (template, _) = rest.split_once("~~~~\n").expect("its end");
    let filled = |title_fr: &str, title_en: &str, state_fr: &str, state_en: &str, leaves: &str| {
        let registered = if state_en == "draft" { "0" } else { "12" };
        [
            ("{title_fr}", title_fr),
            ("{title_en}", title_en),
            ("{law_id}", "L2025-001"),
            ("{nature_fr}", "essai ou consultation, sans effet exécutoire"),
            ("{nature_en}", "a test or a consultation, not binding"),
            ("{state_fr}", state_fr),
            ("{state_en}", state_en),
            ("{registered}", registered),
            ("{leaves}", leaves),
        ]
        .into_iter()
        .fold(template.to_owned(), |text, (field, value)| text.replace(field, value))
    };
    let readme = |name: &str| {
        let path = folder().join("bundle").join(name).join("README.md");
        std::fs::read_to_string(path).expect("the vector")
    };
    let written = filled("Loi sur l'eau", "Water Act", "annulé", "annulled", "50");
    assert_eq!(written, readme("annulled"));

    let title = r"Loi &lt;b> &amp; \*co\* \\ \`x\` a\_b \[c\](d) \# e \| f";
    let written = filled(title, "Act > 1", "en préparation", "draft", "2");
    let without_results: String = written
        .lines()
        .filter(|line| !line.starts_with("| `results.json`"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(without_results, readme("draft"));
}
