//! The seed node's program; see README.md for its settings.

use std::process::ExitCode;

use clap::Parser;
use rillcast_seed::config::Options;
use rillcast_seed::node::Node;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        "info,webrtc=error,rtc=error,rtc_ice=error,rtc_sctp=error,rtc_dtls=error,rtc_mdns=error,turn_client_proto=error,stun_proto=error"
            .into()
    });
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rillcast-seed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(options: Options) -> anyhow::Result<()> {
    let settings = options.settle()?;
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
    tracing::info!("leaving");
    node.stop().await;
    Ok(())
}
