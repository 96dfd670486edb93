//! One WebSocket: join, then messages both ways, within bounds. One task reads and writes, so a peer that doesn't read
//! isn't read from either.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::SinkExt;
use rillcast_protocol::coding::{DecodeError, Wire};
use rillcast_protocol::id::{PeerId, Role, SwarmId};
use rillcast_protocol::signal::{ClientMessage, Join, RefusedCode, ServerMessage};
use rillcast_protocol::{OLDEST_VERSION, VERSION};
use tokio::time::timeout;

use crate::auth::Asker;
use crate::hub::{Hub, Refused};
use crate::listen::Caller;
use crate::outbox::{Cut, Outgoing, outbox};
use crate::quota::Seat;
use crate::random;
use crate::site::Own;
use crate::swarm::Joiner;
use rillcast_relay::rate::Bucket;

/// Time that a refused peer is given to read why.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the request that became a WebSocket said.
#[derive(Clone, Debug)]
pub struct Request {
    /// The connection; keeps its place in the count.
    pub caller: Caller,
    /// The page's origin.
    pub origin: Option<String>,
    /// This server's STUN and TURN, as the caller can reach them.
    pub own: Own,
}

/// How a connection ended.
#[derive(Debug)]
enum End {
    /// The peer closed, or the network did.
    Closed,
    /// We refuse.
    Refused(Refused),
    /// Too slow at reading.
    Slow,
    /// Silent for too long.
    Idle,
    /// We stop.
    Shutdown,
}

/// Serves a WebSocket to its end.
pub async fn serve(mut socket: WebSocket, hub: Arc<Hub>, request: Request) {
    let end = match timeout(hub.limits.handshake(), first(&mut socket)).await {
        Err(_) => {
            let message = "no join within the time allowed; send it first".to_owned();
            End::Refused(Refused { code: RefusedCode::Malformed, message })
        }
        Ok(Err(end)) => end,
        Ok(Ok(join)) => match enter(&hub, &request, join) {
            Err(refused) => End::Refused(refused),
            Ok((mut session, mut outgoing)) => {
                let end = session.run(&mut socket, &mut outgoing).await;
                hub.leave(session.swarm, session.peer);
                end
            }
        },
    };
    finish(socket, &hub, end).await;
}

async fn finish(mut socket: WebSocket, hub: &Hub, end: End) {
    let refused = match end {
        End::Closed => return,
        End::Slow => return hub.metrics.cut_slow_total.up(),
        End::Idle => {
            hub.metrics.cut_idle_total.up();
            None
        }
        End::Shutdown => Some(Refused {
            code: RefusedCode::Unavailable,
            message: "the server is stopping; come back later".to_owned(),
        }),
        End::Refused(refused) => {
            match refused.code {
                RefusedCode::Malformed => hub.metrics.cut_malformed_total.up(),
                RefusedCode::RateLimited => hub.metrics.cut_rate_total.up(),
                _ => {}
            }
            Some(refused)
        }
    };
    let words = async {
        if let Some(refused) = &refused {
            let message = Hub::refusal(refused).to_bytes();
            let _ = socket.send(Message::Binary(Bytes::from(message))).await;
        }
        let _ = socket.send(Message::Close(None)).await;
        // Reading on lets the peer see the close before the connection is reset under it.
        while let Some(Ok(_)) = socket.recv().await {}
    };
    let _ = timeout(LAST_WORDS, words).await;
}

/// The join, which has to be the first message.
async fn first(socket: &mut WebSocket) -> Result<Join, End> {
    loop {
        match socket.recv().await {
            None | Some(Err(_)) => return Err(End::Closed),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_))) => return Err(End::Closed),
            Some(Ok(Message::Text(_))) => return Err(malformed("messages are binary")),
            Some(Ok(Message::Binary(bytes))) => {
                return match ClientMessage::from_bytes(&bytes) {
                    Ok(ClientMessage::Join { join }) => Ok(join),
                    Ok(_) => Err(malformed("the first message has to be a join")),
                    // A newer version's join may have another form; its version stands at the same place.
                    Err(_) if bytes.first() == Some(&0) && bytes.get(1).is_some_and(|v| *v > VERSION) => {
                        Err(End::Refused(wrong_version(bytes[1])))
                    }
                    Err(error) => Err(malformed(error)),
                };
            }
        }
    }
}

fn malformed(why: impl std::fmt::Display) -> End {
    End::Refused(Refused { code: RefusedCode::Malformed, message: format!("can't read the message: {why}") })
}

fn wrong_version(version: u8) -> Refused {
    Refused { code: RefusedCode::Version, message: DecodeError::Version(version).to_string() }
}

/// A joined peer's side of a connection.
struct Session {
    hub: Arc<Hub>,
    swarm: SwarmId,
    peer: PeerId,
    outbox: crate::outbox::Outbox,
    seat: Seat,
    /// What a message counts for where seeds and viewers share.
    weight: f64,
    messages: Bucket,
    bytes: Bucket,
    heard: Instant,
}

fn enter(hub: &Arc<Hub>, request: &Request, join: Join) -> Result<(Session, Outgoing), Refused> {
    if join.version < OLDEST_VERSION {
        return Err(wrong_version(join.version));
    }
    let is_seed = join.role == Role::Seed;
    let Some(address) = request.caller.client else {
        hub.metrics.joins_refused_total.up();
        let message =
            "the proxy in front of this server doesn't say for whom it asks; have it set X-Forwarded-For";
        return Err(Refused { code: RefusedCode::Unavailable, message: message.to_owned() });
    };
    let asker = Asker { address, origin: request.origin.as_deref(), forwarded: request.caller.forwarded };
    hub.knock(address)?;
    let admission = hub.admit(&join, asker)?;
    let seat = hub.seat(&admission)?;
    let swarm = admission.swarm;
    let limits = &hub.limits;
    let (outbox, outgoing) = outbox(limits.queue_messages, limits.queue_bytes);
    let joiner = Joiner {
        id: random::peer_id(),
        role: join.role,
        publisher: join.publisher,
        net: hub.locate(swarm, address),
        subject: admission.subject.clone(),
        allowance: admission.allowance,
        visit: admission.visit,
        outbox: outbox.clone(),
        own: request.own.clone(),
        version: join.version.min(VERSION),
    };
    let peer = hub.join(&admission, joiner)?;
    let now = Instant::now();
    let factor = f64::from(if is_seed { limits.seed_factor.max(1) } else { 1 });
    let bucket =
        |rate: u32, burst: u32| Bucket::new(f64::from(rate) * factor, f64::from(burst) * factor, now);
    let session = Session {
        hub: hub.clone(),
        swarm,
        peer,
        outbox,
        seat,
        weight: 1.0 / factor,
        messages: bucket(limits.messages_per_sec, limits.messages_burst),
        bytes: bucket(limits.bytes_per_sec, limits.bytes_burst),
        heard: now,
    };
    Ok((session, outgoing))
}

impl Session {
    async fn run(&mut self, socket: &mut WebSocket, outgoing: &mut Outgoing) -> End {
        let idle = self.hub.limits.idle();
        let mut keep_alive = tokio::time::interval(idle / 3);
        keep_alive.tick().await;
        let mut paused_until = tokio::time::Instant::now();
        loop {
            let paused = paused_until > tokio::time::Instant::now();
            tokio::select! {
                message = outgoing.next() => match message {
                    Ok(message) => if let Some(end) = self.write(socket, outgoing, message).await { return end },
                    Err(Cut::SlowReader) => return End::Slow,
                    Err(Cut::Refused) => return self.send_off(socket, outgoing).await,
                    Err(_) => return End::Shutdown,
                },
                message = socket.recv(), if !paused => match message {
                    None | Some(Err(_)) => return End::Closed,
                    Some(Ok(message)) => match self.read(message) {
                        Ok(pause) => paused_until = tokio::time::Instant::now() + pause,
                        Err(end) => return end,
                    },
                },
                () = tokio::time::sleep_until(paused_until), if paused => {}
                _ = keep_alive.tick() => {
                    if self.heard.elapsed() >= idle {
                        return End::Idle;
                    }
                    let ping = socket.send(Message::Ping(Bytes::new()));
                    if !matches!(timeout(self.hub.limits.write(), ping).await, Ok(Ok(()))) {
                        return End::Slow;
                    }
                }
            }
        }
    }

    /// What waits goes out first: it ends with the switch that has the peer drop its links.
    async fn send_off(&self, socket: &mut WebSocket, outgoing: &mut Outgoing) -> End {
        if let Some(message) = outgoing.ready()
            && let Some(end) = self.write(socket, outgoing, message).await
        {
            return end;
        }
        outgoing.refusal().map_or(End::Shutdown, End::Refused)
    }

    /// Writes a message and those that are ready behind it.
    async fn write(&self, socket: &mut WebSocket, outgoing: &mut Outgoing, message: Bytes) -> Option<End> {
        let work = async {
            socket.feed(Message::Binary(message)).await?;
            while let Some(next) = outgoing.ready() {
                socket.feed(Message::Binary(next)).await?;
            }
            socket.flush().await
        };
        match timeout(self.hub.limits.write(), work).await {
            Ok(Ok(())) => None,
            Ok(Err(_)) => Some(End::Closed),
            Err(_) => Some(End::Slow),
        }
    }

    /// Takes in a message; returns how long to pause before the next.
    fn read(&mut self, message: Message) -> Result<Duration, End> {
        let now = Instant::now();
        self.heard = now;
        let length = match &message {
            Message::Close(_) => return Err(End::Closed),
            Message::Text(_) => return Err(malformed("messages are binary")),
            Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        };
        self.hub.metrics.messages_total.up();
        let own = self.messages.borrow(1.0, now).max(self.bytes.borrow(length as f64, now));
        let (shared, scope) = self.seat.borrow(length, self.weight, now);
        let pause = own.max(shared);
        if pause > self.hub.limits.throttle() {
            let whose = match scope.filter(|_| shared > own) {
                Some(scope) => format!(" from one {}", scope.word()),
                None => String::new(),
            };
            let message = format!("far too many messages{whose}; slow down");
            return Err(End::Refused(Refused { code: RefusedCode::RateLimited, message }));
        }
        if !pause.is_zero() {
            self.hub.metrics.throttled_total.up();
        }
        if let Message::Binary(bytes) = message {
            match ClientMessage::from_bytes(&bytes) {
                Err(error) => return Err(malformed(error)),
                Ok(ClientMessage::Join { .. }) => return Err(malformed("a peer joins once")),
                Ok(ClientMessage::Ping { nonce }) => {
                    let server_time_ms = self.hub.authority.now_ms();
                    self.outbox.send(&ServerMessage::Pong { nonce, server_time_ms })
                }
                Ok(message) => self.hub.message(self.swarm, self.peer, message),
            }
        }
        Ok(pause)
    }
}
