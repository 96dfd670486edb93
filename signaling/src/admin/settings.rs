//! Single settings of a site: `PUT /admin/sites/{site}/{field}` with the value as JSON, e.g. `false` to `enabled`;
//! `GET /admin/sites/{site}` shows what has been changed; `DELETE /admin/sites/{site}` takes all of it back, the rules too.

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Change, bad, json, unknown};
use crate::http::Front;
use crate::listen::Caller;
use crate::site::SiteFile;

pub(super) fn router() -> Router<Front> {
    Router::new().route("/sites/{site}", get(show).delete(reset)).route("/sites/{site}/{field}", put(change))
}

async fn show(State(front): State<Front>, Path(site): Path<String>) -> Response {
    if !front.hub.has_site(&site) {
        return unknown();
    }
    Json(front.hub.site_changes(&site)).into_response()
}

async fn reset(
    State(front): State<Front>,
    Extension(caller): Extension<Caller>,
    Path(site): Path<String>,
) -> Response {
    let change = Change { front: &front, caller: &caller, site: &site };
    apply(&change, "settings.reset", Value::Null, |changes| *changes = SiteFile::default())
}

async fn change(
    State(front): State<Front>,
    Extension(caller): Extension<Caller>,
    Path((site, field)): Path<(String, String)>,
    body: Body,
) -> Response {
    let value: Value = match json(body, &format!("The value of {field}")).await {
        Ok(value) => value,
        Err(answer) => return answer,
    };
    // TURN credentials stay out of the log.
    let told = if field == "ice" { Value::from("...") } else { value.clone() };
    let detail = serde_json::json!({ (field.as_str()): told });
    let change = Change { front: &front, caller: &caller, site: &site };
    match edit(&field, value) {
        Ok(edit) => apply(&change, "settings.set", detail, edit),
        Err(text) => bad(text),
    }
}

fn apply(change: &Change<'_>, action: &str, detail: Value, edit: impl FnOnce(&mut SiteFile)) -> Response {
    let hub = &change.front.hub;
    if !hub.has_site(change.site) {
        return unknown();
    }
    match hub.change_site(change.site, edit) {
        Ok(made) => match change.done(action, detail, made.saved) {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(answer) => answer.into_response(),
        },
        Err(error) => bad(format!("{error}\n")),
    }
}

type Edit = Box<dyn FnOnce(&mut SiteFile) + Send>;

fn edit(field: &str, value: Value) -> Result<Edit, String> {
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
        ticket_grace_min,
        ice,
        publish,
        seeds
    )
}

fn read<T: DeserializeOwned>(field: &str, value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| format!("The value of {field} can't be used: {error}.\n"))
}
