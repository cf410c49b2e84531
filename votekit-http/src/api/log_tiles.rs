//! `/log/{law_id}/…`: the log for auditors, as C2SP tlog-tiles specifies: checkpoint, tiles of
//! hashes, bundles of entries; and the policy.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use votekit_core::id::Digest;
use votekit_core::log::tile::{Tile, TilePath};

use crate::api::{PathText, law_id};
use crate::context::Api;
use crate::guard::representation::{IMMUTABLE, REVALIDATE, Representation, negotiated};
use crate::problem::{Problem, ProblemDocument};

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// Returns the signed checkpoint: the size of the log, and its root. Cosignatures of outside
/// witnesses over it are added as they become known.
#[utoipa::path(
    get, path = "/log/{law_id}/checkpoint", tag = "log", operation_id = "checkpoint",
    params(("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001", pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50)),
    responses(
        (status = 200, description = "A C2SP tlog-checkpoint with its cosignatures: those of the authorities, then those of outside witnesses that are known", body = String, content_type = "text/plain; charset=utf-8"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 421, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not-served-here`: ask a node with the role query"
        ),
    )
)]
pub(crate) async fn checkpoint(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let checkpoint = api.node.witnessed_checkpoint(&law).await;
    let checkpoint = checkpoint.ok_or_else(|| api.unreadable(&law))?;
    Ok(Representation::plain(checkpoint, TEXT).answer(&headers, REVALIDATE, ""))
}

/// Returns the policy that verifies the log. Auditors pin it, or its fingerprint, from another
/// source.
#[utoipa::path(
    get, path = "/log/{law_id}/policy", tag = "log", operation_id = "policy",
    params(("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001", pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50)),
    responses(
        (status = 200, description = "A C2SP tlog-policy", body = String, content_type = "text/plain; charset=utf-8"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 421, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not-served-here`: ask a node with the role query"
        ),
    )
)]
pub(crate) async fn policy(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let policy = api.node.policy(&law).ok_or_else(|| api.unreadable(&law))?;
    Ok(Representation::plain(policy, TEXT).answer(&headers, REVALIDATE, ""))
}

/// Returns a manifest that the log names: what was hashed, how, and into which files.
#[utoipa::path(
    get, path = "/log/{law_id}/manifest/{digest}", tag = "log", operation_id = "manifest",
    params(
        ("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001", pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50),
        ("digest" = String, Path, description = "SHA-256 of the manifest, as the `roll` leaf states it: 64 hexadecimal digits", pattern = "^[0-9a-f]{64}$", min_length = 64, max_length = 64),
    ),
    responses(
        (status = 200, description = "The manifest, byte for byte", body = Object, content_type = "application/json"),
        (status = 404, description = "`unknown-election`, `unknown-manifest`", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 421, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not-served-here`: ask a node with the role query"
        ),
        (status = 503, description = "`unavailable`, `halted`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn manifest(
    State(api): State<Arc<Api>>,
    PathText((law, digest)): PathText<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    if api.node.election(&law).is_none() {
        return Err(Problem::UnknownElection);
    }
    let digest: Digest = digest.parse().map_err(|_| Problem::UnknownManifest)?;
    let manifest = api.node.manifest(&law, &digest).await?.ok_or(Problem::UnknownManifest)?;
    Ok(Representation::plain(manifest, "application/json").answer(&headers, IMMUTABLE, ""))
}

/// Returns a tile of hashes or a bundle of entries. It never changes.
#[utoipa::path(
    get, path = "/log/{law_id}/tile/{path}", tag = "log", operation_id = "tile",
    params(
        ("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001", pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50),
        ("path" = String, Path, description = "`<L>/<N>[.p/<W>]` for hashes, `entries/<N>[.p/<W>]` for entries, as in C2SP tlog-tiles; it contains slashes", example = "0/000.p/1"),
    ),
    responses(
        (status = 200, description = "Hashes of 32 bytes each; or entries, each after its length in 2 bytes, compressed for a client that accepts gzip", body = [u8], content_type = "application/octet-stream"),
        (status = 404, description = "`unknown-election`, `unknown-tile`", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 421, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not-served-here`: ask a node with the role query"
        ),
        (status = 503, description = "`unavailable`, `halted`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn tile(
    State(api): State<Arc<Api>>,
    PathText((law, path)): PathText<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    if api.node.election(&law).is_none() {
        return Err(Problem::UnknownElection);
    }
    let (representation, vary) =
        match format!("tile/{path}").parse().map_err(|_| Problem::UnknownTile)? {
            // Hashes do not compress.
            TilePath::Tile(tile) => {
                let hashes = api.node.tile(&law, tile).await?.ok_or(Problem::UnknownTile)?;
                (Representation::plain(hashes, BYTES), "")
            }
            TilePath::Entries { index, width } => {
                let tile = Tile::new(0, index, width).map_err(|_| Problem::UnknownTile)?;
                let bundle = api.node.entry_bundle(&law, tile).await?;
                let bundle = bundle.ok_or(Problem::UnknownTile)?;
                (negotiated(&headers, bundle, BYTES).await, "Accept-Encoding")
            }
        };
    Ok(representation.answer(&headers, IMMUTABLE, vary))
}
