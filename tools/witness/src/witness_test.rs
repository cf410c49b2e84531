use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use signed_note::{Note as OtherNote, Signer, StandardSigner};
use tempfile::TempDir;

use super::*;
use crate::http::serve;
use crate::merkle::tests::{leaves, proof, root};

const ORIGIN: &str = "example.com/L2025-001";
const NOW: u64 = 1_700_000_000;

/// The key of a log with the name of the origin: its verifier key, and a signer of another
/// implementation.
fn log_key(seed: u8) -> (String, StandardSigner) {
    let public = SigningKey::from_bytes(&[seed; 32]).verifying_key();
    let public = [[1].as_slice(), public.as_bytes()].concat();
    let id = signed_note::key_id(ORIGIN, &public);
    let secret = STANDARD.encode([[1].as_slice(), &[seed; 32]].concat());
    let signer = StandardSigner::new(&format!("PRIVATE+KEY+{ORIGIN}+{id:08x}+{secret}"));
    (format!("{ORIGIN}+{id:08x}+{}", STANDARD.encode(public)), signer.expect("a key"))
}

fn text(size: u64, root: &Hash) -> String {
    format!("{ORIGIN}\n{size}\n{}\n", STANDARD.encode(root))
}

fn sign(text: &str, signers: &[&dyn Signer]) -> String {
    let mut note = OtherNote::new(text.as_bytes(), &[]).expect("a text");
    note.add_sigs(signers).expect("signatures");
    String::from_utf8(note.to_bytes()).expect("UTF-8")
}

fn body(old: u64, proof: &[Hash], note: &str) -> String {
    let lines: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
    format!("old {old}\n{lines}\n{note}")
}

/// A witness with two keys for the origin, the signers of both, and its folder.
fn witness() -> (Witness, [StandardSigner; 2], TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let (witness, signers) = witness_in(&folder);
    (witness, signers, folder)
}

fn witness_in(folder: &TempDir) -> (Witness, [StandardSigner; 2]) {
    let mut witness =
        Witness::new("witness.example/w1", &[9; 32], folder.path()).expect("a witness");
    let signers = [1, 2].map(|seed| {
        let (vkey, signer) = log_key(seed);
        witness.trust(ORIGIN, &vkey).expect("a verifier key");
        signer
    });
    (witness, signers)
}

/// Submits the tree of the first `new` leaves after that of the first `old`.
fn submit(witness: &Witness, signer: &StandardSigner, old: u64, new: u64) -> Answer {
    let leaves = leaves(new);
    let note = sign(&text(new, &root(&leaves)), &[signer]);
    let old_leaves = usize::try_from(old).expect("small");
    let proof = proof(old_leaves.min(leaves.len()), &leaves);
    witness.add_checkpoint(body(old, &proof, &note).as_bytes(), NOW)
}

#[test]
fn a_growing_log_is_cosigned_by_each_of_its_keys() {
    let (witness, signers, _folder) = witness();
    let key = VerifierKey::parse(&witness.vkey()).expect("its key");
    for (signer, old, new) in
        [(&signers[0], 0, 3), (&signers[1], 3, 8), (&signers[0], 8, 8), (&signers[1], 8, 13)]
    {
        let answer = submit(&witness, signer, old, new);
        assert_eq!(answer.status, 200, "{answer:?}");
        let text = text(new, &root(&leaves(new)));
        let note = format!("{text}\n{}", answer.body);
        let note = Note::parse(&note).expect("a note");
        assert!(matches!(note.verify(&key), Verdict::Valid(_)), "{answer:?}");
        let served = witness.checkpoint(&origin_hash(ORIGIN));
        assert!(served.body.starts_with(&text) && served.body.ends_with(&answer.body));
    }
}

#[test]
fn the_record_outlives_the_witness() {
    let (witness, signers, folder) = witness();
    assert_eq!(submit(&witness, &signers[0], 0, 5).status, 200);
    drop(witness);
    let (witness, signers) = witness_in(&folder);
    let stale = submit(&witness, &signers[0], 0, 6);
    assert_eq!((stale.status, stale.content_type), (409, "text/x.tlog.size"));
    assert_eq!(stale.body, "5\n");
    assert_eq!(submit(&witness, &signers[0], 5, 6).status, 200);
}

#[test]
fn unproven_checkpoints_are_not_cosigned() {
    let (witness, signers, _folder) = witness();
    let signer = &signers[0];
    assert_eq!(submit(&witness, signer, 0, 5).status, 200);
    let all = leaves(9);
    let good = proof(5, &all);
    let at = |size: u64, root: &Hash| sign(&text(size, root), &[signer]);
    let next = at(9, &root(&all));
    let mut other = good.clone();
    other[0][0] ^= 1;
    for (old, proof, note, status) in [
        (5, &other[..], &next, 422),
        (5, &good[1..], &next, 422),
        (5, &good[..], &at(9, &[3; 32]), 422),
        (5, &[][..], &at(5, &[3; 32]), 422),
        (4, &good[..], &next, 409),
        (10, &good[..], &next, 400),
        (6, &[][..], &at(5, &root(&all[..5])), 400),
    ] {
        let answer = witness.add_checkpoint(body(old, proof, note).as_bytes(), NOW);
        assert_eq!(answer.status, status, "{old} {note} {answer:?}");
    }
    assert_eq!(submit(&witness, signer, 5, 9).status, 200, "nothing was recorded");
}

#[test]
fn the_first_checkpoint_needs_an_empty_proof_and_the_empty_tree_its_root() {
    let (witness, signers, _folder) = witness();
    let signed = |size: u64, root: &Hash| sign(&text(size, root), &[&signers[0]]);
    let send = |body: String| witness.add_checkpoint(body.as_bytes(), NOW).status;
    assert_eq!(send(body(0, &[], &signed(0, &[3; 32]))), 422);
    assert_eq!(send(body(0, &[[3; 32]], &signed(2, &[3; 32]))), 422);
    assert_eq!(witness.checkpoint(&origin_hash(ORIGIN)).status, 404);
    assert_eq!(send(body(0, &[], &signed(0, &empty_root()))), 200);
    assert_eq!(send(body(0, &[], &signed(2, &root(&leaves(2))))), 200);
}

#[test]
fn only_trusted_keys_speak_for_an_origin() {
    let (witness, signers, _folder) = witness();
    let leaves = leaves(3);
    let send = |note: &str| witness.add_checkpoint(body(0, &[], note).as_bytes(), NOW).status;
    let (_, stranger) = log_key(3);
    let text = text(3, &root(&leaves));
    assert_eq!(send(&sign(&text, &[&stranger])), 403);
    let unknown = text.replace("L2025-001", "L2025-002");
    assert_eq!(send(&sign(&unknown, &[&signers[0]])), 404);
    // A valid signature does not make up for an invalid one of another trusted key.
    let both = sign(&text, &[&signers[0], &signers[1]]);
    let (head, last) = both.trim_end().rsplit_once(' ').expect("a signature line");
    let mut bytes = STANDARD.decode(last).expect("base64");
    bytes[20] ^= 1;
    assert_eq!(send(&format!("{head} {}\n", STANDARD.encode(bytes))), 403);
    assert_eq!(send("not a note"), 400);
    assert_eq!(send(&sign(&text, &[&stranger, &signers[1]])), 200, "strangers are ignored");
}

#[test]
fn it_answers_over_http() {
    let (witness, signers, _folder) = witness();
    let note = sign(&text(2, &root(&leaves(2))), &[&signers[0]]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || serve(&listener, &Arc::new(witness)));
    let mut stream = TcpStream::connect(address).expect("a connection");
    let body = body(0, &[], &note);
    let length = body.len();
    let head = format!("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: {length}\r\n");
    let path = origin_hash(ORIGIN);
    // Three requests on one connection.
    let requests = format!(
        "{head}\r\n{body}{head}\r\n{body}GET /{path}/checkpoint HTTP/1.1\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(requests.as_bytes()).expect("sent");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("answers");
    let statuses: Vec<&str> =
        answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "409", "200"], "{answers}");
    assert!(answers.contains("Content-Type: text/x.tlog.size\r\n"), "{answers}");
}
