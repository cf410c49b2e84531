//! Copies of the documents that are only in the ledger, in the memory of this authority: the keys
//! of elections as they are encrypted to each recipient, and the records of nodes.
//!
//! If the ledger was restored from an older copy, the documents that it lacks are stored again;
//! documents that it has are never replaced. Once a draft is certified its keys do not change, so
//! the first copy is the true copy. The record of a node changes once, when the node is retired.
//! Retirement is final: if a copy says that a node was retired and the ledger does not, the ledger
//! is older and the copy counts. After a purge no copy of keys remains.
//!
//! Only records that are signed in the ledger are copied. The authority that restores a record
//! signs it, because the former signer may have new keys since.
//!
//! Ledger and copies are compared at the start, after the ledger was found restored from an older
//! copy, and when an election or the record of a node is new. They are also compared once a minute,
//! in two queries for all elections, to find changes that no event announced.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use votekit_core::id::ElectionId;
use votekit_store::memory::{AuthorityMemory, SealedKey};
use votekit_store::retry::until_definite;

use crate::authority::AuthorityContext;
use crate::context::NodeContext;
use crate::election::ElectionHandle;
use crate::error::ElectionFault;
use crate::node_record::Admission;

/// The time between two comparisons without an event.
const COMPARE_INTERVAL: Duration = Duration::from_secs(60);

/// The pause after a comparison that failed, or that left out an election of which this node has
/// not read the last block yet.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// The time from an event to its comparison: the keys that are encrypted to a node follow its
/// record.
const EVENT_DELAY: Duration = Duration::from_secs(1);

/// An election and the public key of a recipient.
type KeyOwner = (ElectionId, [u8; 32]);

/// Keeps copies, and stores lost documents again, as long as the node runs.
pub(crate) async fn run(context: Arc<NodeContext>, authority: Arc<AuthorityContext>) {
    let mut rollbacks = authority.rollback_changes();
    let mut records = authority.record_changes();
    let mut elections = context.listed.subscribe();
    loop {
        rollbacks.mark_unchanged();
        records.mark_unchanged();
        elections.mark_unchanged();
        let is_complete = match compare(&context, &authority).await {
            Ok(is_complete) => is_complete,
            Err(error) => {
                tracing::warn!(
                    event = "documents_not_compared",
                    %error,
                    "documents of the ledger not compared with this authority's copies, retrying"
                );
                false
            }
        };
        // The senders live as long as the node.
        tokio::select! {
            Ok(()) = rollbacks.changed() => {}
            Ok(()) = records.changed() => {}
            Ok(()) = elections.changed() => {}
            () = tokio::time::sleep(pause_after(is_complete)) => continue,
        }
        tokio::time::sleep(EVENT_DELAY).await;
    }
}

fn pause_after(is_complete: bool) -> Duration {
    if is_complete { COMPARE_INTERVAL } else { RETRY_INTERVAL }
}

/// Keeps copies of new documents of the ledger, and stores the documents again that it lacks.
/// Returns whether no election was left out.
async fn compare(
    context: &NodeContext,
    authority: &AuthorityContext,
) -> Result<bool, ElectionFault> {
    let nodes = compare_records(context, authority).await?;
    let mut recipients: Vec<[u8; 32]> =
        authority.set.members().iter().map(|member| member.transport).collect();
    recipients.extend(nodes.iter().map(|known| *known.record.transport.as_bytes()));
    let read = || context.ledger.sealed_key_recipients();
    let stored = until_definite("read_documents", read).await?.into_iter().collect();
    let keys = KeyComparison { context, authority, recipients, stored };
    let mut is_complete = true;
    for election in context.elections() {
        is_complete &= keys.compare(&election).await? || election.halted().is_some();
    }
    Ok(is_complete)
}

/// Compares the records of nodes. Returns all of them.
async fn compare_records(
    context: &NodeContext,
    authority: &AuthorityContext,
) -> Result<Vec<Admission>, ElectionFault> {
    let ledger = &context.ledger;
    let stored = until_definite("read_documents", || ledger.node_records()).await?;
    // Statuses of authorities are not documents to copy, and anything may have been written beside
    // them.
    let mut stored = Admission::all_in_ledger(&stored, Some(&authority.set));
    let kept = Admission::all_kept(&authority.durable(|memory| memory.node_records()).await?);
    let new = stored.iter().filter(|known| is_to_be_kept(known, &kept));
    let new: Vec<Admission> = new.cloned().collect();
    for known in new {
        let (name, bytes) = (known.record.name.to_string(), known.to_bytes());
        authority.durable(move |memory| memory.keep_node_record(&name, &bytes)).await?;
    }
    let lost: Vec<Admission> = kept.into_iter().filter(|known| is_lost(known, &stored)).collect();
    // An authority whose memory was restored from an older copy signs nothing more.
    for known in lost.into_iter().filter(|_| !authority.is_rolled_back()) {
        put_record_back(context, authority, &known).await?;
        stored.retain(|other| other.record.name != known.record.name);
        stored.push(known);
    }
    Ok(stored)
}

/// Whether the ledger has a record, or a retirement, that the memory must copy. It keeps one record
/// of each name: another node under the name of a retired node, which no honest authority admits,
/// does not displace the retirement.
fn is_to_be_kept(stored: &Admission, kept: &[Admission]) -> bool {
    match kept.iter().find(|known| known.record.name == stored.record.name) {
        Some(known) if known.is_retired => false,
        Some(known) => stored.is_retired || known.record != stored.record,
        None => true,
    }
}

/// Whether the ledger has lost a record that the memory has kept, or the retirement of its node.
fn is_lost(kept: &Admission, stored: &[Admission]) -> bool {
    match stored.iter().find(|known| known.record.name == kept.record.name) {
        Some(known) => kept.is_retired && !known.is_retired && known.record == kept.record,
        None => true,
    }
}

async fn put_record_back(
    context: &NodeContext,
    authority: &AuthorityContext,
    known: &Admission,
) -> Result<(), ElectionFault> {
    let (ledger, name) = (&context.ledger, known.record.name.as_str());
    let bytes = known.signed_by(authority.key());
    until_definite("put_document", || ledger.put_node_record(name, &bytes)).await?;
    if known.is_retired {
        // The node may have begun an epoch meanwhile, and the fences of its earlier epochs are
        // lost.
        let node = known.record.key.node_id();
        for election in context.elections() {
            let fence = || ledger.fence(election.law_id(), node);
            until_definite("fence_node", fence).await?;
        }
    }
    tracing::error!(
        event = "document_restored",
        alarm = true,
        node = name,
        retired = known.is_retired,
        "the ledger had lost the record of a node, or that it was retired"
    );
    Ok(())
}

/// Compares the sealed keys of elections with their copies.
struct KeyComparison<'a> {
    context: &'a NodeContext,
    authority: &'a AuthorityContext,
    recipients: Vec<[u8; 32]>,
    /// The owners of the sealed keys that the ledger has.
    stored: BTreeSet<KeyOwner>,
}

impl KeyComparison<'_> {
    /// Compares the keys of an election. Returns whether that is done.
    async fn compare(&self, election: &ElectionHandle) -> Result<bool, ElectionFault> {
        let law_id = election.law_id();
        let kept = read_copies(self.authority, law_id).await?;
        let is_purged = election.log().is_purged();
        if is_purged {
            // A copy that was kept, or stored again, while another authority purged the keys.
            if !kept.is_empty() {
                purge_everywhere(self.context, self.authority, law_id).await?;
            }
            return Ok(true);
        }
        // A block that this node has not read yet may be a purge.
        if election.position().height != election.committed().height {
            return Ok(false);
        }
        for recipient in &self.recipients {
            let copy = kept.iter().find(|(of, _)| of == recipient).map(|(_, bytes)| bytes);
            let is_done = match (self.stored.contains(&(law_id.clone(), *recipient)), copy) {
                (true, None) => self.keep(law_id, recipient).await?,
                (false, Some(bytes)) => self.restore(election, recipient, bytes).await?,
                _ => true,
            };
            if !is_done {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Keeps a copy of a key. Returns whether that is done.
    async fn keep(&self, law_id: &ElectionId, recipient: &[u8; 32]) -> Result<bool, ElectionFault> {
        let read = || self.context.ledger.sealed_key(law_id, recipient);
        let Some(bytes) = until_definite("read_documents", read).await? else { return Ok(false) };
        let (law, recipient) = (law_id.clone(), *recipient);
        let keep = move |memory: &AuthorityMemory| memory.keep_sealed_key(&law, &recipient, &bytes);
        self.authority.durable(keep).await?;
        Ok(true)
    }

    /// Stores a key again that the ledger was found to lack. Returns whether that is done.
    async fn restore(
        &self,
        election: &ElectionHandle,
        recipient: &[u8; 32],
        bytes: &[u8],
    ) -> Result<bool, ElectionFault> {
        let (ledger, law_id) = (&self.context.ledger, election.law_id());
        // A list may lack an existing key, and the position of the log may be outdated.
        let read = || ledger.sealed_key(law_id, recipient);
        if until_definite("read_documents", read).await?.is_some() {
            return Ok(true);
        }
        let head = until_definite("read_head", || ledger.head(law_id)).await?;
        if head.is_none_or(|head| head.height != election.committed().height) {
            return Ok(false);
        }
        let put = || ledger.put_sealed_key(law_id, recipient, bytes);
        until_definite("put_document", put).await?;
        tracing::error!(
            event = "document_restored",
            alarm = true,
            %law_id,
            "the ledger had lost keys of an election that are encrypted to one of its nodes"
        );
        Ok(true)
    }
}

async fn read_copies(
    authority: &AuthorityContext,
    law_id: &ElectionId,
) -> Result<Vec<SealedKey>, ElectionFault> {
    let law = law_id.clone();
    authority.durable(move |memory| memory.sealed_keys(&law)).await
}

/// Destroys the batches and sealed keys of a purged election in the own memory, and then in the
/// ledger: this authority may have stored keys there again before it read of the purge.
pub(crate) async fn purge_everywhere(
    context: &NodeContext,
    authority: &AuthorityContext,
    law_id: &ElectionId,
) -> Result<(), ElectionFault> {
    let law = law_id.clone();
    authority.durable(move |memory| memory.purge(&law)).await?;
    until_definite("purge_evidence", || context.ledger.purge_evidence(law_id)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use votekit_core::ballot::BallotSecretKey;
    use votekit_core::batch::NodeKey;

    use super::*;
    use crate::node_record::NodeRecord;

    fn admission(name: &str, key: u8, is_retired: bool) -> Admission {
        let record = NodeRecord {
            name: name.parse().expect("a name"),
            key: NodeKey::from_seed(&[key; 32]).public_key(),
            transport: BallotSecretKey::from_seed(&[key; 32]).public_key(),
        };
        Admission { record, is_retired }
    }

    #[test]
    fn admissions_are_copied_and_a_retirement_is_final() {
        let (admitted, retired) = (admission("n", 1, false), admission("n", 1, true));
        let (other, stranger) = (admission("m", 2, true), admission("n", 3, false));
        // The records in the ledger and in the memory; whether the record is copied, or stored
        // again.
        for (stored, kept, is_copied, expects_loss) in [
            (&admitted, &admitted, false, false),
            (&retired, &retired, false, false),
            (&retired, &admitted, true, false),
            (&admitted, &retired, false, true),
            (&admitted, &other, true, true),
            (&stranger, &retired, false, false),
            (&stranger, &admitted, true, false),
        ] {
            let what = format!("{stored:?}, {kept:?}");
            assert_eq!(is_to_be_kept(stored, std::slice::from_ref(kept)), is_copied, "{what}");
            assert_eq!(is_lost(kept, std::slice::from_ref(stored)), expects_loss, "{what}");
        }
        for known in [admitted, retired] {
            assert!(is_to_be_kept(&known, &[]) && is_lost(&known, &[]));
        }
    }
}
