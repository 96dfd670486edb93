//! Relaying for viewers.

use rillcast_relay::Place;
use rillcast_relay::cidr::Cidr;
use rillcast_relay::options::{Ports, RelayAddress};

use super::{ConfigError, Options};
use crate::relay::Config;

/// For all viewers together.
const CAP: u32 = 4 << 20;
/// Less is of no use to anybody, in bytes/s.
pub const MIN_RELAY_CAP: u32 = 64 << 10;

impl Options {
    pub(super) fn relaying(&self) -> Result<Option<Config>, ConfigError> {
        let Some(listen) = self.relay else {
            let without = [
                ("relay-address", !self.relay_address.is_empty()),
                ("relay-ports", self.relay_ports.is_some()),
                ("relay-allow", !self.relay_allow.is_empty()),
                ("relay-cap", self.relay_cap.is_some()),
            ];
            return match without.into_iter().find(|(_, given)| *given) {
                Some((flag, _)) => Err(ConfigError::NoRelay(flag)),
                None => Ok(None),
            };
        };
        if self.manifest.is_empty() || self.publish_only || (self.agent.is_some() && !self.seed) {
            return Err(ConfigError::RelayAlone);
        }
        let wrong = |flag: &'static str| move |error: String| ConfigError::Relay(flag, error);
        let parse =
            |text: &String| text.parse::<RelayAddress>().map_err(|e| wrong("relay-address")(e.to_string()));
        let addresses: Vec<_> = self.relay_address.iter().map(parse).collect::<Result<_, _>>()?;
        if addresses.is_empty() && listen.ip().is_unspecified() {
            return Err(ConfigError::RelayAddress(listen));
        }
        let ports = match &self.relay_ports {
            None => Ports::default(),
            Some(text) => text
                .parse()
                .map_err(|e: rillcast_relay::options::OptionError| wrong("relay-ports")(e.to_string()))?,
        };
        let range = |text: &String| text.parse::<Cidr>().map_err(|e| wrong("relay-allow")(e.to_string()));
        let allow = self.relay_allow.iter().map(range).collect::<Result<_, _>>()?;
        let cap = self.relay_cap.map_or(CAP, |cap| u32::try_from(cap.0).unwrap_or(u32::MAX));
        if cap < MIN_RELAY_CAP {
            return Err(ConfigError::TooLittle("relay-cap", MIN_RELAY_CAP.into()));
        }
        Ok(Some(Config { place: Place { listen: vec![listen], addresses, ports, allow }, cap }))
    }
}
