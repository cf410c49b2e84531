//! `/api/v1/elections/{law_id}/roll`: administrators upload a hashed roll file by file, see the
//! missing files, load the roll or discard it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;
use votekit_node::memory::stack_used;
use votekit_node::{LoadReport, UploadView, UploadedFile};

use super::election_admin::record_act;
use crate::accounts::Caller;
use crate::api::{LawPath, PathText, law_id};
use crate::context::Api;
use crate::guard::json_body::optional_json;
use crate::guard::message_rules::check_content_coding;
use crate::problem::catalogue::field_rules;
use crate::problem::{Problem, ProblemDocument};

/// The longest time without a byte of a file.
pub(crate) const STALL_TIME: Duration = Duration::from_secs(30);

/// The longest time for one file: the largest shard over a line of 1 Mbit/s.
pub(crate) const UPLOAD_TIME: Duration = Duration::from_secs(3600);

/// How an uploaded roll is loaded.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LoadUpload {
    /// Whether the roll replaces the present roll of a draft. The log keeps both.
    replace: bool,
}

/// Uploads one file of a hashed roll.
///
/// The files are those that votekit hashgen made, under their names, in any order: the manifest,
/// its signatures if there are any, each shard or the change file. A file appears completely or not
/// at all; repeating the call replaces it. A file that the uploaded manifest lists must have the
/// stated SHA-256. A roll that is not hashed is refused by its first bytes, and nothing of it is
/// kept.
#[utoipa::path(
    put, path = "/api/v1/elections/{law_id}/roll/{file}", tag = "officials", operation_id = "putRollFile", security(("account" = [])),
    params(
        LawPath,
        ("file" = String, Path, description = "`manifest.json`, `manifest.note`, or a file that the manifest lists", example = "L2025-001.0001.json", pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$", min_length = 1, max_length = 100),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The file: a manifest has at most 16 MiB, any other file 256 MiB, all files together 4 GiB"),
    responses(
        (status = 201, description = "Stored durably", body = UploadedFile, example = json!({"file": "L2025-001.0001.json", "bytes": 1459, "sha256": "fd0352b78b0a54003b98827551c99d42ab5af2de916dffe31e81423d42514942", "replaced": false})),
        (status = 200, description = "Stored durably, in place of a file of this name", body = UploadedFile),
        (status = 400, description = "`malformed`: the name, or a body that was cut off", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: only an administrator may", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`; `roll-conflict`: the manifest names another law; `admin-busy`: the file is being uploaded, or the roll loaded", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "`body-too-large`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`roll-not-hashed`: hash the roll first; `roll-refused`: not a file of a hashed roll, or not the one that the manifest lists", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 507, description = "`storage-full`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put_file(
    State(api): State<Arc<Api>>,
    // Without it no permission was checked, and the call fails.
    _: Extension<Caller>,
    PathText((law, file)): PathText<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let (head, mut body) = request.into_parts();
    check_content_coding(&head.headers)?;
    let mut upload = api.node.begin_upload(&law, &file, body.size_hint().exact())?;
    let deadline = Instant::now() + UPLOAD_TIME;
    while let Some(bytes) = next_bytes(&mut body, deadline).await? {
        // Until the first bytes are checked they may be rows of a roll.
        stack_used();
        upload.write(&bytes).await?;
    }
    let stored = upload.finish().await?;
    let status = if stored.replaced { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(stored)).into_response())
}

/// The next bytes of a body; `None` at its end.
async fn next_bytes(body: &mut Body, deadline: Instant) -> Result<Option<Bytes>, Problem> {
    loop {
        let stalled = Instant::now() + STALL_TIME;
        match timeout_at(stalled.min(deadline), body.frame()).await {
            Ok(Some(Ok(frame))) => {
                // A frame without data has trailers, which say nothing here.
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
            Ok(Some(Err(_))) => {
                return Err(Problem::field("body", field_rules::ENDED_EARLY));
            }
            Ok(None) => return Ok(None),
            Err(_) => return Err(Problem::RequestTimeout),
        }
    }
}

/// Shows the uploaded files of a roll, and the missing files that the manifest lists.
#[utoipa::path(
    get, path = "/api/v1/elections/{law_id}/roll", tag = "officials", operation_id = "showRollUpload", security(("account" = [])),
    params(LawPath),
    responses(
        (status = 200, description = "The uploaded files; none after they are loaded", body = UploadView, example = json!({"law_id": "L2025-001", "manifest": null, "files": [{"file": "L2025-001.0001.json", "bytes": 1459}], "missing": [], "unlisted": ["L2025-001.0001.json"], "complete": false})),
        (status = 403, description = "`forbidden`: only an administrator may", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`roll-refused`: the kept manifest was damaged", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 500, description = "`internal`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    _: Extension<Caller>,
    PathText(law): PathText<String>,
) -> Result<Json<UploadView>, Problem> {
    Ok(Json(api.node.upload(&law_id(&law)?).await?))
}

/// Discards the uploaded files of a roll. Without an upload nothing changes.
#[utoipa::path(
    delete, path = "/api/v1/elections/{law_id}/roll", tag = "officials", operation_id = "discardRollUpload", security(("account" = [])),
    params(LawPath),
    responses(
        (status = 204, description = "Discarded"),
        (status = 403, description = "`forbidden`: only an administrator may", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`admin-busy`: a file is being uploaded, or the roll loaded", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn discard(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    PathText(law): PathText<String>,
) -> Result<StatusCode, Problem> {
    let law = law_id(&law)?;
    api.node.discard_upload(&law).await?;
    record_act("discard-upload", &law, &caller);
    Ok(StatusCode::NO_CONTENT)
}

/// Loads the uploaded roll or supplement, after checking every digest, count and signature.
///
/// The node must have the pepper already: an operator loads the first roll under a pepper. After
/// success the upload is removed; after a refusal it is kept.
#[utoipa::path(
    post, path = "/api/v1/elections/{law_id}/roll/load", tag = "officials", operation_id = "loadRollUpload", security(("account" = [])),
    params(LawPath),
    request_body(content = Option<LoadUpload>, content_type = "application/json", description = "May be left out", example = json!({"replace": false})),
    responses(
        (status = 200, description = "Loaded, or already loaded", body = LoadReport),
        (status = 403, description = "`forbidden`: only an administrator may", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`refused-by-log`, `wrong-state`, `roll-conflict`, `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`roll-refused`: files are missing or do not match the manifest, or the node does not hold the pepper", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn load(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Json<LoadReport>, Problem> {
    let law = law_id(&law)?;
    let LoadUpload { replace } = optional_json(request).await?.unwrap_or_default();
    let report = api.node.load_upload(&law, replace).await?;
    record_act("load-roll", &law, &caller);
    Ok(Json(report))
}
