//! One request to a server of a laboratory.

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;

use super::Place;

/// What the server at `port` of `place` answers; fails unless it answers well.
pub(super) async fn ask(place: &Place, port: u16, request: Request<Full<Bytes>>) -> Result<String> {
    let path = request.uri().path().to_owned();
    let stream = place.connect(port)?;
    stream.set_nonblocking(true)?;
    let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream)?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let said = answer.into_body().collect().await?.to_bytes();
    connection.abort();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(status.is_success(), "{path} on port {port} is answered with {status}: {said}");
    Ok(said)
}
