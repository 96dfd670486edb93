//! STUN at two addresses, by which peers find out how their NATs map (R31), and what follows for introductions (R24).

use std::net::IpAddr;

use rillcast_protocol::id::{PeerId, Role};
use rillcast_protocol::nat::NatClass;
use rillcast_protocol::signal::{ClientMessage, PeerDescriptor, ServerMessage};
use rillcast_relay::Secret;
use rillcast_signaling::auth::{Asker, Open};
use rillcast_signaling::limits::Limits;
use rillcast_signaling::site::{Own, Reach, SettingsFile, Sites};
use rillcast_signaling::{Options, start};

use crate::kit::{Bench, Client, Puppet, join, loopback};

/// URLs that a member of a server with these is told.
async fn told(options: Options) -> (Vec<u16>, Vec<String>) {
    let server = start(Options { listen: vec![loopback()], ..options }).await.expect("starts");
    let client = Client::viewer(&server).await;
    let ice = client.welcome.expect("joined").settings.ice;
    let ports = server.stun.iter().chain(&server.turn).map(|at| at.port()).collect();
    (ports, ice.iter().map(|server| server.url.as_str().to_owned()).collect())
}

#[tokio::test]
async fn two_stun_addresses_are_told_and_no_more() {
    let own = |port: u16| format!("stun:127.0.0.1:{port}");
    for count in 0..4 {
        let (ports, urls) = told(Options { stun: vec![loopback(); count], ..Options::default() }).await;
        let expected: Vec<_> = ports.iter().take(2).map(|port| own(*port)).collect();
        assert_eq!(urls, expected, "{count}");
    }
    let also = || Some("stun.example:3478".parse().expect("a host and port"));
    let options = Options { stun: vec![loopback(); 2], stun_also: also(), ..Options::default() };
    let (ports, urls) = told(options).await;
    assert_eq!(urls, [own(ports[0]), "stun:stun.example:3478".to_owned()], "instead of the second port");
    let (_, urls) = told(Options { stun_also: also(), ..Options::default() }).await;
    assert_eq!(urls, ["stun:stun.example:3478"]);
    let (ports, urls) =
        told(Options { turn: vec![loopback()], stun_also: also(), ..Options::default() }).await;
    assert_eq!(urls[..2], [own(ports[0]), "stun:stun.example:3478".to_owned()]);
    assert!(urls[2].starts_with("turn:") && urls.len() == 3);
}

#[test]
fn a_second_stun_address_takes_no_relays_place() {
    let dir = tempfile::tempdir().expect("dir");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef").expect("write");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, mode).expect("permissions");
    let stun = ["stun:h:1", "stun:h:2", "stun:h:3"].map(str::to_owned).to_vec();
    let own = Own { stun, turn: Some("turn:h:3".to_owned()) };
    let shared = Secret::new(b"0123456789abcdef0123456789abcdef");
    for (relays, stun) in [(4, 2), (5, 2), (6, 1)] {
        let urls = vec!["\"turn:relay.example\""; relays].join(",");
        let text = format!("[sites.demo.turn]\nurls = [{urls}]\nsecret_file = {secret:?}\n");
        let file: SettingsFile = toml::from_str(&text).expect("settings");
        let sites = Sites::new(&file, Vec::new()).expect("sites");
        let site = sites.find("demo").expect("there");
        let reach = Reach { own: Some(&own), secret: Some(&shared), until: 1 };
        let ice = site.settings_for(PeerId([1; 16]), false, reach).ice;
        let count = |relays: bool| ice.iter().filter(|server| server.relays() == relays).count();
        assert_eq!((count(false), count(true)), (stun, relays + 1));
    }
}

fn introduced(puppet: &mut Puppet) -> Vec<PeerDescriptor> {
    let peers = puppet.heard().into_iter().flat_map(|m| match m {
        ServerMessage::Introduce { peers } => peers.into_vec(),
        _ => Vec::new(),
    });
    peers.collect()
}

/// A viewer from an address, which has found its NAT's class.
fn viewer(bench: &Bench, address: u8, class: NatClass) -> Puppet {
    let address = IpAddr::from([192, 0, 2, address]);
    let asker = Asker { address, origin: None, forwarded: false };
    let puppet = bench.enter_from(join(Role::Viewer), asker).expect("room");
    bench.say(&puppet, ClientMessage::Nat { class });
    puppet
}

#[test]
fn a_class_is_told_to_whom_its_owner_is_introduced_to_and_to_no_older_version() {
    let mut bench = Bench::open(Limits::default(), "", Open::Everyone);
    let _known = viewer(&bench, 1, NatClass::Blocked);
    let mut newer = viewer(&bench, 2, NatClass::Open);
    assert_eq!(introduced(&mut newer).iter().map(|p| p.nat).collect::<Vec<_>>(), [NatClass::Blocked]);
    bench.version = 1;
    let mut older = viewer(&bench, 3, NatClass::Unknown);
    let told: Vec<_> = introduced(&mut older).iter().map(|p| p.nat).collect();
    assert_eq!(told, [NatClass::Unknown; 2]);
}

#[test]
fn who_met_before_classes_were_known_is_told_once_that_no_way_leads_there() {
    let bench = Bench::open(Limits::default(), "", Open::Everyone);
    let mut first = viewer(&bench, 1, NatClass::Dependent);
    let mut near = viewer(&bench, 2, NatClass::Independent);
    let second = viewer(&bench, 3, NatClass::Dependent);
    let told = |puppet: &mut Puppet| -> Vec<_> {
        introduced(puppet).iter().filter(|p| p.id == second.id).map(|p| p.nat).collect()
    };
    assert_eq!(told(&mut first), [NatClass::Unknown, NatClass::Dependent]);
    assert_eq!(told(&mut near), [NatClass::Unknown], "nothing keeps these two from meeting");
    for class in [NatClass::Dependent, NatClass::Blocked, NatClass::Unknown, NatClass::Dependent] {
        bench.say(&second, ClientMessage::Nat { class });
    }
    assert_eq!(told(&mut first), [], "whatever it says later");
}

#[test]
fn a_pair_that_no_way_joins_is_not_introduced_where_no_relay_is_there() {
    use NatClass::{Dependent, Independent};
    const OTHERS: u8 = 40;
    let turn = "ice = [{ url = \"turn:relay.example\", username = \"n\", credential = \"p\" }]\n";
    for (settings, apart, classes, meet) in [
        ("", 1, [Dependent, Dependent], 0),
        ("", 1, [Dependent, Independent], 4),
        ("", 0, [Dependent, Dependent], 4),
        (turn, 1, [Dependent, Dependent], 4),
    ] {
        // Whoever comes meets four, before its class is known; so most haven't met.
        let limits = Limits { introduce: 4, ..Limits::default() };
        let bench = Bench::open(limits, &format!("[default]\nmax_links = 1\n{settings}"), Open::Everyone);
        let mut asker = viewer(&bench, 1, classes[0]);
        let _others: Vec<_> = (1..=OTHERS).map(|n| viewer(&bench, 1 + n * apart, classes[1])).collect();
        introduced(&mut asker);
        bench.say(&asker, ClientMessage::WantPeers { count: 4 });
        assert_eq!(introduced(&mut asker).len(), meet, "{classes:?}, {apart} apart, {settings:?}");
    }
}
