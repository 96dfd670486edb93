//! The connection to signaling: joins, passes messages, comes back by itself.
//!
//! Queues: outbound messages wait in [`OUTBOUND`] places while connected; beyond that, and while not connected, they
//! are dropped (what matters is said again after the next join). Inbound pushes back on the server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rillcast_protocol::coding::{Blob, Wire};
use rillcast_protocol::signal::{ClientMessage, Join, MAX_MESSAGE, RefusedCode, ServerMessage, Welcome};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

/// Messages that wait for a slow server.
pub const OUTBOUND: usize = 256;
/// A server that takes longer to connect and answer the join is given up.
const JOIN_WITHIN: Duration = Duration::from_secs(10);
/// We ask for a sign of life so often, and expect something within [`SILENCE`].
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(60);
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// First and longest pause before another try.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum SignalError {
    /// Network, TLS, HTTP.
    #[error("{0}")]
    Connect(String),
    /// Its token can't be read.
    #[error("can't read a token from {0}: {1}; have the site's backend sign one for role publisher")]
    Token(PathBuf, String),
    /// The server said no.
    #[error("signaling refused ({0:?}): {1}")]
    Refused(RefusedCode, String),
    /// The server said something else than a welcome, or nothing in time.
    #[error("signaling didn't answer the join; is it a Rillcast server of this version?")]
    NoWelcome,
}

/// What comes from signaling.
#[derive(Debug)]
pub enum News {
    /// We are in.
    Joined(Box<Welcome>),
    /// A message.
    Message(Box<ServerMessage>),
    /// We are out; it is tried again.
    Away(SignalError),
}

/// The way to signaling. Dropping it leaves.
#[derive(Debug)]
pub struct Signaling {
    outbound: mpsc::Sender<ClientMessage>,
    task: tokio::task::JoinHandle<()>,
}

impl Signaling {
    /// Connects, joins, and stays joined. The first line of `token` is handed over with each join; `tls` is for `wss://`.
    pub fn start(
        url: String,
        join: Join,
        token: Option<PathBuf>,
        tls: Arc<rustls::ClientConfig>,
    ) -> (Self, mpsc::Receiver<News>) {
        let (outbound, inbox) = mpsc::channel(OUTBOUND);
        let (news, told) = mpsc::channel(OUTBOUND);
        let task = tokio::spawn(Client { url, join, token, tls, news }.run(inbox));
        (Self { outbound, task }, told)
    }

    /// Sends, if there is room. `false`: dropped.
    pub fn send(&self, message: ClientMessage) -> bool {
        self.outbound.try_send(message).is_ok()
    }

    /// Says goodbye and waits a little for it to go out.
    pub async fn leave(self) {
        drop(self.outbound);
        let _ = timeout(Duration::from_secs(1), self.task).await;
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Client {
    url: String,
    join: Join,
    token: Option<PathBuf>,
    tls: Arc<rustls::ClientConfig>,
    news: mpsc::Sender<News>,
}

/// Why a session ended.
enum End {
    Lost(SignalError),
    /// Our owner left.
    Left,
}

impl Client {
    async fn run(mut self, mut inbox: mpsc::Receiver<ClientMessage>) {
        let mut pause = BACKOFF.0;
        loop {
            let error =
                match timeout(JOIN_WITHIN, self.connect()).await.unwrap_or(Err(SignalError::NoWelcome)) {
                    Err(error) => error,
                    Ok((mut socket, welcome)) => {
                        pause = BACKOFF.0;
                        // Whoever comes back keeps its name.
                        self.join.ticket = Some(welcome.ticket.clone());
                        // What was meant for the last session is stale.
                        while inbox.try_recv().is_ok() {}
                        if self.news.send(News::Joined(Box::new(welcome))).await.is_err() {
                            return;
                        }
                        match self.talk(&mut socket, &mut inbox).await {
                            End::Lost(error) => error,
                            End::Left => {
                                let _ = timeout(WRITE_WITHIN, socket.close(None)).await;
                                return;
                            }
                        }
                    }
                };
            // What the operator has to change won't change in half a second.
            let for_the_operator = match &error {
                SignalError::Refused(code, _) => {
                    !matches!(code, RefusedCode::RateLimited | RefusedCode::Unavailable)
                }
                SignalError::Token(..) => true,
                _ => false,
            };
            if for_the_operator {
                pause = BACKOFF.1;
            }
            if self.news.send(News::Away(error)).await.is_err() {
                return;
            }
            let wait = tokio::time::sleep(jittered(pause));
            tokio::pin!(wait);
            loop {
                tokio::select! {
                    () = &mut wait => break,
                    message = inbox.recv() => if message.is_none() { return },
                }
            }
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// The join, with the token as it is now.
    fn join(&self) -> Result<Join, SignalError> {
        let mut join = self.join.clone();
        if let Some(path) = &self.token {
            let wrong = |why: String| SignalError::Token(path.clone(), why);
            let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
            let token = text.lines().next().unwrap_or("").trim();
            if token.is_empty() {
                return Err(wrong("its first line is empty".into()));
            }
            join.token =
                Blob::new(token).ok_or_else(|| wrong("its first line is longer than a token".into()))?;
        }
        Ok(join)
    }

    async fn connect(&self) -> Result<(Socket, Welcome), SignalError> {
        let join = ClientMessage::Join { join: self.join()? }.to_bytes();
        let mut config = WebSocketConfig::default();
        config.max_message_size = Some(MAX_MESSAGE);
        config.max_frame_size = Some(MAX_MESSAGE);
        let tls = Connector::Rustls(Arc::clone(&self.tls));
        let (mut socket, _) = connect_async_tls_with_config(&self.url, Some(config), true, Some(tls))
            .await
            .map_err(|e| SignalError::Connect(describe(&e)))?;
        socket.send(Message::Binary(join.into())).await.map_err(|e| SignalError::Connect(describe(&e)))?;
        while let Some(message) = socket.next().await {
            let message = message.map_err(|e| SignalError::Connect(describe(&e)))?;
            let Message::Binary(bytes) = message else { continue };
            return match ServerMessage::from_bytes(&bytes) {
                Ok(ServerMessage::Welcome { welcome }) => Ok((socket, welcome)),
                Ok(ServerMessage::Refused { code, message }) => {
                    Err(SignalError::Refused(code, message.as_str().to_owned()))
                }
                _ => Err(SignalError::NoWelcome),
            };
        }
        Err(SignalError::NoWelcome)
    }

    async fn talk(&mut self, socket: &mut Socket, inbox: &mut mpsc::Receiver<ClientMessage>) -> End {
        let lost = |why: String| End::Lost(SignalError::Connect(why));
        let mut ping = tokio::time::interval(PING_EVERY);
        let mut heard = tokio::time::Instant::now();
        let mut nonce = 0;
        loop {
            let outgoing = tokio::select! {
                message = inbox.recv() => match message {
                    None => return End::Left,
                    Some(message) => message,
                },
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE {
                        return lost("signaling has been silent for a minute".into());
                    }
                    nonce += 1;
                    ClientMessage::Ping { nonce }
                }
                message = socket.next() => {
                    let bytes = match message {
                        None => return lost("signaling closed the connection".into()),
                        Some(Err(e)) => return lost(describe(&e)),
                        Some(Ok(Message::Binary(bytes))) => bytes,
                        Some(Ok(_)) => {
                            heard = tokio::time::Instant::now();
                            continue;
                        }
                    };
                    heard = tokio::time::Instant::now();
                    match ServerMessage::from_bytes(&bytes) {
                        Ok(ServerMessage::Refused { code, message }) => {
                            return End::Lost(SignalError::Refused(code, message.as_str().to_owned()));
                        }
                        Ok(message) => {
                            if let ServerMessage::Ticket { ticket, .. } = &message {
                                self.join.ticket = Some(ticket.clone());
                            }
                            if self.news.send(News::Message(Box::new(message))).await.is_err() {
                                return End::Left;
                            }
                        }
                        // A newer server may say more than we know.
                        Err(error) => tracing::debug!(%error, "a message from signaling can't be read"),
                    }
                    continue;
                }
            };
            match timeout(WRITE_WITHIN, socket.send(Message::Binary(outgoing.to_bytes().into()))).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => return lost(describe(&e)),
                Err(_) => return lost("signaling takes no more messages".into()),
            }
        }
    }
}

fn describe(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Url(_) => format!("{error}; give --signal as ws://host:port/ or wss://host/"),
        tungstenite::Error::Io(_) => format!("{error}; is signaling running there?"),
        tungstenite::Error::Http(response) => {
            format!("HTTP {} instead of a WebSocket; check the path of --signal", response.status())
        }
        other => other.to_string(),
    }
}

/// Between half of it and all: servers that come back aren't met by everybody at once.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0u8; 1];
    // Without randomness the pause is simply whole.
    let _ = getrandom::fill(&mut random);
    pause - pause * u32::from(random[0]) / 512
}
