//! What a node needs of its machine.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Resource, getrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use super::Finding;
use crate::cache::{self, CacheConfig};
use crate::channel;
use crate::config::Settings;
use crate::ingest;
use crate::rtc::socket::BUFFER;

/// Files that a node has open besides one for each link's origin connections: ports, logs, connections to servers.
const FILES: u64 = 128;

/// Of everything on this machine.
pub fn check(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![udp("--udp", settings.udp), buffers()];
    let ingest = settings.ingest.as_ref();
    let served = [
        ("--metrics", settings.metrics),
        ("--agent", settings.agent),
        ("--ingest", ingest.map(|i| i.listen)),
        ("--ingest-tls", ingest.and_then(|i| i.tls.as_ref()).map(|tls| tls.listen)),
    ];
    findings.extend(served.into_iter().filter_map(|(flag, address)| Some(tcp(flag, address?))));
    let relay = settings.relay.iter().flat_map(|relay| &relay.place.listen);
    findings.extend(relay.map(|address| udp("--relay", *address)));
    findings.extend(advertised(settings.udp, &settings.advertise));
    findings.extend(settings.key.as_deref().map(key));
    findings.extend(settings.cache.as_ref().map(copies));
    findings.extend(ingest.into_iter().flat_map(origin));
    let files = getrlimit(Resource::Nofile).current;
    let connections = ingest.map_or(0, |config| ingest::CONNECTIONS * config.addresses().count());
    findings.push(descriptors(files, settings.max_links + connections));
    findings
}

fn udp(flag: &str, address: SocketAddr) -> Finding {
    match std::net::UdpSocket::bind(address) {
        Ok(_) => Finding::good(flag, format!("{address} is free")),
        Err(error) => Finding::wrong(flag, format!("{address} can't be bound: {error}; {}", advice(&error))),
    }
}

fn tcp(flag: &str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::good(flag, format!("{address} is free")),
        Err(error) => Finding::wrong(flag, format!("{address} can't be bound: {error}; {}", advice(&error))),
    }
}

fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program has it (a node that runs already?): stop that or choose another port"
        }
        std::io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address: give one of its own, or 0.0.0.0"
        }
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one"
        }
        _ => "choose another address",
    }
}

/// What the kernel gives of the socket buffers that bursts need.
fn buffers() -> Finding {
    const WHAT: &str = "socket buffers";
    let asked = || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_recv_buffer_size(BUFFER)?;
        socket.set_send_buffer_size(BUFFER)?;
        // Linux tells twice what it gives.
        std::io::Result::Ok((socket.recv_buffer_size()? / 2, socket.send_buffer_size()? / 2))
    };
    match asked() {
        Err(error) => Finding::poor(WHAT, format!("can't be looked at: {error}")),
        Ok((receive, send)) => given(receive, send),
    }
}

fn given(receive: usize, send: usize) -> Finding {
    let lacking: Vec<String> = [("net.core.rmem_max", receive), ("net.core.wmem_max", send)]
        .into_iter()
        .filter(|(_, size)| *size < BUFFER)
        .map(|(sysctl, size)| format!("{sysctl} is {size}, run: sysctl -w {sysctl}={BUFFER}"))
        .collect();
    if lacking.is_empty() {
        Finding::good("socket buffers", format!("hold {} KiB each", BUFFER / 1024))
    } else {
        Finding::poor(
            "socket buffers",
            format!("are too small for bursts, so links will stall: {}", lacking.join("; ")),
        )
    }
}

/// Whether viewers can make something of the addresses that they will be told.
fn advertised(udp: SocketAddr, addresses: &[IpAddr]) -> Vec<Finding> {
    const FLAG: &str = "--advertise";
    let mut findings: Vec<Finding> = addresses
        .iter()
        .map(|address| match address.to_canonical() {
            ip if ip.is_unspecified() || ip.is_multicast() => {
                Finding::wrong(FLAG, format!("{ip} is nobody's address: give the public one"))
            }
            ip if ip.is_loopback() && !udp.ip().is_loopback() => {
                Finding::wrong(FLAG, format!("{ip} leads every viewer to itself: give the public address"))
            }
            IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() => Finding::poor(
                FLAG,
                format!("{ip} is a private address: only viewers of the same network will reach it"),
            ),
            ip => Finding::good(FLAG, format!("{ip} can be a public address")),
        })
        .collect();
    if addresses.is_empty() && udp.ip().to_canonical().is_loopback() {
        let says = format!(
            "--udp {udp} is for viewers on this machine alone; give --udp 0.0.0.0:{} for others",
            udp.port()
        );
        findings.push(Finding::poor("--udp", says));
    }
    findings
}

fn key(path: &Path) -> Finding {
    const FLAG: &str = "--key";
    match std::fs::metadata(path) {
        Ok(about) if about.permissions().mode() & 0o077 != 0 => {
            Finding::wrong(FLAG, format!("{0} can be read by others; run: chmod 600 {0}", path.display()))
        }
        Ok(_) => match rillcast_publisher::PublishingKey::load_or_create(path) {
            Ok(key) => {
                Finding::good(FLAG, format!("{} holds the key of publisher {}", path.display(), key.public()))
            }
            Err(error) => Finding::wrong(FLAG, error.to_string()),
        },
        Err(_) => {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            match writable(parent) {
                Ok(()) => Finding::good(FLAG, format!("{} will be made", path.display())),
                Err(error) => Finding::wrong(
                    FLAG,
                    format!(
                        "{} isn't there and can't be made: {error}; make its directory, for this user to write",
                        path.display()
                    ),
                ),
            }
        }
    }
}

/// A directory that has to hold so much.
struct Store<'a> {
    /// The flags that name it, and how much it may hold.
    flags: [&'static str; 2],
    dir: &'a Path,
    budget: u64,
    /// Bytes of what is there already: they count as room.
    used: u64,
}

fn copies(config: &CacheConfig) -> Finding {
    let flags = ["--cache-dir", "--cache-size"];
    directory(&Store { flags, dir: &config.dir, budget: config.budget, used: used(&config.dir) })
}

/// What a node needs that encoders push to.
fn origin(config: &ingest::Config) -> Vec<Finding> {
    let flags = ["--ingest-dir", "--ingest-size"];
    let used = ingest::disk::used(&config.dir);
    let mut findings = vec![directory(&Store { flags, dir: &config.dir, budget: config.budget, used })];
    findings.extend(config.keys.as_deref().map(|path| match ingest::keys::Keys::open(path) {
        Ok(_) => {
            Finding::good("--ingest-keys", format!("{} can be read, by this user alone", path.display()))
        }
        Err(error) => Finding::wrong("--ingest-keys", error.to_string()),
    }));
    findings.extend(config.tls.as_ref().map(|tls| {
        match rillcast_tls::Certificate::load(&tls.cert, &tls.key) {
            Ok(_) => Finding::good(
                "--ingest-cert",
                format!("{} can be read, and its key belongs to it", tls.cert.display()),
            ),
            Err(error) => Finding::wrong("--ingest-cert", error.to_string()),
        }
    }));
    findings.extend(config.channels.iter().map(|path| schedule(path)));
    findings
}

fn schedule(path: &Path) -> Finding {
    const FLAG: &str = "--channel";
    let wrong = |error: String| Finding::wrong(FLAG, error);
    let schedule = match channel::read(path) {
        Ok(schedule) => schedule,
        Err(error) => return wrong(error.to_string()),
    };
    let (packaged, films): (Vec<_>, Vec<_>) =
        schedule.films.iter().partition(|film| channel::package::is_needed(film));
    if let Some(error) = films.into_iter().find_map(|film| channel::film::Film::open(film).err()) {
        return wrong(error.to_string());
    }
    if let Some(missing) = packaged.iter().find(|file| !file.is_file()) {
        return wrong(format!("{} isn't there", missing.display()));
    }
    match channel::package::ffmpeg() {
        Err(error) if !packaged.is_empty() => wrong(format!(
            "{} files have to be packaged, and ffmpeg can't be run: {error}; install it (apt install ffmpeg)",
            packaged.len()
        )),
        _ => Finding::good(
            FLAG,
            format!("{} can be played, of {} films", path.display(), schedule.films.len()),
        ),
    }
}

fn directory(store: &Store<'_>) -> Finding {
    let [flag, _] = store.flags;
    let dir = store.dir.display();
    let there = store.dir.ancestors().find(|path| path.exists()).unwrap_or(store.dir);
    if let Err(error) = writable(there) {
        return Finding::wrong(
            flag,
            format!("{dir} can't be written: {error}; make it, for this user to write"),
        );
    }
    match cache::free(store.dir) {
        Err(error) => Finding::poor(flag, format!("{dir}: free space can't be told: {error}")),
        Ok(free) => room(store, free.saturating_add(store.used)),
    }
}

fn room(store: &Store<'_>, free: u64) -> Finding {
    let mib = |bytes: u64| bytes >> 20;
    let ([flag, size], dir) = (store.flags, store.dir.display());
    if free < store.budget {
        let says = format!(
            "{dir} has room for {} MiB, less than the {} of {size}: lower that, or make room",
            mib(free),
            mib(store.budget)
        );
        return Finding::wrong(flag, says);
    }
    Finding::good(flag, format!("{dir} can be written and has room for {} MiB", mib(free)))
}

/// Bytes of the copies that are there already: they count as room.
fn used(dir: &Path) -> u64 {
    let copies = cache::files::Files::at(dir).scan().unwrap_or_default();
    copies.iter().map(|(_, bytes, _)| bytes).sum()
}

/// Tries it, as root may do what the permissions don't say.
fn writable(dir: &Path) -> std::io::Result<()> {
    let probe = dir.join(format!(".rillcast-check-{}", std::process::id()));
    std::fs::File::create_new(&probe)?;
    std::fs::remove_file(&probe)
}

/// All links share one socket; each may have viewers fetch from the agent or the origin meanwhile.
fn descriptors(limit: Option<u64>, links: usize) -> Finding {
    const WHAT: &str = "file descriptors";
    let needed = FILES + links as u64;
    match limit {
        Some(limit) if limit < needed => Finding::poor(
            WHAT,
            format!(
                "{limit} are allowed, {needed} may be needed by {links} links and connections; run: ulimit -n {needed}, or set LimitNOFILE= in the unit"
            ),
        ),
        _ => Finding::good(WHAT, format!("{needed} may be needed, and are allowed")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_port_that_another_has_is_named() {
        let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("bound");
        let said = udp("--udp", address);
        assert!(said.state == State::Wrong && said.says.contains("another program"), "{said:?}");
        drop(taken);
        assert_eq!(udp("--udp", address).state, State::Good);
        assert!(tcp("--metrics", "192.0.2.1:1".parse().expect("an address")).says.contains("no interface"));
    }

    #[test]
    fn small_buffers_are_told_with_the_sysctl() {
        assert_eq!(given(BUFFER, BUFFER).state, State::Good);
        let said = given(BUFFER - 1, BUFFER);
        assert!(
            said.state == State::Poor && said.says.contains("sysctl -w net.core.rmem_max=4194304"),
            "{said:?}"
        );
        assert!(!said.says.contains("wmem"), "{said:?}");
    }

    #[test]
    fn addresses_that_lead_nowhere_are_named() {
        let state = |udp: &str, address: &str| {
            let said = advertised(udp.parse().expect("an address"), &[address.parse().expect("an address")]);
            said[0].state
        };
        assert_eq!(state("0.0.0.0:1", "203.0.113.7"), State::Good);
        assert_eq!(state("0.0.0.0:1", "192.168.1.2"), State::Poor);
        for wrong in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "::"] {
            assert_eq!(state("0.0.0.0:1", wrong), State::Wrong, "{wrong}");
        }
        assert_eq!(state("127.0.0.1:1", "127.0.0.1"), State::Good);
        assert_eq!(advertised("127.0.0.1:1".parse().expect("an address"), &[])[0].state, State::Poor);
        assert!(advertised("0.0.0.0:1".parse().expect("an address"), &[]).is_empty());
    }

    #[test]
    fn a_key_that_others_can_read_or_that_can_not_be_made_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("seed.key");
        assert_eq!(key(&path).state, State::Good);
        assert!(!path.exists(), "nothing is left behind");
        rillcast_publisher::PublishingKey::load_or_create(&path).expect("made");
        assert_eq!(key(&path).state, State::Good);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("chmod");
        assert!(key(&path).says.contains("chmod 600"));
        assert_eq!(key(&dir.path().join("no/seed.key")).state, State::Wrong);
    }

    #[test]
    fn each_limit_is_told_at_under_and_over() {
        let needed = FILES + 512;
        for (limit, state) in [(needed - 1, State::Poor), (needed, State::Good), (needed + 1, State::Good)] {
            assert_eq!(descriptors(Some(limit), 512).state, state, "{limit}");
        }
        assert_eq!(descriptors(None, 512).state, State::Good);
        for (free, state) in [(99, State::Wrong), (100, State::Good), (101, State::Good)] {
            let store = Store { flags: ["--d", "--s"], dir: Path::new("d"), budget: 100, used: 0 };
            assert_eq!(room(&store, free).state, state, "{free}");
        }
        let dir = tempfile::tempdir().expect("a directory");
        let config = |dir: std::path::PathBuf| CacheConfig { dir, budget: 1, keep: std::time::Duration::MAX };
        assert_eq!(copies(&config(dir.path().join("new"))).state, State::Good);
        assert!(!dir.path().join("new").exists(), "nothing is left behind");
    }
    // R48 R49
    #[test]
    fn what_an_origin_and_its_channels_lack_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let mut config = ingest::Config {
            listen: ([127, 0, 0, 1], 0).into(),
            dir: at("new"),
            budget: 1,
            retain: std::time::Duration::MAX,
            prefix: "/".to_owned(),
            keys: None,
            channels: Vec::new(),
            tls: None,
        };
        let states = |config: &ingest::Config| origin(config).iter().map(|f| f.state).collect::<Vec<_>>();
        assert_eq!(states(&config), [State::Good]);
        assert!(!at("new").exists(), "nothing is left behind");
        (config.keys, config.channels) = (Some(at("keys")), vec![at("tv.toml")]);
        assert_eq!(states(&config), [State::Good, State::Wrong, State::Wrong]);
        config.tls = Some(ingest::Tls { listen: config.listen, cert: at("cert.pem"), key: at("cert.key") });
        let said = origin(&config).into_iter().find(|finding| finding.says.contains("cert.pem"));
        assert_eq!(said.map(|finding| finding.state), Some(State::Wrong));
        config.tls = None;
        std::fs::write(at("keys"), "tv a-key-of-some-length\n").expect("written");
        std::fs::set_permissions(at("keys"), std::fs::Permissions::from_mode(0o600)).expect("chmod");
        let schedule = |file: &str| {
            let text = format!("name = \"tv\"\n[[item]]\nfile = \"{file}\"\n");
            std::fs::write(at("tv.toml"), text).expect("written");
            schedule(&at("tv.toml"))
        };
        assert!(schedule("a.mp4").says.contains("a.mp4 isn't there"));
        assert!(schedule("a.m3u8").says.contains("can't read"));
        std::fs::write(at("0.ts"), "media").expect("written");
        std::fs::write(at("a.m3u8"), "#EXTM3U\n#EXTINF:2,\n0.ts\n#EXT-X-ENDLIST\n").expect("written");
        assert_eq!(schedule("a.m3u8").state, State::Good);
        assert_eq!(states(&config), [State::Good; 3]);
    }
}
