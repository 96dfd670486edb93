//! A bare connection to signaling: for those who come in numbers, or from a page of their choice, and make no links.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use rillcast_protocol::coding::Wire;
use rillcast_protocol::signal::{ClientMessage, Join, RefusedCode, ServerMessage, Welcome};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Whoever answers later doesn't answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open door: we have joined.
#[derive(Debug)]
pub struct Door {
    socket: WebSocketStream<TcpStream>,
    /// What the server said.
    pub welcome: Welcome,
}

/// A closed one: why. `None` where the connection was closed without a word.
pub type Closed = Option<(RefusedCode, String)>;

impl Door {
    /// Knocks at signaling's address, from an address of ours and a page.
    pub async fn knock(
        at: SocketAddr,
        from: IpAddr,
        page: Option<&str>,
        join: Join,
    ) -> Result<Result<Self, Closed>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(at).await?;
        let mut request = format!("ws://{at}/ws").into_client_request()?;
        if let Some(page) = page {
            request.headers_mut().append("origin", page.parse()?);
        }
        // Beyond its limits the server hangs up before anything is said.
        let Ok((mut socket, _)) = tokio_tungstenite::client_async(request, stream).await else {
            return Ok(Err(None));
        };
        if socket.send(Message::Binary(ClientMessage::Join { join }.to_bytes().into())).await.is_err() {
            return Ok(Err(None));
        }
        Ok(match next(&mut socket).await? {
            Some(ServerMessage::Welcome { welcome }) => Ok(Self { socket, welcome }),
            Some(ServerMessage::Refused { code, message }) => Err(Some((code, message.as_str().to_owned()))),
            Some(other) => bail!("signaling answers a join with {other:?}"),
            None => Err(None),
        })
    }

    /// Says something.
    pub async fn say(&mut self, message: &ClientMessage) -> Result<()> {
        Ok(self.socket.send(Message::Binary(message.to_bytes().into())).await?)
    }

    /// Everything that has come until the answer to a ping.
    pub async fn heard(&mut self) -> Result<Vec<ServerMessage>> {
        self.say(&ClientMessage::Ping { nonce: 1 }).await?;
        let mut all = Vec::new();
        loop {
            match next(&mut self.socket).await?.context("signaling has hung up")? {
                ServerMessage::Pong { .. } => return Ok(all),
                other => all.push(other),
            }
        }
    }
}

/// `None` when the connection is over.
async fn next(socket: &mut WebSocketStream<TcpStream>) -> Result<Option<ServerMessage>> {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.context("signaling says nothing")? {
            Some(Ok(Message::Binary(bytes))) => return Ok(Some(ServerMessage::from_bytes(&bytes)?)),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(None),
            Some(Ok(_)) => {}
        }
    }
}
