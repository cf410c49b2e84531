//! Copies of the documents that the ledger alone holds, in the memory of this authority: the keys
//! of elections as they are sealed to each recipient, and the records of nodes.
//!
//! What a ledger lacks that was restored from an older copy is put back; what it holds is never
//! replaced. Once a draft is certified its keys do not change, so the first copy is the true one.
//! The record of a node changes once, when the node is retired, and its copy follows the ledger.
//! Retirement is final: where a copy says that a node was retired and the ledger does not, the
//! ledger is older, and the copy wins. After a purge no copy of keys stays.

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
    let nodes = compare_records(context, authority).await?;
    let mut recipients: Vec<[u8; 32]> =
        authority.set.members().iter().map(|member| member.transport).collect();
    recipients.extend(nodes.iter().map(|known| *known.record.transport.as_bytes()));
    for election in context.elections() {
        compare_keys(context, authority, &election, &recipients).await?;
    }
    Ok(())
}

/// Compares the records of nodes. Returns all of them.
async fn compare_records(
    context: &NodeContext,
    authority: &AuthorityContext,
) -> Result<Vec<Admission>, ElectionFault> {
    let ledger = &context.ledger;
    let stored = until_definite("read_documents", || ledger.node_records()).await?;
    // Statuses of authorities are of the moment, and anything may have been written beside them.
    let mut stored = Admission::all(&stored);
    let kept = Admission::all(&authority.durable(|memory| memory.node_records()).await?);
    let new = stored.iter().filter(|known| is_to_be_kept(known, &kept));
    let new: Vec<Admission> = new.cloned().collect();
    for known in new {
        let (name, bytes) = (known.record.name.to_string(), known.to_bytes());
        authority.durable(move |memory| memory.keep_node_record(&name, &bytes)).await?;
    }
    let lost: Vec<Admission> = kept.into_iter().filter(|known| is_lost(known, &stored)).collect();
    for known in lost {
        put_record_back(context, &known).await?;
        stored.retain(|other| other.record.name != known.record.name);
        stored.push(known);
    }
    Ok(stored)
}

/// Whether the ledger holds a record that the memory has to copy.
fn is_to_be_kept(stored: &Admission, kept: &[Admission]) -> bool {
    let retired = |known: &Admission| known.is_retired && known.record == stored.record;
    !kept.iter().any(|known| known == stored || retired(known))
}

/// Whether the ledger has lost a record that the memory has kept, or that its node was retired.
fn is_lost(kept: &Admission, stored: &[Admission]) -> bool {
    match stored.iter().find(|known| known.record.name == kept.record.name) {
        Some(known) => kept.is_retired && !known.is_retired && known.record == kept.record,
        None => true,
    }
}

async fn put_record_back(context: &NodeContext, known: &Admission) -> Result<(), ElectionFault> {
    let (ledger, name) = (&context.ledger, known.record.name.as_str());
    let bytes = known.to_bytes();
    until_definite("put_document", || ledger.put_node_record(name, &bytes)).await?;
    if known.is_retired {
        // It may have begun an epoch meanwhile, and the fences before its earlier ones are lost.
        let node = known.record.key.node_id();
        for election in context.elections() {
            let fence = || ledger.fence(election.law_id(), node);
            until_definite("fence_node", fence).await?;
        }
    }
    tracing::error!(
        event = "document_put_back",
        alarm = true,
        node = name,
        retired = known.is_retired,
        "the ledger had lost the record of a node, or that it was retired"
    );
    Ok(())
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
    fn a_copy_follows_the_ledger_but_a_retirement_is_final() {
        let (admitted, retired) = (admission("n", 1, false), admission("n", 1, true));
        let (other, stranger) = (admission("m", 2, true), admission("n", 3, false));
        // What the ledger holds, what the memory holds; whether it is copied, or put back.
        for (stored, kept, is_copied, is_put_back) in [
            (&admitted, &admitted, false, false),
            (&retired, &retired, false, false),
            (&retired, &admitted, true, false),
            (&admitted, &retired, false, true),
            (&admitted, &other, true, true),
            (&stranger, &retired, true, false),
        ] {
            let what = format!("{stored:?}, {kept:?}");
            assert_eq!(is_to_be_kept(stored, std::slice::from_ref(kept)), is_copied, "{what}");
            assert_eq!(is_lost(kept, std::slice::from_ref(stored)), is_put_back, "{what}");
        }
        assert!(is_to_be_kept(&admitted, &[]) && is_lost(&admitted, &[]));
    }
}
