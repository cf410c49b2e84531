//! A small referendum for tests: a hashed roll, a data folder, a node, votes.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use votekit_core::credential::{Credential, CredentialHasher, HashScheme, Pepper};
use votekit_core::decision::Decision;
use votekit_core::envelope::VoteRequest;
use votekit_core::id::{Digest, ElectionId, RequestId};
use votekit_core::manifest::{FileRow, LawRow, Manifest, ManifestBody, PepperMarks, RollFacts};
use votekit_core::shard::{Changes, ShardFormat, ShardHead};
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;
use votekit_node::{AdminError, CreateElection, ElectionFault, Node, OpenElection, VoteStatus};

pub(crate) const LAW: &str = "L2025-001";

pub(crate) fn law() -> ElectionId {
    LAW.parse().expect("a law id")
}

/// The credential of the elector with index `index`.
pub(crate) fn credential(index: u32) -> Credential {
    credential_for(LAW, "CODE", index)
}

/// The credential of the elector with index `index` for a law, with a code that begins with these
/// letters.
pub(crate) fn credential_for(law_id: &str, letters: &str, index: u32) -> Credential {
    Credential::parse(
        format!("0{index:08}").as_bytes(),
        format!("{letters}{index:04}").as_bytes(),
        law_id.as_bytes(),
    )
    .expect("well formed")
}

pub(crate) fn vote(index: u32, choice: &str) -> VoteRequest {
    VoteRequest { credential: credential(index), choice: choice.parse().expect("a choice id") }
}

pub(crate) fn pepper() -> Pepper {
    Pepper::from_bytes([7; 32])
}

fn hasher(peppered: bool) -> CredentialHasher {
    if peppered { CredentialHasher::peppered(&pepper()) } else { CredentialHasher::plain() }
}

fn body(peppered: bool, rows: u64) -> ManifestBody {
    ManifestBody {
        tool: "votekit test".to_owned(),
        scheme: if peppered { HashScheme::HmacSha256 } else { HashScheme::Sha256 },
        pepper: peppered.then(|| PepperMarks::new(&pepper())),
        date: None,
        parent: None,
        roll: RollFacts {
            sha256: Digest::compute(b"roll"),
            rows,
            duplicates: 0,
            rejects: 0,
            code_length_min: 8,
        },
        laws: vec![],
        shards: vec![],
        changes: vec![],
    }
}

/// Writes a hashed roll of `electors` electors, as `hashgen` does, and returns its manifest.
pub(crate) fn write_roll(folder: &Path, electors: u32, peppered: bool) -> Manifest {
    let hasher = hasher(peppered);
    let mut keys: Vec<_> = (0..electors)
        .map(|index| {
            let credential = credential(index);
            hasher.registry_key(&credential.nas, &credential.code, &credential.law_id)
        })
        .collect();
    keys.sort_unstable();
    let head = ShardHead { law_id: law(), shard: 1, shards: 1 };
    let bytes = head.encode(ShardFormat::Json, &keys);
    let file = head.file_name(ShardFormat::Json);
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join(&file), &bytes).expect("written");
    let count = u64::from(electors);
    let manifest = Manifest::new(ManifestBody {
        laws: vec![LawRow { law_id: law(), registered: count, shards: 1, revoked: 0 }],
        shards: vec![FileRow {
            file,
            law_id: law(),
            shard: 1,
            count,
            sha256: Digest::compute(&bytes),
        }],
        ..body(peppered, count)
    })
    .expect("consistent");
    std::fs::write(folder.join("manifest.json"), manifest.encode()).expect("written");
    manifest
}

/// Writes one hashed roll of several laws in ascending order, each with the first letters of its
/// codes and the number of its electors, and returns its manifest.
pub(crate) fn write_roll_of_laws(folder: &Path, laws: &[(&str, &str, u32)]) -> Manifest {
    std::fs::create_dir_all(folder).expect("a folder");
    let hasher = hasher(false);
    let (mut rows, mut shards) = (Vec::new(), Vec::new());
    for (law_id, letters, electors) in laws {
        let key = |index| {
            let credential = credential_for(law_id, letters, index);
            hasher.registry_key(&credential.nas, &credential.code, &credential.law_id)
        };
        let mut keys: Vec<_> = (0..*electors).map(key).collect();
        keys.sort_unstable();
        let law_id: ElectionId = law_id.parse().expect("a law id");
        let head = ShardHead { law_id: law_id.clone(), shard: 1, shards: 1 };
        let bytes = head.encode(ShardFormat::Json, &keys);
        let file = head.file_name(ShardFormat::Json);
        std::fs::write(folder.join(&file), &bytes).expect("written");
        let count = u64::from(*electors);
        rows.push(LawRow { law_id: law_id.clone(), registered: count, shards: 1, revoked: 0 });
        shards.push(FileRow { file, law_id, shard: 1, count, sha256: Digest::compute(&bytes) });
    }
    let electors = rows.iter().map(|row| row.registered).sum();
    let body = ManifestBody { laws: rows, shards, ..body(false, electors) };
    let manifest = Manifest::new(body).expect("consistent");
    std::fs::write(folder.join("manifest.json"), manifest.encode()).expect("written");
    manifest
}

/// Writes a supplement that adds and revokes electors, and returns its manifest.
pub(crate) fn write_supplement(
    folder: &Path,
    parent: &Manifest,
    add: &[u32],
    revoke: &[u32],
    peppered: bool,
) -> Manifest {
    let hasher = hasher(peppered);
    let keys = |indices: &[u32]| {
        let mut keys: Vec<_> = indices
            .iter()
            .map(|index| {
                let credential = credential(*index);
                hasher.registry_key(&credential.nas, &credential.code, &credential.law_id)
            })
            .collect();
        keys.sort_unstable();
        keys
    };
    let changes = Changes::new(law(), keys(add), keys(revoke), vec![]).expect("disjoint");
    let bytes = changes.encode();
    let file = Changes::file_name(&law());
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join(&file), &bytes).expect("written");
    let (added, revoked) = (add.len() as u64, revoke.len() as u64);
    let manifest = Manifest::new(ManifestBody {
        parent: Some(parent.digest()),
        laws: vec![LawRow { law_id: law(), registered: added, shards: 0, revoked }],
        changes: vec![FileRow {
            file,
            law_id: law(),
            shard: 1,
            count: added + revoked,
            sha256: Digest::compute(&bytes),
        }],
        ..body(peppered, added + revoked)
    })
    .expect("consistent");
    std::fs::write(folder.join("manifest.json"), manifest.encode()).expect("written");
    manifest
}

pub(crate) fn create_request() -> CreateElection {
    CreateElection {
        law_id: LAW.to_owned(),
        title_fr: "Loi sur l’eau".to_owned(),
        title_en: "Water Act".to_owned(),
        description_fr: String::new(),
        description_en: String::new(),
        choices: vec![],
        blank: true,
        binding: false,
        results: None,
        publish_every: Some(1),
        opens: None,
        closes: None,
    }
}

/// A temporary folder with a roll in `hashes` and a data folder in `node`.
pub(crate) struct TestDir {
    pub(crate) folder: TempDir,
    pub(crate) manifest: Manifest,
}

impl TestDir {
    pub(crate) fn new(electors: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let manifest = write_roll(&folder.path().join("hashes"), electors, false);
        Self { folder, manifest }
    }

    /// As [`TestDir::new`], with the roll of [`write_roll_of_laws`].
    pub(crate) fn with_laws(laws: &[(&str, &str, u32)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let manifest = write_roll_of_laws(&folder.path().join("hashes"), laws);
        Self { folder, manifest }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the node in `node`.
    pub(crate) async fn start(&self) -> Node {
        let config = Config { rate_limit_per_second: 0, ..Config::default() };
        let folder = DataFolder::open(&self.path("node"), None).expect("a data folder");
        Node::start(folder, config).await.expect("the node starts")
    }

    /// Starts the node with the roll loaded and the poll open.
    pub(crate) async fn open_poll(&self) -> Node {
        let node = self.start().await;
        node.load(&self.path("hashes"), None).await.expect("loaded");
        node.create(create_request()).await.expect("created");
        node.open(&law(), OpenElection::default()).await.expect("opened");
        node
    }

    /// Starts the node with the roll loaded and a poll open for each of its laws.
    pub(crate) async fn open_polls(&self) -> Node {
        let node = self.start().await;
        self.open_polls_of(&node).await;
        node
    }

    /// Loads the roll into a node, and opens a poll for each of its laws.
    pub(crate) async fn open_polls_of(&self, node: &Node) {
        node.load(&self.path("hashes"), None).await.expect("loaded");
        for row in &self.manifest.body().laws {
            let request = CreateElection {
                law_id: row.law_id.to_string(),
                title_fr: format!("Loi {}", row.law_id),
                title_en: format!("Act {}", row.law_id),
                ..create_request()
            };
            node.create(request).await.expect("created");
            node.open(&row.law_id, OpenElection::default()).await.expect("opened");
        }
    }
}

/// The decision of a request, which is made soon.
pub(crate) async fn decided(node: &Node, request: RequestId) -> Decision {
    match node.wait(request, Duration::from_secs(30)).await.expect("the ledger answers") {
        Some(VoteStatus::Decided(decision)) => decision,
        other => panic!("not decided: {other:?}"),
    }
}

/// An upper bound for waits while engines fail or nodes are replaced: not a target, and above the
/// bounds of the tests themselves.
pub(crate) const HANG_TIMEOUT: Duration = Duration::from_secs(300);

/// The decision of a request, however late: the node may not know the request yet, or the ledger
/// may fail meanwhile.
pub(crate) async fn decided_at_last(node: &Node, request: RequestId) -> Decision {
    let until = Instant::now() + HANG_TIMEOUT;
    loop {
        if let Ok(Some(VoteStatus::Decided(decision))) =
            node.wait(request, Duration::from_millis(200)).await
        {
            return decision;
        }
        assert!(Instant::now() < until, "{request} is not decided");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Retries while the node does not lead, another leader's block overtakes the call's block, or an
/// engine is unavailable.
pub(crate) async fn insist<T>(mut call: impl AsyncFnMut() -> Result<T, AdminError>) -> T {
    let until = Instant::now() + HANG_TIMEOUT;
    loop {
        match call().await {
            Ok(done) => return done,
            Err(
                error @ (AdminError::NotLeading { .. }
                | AdminError::Engine(_)
                | AdminError::Election(
                    ElectionFault::Superseded { .. }
                    | ElectionFault::LeadershipLost { .. }
                    | ElectionFault::TooLate { .. },
                )
                | AdminError::Busy { .. }),
            ) => {
                assert!(Instant::now() < until, "{error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("refused: {error}"),
        }
    }
}
