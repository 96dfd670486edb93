//! The seed node's program; see README.md for its settings.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rillcast_seed::config::{LogFormat, Options};
use rillcast_seed::node::Node;
use rillcast_seed::preflight;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(name = "rillcast-seed", version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Command {
    /// Look at everything that a node with these settings needs, and say how to mend what isn't right. Status 1 if it couldn't run.
    Check(Check),
}

#[derive(Args)]
struct Check {
    #[command(flatten)]
    options: Options,
    /// Say it as one line of JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log(cli
        .command
        .as_ref()
        .map_or(cli.options.log_format, |Command::Check(check)| check.options.log_format));
    if let Some(Command::Check(wanted)) = cli.command {
        return check(wanted);
    }
    match run(cli.options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rillcast-seed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        "info,webrtc=error,rtc=error,rtc_ice=error,rtc_sctp=error,rtc_dtls=error,rtc_mdns=error,turn_client_proto=error,stun_proto=error"
            .into()
    });
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().init(),
    }
}

#[tokio::main]
async fn check(wanted: Check) -> ExitCode {
    // As a node does; another may be installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let report = preflight::check(wanted.options).await;
    if wanted.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[tokio::main]
async fn run(options: Options) -> anyhow::Result<()> {
    let settings = options.settle()?;
    let drain = settings.drain;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut node = Node::start(settings).await?;
    if let Some(agent) = &node.agent {
        println!(
            "{}",
            json!({
                "agent": format!("http://{}/", agent.address),
                "udp": node.udp.to_string(),
                "metrics": node.metrics.map(|m| m.to_string()),
            })
        );
    }
    if let Some(ingest) = &node.ingest {
        println!(
            "{}",
            json!({
                "ingest": format!("http://{}/", ingest.address),
                "ingest_tls": ingest.tls.map(|address| format!("https://{address}/")),
                "metrics": node.metrics.map(|m| m.to_string()),
            })
        );
    }
    let mut all_joined = false;
    loop {
        tokio::select! {
            joined = node.joined(), if !all_joined => match joined {
                Some(joined) => println!("{}", json!({
                    "joined": joined.manifest.as_str(),
                    "swarm": joined.swarm.to_string(),
                    "peer": joined.peer.to_string(),
                    "publisher": node.publisher.to_string(),
                    "udp": node.udp.to_string(),
                    "metrics": node.metrics.map(|m| m.to_string()),
                })),
                None => all_joined = true,
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!(
        seconds = drain.as_secs(),
        "leaving: what viewers were promised is finished; a second signal ends it at once"
    );
    let again = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let leave = async {
        node.drain(drain).await;
        node.stop().await;
    };
    tokio::select! {
        () = leave => Ok(()),
        () = again => anyhow::bail!("told twice to end, so ended at once: viewers will find out by themselves"),
    }
}
