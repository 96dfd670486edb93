//! The operator's interface: changes a site while viewers watch. Off unless a token is configured.
//!
//! `PUT /admin/sites/{site}/{field}` with the value as JSON, e.g. `false` to `enabled`; `GET /admin/sites/{site}` shows
//! what has been changed; `DELETE /admin/sites/{site}` takes all of it back. Every request carries
//! `Authorization: Bearer TOKEN`.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::de::DeserializeOwned;

use crate::http::Front;
use crate::limits::Limits;
use crate::rate::Bucket;
use crate::site::SiteFile;

/// Longest value.
const MAX_VALUE: usize = 16 * 1024;

/// Who may come in, and how often.
#[derive(Debug)]
pub struct Admin {
    token: blake3::Hash,
    rate: Mutex<Bucket>,
}

impl Admin {
    /// Lets in whoever has the token.
    pub fn new(token: &str, limits: &Limits) -> Self {
        let rate = f64::from(limits.admin_per_sec);
        Self {
            token: blake3::hash(token.as_bytes()),
            rate: Mutex::new(Bucket::new(rate, rate, Instant::now())),
        }
    }

    fn check(&self, request: &Request) -> Result<(), (StatusCode, &'static str)> {
        let mut rate = self.rate.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !rate.take(1.0, Instant::now()) {
            return Err((StatusCode::TOO_MANY_REQUESTS, "Too many admin requests; slow down.\n"));
        }
        let header = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let token = header.and_then(|v| v.strip_prefix("Bearer ")).unwrap_or("");
        // Comparing hashes takes the same time whatever is wrong with the token.
        if blake3::hash(token.as_bytes()) == self.token {
            Ok(())
        } else {
            Err((StatusCode::UNAUTHORIZED, "Send the admin token: Authorization: Bearer TOKEN.\n"))
        }
    }
}

/// The routes under `/admin`.
pub fn router(admin: Option<Arc<Admin>>) -> Router<Front> {
    Router::new()
        .route("/sites/{site}", get(show).delete(reset))
        .route("/sites/{site}/{field}", put(change))
        .layer(middleware::from_fn_with_state(admin, authorised))
}

async fn authorised(State(admin): State<Option<Arc<Admin>>>, request: Request, next: Next) -> Response {
    let Some(admin) = admin else {
        let text = "The admin interface is off; start the server with --admin-token-file.\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    match admin.check(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn show(State(front): State<Front>, Path(site): Path<String>) -> Response {
    if !front.hub.has_site(&site) {
        return unknown();
    }
    Json(front.hub.site_changes(&site)).into_response()
}

async fn reset(State(front): State<Front>, Path(site): Path<String>) -> Response {
    apply(&front, &site, |changes| *changes = SiteFile::default())
}

async fn change(
    State(front): State<Front>,
    Path((site, field)): Path<(String, String)>,
    body: Body,
) -> Response {
    let Ok(value) = to_bytes(body, MAX_VALUE).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "The value is too long.\n").into_response();
    };
    match edit(&field, &value) {
        Ok(edit) => apply(&front, &site, edit),
        Err(text) => (StatusCode::BAD_REQUEST, text).into_response(),
    }
}

fn apply(front: &Front, site: &str, edit: impl FnOnce(&mut SiteFile)) -> Response {
    if !front.hub.has_site(site) {
        return unknown();
    }
    match front.hub.change_site(site, edit) {
        Ok(()) => {
            tracing::info!(site, "settings changed by the admin interface");
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

fn unknown() -> Response {
    (StatusCode::NOT_FOUND, "There is no such site in the settings file.\n").into_response()
}

type Edit = Box<dyn FnOnce(&mut SiteFile) + Send>;

fn edit(field: &str, value: &[u8]) -> Result<Edit, String> {
    macro_rules! fields {
        ($($name:ident),*) => {
            match field {
                $(stringify!($name) => {
                    let value = read(field, value)?;
                    Ok(Box::new(move |site: &mut SiteFile| site.$name = Some(value)))
                })*
                _ => Err(format!(
                    "There is no setting {field}; there are: {}.\n", [$(stringify!($name)),*].join(", ")
                )),
            }
        };
    }
    fields!(
        enabled,
        origins,
        rollout,
        holdout,
        ratio,
        upload_cap,
        yields,
        max_links,
        report_secs,
        ice,
        publish,
        seeds
    )
}

fn read<T: DeserializeOwned>(field: &str, value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| format!("The value of {field} has to be JSON: {error}.\n"))
}
