//! One page of a browser.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::driver::{BrowserError, Remote};

/// How long a page may take to answer unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open page. Dropping it leaves it open; it ends with its browser.
#[derive(Debug, Clone)]
pub struct Page {
    remote: Remote,
    id: Value,
}

impl Page {
    pub(super) fn new(remote: Remote, id: Value) -> Self {
        Self { remote, id }
    }

    /// Evaluates an expression, awaiting it if it is a promise, and reads its JSON form.
    pub async fn eval<T: DeserializeOwned>(&self, expression: &str) -> Result<T, BrowserError> {
        self.eval_within(expression, PATIENCE).await
    }

    /// [`Page::eval`] with a time limit of its own.
    pub async fn eval_within<T: DeserializeOwned>(
        &self,
        expression: &str,
        limit: Duration,
    ) -> Result<T, BrowserError> {
        let answer = self.call("eval", json!({ "expression": expression }), limit).await?;
        serde_json::from_value(answer.clone()).map_err(|error| BrowserError::Form {
            answer: answer.to_string().chars().take(200).collect(),
            reason: error.to_string(),
        })
    }

    /// Evaluates an expression until it is true.
    pub async fn wait_until(&self, expression: &str, limit: Duration) -> Result<(), BrowserError> {
        let begun = std::time::Instant::now();
        loop {
            if self.eval::<bool>(&format!("!!({expression})")).await? {
                return Ok(());
            }
            if begun.elapsed() > limit {
                let tail = self.log().await.unwrap_or_default();
                let tail = tail.iter().rev().take(20).rev().map(|line| format!("\n  | {line}")).collect();
                return Err(BrowserError::Refused {
                    op: "wait",
                    reason: format!("`{expression}` was not true within {limit:?}"),
                    tail,
                });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Goes to another address.
    pub async fn navigate(&self, url: &str) -> Result<(), BrowserError> {
        let limit = Duration::from_secs(60);
        let arguments = json!({ "url": url, "timeout_ms": limit.as_millis() as u64 });
        self.call("navigate", arguments, limit).await.map(drop)
    }

    /// The page's console and errors, the last 200 lines.
    pub async fn log(&self) -> Result<Vec<String>, BrowserError> {
        let lines = self.call("log", json!({}), PATIENCE).await?;
        Ok(serde_json::from_value(lines).unwrap_or_default())
    }

    /// Writes a picture of it (PNG).
    pub async fn screenshot(&self, path: &Path) -> Result<(), BrowserError> {
        self.call("screenshot", json!({ "path": path }), PATIENCE).await.map(drop)
    }

    /// Where its main thread spends its time for so many seconds: microseconds by function (Chromium only).
    pub async fn profile(&self, seconds: u64) -> Result<BTreeMap<String, f64>, BrowserError> {
        let limit = PATIENCE + Duration::from_secs(seconds);
        let times = self.call("profile", json!({ "seconds": seconds }), limit).await?;
        Ok(serde_json::from_value(times).unwrap_or_default())
    }

    /// Freezes it as a browser does with tabs long hidden (Chromium only).
    pub async fn freeze(&self) -> Result<(), BrowserError> {
        self.call("freeze", json!({}), PATIENCE).await.map(drop)
    }

    /// Wakes it after [`Page::freeze`].
    pub async fn thaw(&self) -> Result<(), BrowserError> {
        self.call("thaw", json!({}), PATIENCE).await.map(drop)
    }

    /// Closes it as a viewer does.
    pub async fn close(self) -> Result<(), BrowserError> {
        self.call("close", json!({}), PATIENCE).await.map(drop)
    }

    async fn call(
        &self,
        op: &'static str,
        mut arguments: Value,
        limit: Duration,
    ) -> Result<Value, BrowserError> {
        arguments["page"] = self.id.clone();
        self.remote.call(op, arguments, limit).await
    }
}
