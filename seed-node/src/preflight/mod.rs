//! `rillcast-seed check`: looks at everything that a node will need, and says of what isn't right how to mend it. It leaves nothing behind.
//!
//! - [`machine`]: ports, buffers, files, limits of this machine
//! - [`services`]: token, signaling, origins

pub mod machine;
pub mod services;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::config::Options;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// The node will run, but not as well as it could.
    Poor,
    /// The node won't start, or won't do what it is for.
    Wrong,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The flag that it is about, or the part of the machine.
    pub what: String,
    /// How it is.
    pub state: State,
    /// What was found, and how to mend it.
    pub says: String,
}

impl Finding {
    /// All is well.
    pub fn good(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Good, says: says.into() }
    }

    /// It could be better.
    pub fn poor(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Poor, says: says.into() }
    }

    /// It has to be mended.
    pub fn wrong(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Wrong, says: says.into() }
    }
}

/// All that was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order in which it was looked at.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether a node can be started.
    pub fn is_good(&self) -> bool {
        self.findings.iter().all(|finding| finding.state != State::Wrong)
    }

    /// For people: a line for each finding.
    pub fn text(&self) -> String {
        let line = |f: &Finding| format!("{:<6} {}: {}\n", f.state.word(), f.what, f.says);
        self.findings.iter().map(line).collect()
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let finding = |f: &Finding| json!({ "what": f.what, "state": f.state.word(), "says": f.says });
        json!({ "good": self.is_good(), "findings": self.findings.iter().map(finding).collect::<Vec<_>>() })
    }
}

impl State {
    /// As it is shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Poor => "poor",
            Self::Wrong => "wrong",
        }
    }
}

/// Looks at everything. Takes up to half a minute where something doesn't answer.
//
// Boxed for the same reason as a node's start.
pub fn check(options: Options) -> BoxFuture<'static, Report> {
    Box::pin(check_here(options))
}

async fn check_here(options: Options) -> Report {
    let settings = match options.settle() {
        Ok(settings) => settings,
        // Nothing else can be looked at without settings.
        Err(error) => return Report { findings: vec![Finding::wrong("settings", error.to_string())] },
    };
    let mut findings = vec![Finding::good("settings", "make sense")];
    findings.extend(machine::check(&settings));
    findings.extend(services::check(&settings).await);
    Report { findings }
}
