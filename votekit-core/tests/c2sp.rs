//! Interoperability of the log with independent implementations: `signed_note` and `tlog_tiles`
//! (Cloudflare's Azul) and `sigsum` (Mullvad's client) verify what votekit signs, proves and
//! stores. All three implement the same specifications without knowledge of votekit, with other
//! versions of the hash and signature libraries.
//!
//! The golden vectors of `fixtures/vectors/log/` are also generated here, from fixed seeds: see
//! [`vectors`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use signed_note::{Signer as _, Verifier as _};
use votekit_core::instant::UnixSeconds;
use votekit_core::log::checkpoint::{
    Checkpoint, Cosigner, SignedCheckpoint, cosigner_name_of, origin_of,
};
use votekit_core::log::merkle::{
    TileReader, TreeBuilder, TreeHash, leaf_hash, prove_consistency, prove_inclusion,
    root_of_tiles, verify_consistency,
};
use votekit_core::log::note::{KeyName, Note, SigningKey};
use votekit_core::log::policy::{Authority, Policy};
use votekit_core::log::proof::Proof;
use votekit_core::log::tile::{Tile, TilePath, decode_hashes, encode_hashes, push_entry};

const SIZE: u64 = 70_000;
const FIRST_SIZE: u64 = 1_000;
const INDEX: u64 = 12_345;
const AT: UnixSeconds = UnixSeconds(1_763_712_000);

fn name(text: &str) -> KeyName {
    text.parse().expect("a key name")
}

fn origin() -> KeyName {
    origin_of(&name("example.org/vote"), &"L2025-001".parse().expect("a law"), false)
        .expect("a key name")
}

/// Leaf `n` of the sample log is the text `leaf n`.
fn leaf(index: u64) -> Vec<u8> {
    format!("leaf {index}").into_bytes()
}

/// An authority whose secret keys are one repeated byte: its number for the log key, its number
/// plus 128 for the cosigner key.
struct SampleAuthority {
    log_key: SigningKey,
    cosigner: Cosigner,
    public: Authority,
}

fn authorities(origin: &KeyName) -> Vec<SampleAuthority> {
    (1..=3u8)
        .map(|number| {
            let authority = format!("a{number}");
            let log_key = SigningKey::from_seed(origin.clone(), &[number; 32]);
            let cosigner_name =
                cosigner_name_of(&name("example.org/vote"), &authority).expect("a key name");
            let cosigner = Cosigner::from_seed(cosigner_name, &[number + 128; 32]);
            let (log, witness) = (log_key.verifier().clone(), cosigner.verifier().clone());
            SampleAuthority {
                log_key,
                cosigner,
                public: Authority { name: name(&authority), log_key: log, cosigner_key: witness },
            }
        })
        .collect()
}

fn policy(authorities: &[SampleAuthority]) -> Policy {
    let public: Vec<Authority> =
        authorities.iter().map(|authority| authority.public.clone()).collect();
    Policy::for_election(&public, 2).expect("a policy")
}

/// A checkpoint signed by authority 1 and cosigned by authorities 1 and 3.
fn sign(checkpoint: &Checkpoint, authorities: &[SampleAuthority]) -> SignedCheckpoint {
    let log = checkpoint.sign(&authorities[0].log_key).expect("the log's own key");
    let cosignatures = [0, 2]
        .map(|place| authorities[place].cosigner.cosign(checkpoint, AT).expect("an honest time"));
    SignedCheckpoint::new(checkpoint.clone(), log, cosignatures).expect("few signatures")
}

/// The tiles of a log as served: bytes by path.
struct Served {
    builder: TreeBuilder,
    files: BTreeMap<String, Vec<u8>>,
}

impl Served {
    fn from_leaves(leaves: impl Iterator<Item = Vec<u8>>) -> Self {
        let (mut builder, mut full_tiles) = (TreeBuilder::new(), Vec::new());
        leaves.for_each(|leaf| builder.append(leaf_hash(&leaf), &mut full_tiles));
        let full =
            full_tiles.iter().map(|full| (full.tile.to_string(), encode_hashes(&full.hashes)));
        let partial =
            builder.partial_tiles().map(|(tile, hashes)| (tile.to_string(), encode_hashes(hashes)));
        let files = full.chain(partial).collect();
        Self { builder, files }
    }

    fn sample() -> Self {
        Self::from_leaves((0..SIZE).map(leaf))
    }

    /// The bytes of a tile, or of the full tile that replaced it.
    fn bytes(&self, tile: Tile) -> &[u8] {
        let full = Tile::new(tile.level(), tile.index(), 256).expect("the same place");
        let longest = self.files.keys().filter(|path| path.starts_with(&full.to_string())).max();
        &self.files[longest.expect("a tile of the tree")]
    }
}

impl TileReader for Served {
    type Error = Infallible;

    fn hashes(&self, tile: Tile) -> Result<Vec<TreeHash>, Infallible> {
        Ok(decode_hashes(self.bytes(tile)).expect("whole hashes"))
    }
}

fn theirs(hash: TreeHash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(*hash.as_bytes())
}

fn all_theirs(hashes: &[TreeHash]) -> Vec<tlog_tiles::Hash> {
    hashes.iter().copied().map(theirs).collect()
}

#[test]
fn signed_note_verifies_our_checkpoint() {
    let authorities = authorities(&origin());
    let checkpoint = Checkpoint::new(&origin(), SIZE, leaf_hash(b"root"));
    let signed = sign(&checkpoint, &authorities).to_string();
    let verifiers = |authority: &SampleAuthority| -> signed_note::VerifierList {
        let vkey = authority.public.log_key.to_string();
        signed_note::VerifierList::new(vec![Box::new(
            signed_note::StandardVerifier::new(&vkey).expect("a verifier key"),
        )])
    };
    let note = signed_note::Note::from_bytes(signed.as_bytes()).expect("a note");
    assert_eq!(note.to_bytes(), signed.as_bytes());
    let (verified, others) = note.verify(&verifiers(&authorities[0])).expect("signed by the log");
    assert_eq!((verified.len(), others.len()), (1, 2));
    assert!(note.verify(&verifiers(&authorities[1])).is_err());

    let read = tlog_tiles::Checkpoint::from_bytes(note.text()).expect("a checkpoint");
    assert_eq!(
        (read.origin(), read.size(), read.hash()),
        (origin().as_str(), SIZE, &theirs(checkpoint.root()))
    );
    assert_eq!(read.to_bytes(), checkpoint.text().as_bytes());

    let tampered = signed.replace("70000", "70001");
    let note = signed_note::Note::from_bytes(tampered.as_bytes()).expect("a note");
    assert!(note.verify(&verifiers(&authorities[0])).is_err());
}

#[test]
fn we_verify_what_signed_note_signs() {
    let ours = SigningKey::from_seed(name("example.org/official"), &[7; 32]);
    let secret = [&[0x01], &[7; 32][..]].concat();
    let secret =
        format!("PRIVATE+KEY+example.org/official+{}+{}", ours.verifier().id(), base64(&secret));
    let signer = signed_note::StandardSigner::new(&secret).expect("our name, id and key");
    let mut note = signed_note::Note::new(b"votekit-manifest/1\n\n0123\n", &[]).expect("a text");
    note.add_sigs(&[&signer]).expect("a signature");
    let read = Note::parse(&note.to_bytes()).expect("a note");
    assert!(read.verify_strict(&[ours.verifier().clone()]).is_ok());
    // Ed25519 is deterministic: both produce the same bytes.
    assert_eq!(read.signatures()[0], ours.sign(read.text()));

    let verifier =
        signed_note::StandardVerifier::new(&ours.verifier().to_string()).expect("a verifier key");
    assert_eq!((verifier.name(), verifier.key_id()), (signer.name(), signer.key_id()));
}

#[test]
fn tlog_tiles_accepts_our_inclusion_and_consistency_proofs() {
    let served = Served::sample();
    let root = served.builder.root();
    for index in [0, 1, 255, 256, INDEX, 65_535, 65_536, SIZE - 1] {
        let proof = all_theirs(&prove_inclusion(&served, index, SIZE).expect("in the tree"));
        let record = tlog_tiles::record_hash(&leaf(index));
        tlog_tiles::check_record(&proof, SIZE, theirs(root), index, record).expect("our proof");
        assert!(tlog_tiles::check_record(&proof, SIZE, theirs(root), index ^ 1, record).is_err());
    }
    for first in [1, 255, 256, 257, FIRST_SIZE, 65_535, 65_536, 65_537, SIZE] {
        let first_root = root_of_tiles(&served, first).expect("in the tree");
        let proof = prove_consistency(&served, first, SIZE).expect("in the tree");
        tlog_tiles::check_tree(&all_theirs(&proof), SIZE, theirs(root), first, theirs(first_root))
            .expect("our proof");
        verify_consistency(first, &first_root, SIZE, &root, &proof).expect("our proof");
    }
}

/// Their reader fetches tiles by path, checks them against the root, and builds proofs from them.
#[test]
fn tlog_tiles_reads_our_tiles() {
    struct Reader<'served>(&'served Served);
    impl tlog_tiles::TileReader for Reader<'_> {
        fn height(&self) -> u8 {
            8
        }

        fn read_tiles(
            &self,
            tiles: &[tlog_tiles::Tile],
        ) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
            // Their paths contain the tile height, which tlog-tiles fixes at 8 and leaves out.
            let path = |tile: &tlog_tiles::Tile| tile.path().replacen("tile/8/", "tile/", 1);
            tiles
                .iter()
                .map(|tile| Ok(self.0.files.get(&path(tile)).expect("a path of ours").clone()))
                .collect()
        }

        fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
    }
    let served = Served::sample();
    let reader = Reader(&served);
    let tiles = tlog_tiles::TileHashReader::new(SIZE, theirs(served.builder.root()), &reader);
    assert_eq!(
        tlog_tiles::tree_hash(SIZE, &tiles).expect("authentic tiles"),
        theirs(served.builder.root())
    );
    for index in [0, INDEX, 65_536, SIZE - 1] {
        let ours = prove_inclusion(&served, index, SIZE).expect("in the tree");
        assert_eq!(
            tlog_tiles::prove_record(SIZE, index, &tiles).expect("in the tree"),
            all_theirs(&ours)
        );
    }
    for first in [1, 256, FIRST_SIZE, 65_536, SIZE - 1] {
        let ours = prove_consistency(&served, first, SIZE).expect("in the tree");
        assert_eq!(
            tlog_tiles::prove_tree(SIZE, first, &tiles).expect("in the tree"),
            all_theirs(&ours)
        );
    }
    let wrong_root = tlog_tiles::TileHashReader::new(SIZE, theirs(leaf_hash(b"x")), &reader);
    assert!(tlog_tiles::tree_hash(SIZE, &wrong_root).is_err());
}

#[test]
fn our_tile_paths_are_theirs() {
    for (level, index, width) in
        [(0, 0, 256), (0, 1_234_067, 8), (1, 999, 1), (63, 1_000, 255), (0, u64::MAX, 256)]
    {
        let ours = Tile::new(level, index, width).expect("in range").to_string();
        let theirs = tlog_tiles::Tile::new(8, level, index, u32::from(width), false).path();
        assert_eq!(ours, theirs.replacen("tile/8/", "tile/", 1));
        let entries = TilePath::Entries { index, width }.to_string();
        let theirs = tlog_tiles::Tile::new(8, 0, index, u32::from(width), true).path();
        assert_eq!(entries, theirs.replacen("tile/8/data/", "tile/entries/", 1));
    }
}

/// The same key signs as a Sigsum log, so Sigsum's client verifies our log signature, cosignatures,
/// quorum and inclusion proof end to end. Only the framing, which is specific to Sigsum, is written
/// here.
#[test]
fn sigsum_verifies_a_whole_proof_of_ours() {
    let submitter = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let message: [u8; 32] = Sha256::digest(b"a document").into();
    let checksum: [u8; 32] = Sha256::digest(message).into();
    let signed = [b"sigsum.org/v1/tree-leaf\0".as_slice(), &checksum].concat();
    let leaf_signature = ed25519_dalek::Signer::sign(&submitter, &signed).to_bytes();
    let leaf_keyhash: [u8; 32] = Sha256::digest(submitter.verifying_key().as_bytes()).into();
    let sigsum_leaf = [&checksum[..], &leaf_signature, &leaf_keyhash].concat();

    let (index, size) = (300, 1_000);
    let served = Served::from_leaves(
        (0..size).map(|n| if n == index { sigsum_leaf.clone() } else { leaf(n) }),
    );
    let log_public = *SigningKey::from_seed(name("any"), &[1; 32]).verifier().public_key();
    let log_keyhash = const_hex::encode(Sha256::digest(log_public));
    let authorities = authorities(&name(&format!("sigsum.org/v1/tree/{log_keyhash}")));
    let checkpoint =
        Checkpoint::new(authorities[0].public.log_key.name(), size, served.builder.root());
    let signed = sign(&checkpoint, &authorities);
    policy(&authorities).verify_checkpoint_strict(&signed).expect("our own policy");

    let mut ascii = format!(
        "version=2\nlog={log_keyhash}\nleaf={} {}\n\nsize={size}\nroot_hash={}\nsignature={}\n",
        const_hex::encode(leaf_keyhash),
        const_hex::encode(leaf_signature),
        checkpoint.root(),
        const_hex::encode(signed.note().signatures()[0].as_bytes()),
    );
    for (place, line) in [0, 2].into_iter().zip(&signed.note().signatures()[1..]) {
        let (time, signature) = line.as_bytes().split_at(8);
        let time = u64::from_be_bytes(time.try_into().expect("8 bytes"));
        let key = &authorities[place].public.cosigner_key;
        assert_eq!(time, AT.0);
        assert_eq!(
            line.key_id().as_bytes()[..],
            key_id(key.name().as_str(), 0x04, key.public_key())
        );
        let keyhash = const_hex::encode(Sha256::digest(key.public_key()));
        ascii += &format!("cosignature={keyhash} {time} {}\n", const_hex::encode(signature));
    }
    ascii += &format!("\nleaf_index={index}\n");
    for hash in prove_inclusion(&served, index, size).expect("in the tree") {
        ascii += &format!("node_hash={hash}\n");
    }

    let verify = |ascii: &str, policy: &str| {
        let policy = sigsum::Policy::parse(policy).expect("a policy");
        let signature = sigsum::SigsumSignature::from_ascii(ascii).expect("its form");
        let signers = [submitter.verifying_key().to_bytes().into()];
        sigsum::verify(&message.into(), &signature, &signers, &policy)
    };
    let text = sigsum_policy(&policy(&authorities));
    verify(&ascii, &text).expect("a quorum, and the leaf in its place");
    assert!(verify(&ascii, &text.replace("authorities 2", "authorities 3")).is_err());
    assert!(verify(&ascii.replace("leaf_index=300", "leaf_index=301"), &text).is_err());
    assert!(verify(&ascii.replace("size=1000", "size=1001"), &text).is_err());
    assert!(verify(&ascii.replace(&AT.0.to_string(), "1"), &text).is_err());
}

/// The same policy in Sigsum's form: hexadecimal keys instead of tlog-policy's verifier keys.
fn sigsum_policy(policy: &Policy) -> String {
    let mut text = String::from_utf8(policy.as_bytes().to_vec()).expect("ASCII");
    let logs = policy.logs().iter().map(|log| &log.key);
    for key in logs.chain(policy.witnesses().iter().map(|witness| &witness.key)) {
        text = text.replace(&key.to_string(), &const_hex::encode(key.public_key()));
    }
    text
}

/// Checks that Sigsum's client agrees with us on which of seven witnesses form a quorum.
#[test]
fn sigsum_agrees_on_quorums() {
    let keys: Vec<_> = (1..=7u8)
        .map(|number| Cosigner::from_seed(name("w"), &[number; 32]).verifier().clone())
        .collect();
    let witnesses: String =
        keys.iter().enumerate().map(|(place, key)| format!("witness w{place} {key}\n")).collect();
    for rules in [
        "quorum none\n",
        "quorum w3\n",
        "group g 4 w0 w1 w2 w3 w4 w5 w6\nquorum g\n",
        "group a 2 w0 w1 w2\ngroup b any w3 w4\ngroup c all a b w5\nquorum c\n",
        "group a all w0 w1\ngroup b all w2 w3\ngroup c any a b\ngroup d 2 c w4 w5\nquorum d\n",
        "group a any w0 w1\nquorum w6\n",
    ] {
        let ours = Policy::parse(format!("{witnesses}{rules}").as_bytes()).expect("a policy");
        let theirs = sigsum::Policy::parse(&sigsum_policy(&ours)).expect("a policy");
        for bits in 0..1u32 << keys.len() {
            let cosigned: Vec<bool> = (0..keys.len()).map(|place| bits >> place & 1 == 1).collect();
            let signers = keys.iter().zip(&cosigned).filter(|(_, cosigned)| **cosigned);
            let hashes: Vec<_> =
                signers.map(|(key, _)| sigsum::Hash::new(key.public_key())).collect();
            assert_eq!(
                ours.is_quorum(&cosigned),
                theirs.check_quorum(&hashes),
                "{bits:07b} of {rules}"
            );
        }
    }
}

/// The key id as specified by signed-note, computed by hand.
fn key_id(name: &str, kind: u8, public_key: &[u8; 32]) -> [u8; 4] {
    let digest = Sha256::digest([name.as_bytes(), b"\n", &[kind], public_key].concat());
    digest[..4].try_into().expect("4 bytes")
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn vectors_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/vectors/log")
}

/// The files of `fixtures/vectors/log/` with their bytes, all generated from [`authorities`] and
/// [`leaf`].
fn vectors() -> Vec<(&'static str, Vec<u8>)> {
    let authorities = authorities(&origin());
    let served = Served::sample();
    let checkpoint = Checkpoint::new(&origin(), SIZE, served.builder.root());
    let log = checkpoint.sign(&authorities[0].log_key).expect("the log's own key");
    let signed = SignedCheckpoint::new(checkpoint.clone(), log, []).expect("one signature");
    let cosigned = sign(&checkpoint, &authorities);
    let path = prove_inclusion(&served, INDEX, SIZE).expect("in the tree");
    let receipt = Proof::new(&leaf(INDEX), INDEX, path, cosigned.clone());

    let first_root = root_of_tiles(&served, FIRST_SIZE).expect("in the tree");
    let mut consistency =
        format!("first {FIRST_SIZE} {first_root}\nsecond {SIZE} {}\n", checkpoint.root());
    for hash in prove_consistency(&served, FIRST_SIZE, SIZE).expect("in the tree") {
        consistency += &format!("{hash}\n");
    }
    let tile = Tile::in_tree(SIZE, 0, SIZE / 256).expect("the partial tile");
    let mut bundle = Vec::new();
    (SIZE / 256 * 256..SIZE)
        .for_each(|index| push_entry(&mut bundle, &leaf(index)).expect("short"));
    let policy = policy(&authorities);
    vec![
        ("policy.txt", policy.as_bytes().to_vec()),
        ("policy.fingerprint", format!("{}\n", policy.fingerprint()).into_bytes()),
        ("checkpoint.signed", signed.to_string().into_bytes()),
        ("checkpoint.cosigned", cosigned.to_string().into_bytes()),
        ("receipt.tlog-proof", receipt.to_string().into_bytes()),
        ("consistency.txt", consistency.into_bytes()),
        ("tile.hashes.bin", served.bytes(tile).to_vec()),
        ("tile.entries.bin", bundle),
        ("tile-paths.txt", tile_paths().into_bytes()),
    ]
}

/// One line per tile: tree size, level, index, width, path; for level 0 also the entry bundle.
fn tile_paths() -> String {
    let places = [
        (1, 0, 0),
        (256, 0, 0),
        (256, 1, 0),
        (SIZE, 0, 272),
        (SIZE, 0, 273),
        (SIZE, 1, 0),
        (SIZE, 1, 1),
        (SIZE, 2, 0),
    ];
    let large = [
        (400_000_000, 0, 1_234_067),
        (1_234_067 * 256 + 8, 0, 1_234_067),
        (u64::MAX, 0, u64::MAX >> 8),
        (u64::MAX, 7, 0),
    ];
    let mut table = "size level index width path\n".to_owned();
    for (size, level, index) in places.into_iter().chain(large) {
        let tile = Tile::in_tree(size, level, index).expect("in the tree");
        table += &format!("{size} {level} {index} {} {tile}\n", tile.width());
        if level == 0 {
            table += &format!(
                "{size} entries {index} {} {}\n",
                tile.width(),
                TilePath::Entries { index, width: tile.width() }
            );
        }
    }
    table
}

#[test]
fn golden_vectors_are_reproduced() {
    for (file, bytes) in vectors() {
        let golden = std::fs::read(vectors_dir().join(file)).expect(file);
        assert!(golden == bytes, "{file} differs from what the code now makes");
    }
}

#[test]
fn golden_vectors_verify() {
    let read = |file: &str| std::fs::read(vectors_dir().join(file)).expect(file);
    let policy = Policy::parse(&read("policy.txt")).expect("a policy");
    assert_eq!(format!("{}\n", policy.fingerprint()).into_bytes(), read("policy.fingerprint"));
    assert!(policy.is_of_election("example.org/vote/test/L2025-001"));
    let verified = policy.verify_strict(&read("checkpoint.cosigned")).expect("a quorum");
    assert_eq!((verified.checkpoint().size(), verified.cosignatures().len()), (SIZE, 2));
    assert!(policy.verify(&read("checkpoint.signed")).is_err());
    let receipt = Proof::parse(&read("receipt.tlog-proof")).expect("a proof");
    assert_eq!(receipt.verify_strict(receipt.extra(), &policy).expect("in the log").index, INDEX);
}

/// Rewrites the golden vectors. For a deliberate change of format only:
/// `cargo test -p votekit-core --test c2sp -- --ignored`.
#[test]
#[ignore = "writes into the source tree"]
fn write_golden_vectors() {
    std::fs::create_dir_all(vectors_dir()).expect("a folder");
    for (file, bytes) in vectors() {
        std::fs::write(vectors_dir().join(file), bytes).expect(file);
    }
}
