//! The keys of an election on nodes with data folders of their own: sealed to each authority and
//! each admitted ingest node, as rows of the ledger.

use getrandom::SysRng;
use rand_core::UnwrapErr;
use votekit_core::authority::{open_keys, seal_keys};
use votekit_core::credential::CredentialHasher;
use votekit_core::id::{Digest, ElectionId, NodeId};
use votekit_core::manifest::Manifest;
use votekit_store::EngineError;

use crate::context::NodeContext;
use crate::election::ElectionSecrets;
use crate::error::{AdminError, ElectionFault, NodeError};
use crate::memory::stack_used;
use crate::node_record::{Admission, NodeRecord};
use crate::roll_store::{self, PepperNeed, RollError};

/// Seals the keys of a new election to every authority. Without several authorities there is
/// nothing to do.
pub(crate) async fn share(
    context: &NodeContext,
    law_id: &ElectionId,
    secrets: &ElectionSecrets,
) -> Result<(), AdminError> {
    let Some(set) = &context.authorities else { return Ok(()) };
    for member in set.members() {
        let sealed = {
            stack_used();
            let mut plain = zeroize::Zeroizing::new(Vec::with_capacity(64));
            if let Some(key) = &secrets.ballot_key {
                plain.extend_from_slice(key.expose_bytes());
            }
            plain.extend_from_slice(secrets.request_key.expose_bytes());
            seal_keys(&member.transport, law_id, &plain, &mut UnwrapErr(SysRng))
        };
        let sealed = sealed.map_err(|error| {
            ElectionFault::damaged(format!("the transport key of {}: {error}", member.name))
        })?;
        context.ledger.put_sealed_key(law_id, &member.transport, &sealed).await?;
    }
    for record in node_records(context).await? {
        share_with_node(context, law_id, &record).await?;
    }
    Ok(())
}

/// The ingest nodes that operators admitted by their records, including those that they retired.
/// With several authorities, each record is signed by an authority; a retirement that this
/// authority has kept counts even if the ledger shows an earlier record.
pub(crate) async fn admissions(context: &NodeContext) -> Result<Vec<Admission>, ElectionFault> {
    let stored = context.ledger.node_records().await?;
    let stored = Admission::all_in_ledger(&stored, context.authorities.as_deref());
    let Some(authority) = &context.authority else { return Ok(stored) };
    let kept = Admission::all_kept(&authority.durable(|memory| memory.node_records()).await?);
    Ok(Admission::with_kept_retirements(stored, kept))
}

/// Stores the admission or the retirement of a node in the ledger; with several authorities it is
/// signed.
pub(crate) async fn put_admission(
    context: &NodeContext,
    admission: &Admission,
) -> Result<(), EngineError> {
    let bytes = match &context.authority {
        Some(authority) => admission.signed_by(authority.key()),
        None => admission.to_bytes(),
    };
    context.ledger.put_node_record(admission.record.name.as_str(), &bytes).await
}

/// The ingest nodes that operators admitted and did not retire.
pub(crate) async fn node_records(context: &NodeContext) -> Result<Vec<NodeRecord>, ElectionFault> {
    Ok(Admission::present(&admissions(context).await?))
}

/// Whether operators retired a node from the installation.
pub(crate) async fn is_retired(context: &NodeContext, node: NodeId) -> Result<bool, ElectionFault> {
    let admissions = admissions(context).await?;
    Ok(admissions.iter().any(|known| known.is_retired && known.record.key.node_id() == node))
}

/// Seals the request key of an election to an ingest node.
pub(crate) async fn share_with_node(
    context: &NodeContext,
    law_id: &ElectionId,
    record: &NodeRecord,
) -> Result<(), AdminError> {
    let transport = record.transport.as_bytes();
    if context.ledger.sealed_key(law_id, transport).await?.is_some() {
        return Ok(());
    }
    let sealed = {
        stack_used();
        let Some(key) = context.folder.request_key(law_id)? else { return Ok(()) };
        seal_keys(transport, law_id, key.expose_bytes(), &mut UnwrapErr(SysRng))
    };
    let sealed = sealed.map_err(|error| {
        ElectionFault::damaged(format!("the transport key of {}: {error}", record.name))
    })?;
    context.ledger.put_sealed_key(law_id, transport, &sealed).await?;
    Ok(())
}

/// Takes the keys of an election that were encrypted to this node into its data folder, unless they
/// are there. Without several authorities there is nothing to do.
pub(crate) async fn obtain(context: &NodeContext, law_id: &ElectionId) -> Result<(), NodeError> {
    if context.authorities.is_none() {
        return Ok(());
    }
    let folder = &context.folder;
    let unreadable = |source| NodeError::ElectionKeys { law_id: law_id.clone(), source };
    if folder.request_key(law_id).map_err(unreadable)?.is_some() {
        return Ok(());
    }
    let transport = folder.transport_key()?;
    let recipient = *transport.public_key().as_bytes();
    let Some(sealed) = context.ledger.sealed_key(law_id, &recipient).await? else {
        return Ok(());
    };
    stack_used();
    let Some(plain) = open_keys(&transport, law_id, &sealed) else {
        return Err(NodeError::SealedKeys { law_id: law_id.clone() });
    };
    match plain.len() {
        64 => {
            folder.keep_ballot_key(law_id, plain[..32].try_into().expect("32 bytes"))?;
            folder.keep_request_key(law_id, plain[32..].try_into().expect("32 bytes"))?;
        }
        32 => folder.keep_request_key(law_id, plain[..].try_into().expect("32 bytes"))?,
        _ => return Err(NodeError::SealedKeys { law_id: law_id.clone() }),
    }
    Ok(())
}

/// How this node hashes credentials under a manifest. `None` if it never does: an authority that
/// accepts no votes has no pepper.
pub(crate) async fn hasher(
    context: &NodeContext,
    manifest: &Digest,
) -> Result<Option<CredentialHasher>, NodeError> {
    if context.authorities.is_none() {
        return Ok(Some(roll_store::hasher(&context.folder, manifest)?));
    }
    if context.pepper_need() == PepperNeed::Optional {
        return Ok(None);
    }
    if let Ok(hasher) = roll_store::hasher(&context.folder, manifest) {
        return Ok(Some(hasher));
    }
    Ok(Some(roll_store::hasher_of(&context.folder, &self::manifest(context, manifest).await?)?))
}

/// A manifest that a log names: of the data folder, or, on a node without rolls beside several
/// authorities, the document of the ledger under its digest.
pub(crate) async fn manifest(
    context: &NodeContext,
    digest: &Digest,
) -> Result<Manifest, NodeError> {
    match roll_store::manifest(&context.folder, digest) {
        Err(_) if context.authorities.is_some() => {}
        read => return Ok(read?),
    }
    let missing = || NodeError::Roll(RollError::NoParent { parent: *digest });
    let bytes = context.ledger.manifest(digest).await?.ok_or_else(missing)?;
    Manifest::parse(&bytes).map_err(|_| missing())
}
