//! Hosts behind routers of their own, as people's computers are.

use std::fs;

use anyhow::{Context, Result};

use super::Lab;
use super::command::in_batch;
use super::host::Host;
use super::link::Link;

/// The router's side of the cable to its host.
const INSIDE: &str = "inside";

impl Lab {
    /// Plugs a host in behind a router, whose queue the link's is, as in people's homes. A queue on the sender's own host isn't the same: its
    /// kernel learns of what that drops at once, without a loss, and beside somebody's UDP its TCP got a third of what it gets here.
    ///
    /// The router answers for each side towards the other (proxy ARP), so that nobody sees that there is one.
    pub fn add_home(&self, name: &str, link: Link) -> Result<Host> {
        let router = self.add(&format!("{name}-router"), Link::UNSHAPED)?;
        let namespace = self.add_namespace(name)?;
        let number = self.next_number()?;
        let address = Self::address(number);
        in_batch(
            router.namespace(),
            &[
                &format!("link add {INSIDE} type veth peer name eth0 netns {namespace}"),
                &format!("link set {INSIDE} up"),
                &format!("route add {address}/32 dev {INSIDE}"),
            ],
        )?;
        router.inside(answer_for_each_other)?.context("can't make a router")?;
        Self::bring_up(&namespace, address)?;
        let home = router.standing_before(namespace, address);
        home.set_link(link)?;
        Ok(home)
    }
}

fn answer_for_each_other() -> Result<()> {
    let write =
        |path: String, value: &str| fs::write(&path, value).with_context(|| format!("can't set {path}"));
    write("/proc/sys/net/ipv4/ip_forward".to_owned(), "1")?;
    for device in ["eth0", INSIDE] {
        write(format!("/proc/sys/net/ipv4/conf/{device}/proxy_arp"), "1")?;
        // Or the first answer takes up to 0.8 s.
        write(format!("/proc/sys/net/ipv4/neigh/{device}/proxy_delay"), "0")?;
    }
    Ok(())
}
