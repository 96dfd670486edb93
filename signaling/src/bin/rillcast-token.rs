//! Makes keys and join tokens, and shows what a token says.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use rillcast_relay::cidr::Cidr;
use rillcast_signaling::auth::claims::{Claims, Seconds, TokenRole};
use rillcast_signaling::auth::mint::{MintError, Minter};
use rillcast_signaling::auth::window::Window;
use rillcast_signaling::auth::{crypto, show};
use rillcast_signaling::geo::Country;
use rillcast_signaling::hub::unix_ms;
use rillcast_signaling::random;

/// Keys and tokens for joining Rillcast swarms.
#[derive(Debug, Parser)]
#[command(name = "rillcast-token", version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes an Ed25519 key pair: the private key into a file for the backend, the public one for the settings file.
    Keygen {
        /// The site that tokens are for.
        #[arg(long)]
        site: String,
        /// What tokens call the key by. Default: the public key's first eight digits.
        #[arg(long)]
        id: Option<String>,
        /// Where the private key goes; the file must not be there yet.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Signs a token and prints it.
    Mint(Box<Mint>),
    /// Shows what a token says. It isn't verified.
    Show {
        /// The token; without it, it is read from stdin.
        token: Option<String>,
    },
}

#[derive(Debug, Args)]
struct Mint {
    /// An Ed25519 private key in PEM form (EdDSA), or else a file with a secret of 32 bytes or more (HS256).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The key's id in the settings file. Without it the server tries all keys.
    #[arg(long)]
    id: Option<String>,
    /// The site.
    #[arg(long)]
    site: String,
    /// How long it counts: 90s, 15m, 6h, 1d.
    #[arg(long, default_value = "1h", value_name = "TIME")]
    expires_in: Span,
    /// How long from now it begins to count.
    #[arg(long, value_name = "TIME")]
    not_before_in: Option<Span>,
    /// The backend's name for the user.
    #[arg(long)]
    user: Option<String>,
    /// Manifest URL or content id; with * at its end, what it begins with.
    #[arg(long)]
    content: Option<String>,
    /// viewer, seed or publisher.
    #[arg(long, value_parser = role, default_value = "viewer")]
    role: TokenRole,
    /// The only page origin that may use it, such as `https://www.example`.
    #[arg(long)]
    origin: Option<String>,
    /// A network that may use it. Repeatable.
    #[arg(long = "network", value_name = "CIDR")]
    networks: Vec<Cidr>,
    /// Upload cap in bytes/s.
    #[arg(long, value_name = "BYTES")]
    upload_cap: Option<u32>,
    /// Upload allowed per byte downloaded.
    #[arg(long)]
    ratio: Option<f64>,
    /// The token's own name, so that it counts from one place only.
    #[arg(long, conflicts_with = "once")]
    jti: Option<String>,
    /// The same with a name made up here.
    #[arg(long)]
    once: bool,
    /// From how many places it counts.
    #[arg(long, value_name = "N")]
    uses: Option<u32>,
    /// The part of the day in which it counts, in UTC: 18:00-23:30.
    #[arg(long, value_name = "FROM-TO")]
    window: Option<Window>,
    /// A country that may use it. Repeatable. Servers need --geo-country for it.
    #[arg(long = "country", value_name = "CC")]
    countries: Vec<Country>,
    /// A provider that may use it. Repeatable. Servers need --geo-asn for it.
    #[arg(long = "asn", value_name = "NUMBER")]
    asns: Vec<u32>,
}

/// A length of time, in seconds.
#[derive(Clone, Copy, Debug)]
struct Span(u64);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no length of time; write it like 90s, 15m, 6h or 1d");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        let number: u32 = digits.parse().map_err(|_| wrong())?;
        Ok(Self(u64::from(number) * unit))
    }
}

fn role(text: &str) -> Result<TokenRole, String> {
    match text {
        "viewer" => Ok(TokenRole::Viewer),
        "seed" => Ok(TokenRole::Seed),
        "publisher" => Ok(TokenRole::Publisher),
        _ => Err("it has to be viewer, seed or publisher".to_owned()),
    }
}

fn main() -> ExitCode {
    crypto::install();
    let done = match Options::parse().command {
        Command::Keygen { site, id, out } => keygen(&site, id, &out),
        Command::Mint(options) => mint(*options),
        Command::Show { token } => show_token(token),
    };
    match done {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("rillcast-token: {error}");
            ExitCode::FAILURE
        }
    }
}

fn keygen(site: &str, id: Option<String>, out: &std::path::Path) -> Result<String, String> {
    let pair = Minter::from_seed(&random::fresh(), None);
    let public = pair.public().ok_or("the new key has no public half")?;
    pair.save(out).map_err(text)?;
    let id = id.unwrap_or_else(|| public[..8].to_owned());
    eprintln!(
        "{} holds the private key. It belongs to the backend alone; into the settings file goes:",
        out.display()
    );
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let bare = !site.is_empty() && site.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let table = if bare { site.to_owned() } else { quoted(site) };
    Ok(format!("[[sites.{table}.keys]]\nid = {}\npublic = {}", quoted(&id), quoted(&public)))
}

fn mint(options: Mint) -> Result<String, String> {
    let now = unix_ms() / 1000;
    let some = |list: Vec<_>| (!list.is_empty()).then_some(list);
    let claims = Claims {
        iat: Some(Seconds(now)),
        nbf: options.not_before_in.map(|span| Seconds(now + span.0)),
        sub: options.user,
        content: options.content,
        role: options.role,
        origin: options.origin,
        networks: some(options.networks),
        upload_cap: options.upload_cap,
        ratio: options.ratio,
        jti: if options.once { Some(name()) } else { options.jti },
        uses: options.uses,
        window: options.window,
        countries: (!options.countries.is_empty()).then_some(options.countries),
        asns: (!options.asns.is_empty()).then_some(options.asns),
        ..Claims::new(options.site, now + options.expires_in.0)
    };
    claims.bounds().map_err(text)?;
    let minter = Minter::from_file(&options.key, options.id).map_err(|error| match error {
        MintError::File(..) => format!("{error}, or make a key with: rillcast-token keygen"),
        _ => error.to_string(),
    })?;
    minter.mint(&claims).map_err(text)
}

/// A name that nobody has used or will use.
fn name() -> String {
    random::fresh::<16>().iter().map(|b| format!("{b:02x}")).collect()
}

fn show_token(token: Option<String>) -> Result<String, String> {
    let token = match token {
        Some(token) => token,
        None if std::io::stdin().is_terminal() => {
            return Err("give the token, or send it to stdin".to_owned());
        }
        None => {
            let mut all = String::new();
            std::io::stdin().read_to_string(&mut all).map_err(|e| format!("stdin: {e}"))?;
            all
        }
    };
    let shown = show::show(token.trim(), unix_ms() / 1000).map_err(text)?;
    for warning in &shown.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(shown.text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
