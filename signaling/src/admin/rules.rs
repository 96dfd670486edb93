//! A site's rules: `/admin/sites/{site}/rules` shows (GET), replaces (PUT) and takes back (DELETE) all of them and adds
//! one (POST); `/admin/sites/{site}/rules/{id}` replaces (PUT) and removes (DELETE) one. Answers show the rules that hold
//! then. From the first change on the settings file's rules no longer count for the site, until DELETE takes that back.

use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Change, bad, json as body_of, unknown};
use crate::http::Front;
use crate::listen::Caller;
use crate::policy::{RuleError, RuleFile};
use crate::random;
use crate::site::SettingsError;
use crate::site::changes::Made;

pub(super) fn router() -> Router<Front> {
    Router::new()
        .route("/sites/{site}/rules", get(list).put(replace_all).post(add).delete(take_back))
        .route("/sites/{site}/rules/{id}", put(replace).delete(remove))
}

async fn list(State(front): State<Front>, Path(site): Path<String>) -> Response {
    match view(&front, &site) {
        Some(rules) => Json(rules).into_response(),
        None => unknown(),
    }
}

/// The rules that hold, and where they come from.
fn view(front: &Front, site: &str) -> Option<Value> {
    let rules = front.hub.rules_of(site)?;
    let changed = front.hub.site_changes(site).rules.is_some();
    Some(json!({ "from": if changed { "admin" } else { "settings-file" }, "rules": rules.files() }))
}

#[derive(Deserialize)]
struct Place {
    /// The rule before which a new one is put; without it, behind all.
    before: Option<String>,
}

/// The rule in a request, which may leave its id to us.
async fn rule_of(body: Body, unnamed: impl FnOnce() -> String) -> Result<RuleFile, Response> {
    let mut rule: RuleFile = body_of(body, "A rule").await?;
    if rule.id.is_empty() {
        rule.id = unnamed();
    }
    Ok(rule)
}

async fn add(
    State(front): State<Front>,
    Extension(caller): Extension<Caller>,
    Path(site): Path<String>,
    Query(Place { before }): Query<Place>,
    body: Body,
) -> Response {
    let unnamed = || random::fresh::<4>().iter().map(|byte| format!("{byte:02x}")).collect();
    let rule = match rule_of(body, unnamed).await {
        Ok(rule) => rule,
        Err(answer) => return answer,
    };
    let detail = json!({ "rule": rule, "before": before });
    let change = Change { front: &front, caller: &caller, site: &site };
    apply(&change, "rules.add", detail, StatusCode::CREATED, |rules| {
        let at = match before {
            Some(before) => position(rules, &before)?,
            None => rules.len(),
        };
        rules.insert(at, rule);
        Ok(())
    })
}

async fn replace_all(
    State(front): State<Front>,
    Extension(caller): Extension<Caller>,
    Path(site): Path<String>,
    body: Body,
) -> Response {
    let new: Vec<RuleFile> = match body_of(body, "A list of rules").await {
        Ok(rules) => rules,
        Err(answer) => return answer,
    };
    let change = Change { front: &front, caller: &caller, site: &site };
    apply(&change, "rules.set", json!({ "rules": new }), StatusCode::OK, |rules| {
        *rules = new;
        Ok(())
    })
}

async fn replace(
    State(front): State<Front>,
    Extension(caller): Extension<Caller>,
    Path((site, id)): Path<(String, String)>,
    body: Body,
) -> Response {
    let rule = match rule_of(body, || id.clone()).await {
        Ok(rule) => rule,
        Err(answer) => return answer,
    };
    let change = Change { front: &front, caller: &caller, site: &site };
    apply(&change, "rules.replace", json!({ "id": id, "rule": rule }), StatusCode::OK, |rules| {
        let at = position(rules, &id)?;
        rules[at] = rule;
        Ok(())
    })
}

async fn remove(
    State(front): State<Front>,
    Extension(caller): Extension<Caller>,
    Path((site, id)): Path<(String, String)>,
) -> Response {
    let change = Change { front: &front, caller: &caller, site: &site };
    apply(&change, "rules.remove", json!({ "id": id }), StatusCode::OK, |rules| {
        let at = position(rules, &id)?;
        rules.remove(at);
        Ok(())
    })
}

async fn take_back(
    State(front): State<Front>,
    Extension(caller): Extension<Caller>,
    Path(site): Path<String>,
) -> Response {
    let change = Change { front: &front, caller: &caller, site: &site };
    if !front.hub.has_site(&site) {
        return unknown();
    }
    let done = front.hub.change_site(&site, |changes| changes.rules = None);
    answer(&change, "rules.take-back", json!({}), StatusCode::OK, done)
}

fn position(rules: &[RuleFile], id: &str) -> Result<usize, RuleError> {
    rules.iter().position(|rule| rule.id == id).ok_or_else(|| RuleError::Unknown(id.to_owned()))
}

fn apply(
    change: &Change<'_>,
    action: &str,
    detail: Value,
    status: StatusCode,
    edit: impl FnOnce(&mut Vec<RuleFile>) -> Result<(), RuleError>,
) -> Response {
    if !change.front.hub.has_site(change.site) {
        return unknown();
    }
    let done = change.front.hub.change_rules(change.site, edit);
    answer(change, action, detail, status, done)
}

fn answer(
    change: &Change<'_>,
    action: &str,
    mut detail: Value,
    status: StatusCode,
    done: Result<Made<usize>, SettingsError>,
) -> Response {
    let Made { told: sent_away, saved } = match done {
        Ok(made) => made,
        Err(error @ SettingsError::Rule { source: RuleError::Unknown(_), .. }) => {
            return (StatusCode::NOT_FOUND, format!("{error}\n")).into_response();
        }
        Err(error) => return bad(format!("{error}\n")),
    };
    detail["sent_away"] = sent_away.into();
    if let Err(answer) = change.done(action, detail, saved) {
        return answer.into_response();
    }
    let mut view = view(change.front, change.site).unwrap_or_default();
    view["sent_away"] = sent_away.into();
    (status, Json(view)).into_response()
}
