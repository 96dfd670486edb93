//! A hostile peer on a host of a laboratory, among viewers in browsers.

use std::net::SocketAddr;

use anyhow::Result;
use rillcast_protocol::id::Delivery;

use super::{Attack, Hostile, Running};
use crate::native::Visit;
use crate::netlab::{Host, Living};
use crate::services::{SITE, content};

/// The guest. Dropping it ends it.
#[derive(Debug)]
pub struct Guest {
    /// The peer itself.
    pub hostile: Running,
    /// Where it is.
    pub host: Host,
    _living: Living,
}

impl Guest {
    /// Has one come from `host`, by way of signaling there, to whoever watches the stream of this path; back once it has been let in.
    pub async fn invite(
        host: &Host,
        signaling: SocketAddr,
        stream: &str,
        attack: impl Attack + 'static,
    ) -> Result<Self> {
        let visit = Visit {
            signal: format!("ws://{signaling}/ws"),
            site: SITE.to_owned(),
            content: content(stream).to_owned(),
            delivery: Delivery::Hls,
            token: String::new(),
            udp: SocketAddr::new(host.address(), 0),
        };
        let (hostile, living) = host.live(move || Hostile::come(&visit, attack)).await?;
        hostile.until("the server lets it in", |log| log.me.is_some()).await?;
        Ok(Self { hostile, host: host.clone(), _living: living })
    }
}
