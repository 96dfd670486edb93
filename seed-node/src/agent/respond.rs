//! From a request to a response: who may ask for what, and by which way it comes.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::header::{self, HeaderValue};
use axum::http::{Method, Request, Response, StatusCode};

use super::address::{is_ours, path_of, url_of};
use super::headers::to_origin;
use super::stream::Ask;
use super::tally::Outcome;
use super::{Agent, pass, plain_text, segment};

/// Answers. The request's own body is never read: no method that has one is served.
pub(super) async fn respond<B>(agent: &Agent, bound: SocketAddr, request: &Request<B>) -> Response<Body> {
    let refuse = |status, text: String| {
        agent.tally.ended(Outcome::Refused);
        plain_text(status, text)
    };
    let uri = request.uri();
    // The target of a request to a forward proxy names its host too.
    let named = uri.authority().map(|authority| authority.as_str());
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let all_ours = [host, named].into_iter().flatten().all(|name| is_ours(name, bound));
    let Some(host) = host.filter(|_| all_ours) else {
        let text = "this is a Rillcast agent, not a forward proxy: call it localhost, or by its address\n";
        return refuse(StatusCode::MISDIRECTED_REQUEST, text.to_owned());
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response =
            refuse(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served\n".to_owned());
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if path == "/" {
        return plain_text(StatusCode::OK, index(agent, host));
    }
    let Some(url) = url_of(path) else {
        let text = format!(
            "there is nothing here: https://cdn.example/live.m3u8 is at http://{host}/https/cdn.example/live.m3u8\n"
        );
        return refuse(StatusCode::NOT_FOUND, text);
    };
    if !agent.allow.allows(&url) {
        let text = format!(
            "{} isn't under an allowed prefix; start the agent with --allow for it\n",
            rillcast_publisher::origin::bare(&url)
        );
        return refuse(StatusCode::FORBIDDEN, text);
    }
    let headers = to_origin(request.headers(), host);
    if *request.method() == Method::HEAD {
        return pass::pass(agent, Method::HEAD, &url, headers, None).await;
    }
    if let Some(asks) = agent.catalog.stream(&url).and_then(|stream| agent.streams.get(stream)) {
        // Joining takes a moment: while the player reads its playlists. If the queue is full, somebody has come already.
        let _ = asks.try_send(Ask::Come);
    }
    let found = agent.find(&url, &headers).await;
    if let Some(found) = &found
        && let Some(response) = segment::answer(agent, found, &url, &headers).await
    {
        return response;
    }
    pass::pass(agent, Method::GET, &url, headers, found.as_ref()).await
}

fn index(agent: &Agent, host: &str) -> String {
    let mut text = "Rillcast agent. Streams to open in a player:\n\n".to_owned();
    for path in agent.manifests.iter().filter_map(path_of) {
        text += &format!("http://{host}{path}\n");
    }
    text
}
