//! The signaling server's command line.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use rillcast_signaling::options::LogFormat;
use rillcast_signaling::{Options, start};
use tracing_subscriber::EnvFilter;

/// What the protocol of TURN has to say names its clients' addresses, which belong in no log.
const LOGS: &str = "info,turn_server_proto=off,turn_types=off,stun_proto=off,stun_types=off";

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    log(options.log_format);
    let running = match start(options).await {
        Ok(running) => running,
        Err(error) => {
            eprintln!("rillcast-signaling can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Caught before we say that we are ready: whoever reads that may end us at once.
    let stop = StopSignal::new();
    let texts = |list: &[std::net::SocketAddr]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    println!(
        "{}",
        serde_json::json!({
            "listening": texts(&running.listening).first(),
            "listening_all": texts(&running.listening),
            "listening_tls": texts(&running.listening_tls),
            "stun": texts(&running.stun),
            "turn": texts(&running.turn),
            "publisher": running.publisher.map(|key| key.to_string()),
        })
    );
    stop.wait().await;
    tracing::info!("stopping");
    running.stop().await;
    ExitCode::SUCCESS
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGS));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().init(),
    }
}

/// Ctrl-C, and SIGTERM where there is such a thing.
struct StopSignal {
    #[cfg(unix)]
    terminate: Option<tokio::signal::unix::Signal>,
}

impl StopSignal {
    fn new() -> Self {
        Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok(),
        }
    }

    async fn wait(self) {
        #[cfg(unix)]
        if let Some(mut terminate) = self.terminate {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
        let _ = tokio::signal::ctrl_c().await;
    }
}
