//! What the integration tests share.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rillcast_tests::media::{Library, MediaSpec, Rung};
use rillcast_tests::origin::{Origin, OriginConfig};
use rillcast_tests::site;

/// A short and small ladder, for tests that care about bytes only.
pub fn small_library() -> Library {
    let rung = |kbps: u32| Rung { name: kbps.to_string(), kbps };
    let spec = MediaSpec {
        segments: 4,
        frame: (320, 180),
        rungs: vec![rung(300), rung(600)],
        ..MediaSpec::default()
    };
    Library::prepare(&spec, &Library::cache_dir(), &|_, _| ()).unwrap()
}

/// The ladder that benches play.
pub fn library() -> Library {
    Library::prepare(&MediaSpec::default(), &Library::cache_dir(), &|_, _| ()).unwrap()
}

/// An origin on a loopback port of its own.
pub async fn origin(library: Library, config: OriginConfig) -> Origin {
    let config = OriginConfig { mounts: site::mounts(), ..config };
    Origin::start(library, config, SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap()
}

/// An answer, collected.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }
}

/// One request on a connection of its own.
pub async fn request(addr: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", addr.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

pub async fn get(addr: SocketAddr, path: &str) -> Answer {
    request(addr, "GET", path, &[]).await
}
