//! Signaling's settings file.

use rillcast_protocol::coding::Wire;
use rillcast_protocol::id::PeerId;
use rillcast_protocol::settings::Settings;
use rillcast_signaling::geo::Tells;
use rillcast_signaling::site::{Own, Reach, SettingsFile, Sites};

/// Reads a file, and makes of every site what its peers get.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(mut file) = toml::from_str::<SettingsFile>(text) else { return };
    for site in file.sites.values_mut().chain([&mut file.default]) {
        // An input mustn't make a fuzzer read the machine's files.
        site.keys.iter_mut().flatten().for_each(|key| key.secret_file = None);
        site.turn.iter_mut().for_each(|turn| turn.secret_file = None);
    }
    let publish = vec!["https://cdn.example/".to_owned()];
    let Ok(mut sites) = Sites::located(&file, publish, Tells { countries: true, asns: true }) else { return };
    for name in file.sites.keys().map(String::as_str).chain(["demo"]) {
        let Some(site) = sites.find(name) else { continue };
        for is_seed in [false, true] {
            let own = Own {
                stun: vec!["stun:example:3478".to_owned(), "stun:example:3479".to_owned()],
                turn: Some("turn:example:3478".to_owned()),
            };
            let reach = Reach { own: Some(&own), secret: None, until: 1 };
            let settings = site.settings_for(PeerId([7; 16]), is_seed, reach);
            assert!((1..=64).contains(&settings.max_links) && settings.ratio_percent <= 60_000);
            assert_eq!(Settings::from_bytes(&settings.to_bytes()), Ok(settings));
        }
    }
    sites.reload(&file).expect("what could be read can be read again");
}
