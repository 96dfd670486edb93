//! Who is let in no more: `/admin/sites/{site}/revocations` shows (GET) the list and adds to it (POST);
//! `/admin/sites/{site}/revocations/{number}` takes one back (DELETE).

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde_json::json;

use super::{Change, bad, json as body_of, unknown};
use crate::http::Front;
use crate::hub::unix_ms;
use crate::listen::Caller;
use crate::revocation::store::Kept;
use crate::revocation::{Request, RevocationError};

pub(super) fn router() -> Router<Front> {
    Router::new()
        .route("/sites/{site}/revocations", get(list).post(add))
        .route("/sites/{site}/revocations/{number}", delete(take_back))
}

async fn list(State(front): State<Front>, Path(site): Path<String>) -> Response {
    if !front.hub.has_site(&site) {
        return unknown();
    }
    let list = front.hub.revocations.of(&site);
    let entries: Vec<_> = list.entries(unix_ms() / 1000).collect();
    Json(json!({ "number": list.number(), "entries": entries })).into_response()
}

async fn add(
    State(front): State<Front>,
    Extension(caller): Extension<Caller>,
    Path(site): Path<String>,
    body: Body,
) -> Response {
    let request: Request = match body_of(body, "A revocation").await {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    if !front.hub.has_site(&site) {
        return unknown();
    }
    let change = Change { front: &front, caller: &caller, site: &site };
    match front.hub.revoke(&site, request) {
        Ok((kept, sent_away)) => answer(&change, "revocations.add", StatusCode::CREATED, kept, sent_away),
        Err(error @ RevocationError::Full) => {
            (StatusCode::INSUFFICIENT_STORAGE, format!("{error}\n")).into_response()
        }
        Err(error) => bad(format!("{error}\n")),
    }
}

async fn take_back(
    State(front): State<Front>,
    Extension(caller): Extension<Caller>,
    Path((site, number)): Path<(String, u64)>,
) -> Response {
    let change = Change { front: &front, caller: &caller, site: &site };
    match front.hub.take_back(&site, number) {
        Ok(kept) => answer(&change, "revocations.take-back", StatusCode::OK, kept, 0),
        Err(error) => (StatusCode::NOT_FOUND, format!("{error}\n")).into_response(),
    }
}

fn answer(change: &Change<'_>, action: &str, status: StatusCode, kept: Kept, sent_away: usize) -> Response {
    let detail = json!({ "entry": kept.entry, "sent_away": sent_away });
    let recorded = change.record(action, detail.clone());
    if let Err(error) = kept.saved {
        tracing::error!(%error, site = change.site, "a revocation isn't kept");
        return (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response();
    }
    match recorded {
        Ok(()) => (status, Json(detail)).into_response(),
        Err(answer) => answer.into_response(),
    }
}
