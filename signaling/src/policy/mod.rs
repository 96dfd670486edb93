//! Rules of a site (R36): who may take part, in what, when and from where. The first rule that fits decides, and where none
//! does everybody may. They hold at the join and afterwards: a changed rule, a changed database and the passing of time are
//! applied to those who have joined.
//!
//! - [`rule`]: one rule, as it is written and as it is compared
//! - [`rules`]: all rules of a site; which one decides
//! - [`subject`]: what is known of whoever is judged
//! - [`verdict`]: revocations and rules together
//!
//! What a rule asks for and nobody can tell (a country without a database) makes the rule unusable, not void: it is
//! refused when it is set, for a ban that never fits lets everybody in.

use rillcast_protocol::settings::Settings;
use serde::{Deserialize, Serialize};

pub mod rule;
pub mod rules;
pub mod subject;
pub mod verdict;

pub use rule::{Rule, RuleError, RuleFile};
pub use rules::Rules;
pub use subject::{Case, Subject};

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// They may take part.
    Allow,
    /// They may not.
    Deny,
    /// They may download and upload nothing.
    LeechOnly,
    /// They may be linked through relays only, so that nobody learns their address.
    RelayOnly,
}

/// How a member takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// As the site allows everybody.
    #[default]
    Full,
    /// It downloads and uploads nothing.
    LeechOnly,
    /// It is linked through relays only.
    RelayOnly,
}

impl Standing {
    /// The settings of somebody who stands so.
    pub fn restrict(self, mut settings: Settings) -> Settings {
        match self {
            Self::Full => {}
            Self::LeechOnly => settings.ratio_percent = 0,
            Self::RelayOnly => {
                settings.relay_only = true;
                // The rule is there to hide an address, and that it does in any case.
                let is_relay = |url: &str| url.starts_with("turn:") || url.starts_with("turns:");
                settings.enabled &= settings.ice.iter().any(|server| is_relay(server.url.as_str()));
            }
        }
        settings
    }
}
