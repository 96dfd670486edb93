//! Which browser to start, and with which switches.

use std::path::PathBuf;

use serde_json::{Value, json};

/// Which browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Chromium, driven over CDP.
    Chromium,
    /// Firefox, driven over WebDriver BiDi.
    Firefox,
}

/// How to start a browser.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Which browser.
    pub kind: Kind,
    /// Name of the network namespace to run in; `None` for the one we are in.
    pub namespace: Option<String>,
    /// Origins on plain http (`http://10.77.0.1:80`) that count as secure, which WebRTC, WebCrypto and service
    /// workers ask for.
    pub secure_origins: Vec<String>,
    /// The program, if not the usual one.
    pub program: Option<PathBuf>,
    /// Switches beyond the usual ones (Chromium only).
    pub extra_args: Vec<String>,
    /// Preferences beyond the usual ones (Firefox only).
    pub extra_prefs: Vec<(String, Value)>,
}

impl Launch {
    /// A browser in our own network.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            namespace: None,
            secure_origins: Vec::new(),
            program: None,
            extra_args: Vec::new(),
            extra_prefs: Vec::new(),
        }
    }

    /// Runs it in a network namespace.
    pub fn in_namespace(self, name: &str) -> Self {
        Self { namespace: Some(name.to_owned()), ..self }
    }

    /// Takes an http origin for secure.
    pub fn trusting(mut self, origin: &str) -> Self {
        self.secure_origins.push(origin.to_owned());
        self
    }

    /// Adds a switch for Chromium.
    pub fn with_arg(mut self, arg: &str) -> Self {
        self.extra_args.push(arg.to_owned());
        self
    }

    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Chromium => "chromium",
            Kind::Firefox => "firefox",
        }
    }

    /// The program: as told, from the environment, or where Debian puts it.
    pub(super) fn executable(&self) -> PathBuf {
        if let Some(program) = &self.program {
            return program.clone();
        }
        let (variable, usual) = match self.kind {
            Kind::Chromium => ("RILLCAST_CHROMIUM", "/usr/bin/chromium"),
            Kind::Firefox => ("RILLCAST_FIREFOX", "/usr/bin/firefox-esr"),
        };
        std::env::var_os(variable).map_or_else(|| PathBuf::from(usual), PathBuf::from)
    }

    pub(super) fn args(&self) -> Vec<String> {
        if self.kind == Kind::Firefox {
            return Vec::new();
        }
        let mut args: Vec<String> = [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--autoplay-policy=no-user-gesture-required",
            // Addresses instead of mDNS names, which nobody resolves across namespaces.
            "--disable-features=WebRtcHideLocalIpsWithMdns",
            "--allow-loopback-in-peer-connection",
            // Headless pages count as hidden or covered otherwise, and are slowed.
            "--disable-backgrounding-occluded-windows",
            "--disable-renderer-backgrounding",
            "--mute-audio",
        ]
        .map(str::to_owned)
        .to_vec();
        if !self.secure_origins.is_empty() {
            args.push(format!(
                "--unsafely-treat-insecure-origin-as-secure={}",
                self.secure_origins.join(",")
            ));
        }
        args.extend(self.extra_args.iter().cloned());
        args
    }

    pub(super) fn prefs(&self) -> Value {
        let hosts: Vec<&str> = self
            .secure_origins
            .iter()
            .filter_map(|origin| origin.split("://").nth(1)?.split(':').next())
            .collect();
        let mut prefs = json!({
            "media.peerconnection.ice.obfuscate_host_addresses": false,
            "media.peerconnection.ice.loopback": true,
            "media.autoplay.default": 0,
            "media.volume_scale": "0",
            "dom.securecontext.allowlist": hosts.join(","),
        });
        if let Value::Object(prefs) = &mut prefs {
            prefs.extend(self.extra_prefs.iter().cloned());
        }
        prefs
    }
}
