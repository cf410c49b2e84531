//! Copies of the documents that the ledger alone holds, in the memory of this authority: the keys
//! of elections as they are sealed to each recipient, and the records of nodes.
//!
//! What a ledger lacks that was restored from an older copy is put back; what it holds is never
//! replaced. Once a draft is certified its keys do not change, so the first copy is the true one.
//! The record of a node may change, and its copy follows the ledger. After a purge no copy of keys
//! stays.

use std::sync::Arc;
use std::time::Duration;

use votekit_core::id::ElectionId;
use votekit_store::memory::SealedKey;
use votekit_store::retry::until_definite;

use crate::authority::AuthorityContext;
use crate::context::NodeContext;
use crate::election::ElectionHandle;
use crate::error::ElectionFault;
use crate::node_record::Admission;

/// The pause between two comparisons of the ledger with the copies.
const COMPARE_INTERVAL: Duration = Duration::from_secs(5);

/// Keeps copies, and puts lost documents back, as long as the node runs.
pub(crate) async fn run(context: Arc<NodeContext>, authority: Arc<AuthorityContext>) {
    loop {
        if let Err(error) = compare(&context, &authority).await {
            tracing::warn!(
                event = "documents_not_compared",
                %error,
                "documents of the ledger not compared with this authority's copies, retrying"
            );
        }
        tokio::time::sleep(COMPARE_INTERVAL).await;
    }
}

/// Keeps copies of what is new in the ledger, and puts back what it lacks.
async fn compare(context: &NodeContext, authority: &AuthorityContext) -> Result<(), ElectionFault> {
    let records = compare_records(context, authority).await?;
    let mut recipients: Vec<[u8; 32]> =
        authority.set.members().iter().map(|member| member.transport).collect();
    recipients.extend(records.iter().filter_map(|bytes| transport_key(bytes)));
    for election in context.elections() {
        compare_keys(context, authority, &election, &recipients).await?;
    }
    Ok(())
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

/// Compares the sealed keys of an election.
async fn compare_keys(
    context: &NodeContext,
    authority: &AuthorityContext,
    election: &ElectionHandle,
    recipients: &[[u8; 32]],
) -> Result<(), ElectionFault> {
    let (ledger, law_id) = (&context.ledger, election.law_id());
    let kept = read_copies(authority, law_id).await?;
    let is_purged = election.log().is_purged();
    if is_purged {
        // A copy that was kept, or put back, while another authority purged.
        if !kept.is_empty() {
            purge_everywhere(context, authority, law_id).await?;
        }
        return Ok(());
    }
    // A block that this node has not read yet may be a purge.
    let head = until_definite("read_head", || ledger.head(law_id)).await?;
    if head.is_none_or(|head| head.height != election.committed().height) {
        return Ok(());
    }
    for recipient in recipients {
        let copy = kept.iter().find(|(of, _)| of == recipient).map(|(_, bytes)| bytes);
        let read = || ledger.sealed_key(law_id, recipient);
        match (until_definite("read_documents", read).await?, copy) {
            (Some(bytes), None) => {
                let (law, recipient) = (law_id.clone(), *recipient);
                authority
                    .durable(move |memory| memory.keep_sealed_key(&law, &recipient, &bytes))
                    .await?;
            }
            (None, Some(bytes)) => {
                let put = || ledger.put_sealed_key(law_id, recipient, bytes);
                until_definite("put_document", put).await?;
                tracing::error!(
                    event = "document_put_back",
                    alarm = true,
                    %law_id,
                    "the ledger had lost keys of an election that are sealed to one of its nodes"
                );
            }
            _ => {}
        }
    }
    Ok(())
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
