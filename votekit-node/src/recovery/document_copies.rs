//! Copies of the documents that the ledger alone holds, in the memory of this authority: the keys
//! of elections as they are sealed to each recipient, and the records of nodes.
//!
//! What a ledger lacks that was restored from an older copy is put back; what it holds is never
//! replaced. Once a draft is certified its keys do not change, so the first copy is the true one.
//! The record of a node may change, and its copy follows the ledger. After a purge no copy of keys
//! stays.
//!
//! Ledger and copies are compared at the start, after the ledger was found put back, and when an
//! election or the record of a node is new; and once a minute, in two queries for all elections,
//! for what no event announced.

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

/// The time from an event to its comparison: the keys that are sealed to a node follow its record.
const EVENT_DELAY: Duration = Duration::from_secs(1);

/// An election and the public key of a recipient.
type KeyOwner = (ElectionId, [u8; 32]);

/// Keeps copies, and puts lost documents back, as long as the node runs.
pub(crate) async fn run(context: Arc<NodeContext>, authority: Arc<AuthorityContext>) {
    let mut put_backs = authority.put_back_changes();
    let mut records = authority.record_changes();
    let mut elections = context.listed.subscribe();
    loop {
        put_backs.mark_unchanged();
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
            Ok(()) = put_backs.changed() => {}
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

/// Keeps copies of what is new in the ledger, and puts back what it lacks. Returns whether no
/// election was left out.
async fn compare(
    context: &NodeContext,
    authority: &AuthorityContext,
) -> Result<bool, ElectionFault> {
    let records = compare_records(context, authority).await?;
    let mut recipients: Vec<[u8; 32]> =
        authority.set.members().iter().map(|member| member.transport).collect();
    recipients.extend(records.iter().filter_map(|bytes| transport_key(bytes)));
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
) -> Result<Vec<Vec<u8>>, ElectionFault> {
    let ledger = &context.ledger;
    let stored = until_definite("read_documents", || ledger.node_records()).await?;
    // Statuses of authorities are of the moment, and anything may have been written beside them.
    let mut stored = admissions(&stored);
    let kept = admissions(&authority.durable(|memory| memory.node_records()).await?);
    for (name, bytes) in &stored {
        if !kept.iter().any(|(known, copy)| known == name && copy == bytes) {
            let (name, bytes) = (name.clone(), bytes.clone());
            authority.durable(move |memory| memory.keep_node_record(&name, &bytes)).await?;
        }
    }
    for (name, bytes) in kept {
        if stored.iter().any(|(known, _)| *known == name) {
            continue;
        }
        until_definite("put_document", || ledger.put_node_record(&name, &bytes)).await?;
        tracing::error!(
            event = "document_put_back",
            alarm = true,
            node = name,
            "the ledger had lost the record of a node"
        );
        stored.push((name, bytes));
    }
    Ok(stored.into_iter().map(|(_, bytes)| bytes).collect())
}

/// The records of nodes that were admitted, under their names.
fn admissions(records: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let admissions = Admission::all(records).into_iter();
    admissions.map(|known| (known.record.name.to_string(), known.to_bytes())).collect()
}

/// Compares the sealed keys of elections with their copies.
struct KeyComparison<'a> {
    context: &'a NodeContext,
    authority: &'a AuthorityContext,
    recipients: Vec<[u8; 32]>,
    /// The keys that the ledger holds.
    stored: BTreeSet<KeyOwner>,
}

impl KeyComparison<'_> {
    /// Compares the keys of an election. Returns whether that is done.
    async fn compare(&self, election: &ElectionHandle) -> Result<bool, ElectionFault> {
        let law_id = election.law_id();
        let kept = read_copies(self.authority, law_id).await?;
        let is_purged = election.log().is_purged();
        if is_purged {
            // A copy that was kept, or put back, while another authority purged.
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
                (false, Some(bytes)) => self.put_back(election, recipient, bytes).await?,
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

    /// Puts a key back that the ledger was found to lack. Returns whether that is done.
    async fn put_back(
        &self,
        election: &ElectionHandle,
        recipient: &[u8; 32],
        bytes: &[u8],
    ) -> Result<bool, ElectionFault> {
        let (ledger, law_id) = (&self.context.ledger, election.law_id());
        // A list may lack a key that is there, and the position of the log may be an old one.
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
            event = "document_put_back",
            alarm = true,
            %law_id,
            "the ledger had lost keys of an election that are sealed to one of its nodes"
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
/// ledger: this authority may have put keys back there before it read of the purge.
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

fn transport_key(record: &[u8]) -> Option<[u8; 32]> {
    Some(*Admission::parse(record)?.record.transport.as_bytes())
}
