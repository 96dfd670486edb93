//! The node's UDP socket, with buffers that hold a burst.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tracing::warn;

/// With the kernel's default (208 KiB) a burst from a few peers is lost in the socket, and SCTP then waits for a
/// second or more (its shortest retransmission time-out).
pub const BUFFER: usize = 4 * 1024 * 1024;

/// Binds the port that all links share.
///
/// An IPv6 wildcard takes IPv4 as well.
pub fn bind(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_recv_buffer_size(BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    for (what, size, sysctl) in [
        ("receive", socket.recv_buffer_size()?, "net.core.rmem_max"),
        ("send", socket.send_buffer_size()?, "net.core.wmem_max"),
    ] {
        if let Some(advice) = advice(what, size, sysctl) {
            warn!("{advice}");
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// What to tell the operator if the kernel gave less than was asked for. (Linux reports twice what it was asked
/// for, since its own bookkeeping counts too.)
fn advice(what: &str, size: usize, sysctl: &str) -> Option<String> {
    let enough = if cfg!(target_os = "linux") { 2 * BUFFER } else { BUFFER };
    (size < enough).then(|| {
        format!(
            "the kernel caps the UDP {what} buffer at {} KiB, so bursts from several peers will be lost and \
             links will stall; run `sysctl -w {sysctl}={BUFFER}` and start again",
            size / 1024
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capped_buffer_names_the_sysctl() {
        assert!(advice("receive", 2 * BUFFER, "net.core.rmem_max").is_none());
        let said = advice("receive", 212_992, "net.core.rmem_max").expect("too small");
        assert!(said.contains("sysctl -w net.core.rmem_max=4194304"), "{said}");
    }

    #[test]
    fn a_port_is_bound_once() {
        let first = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let taken = first.local_addr().expect("bound");
        assert_eq!(bind(taken).expect_err("in use").kind(), io::ErrorKind::AddrInUse);
    }
}
