//! The operator's interface: changes a site while viewers watch. Off unless a token is configured. Every request carries
//! `Authorization: Bearer TOKEN`, and every change is recorded ([`crate::audit`]).
//!
//! - [`settings`]: single settings of a site
//! - [`rules`]: its rules, one by one
//! - [`revocations`]: who is let in no more

use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::audit::{By, Record};
use crate::http::Front;
use crate::hub::unix_ms;
use crate::limits::Limits;
use crate::listen::Caller;
use crate::site::ChangesError;
use rillcast_relay::rate::Bucket;

use guesses::Guesses;

mod guesses;
mod revocations;
mod rules;
mod settings;

/// Longest body of a request.
const MAX_BODY: usize = 64 * 1024;
/// Records of the audit log that are shown if nobody says how many.
const RECORDS: usize = 100;

/// Who may come in, and how often.
#[derive(Debug)]
pub struct Admin {
    token: blake3::Hash,
    rate: Mutex<Bucket>,
    guesses: Mutex<Guesses>,
}

impl Admin {
    /// Lets in whoever has the token.
    pub fn new(token: &str, limits: &Limits) -> Self {
        let rate = f64::from(limits.admin_per_sec);
        Self {
            token: blake3::hash(token.as_bytes()),
            rate: Mutex::new(Bucket::new(rate, rate, Instant::now())),
            guesses: Mutex::new(Guesses::new(rate)),
        }
    }

    /// Whether a request carries the token. Right ones are measured together, wrong ones by the address that they come from.
    pub fn check(&self, headers: &HeaderMap, caller: &Caller) -> Result<(), (StatusCode, &'static str)> {
        let (now, address) = (Instant::now(), caller.client.unwrap_or(caller.address.ip()));
        let mut guesses = self.guesses.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !guesses.may_try(address, now) {
            return Err((StatusCode::TOO_MANY_REQUESTS, "Too many wrong admin tokens; wait a little.\n"));
        }
        let header = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let token = header.and_then(|v| v.strip_prefix("Bearer ")).unwrap_or("");
        // Comparing hashes takes the same time whatever is wrong with the token.
        if blake3::hash(token.as_bytes()) != self.token {
            guesses.missed(address, now);
            return Err((StatusCode::UNAUTHORIZED, "Send the admin token: Authorization: Bearer TOKEN.\n"));
        }
        let mut rate = self.rate.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !rate.take(1.0, now) {
            return Err((StatusCode::TOO_MANY_REQUESTS, "Too many admin requests; slow down.\n"));
        }
        Ok(())
    }
}

/// The routes under `/admin`.
pub fn router(admin: Option<Arc<Admin>>) -> Router<Front> {
    Router::new()
        .merge(settings::router())
        .merge(rules::router())
        .merge(revocations::router())
        .route("/audit", get(audit))
        .layer(middleware::from_fn_with_state(admin, authorised))
}

async fn authorised(State(admin): State<Option<Arc<Admin>>>, request: Request, next: Next) -> Response {
    let Some(admin) = admin else {
        let text = "The admin interface is off; start the server with --admin-token-file.\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let Some(caller) = request.extensions().get::<Caller>() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    match admin.check(request.headers(), caller) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

#[derive(Deserialize)]
struct Latest {
    latest: Option<usize>,
}

async fn audit(State(front): State<Front>, Query(Latest { latest }): Query<Latest>) -> Response {
    Json(front.hub.audit.latest(latest.unwrap_or(RECORDS))).into_response()
}

/// An admin's change of a site, to be recorded.
struct Change<'a> {
    front: &'a Front,
    caller: &'a Caller,
    site: &'a str,
}

impl Change<'_> {
    /// Records what has been done; the answer is an error if there is no room for the record.
    fn record(&self, action: &str, detail: serde_json::Value) -> Result<(), (StatusCode, String)> {
        tracing::info!(site = self.site, action, "changed by the admin interface");
        let record = Record {
            at: unix_ms(),
            by: By::Admin,
            from: Some(self.caller.client.unwrap_or(self.caller.address.ip())),
            action: action.to_owned(),
            site: self.site.to_owned(),
            detail,
        };
        // A sync of a line takes some milliseconds, and requests are few: `admin_per_sec`.
        self.front.hub.audit.write(record).map_err(|error| {
            tracing::error!(%error, site = self.site, action, "changed, and there is no record of it");
            let text = format!("The change counts, but there is no record of it: {error}.\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text)
        })
    }
}

impl Change<'_> {
    /// Records what counts now; the answer is an error, too, if it will be forgotten when the server stops.
    fn done(
        &self,
        action: &str,
        detail: serde_json::Value,
        saved: Result<(), ChangesError>,
    ) -> Result<(), (StatusCode, String)> {
        let recorded = self.record(action, detail);
        saved.map_err(|error| {
            tracing::error!(%error, site = self.site, action, "a change isn't kept");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
        })?;
        recorded
    }
}

/// The body of a request, read as JSON.
async fn json<T: DeserializeOwned>(body: Body, what: &str) -> Result<T, Response> {
    let Ok(bytes) = to_bytes(body, MAX_BODY).await else {
        let text = "The body is longer than 64 KiB; put what is so long into the settings file.\n";
        return Err((StatusCode::PAYLOAD_TOO_LARGE, text).into_response());
    };
    serde_json::from_slice(&bytes).map_err(|error| bad(format!("{what} has to be JSON: {error}.\n")))
}

fn bad(text: String) -> Response {
    (StatusCode::BAD_REQUEST, text).into_response()
}

fn unknown() -> Response {
    (StatusCode::NOT_FOUND, "There is no such site in the settings file.\n").into_response()
}
