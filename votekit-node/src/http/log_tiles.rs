//! `/log/{law_id}/…`: the log for auditors, as C2SP tlog-tiles asks: checkpoint, tiles of hashes,
//! bundles of entries; and the policy.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use votekit_core::id::Digest;
use votekit_core::log::tile::{Tile, TilePath};

use super::Api;
use super::path_text::{PathText, law_id};
use super::problem::{Problem, ProblemDocument};

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// Gives the signed checkpoint: how large the log is, and its root.
#[utoipa::path(
    get, path = "/log/{law_id}/checkpoint", tag = "log", operation_id = "checkpoint",
    params(("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001")),
    responses(
        (status = 200, description = "A C2SP tlog-checkpoint with its cosignatures", body = String, content_type = "text/plain; charset=utf-8"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn checkpoint(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
) -> Result<Response, Problem> {
    let checkpoint = api.node.checkpoint(&law_id(&law)?).ok_or(Problem::UnknownElection)?;
    Ok(file(checkpoint, TEXT, "no-cache"))
}

/// Gives the policy that verifies the log. Auditors pin it, or its fingerprint, from elsewhere.
#[utoipa::path(
    get, path = "/log/{law_id}/policy", tag = "log", operation_id = "policy",
    params(("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001")),
    responses(
        (status = 200, description = "A C2SP tlog-policy", body = String, content_type = "text/plain; charset=utf-8"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn policy(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
) -> Result<Response, Problem> {
    let policy = api.node.policy(&law_id(&law)?).ok_or(Problem::UnknownElection)?;
    Ok(file(policy, TEXT, "no-cache"))
}

/// Gives a manifest that the log names: what was hashed, how, and into which files.
#[utoipa::path(
    get, path = "/log/{law_id}/manifest/{digest}", tag = "log", operation_id = "manifest",
    params(
        ("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001"),
        ("digest" = String, Path, description = "SHA-256 of the manifest, as the `roll` leaf states it: 64 hexadecimal digits"),
    ),
    responses(
        (status = 200, description = "The manifest, byte for byte", body = Object, content_type = "application/json"),
        (status = 404, description = "`unknown-election`, `unknown-manifest`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn manifest(
    State(api): State<Arc<Api>>,
    PathText((law, digest)): PathText<(String, String)>,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    if api.node.election(&law).is_none() {
        return Err(Problem::UnknownElection);
    }
    let digest: Digest = digest.parse().map_err(|_| Problem::UnknownManifest)?;
    let manifest = api.node.manifest(&law, &digest).await?.ok_or(Problem::UnknownManifest)?;
    Ok(file(manifest, "application/json", "public, max-age=31536000, immutable"))
}

/// Gives a tile of hashes or a bundle of entries. It never changes.
#[utoipa::path(
    get, path = "/log/{law_id}/tile/{path}", tag = "log", operation_id = "tile",
    params(
        ("law_id" = String, Path, description = "The law put to the vote", example = "L2025-001"),
        ("path" = String, Path, description = "`<L>/<N>[.p/<W>]` for hashes, `entries/<N>[.p/<W>]` for entries, as in C2SP tlog-tiles; it contains slashes", example = "0/000.p/1"),
    ),
    responses(
        (status = 200, description = "Hashes of 32 bytes each, or entries each behind its length in 2 bytes", body = [u8], content_type = "application/octet-stream"),
        (status = 404, description = "`unknown-election`, `unknown-tile`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn tile(
    State(api): State<Arc<Api>>,
    PathText((law, path)): PathText<(String, String)>,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    if api.node.election(&law).is_none() {
        return Err(Problem::UnknownElection);
    }
    let bytes = match format!("tile/{path}").parse().map_err(|_| Problem::UnknownTile)? {
        TilePath::Tile(tile) => api.node.tile(&law, tile).await?,
        TilePath::Entries { index, width } => {
            let tile = Tile::new(0, index, width).map_err(|_| Problem::UnknownTile)?;
            api.node.entry_bundle(&law, tile).await?
        }
    };
    Ok(file(bytes.ok_or(Problem::UnknownTile)?, BYTES, "public, max-age=31536000, immutable"))
}

fn file(bytes: Vec<u8>, content_type: &'static str, cache: &'static str) -> Response {
    let mut response = bytes.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}
