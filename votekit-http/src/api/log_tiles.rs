//! `/log/{law_id}/…`: the log for auditors, as C2SP tlog-tiles specifies: checkpoint, tiles of
//! hashes, bundles of entries; and the policy.
//!
//! A log is public from the opening of its poll, with all its leaves, including those of the draft.
//! Before that only officials can read it: the question may not be announced yet.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::response::Response;
use votekit_core::id::{Digest, ElectionId};
use votekit_core::log::tile::{Tile, TilePath};

use super::viewer::Viewer;
use crate::api::{LawPath, PathText, law_id};
use crate::context::Api;
use crate::drafts;
use crate::guard::officials_network::is_officials_network;
use crate::guard::representation::{IMMUTABLE, REVALIDATE, Representation, UNSTORED, negotiated};
use crate::problem::{Problem, ProblemDocument};

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// Returns the signed checkpoint: the size of the log, and its root. Cosignatures of outside
/// witnesses over it are added as they become known.
#[utoipa::path(
    get, path = "/log/{law_id}/checkpoint", tag = "log", operation_id = "checkpoint",
    security((), ("account" = []), ("administrator" = [])),
    params(LawPath),
    responses(
        (status = 200, description = "A C2SP tlog-checkpoint with its cosignatures: those of the authorities, then those of outside witnesses that are known", body = String, content_type = "text/plain; charset=utf-8"),
        (status = 401, description = "`token-refused`: a token was sent and is not valid", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: an official outside the networks of officials", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`: also for a draft, except to officials", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 421, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not-served-here`: ask a node with the role query"
        ),
    )
)]
pub(crate) async fn checkpoint(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let log = RequestedLog::open(&api, &law, &head).await?;
    let checkpoint = api.node.witnessed_checkpoint(&log.law).await;
    let checkpoint = checkpoint.ok_or_else(|| api.unreadable(&log.law))?;
    let cache_control = log.cache_control(REVALIDATE);
    Ok(Representation::plain(checkpoint, TEXT).answer(&head.headers, cache_control, ""))
}

/// Returns the policy that verifies the log. Auditors pin it, or its fingerprint, from another
/// source.
#[utoipa::path(
    get, path = "/log/{law_id}/policy", tag = "log", operation_id = "policy",
    security((), ("account" = []), ("administrator" = [])),
    params(LawPath),
    responses(
        (status = 200, description = "A C2SP tlog-policy", body = String, content_type = "text/plain; charset=utf-8"),
        (status = 401, description = "`token-refused`: a token was sent and is not valid", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: an official outside the networks of officials", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`: also for a draft, except to officials", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 421, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not-served-here`: ask a node with the role query"
        ),
    )
)]
pub(crate) async fn policy(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let log = RequestedLog::open(&api, &law, &head).await?;
    let policy = api.node.policy(&log.law).ok_or_else(|| api.unreadable(&log.law))?;
    let cache_control = log.cache_control(REVALIDATE);
    Ok(Representation::plain(policy, TEXT).answer(&head.headers, cache_control, ""))
}

/// Returns a manifest that the log names, which describes a hashed roll and its files.
#[utoipa::path(
    get, path = "/log/{law_id}/manifest/{digest}", tag = "log", operation_id = "manifest",
    security((), ("account" = []), ("administrator" = [])),
    params(
        LawPath,
        ("digest" = String, Path, description = "SHA-256 of the manifest, as the `roll` leaf states it: 64 hexadecimal digits", pattern = "^[0-9a-f]{64}$", min_length = 64, max_length = 64),
    ),
    responses(
        (status = 200, description = "The manifest, byte for byte", body = Object, content_type = "application/json"),
        (status = 401, description = "`token-refused`: a token was sent and is not valid", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: an official outside the networks of officials", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`: also for a draft, except to officials; `unknown-manifest`", body = ProblemDocument, content_type = "application/problem+json"),
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
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let log = RequestedLog::open(&api, &law, &head).await?;
    let digest: Digest = digest.parse().map_err(|_| Problem::UnknownManifest)?;
    let manifest = api.node.manifest(&log.law, &digest).await?.ok_or(Problem::UnknownManifest)?;
    let manifest = Representation::plain(manifest, "application/json");
    Ok(manifest.answer(&head.headers, log.cache_control(IMMUTABLE), ""))
}

/// Returns a tile of hashes or a bundle of entries. It never changes.
#[utoipa::path(
    get, path = "/log/{law_id}/tile/{path}", tag = "log", operation_id = "tile",
    security((), ("account" = []), ("administrator" = [])),
    params(
        LawPath,
        ("path" = String, Path, description = "`<L>/<N>[.p/<W>]` for hashes, `entries/<N>[.p/<W>]` for entries, as in C2SP tlog-tiles; it contains slashes", example = "0/000.p/1"),
    ),
    responses(
        (status = 200, description = "Hashes of 32 bytes each; or entries, each after its length in 2 bytes, compressed for a client that accepts gzip", body = [u8], content_type = "application/octet-stream"),
        (status = 401, description = "`token-refused`: a token was sent and is not valid", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: an official outside the networks of officials", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`: also for a draft, except to officials; `unknown-tile`", body = ProblemDocument, content_type = "application/problem+json"),
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
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let log = RequestedLog::open(&api, &law, &head).await?;
    let (representation, vary) =
        match format!("tile/{path}").parse().map_err(|_| Problem::UnknownTile)? {
            // Hashes do not compress.
            TilePath::Tile(tile) => {
                let hashes = api.node.tile(&log.law, tile).await?.ok_or(Problem::UnknownTile)?;
                (Representation::plain(hashes, BYTES), "")
            }
            TilePath::Entries { index, width } => {
                let tile = Tile::new(0, index, width).map_err(|_| Problem::UnknownTile)?;
                let bundle = api.node.entry_bundle(&log.law, tile).await?;
                let bundle = bundle.ok_or(Problem::UnknownTile)?;
                (negotiated(&head.headers, bundle, BYTES).await, "Accept-Encoding")
            }
        };
    Ok(representation.answer(&head.headers, log.cache_control(IMMUTABLE), vary))
}

/// The log that a request asks for, and may read.
struct RequestedLog {
    law: ElectionId,
    is_draft: bool,
}

impl RequestedLog {
    /// Finds the log. For callers who are not officials, that of a draft does not exist.
    async fn open(api: &Api, law: &str, head: &Parts) -> Result<Self, Problem> {
        // Before the other checks, as for elections: an invalid token is refused for every call.
        let reads_drafts = reads_drafts(api, head).await?;
        let law = law_id(law)?;
        let election = api.node.election(&law).ok_or(Problem::UnknownElection)?;
        let is_draft = drafts::is_draft(&api.node, &election);
        if is_draft && !reads_drafts {
            return Err(Problem::UnknownElection);
        }
        Ok(Self { law, is_draft })
    }

    /// How long a cache may keep an answer, if the log is public.
    fn cache_control(&self, of_public: &'static str) -> &'static str {
        if self.is_draft { UNSTORED } else { of_public }
    }
}

/// Whether a request has the administrator's token, or the token of an official. From a network
/// where officials may not work, the administrator's token is ignored.
async fn reads_drafts(api: &Api, head: &Parts) -> Result<bool, Problem> {
    if api.admits(&head.headers) {
        return Ok(is_officials_network(&head.extensions, api.node.config()));
    }
    // Auditors send no token, and fetch many tiles.
    if !head.headers.contains_key(AUTHORIZATION) {
        return Ok(false);
    }
    Ok(Viewer::identify(api, head).await?.is_official())
}
