//! An installation of several authorities and one ingest node in one process, over one embedded
//! ledger: for tests.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::{create_request, law, vote, write_roll};
use rusqlite::Connection;
use votekit_core::authority::AuthoritySet;
use votekit_core::decision::Decision;
use votekit_core::id::RequestId;
use votekit_core::log::note::KeyName;
use votekit_core::log::policy::Policy;
use votekit_node::config::{Config, Role};
use votekit_node::data_folder::DataFolder;
use votekit_node::node_record::NodeRecord;
use votekit_node::{AdminError, CreateElection, Node, NodeError, OpenElection, VoteStatus};
use votekit_store::Engines;
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::memory::MemoryError;

/// An upper bound for waits, not a target.
pub(crate) const WAIT: Duration = Duration::from_secs(30);

/// An installation of authorities and one ingest node.
pub(crate) struct Installation {
    folder: tempfile::TempDir,
    engines: Option<Engines>,
    pub(crate) authorities: Vec<Option<Node>>,
    ingest: Option<Node>,
    policy: Policy,
    leader_term_seconds: u64,
}

pub(crate) fn base() -> KeyName {
    "votes.example.org".parse().expect("a name")
}

pub(crate) fn path_of(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("authority-{number}"))
}

/// Waits until a condition holds. `otherwise` states what is wrong if it never does.
pub(crate) async fn wait_until(otherwise: &str, condition: impl AsyncFn() -> bool) {
    let until = Instant::now() + WAIT;
    while !condition().await {
        assert!(Instant::now() < until, "{otherwise}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn config(roles: &[Role]) -> Config {
    Config { roles: roles.to_vec(), rate_limit_per_second: 0, ..Config::default() }
}

impl Installation {
    /// Starts `count` authorities with this quorum, and an ingest node.
    pub(crate) async fn start(count: usize, quorum: usize) -> Self {
        Self::start_as(count, quorum, 0, |set| set).await
    }

    /// The same, with leaders that step down after a time; 0: they do not.
    pub(crate) async fn start_with_terms(
        count: usize,
        quorum: usize,
        leader_term_seconds: u64,
    ) -> Self {
        Self::start_as(count, quorum, leader_term_seconds, |set| set).await
    }

    /// The same, with a change to the file of the authorities: outside witnesses.
    pub(crate) async fn start_with(
        count: usize,
        quorum: usize,
        change: impl FnOnce(AuthoritySet) -> AuthoritySet,
    ) -> Self {
        Self::start_as(count, quorum, 0, change).await
    }

    /// Starts three authorities with a quorum of two, opens the poll and casts the first vote.
    pub(crate) async fn start_with_vote() -> Self {
        let installation = Self::start(3, 2).await;
        installation.open_poll().await;
        installation.assert_accepts(0, "oui").await;
        installation
    }

    async fn start_as(
        count: usize,
        quorum: usize,
        leader_term_seconds: u64,
        change: impl FnOnce(AuthoritySet) -> AuthoritySet,
    ) -> Self {
        if std::env::var_os("VOTEKIT_TEST_LOG").is_some() {
            let _ = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).try_init();
        }
        let folder = tempfile::tempdir().expect("a folder");
        let members = (1..=count)
            .map(|number| {
                let name: KeyName = format!("a{number}").parse().expect("a name");
                let path = path_of(folder.path(), number);
                let made = DataFolder::create_authority(&path, &base(), &name).expect("made");
                made.authority_member().expect("its keys")
            })
            .collect();
        let set = change(AuthoritySet::new(base(), quorum, members).expect("a set"));
        let ingest_path = folder.path().join("ingest");
        drop(DataFolder::open(&ingest_path, Some(&base())).expect("opened"));
        for path in (1..=count).map(|number| path_of(folder.path(), number)) {
            std::fs::write(path.join("authorities"), set.as_bytes()).expect("written");
        }
        std::fs::write(ingest_path.join("authorities"), set.as_bytes()).expect("written");
        let engines = open_engines(folder.path()).await;
        let mut authorities = Vec::new();
        for number in 1..=count {
            let node = start_authority(folder.path(), number, &engines, leader_term_seconds);
            authorities.push(Some(node.await));
        }
        let ingest = Some(start_ingest(folder.path(), &engines).await);
        let engines = Some(engines);
        let policy = set.policy(&law(), false).expect("a policy");
        Self { folder, engines, authorities, ingest, policy, leader_term_seconds }
    }

    /// Waits for a leader, and returns the index of that authority.
    pub(crate) async fn leader(&self) -> usize {
        let until = Instant::now() + WAIT;
        loop {
            let leads = |node: &Option<Node>| node.as_ref().is_some_and(Node::leads);
            if let Some(index) = self.authorities.iter().position(leads) {
                return index;
            }
            assert!(Instant::now() < until, "no authority leads");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The tables of the ledger, as its administrator has them.
    pub(crate) fn tables(&self) -> Connection {
        let path = self.path().join("ledger/ledger.sqlite");
        let tables = Connection::open(path).expect("the ledger");
        tables.busy_timeout(WAIT).expect("set");
        tables
    }

    /// Closes the poll, which must have accepted this many votes.
    pub(crate) async fn assert_closes(&self, accepted: u64) {
        let closed = self.by_leader(async |node| node.close(&law()).await).await;
        assert_eq!((closed.state.as_str(), closed.accepted), ("closed", accepted));
    }

    /// Closes the poll as [`Self::assert_closes`] does, and stops once the authorities agree.
    pub(crate) async fn close_and_stop(self, accepted: u64) {
        self.assert_closes(accepted).await;
        self.assert_agreement().await;
        self.stop().await;
    }

    /// No running authority has halted the election.
    pub(crate) fn assert_none_halted(&self) {
        for (index, node) in self.authorities.iter().enumerate() {
            let halted = node.as_ref().and_then(|node| node.halted(&law()));
            assert_eq!(halted, None, "a{}", index + 1);
        }
    }

    /// Repeats a call on the authority that leads, until it is not refused for that reason.
    pub(crate) async fn by_leader<T>(
        &self,
        call: impl AsyncFn(&Node) -> Result<T, AdminError>,
    ) -> T {
        let until = Instant::now() + WAIT;
        loop {
            let leader = self.leader().await;
            let node = self.authorities[leader].as_ref().expect("it runs");
            match call(node).await {
                Ok(done) => return done,
                Err(error) => {
                    assert!(Instant::now() < until, "{error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Creates and opens an election of 40 electors.
    pub(crate) async fn open_poll(&self) {
        let roll = self.folder.path().join("roll");
        write_roll(&roll, 40, false);
        for node in self.authorities.iter().flatten() {
            node.load(&roll, None).await.expect("kept");
        }
        let record = self.ingest_record();
        self.by_leader(async |node| node.admit_record(&record).await).await;
        let request = CreateElection { publish_every: Some(1), ..create_request() };
        self.by_leader(async |node| node.create(request.clone()).await).await;
        self.by_leader(async |node| node.open(&law(), OpenElection::default()).await).await;
        wait_until("the ingest node does not see the open poll", async || {
            self.ingest().election(&law()).is_some_and(|view| view.state == "open")
        })
        .await;
    }

    /// The policy of the election.
    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The folder of everything.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn ingest(&self) -> &Node {
        self.ingest.as_ref().expect("the ingest node runs")
    }

    pub(crate) fn authority(&self, index: usize) -> &Node {
        self.authorities[index].as_ref().expect("the authority runs")
    }

    pub(crate) fn engines(&self) -> &Engines {
        self.engines.as_ref().expect("the ledger is open")
    }

    /// Kills an authority: nothing more is published, sealed or reported.
    pub(crate) fn kill(&mut self, index: usize) {
        self.authorities[index].take().expect("it runs").abandon();
    }

    /// Kills the two of three authorities that do not lead. Returns their indices.
    pub(crate) async fn kill_followers(&mut self) -> [usize; 2] {
        let leader = self.leader().await;
        let followers = [(leader + 1) % 3, (leader + 2) % 3];
        for follower in followers {
            self.kill(follower);
        }
        followers
    }

    /// Stops an authority in order.
    pub(crate) async fn shut_down(&mut self, index: usize) {
        self.authorities[index].take().expect("it runs").shutdown().await;
    }

    /// Kills the ingest node.
    pub(crate) fn kill_ingest(&mut self) {
        self.ingest.take().expect("it runs").abandon();
    }

    /// Stops every node, then the ledger.
    pub(crate) async fn stop_all(&mut self) {
        if let Some(ingest) = self.ingest.take() {
            ingest.shutdown().await;
        }
        for node in self.authorities.iter_mut().filter_map(Option::take) {
            node.shutdown().await;
        }
        self.engines = None;
        // Tests copy and replace its files: nothing may be about to write or remove one.
        drop(open_engines(self.folder.path()).await);
    }

    /// Opens the ledger and starts the authorities, without the ingest node.
    pub(crate) async fn start_authorities(&mut self) {
        let engines = open_engines(self.folder.path()).await;
        for index in 0..self.authorities.len() {
            let seconds = self.leader_term_seconds;
            let node = start_authority(self.folder.path(), index + 1, &engines, seconds).await;
            self.authorities[index] = Some(node);
        }
        self.engines = Some(engines);
    }

    pub(crate) async fn start_ingest(&mut self) {
        let node = start_ingest(self.folder.path(), self.engines()).await;
        self.ingest = Some(node);
    }

    /// Size and root of the log as each running authority has it.
    pub(crate) fn logs(&self) -> Vec<String> {
        let nodes = self.authorities.iter().flatten();
        nodes
            .map(|node| node.checkpoint(&law()).map_or_else(String::new, |head| text(&head)))
            .collect()
    }

    /// Waits until each running authority has this log.
    pub(crate) async fn wait_for_log(&self, wanted: &str) {
        let until = Instant::now() + WAIT;
        while self.logs().iter().any(|log| log != wanted) {
            assert!(Instant::now() < until, "{wanted}: {:?}", self.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn ingest_record(&self) -> NodeRecord {
        let folder = DataFolder::peek(&self.folder.path().join("ingest")).expect("a folder");
        folder.node_record(&"ingest-1".parse().expect("a name")).expect("its keys")
    }

    /// Casts a vote under a key of this call: a vote whose outcome is unknown is sent again as the
    /// same request, and each call is another one.
    pub(crate) async fn cast(&self, index: u32, choice: &str) -> Decision {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let key = format!("call {}", CALLS.fetch_add(1, Ordering::Relaxed));
        let until = Instant::now() + WAIT;
        loop {
            match self.ingest().submit(&vote(index, choice), Some(key.as_bytes()), None).await {
                Ok(request) => match self.ingest().wait(request, WAIT).await.expect("answers") {
                    Some(VoteStatus::Decided(decision)) => return decision,
                    other => panic!("not decided: {other:?}"),
                },
                Err(error) => {
                    assert!(Instant::now() < until, "{error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Casts a vote, which must be accepted.
    pub(crate) async fn assert_accepts(&self, index: u32, choice: &str) {
        let decision = self.cast(index, choice).await;
        assert!(matches!(decision, Decision::Accepted { .. }), "{decision:?}");
    }

    /// Submits a vote, which is answered without a majority of the authorities.
    pub(crate) async fn submit(&self, index: u32, choice: &str) -> RequestId {
        let request = self.ingest().submit(&vote(index, choice), None, None).await;
        request.expect("answered without a majority")
    }

    /// Waits for the decision on a submitted vote, which must be accepted.
    pub(crate) async fn assert_accepted(&self, request: RequestId) {
        let decided = self.ingest().wait(request, WAIT).await.expect("answers");
        let is_accepted = matches!(&decided, Some(VoteStatus::Decided(Decision::Accepted { .. })));
        assert!(is_accepted, "{decided:?}");
    }

    pub(crate) async fn restart(&mut self, index: usize) {
        let (engines, seconds) = (self.engines(), self.leader_term_seconds);
        let node = start_authority(self.folder.path(), index + 1, engines, seconds).await;
        self.authorities[index] = Some(node);
    }

    /// Every authority has the same log, and its checkpoint carries a quorum.
    pub(crate) async fn assert_agreement(&self) {
        let until = Instant::now() + WAIT;
        loop {
            let signed = |head: Vec<u8>| {
                let verified = self.policy.verify_strict_by_authorities(&head);
                verified.expect("a quorum has cosigned");
                text(&head)
            };
            // An authority outside the quorum may not have read of the election yet.
            let texts: Vec<Option<String>> = self
                .authorities
                .iter()
                .flatten()
                .map(|node| node.checkpoint(&law()).map(signed))
                .collect();
            if texts.iter().all(Option::is_some) && texts.windows(2).all(|pair| pair[0] == pair[1])
            {
                return;
            }
            assert!(Instant::now() < until, "{texts:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn stop(self) {
        for node in self.authorities.into_iter().flatten() {
            node.shutdown().await;
        }
        if let Some(ingest) = self.ingest {
            ingest.shutdown().await;
        }
    }
}

async fn start_authority(
    folder: &Path,
    number: usize,
    engines: &Engines,
    leader_term_seconds: u64,
) -> Node {
    let until = Instant::now() + WAIT;
    loop {
        // The folder of a node that was killed a moment ago may still be locked.
        match DataFolder::open(&path_of(folder, number), None) {
            Ok(opened) => {
                let config = Config { leader_term_seconds, ..config(&[Role::Seal, Role::Query]) };
                match Node::start_on(opened, config, engines.clone()).await {
                    // So may its memory.
                    Err(NodeError::Memory(MemoryError::InUse { .. })) if Instant::now() < until => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    started => return started.expect("started"),
                }
            }
            Err(error) => {
                assert!(Instant::now() < until, "{error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The first lines of a checkpoint: origin, size and root.
fn text(checkpoint: &[u8]) -> String {
    String::from_utf8_lossy(checkpoint).lines().take(3).collect::<Vec<_>>().join(" ")
}

/// The ledger. That of an earlier run may still be closing.
async fn open_engines(folder: &Path) -> Engines {
    let until = Instant::now() + WAIT;
    loop {
        match EmbeddedEngine::open(&folder.join("ledger")) {
            Ok(engine) => return engine.into_shared(),
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn start_ingest(folder: &Path, engines: &Engines) -> Node {
    let until = Instant::now() + WAIT;
    loop {
        match DataFolder::open(&folder.join("ingest"), None) {
            Ok(opened) => {
                let config = config(&[Role::Ingest, Role::Validate, Role::Query]);
                return Node::start_on(opened, config, engines.clone()).await.expect("started");
            }
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
