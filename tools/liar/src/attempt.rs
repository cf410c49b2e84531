//! One lie from the first vote of the others to their last answer.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use votekit_core::authority::TermLeader;
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixSeconds;
use votekit_store::Ledger;

use crate::folder::AuthorityFolder;
use crate::history::History;
use crate::lie::Lie;
use crate::proposal::{self, Forged};
use crate::round::{Answers, Leader};

/// The interval at which a liar checks whether the log and the staging allow its lie.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// How long it waits for the votes of all others before it continues with those that it has.
const VOTES_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the head of the log must stay unchanged before the false block is proposed. In that
/// time, blocks that a quorum accepted under the previous leader are appended.
const SETTLED: Duration = Duration::from_millis(1_500);

/// One lie, and how long it may take.
pub struct Attempt<'a> {
    /// The data folder of the authority that lies.
    pub folder: &'a AuthorityFolder,
    /// The election.
    pub law_id: &'a ElectionId,
    /// The lie.
    pub lie: Lie,
    /// How long to wait for a block that allows the lie.
    pub wait: Duration,
    /// How long to wait for the answers of the others.
    pub answers: Duration,
    /// How long the others have, once all have refused, to suspect the liar.
    pub aftermath: Duration,
}

/// The outcome of a lie.
pub struct Outcome {
    /// Whether a false block is certified.
    pub is_believed: bool,
    /// The proposals and the answers of the others, as `votekit-liar` prints them.
    pub description: Value,
}

impl Attempt<'_> {
    /// Proposes the false block while `leader` has the lease, and reads the answers.
    ///
    /// # Errors
    /// When the ledger fails, a file of the folder is missing, or no block allows the lie in time.
    pub async fn run(&self, ledger: &dyn Ledger, leader: &Leader) -> Result<Outcome> {
        let leadership = TermLeader { term: leader.term, leader: self.folder.name().clone() };
        let mut answers = Answers::new(self.folder, self.law_id, &leadership);
        let others = answers.others();
        answers.wait(ledger, VOTES_TIMEOUT, |answers| answers.voters().len() >= others).await?;
        settle(ledger, self.law_id, self.wait).await?;

        let proposing = match self.lie {
            Lie::StaleTerm => {
                let term = answers.term_of_another();
                let term = term.context("no earlier term in which all others voted for another")?;
                TermLeader { term, ..leadership.clone() }
            }
            _ => leadership.clone(),
        };
        let forged = self.forge(ledger, &proposing).await?;
        let mut outcomes = Vec::new();
        for block in &forged {
            outcomes.push(block.put(ledger, self.folder, leader.holder()).await?);
        }
        let height = forged.first().context("a lie proposes a block")?.height();
        answers.expect(height, proposing.term);
        answers.wait(ledger, self.answers, Answers::is_refused_by_all).await?;
        if answers.is_refused_by_all() {
            answers.wait(ledger, self.aftermath, |_| false).await?;
        }

        let mut proposals = Vec::new();
        let mut certified = 0;
        for (block, outcome) in forged.iter().zip(outcomes) {
            let is_certified = block.is_in_log(ledger).await?;
            certified += usize::from(is_certified);
            proposals.push(block.describe(&outcome, is_certified));
        }
        // In this lie both blocks are valid, and one of them may be certified: the lie is that
        // there are two.
        let allowed = usize::from(self.lie == Lie::SecondRoot);
        let is_believed = certified > allowed;
        let description = answers.describe(self.lie.name(), proposals, is_believed);
        Ok(Outcome { is_believed, description })
    }

    /// Makes the false block, or the two of [`Lie::SecondRoot`], as soon as the honest next block
    /// allows it.
    async fn forge(&self, ledger: &dyn Ledger, leadership: &TermLeader) -> Result<Vec<Forged>> {
        let until = Instant::now() + self.wait;
        loop {
            let history = History::read(ledger, self.folder, self.law_id).await?;
            match proposal::forge(&history, self.folder, self.lie, leadership, now()?)? {
                Ok(forged) => return Ok(forged),
                Err(_) if Instant::now() < until => tokio::time::sleep(POLL_INTERVAL).await,
                Err(reason) => bail!("no block that allows the lie: {reason}"),
            }
        }
    }
}

/// Waits until the log has not grown for a while.
async fn settle(ledger: &dyn Ledger, law_id: &ElectionId, timeout: Duration) -> Result<()> {
    let until = Instant::now() + timeout;
    let (mut height, mut since) = (0, Instant::now());
    while since.elapsed() < SETTLED && Instant::now() < until {
        let head = ledger.head(law_id).await?.context("the election has no log")?;
        if head.height != height {
            (height, since) = (head.height, Instant::now());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// The time of this machine.
pub(crate) fn now() -> Result<UnixSeconds> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(UnixSeconds(since.context("reading the clock")?.as_secs()))
}
