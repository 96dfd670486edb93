//! What isn't done, and what to do instead.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use rillcast_protocol::digest::MAX_SEGMENT;
use rillcast_publisher::playlist::MAX_PLAYLIST;
use thiserror::Error;

use super::library::{MAX_STREAMS, MAX_UPLOADS};
use super::name::NameError;
use super::pushed::PushedError;
use super::stream::{MAX_FILES, MAX_MANIFESTS, MAX_PLAYLISTS};

/// Why a request isn't answered as it wants.
#[derive(Debug, Error)]
pub enum Refusal {
    /// A path.
    #[error("{0}")]
    Name(#[from] NameError),
    /// Not the stream's key.
    #[error(
        "this stream needs its key: as the password in the URL (http://x:KEY@HOST/NAME/index.m3u8), or as Authorization: Bearer KEY"
    )]
    Key,
    /// A channel's name.
    #[error("this is a channel that plays by its schedule; push under another name")]
    Channel,
    /// Another method.
    #[error("push with PUT or POST, remove with DELETE, read with GET and HEAD")]
    Method,
    /// A playlist.
    #[error("this playlist can't be served: {0}")]
    Playlist(#[from] PushedError),
    /// A manifest.
    #[error("this isn't a DASH manifest: there is no <MPD> with a <Period> in it")]
    Mpd,
    /// A segment elsewhere.
    #[error("{0:?} isn't a file of this stream: push it too, and name it by a relative URL")]
    Elsewhere(String),
    /// Too many bytes in a segment.
    #[error("more than {MAX_SEGMENT} bytes in one file; make shorter segments (ffmpeg: -hls_time 4)")]
    LargeFile,
    /// Too many bytes in a playlist.
    #[error(
        "more than {MAX_PLAYLIST} bytes of playlist; shorten the encoder's list (ffmpeg: -hls_list_size 6)"
    )]
    LargePlaylist,
    /// Too many streams.
    #[error("{MAX_STREAMS} streams are here already; push to another node")]
    Streams,
    /// Too many files.
    #[error("{MAX_FILES} files are in this stream already; make longer segments, or lower --retain")]
    Files,
    /// Too many playlists.
    #[error("{MAX_PLAYLISTS} media playlists are in this stream already")]
    Playlists,
    /// Too many manifests.
    #[error("{MAX_MANIFESTS} manifests are in this stream already")]
    Manifests,
    /// Too many uploads.
    #[error("{MAX_UPLOADS} uploads are under way; try again")]
    Busy,
    /// No room.
    #[error("there is no room left but for what live viewers need; raise --ingest-size, or push less")]
    Full,
    /// Too slow.
    #[error("the upload stood still for too long, or took too long in all")]
    Slow,
    /// It broke off.
    #[error("the upload broke off: {0}")]
    Broken(String),
    /// The disk.
    #[error("this node's disk failed: {0}")]
    Disk(#[from] std::io::Error),
    /// Nothing there.
    #[error("there is nothing here")]
    Nothing,
    /// Not a length of time.
    #[error("window={0:?} isn't a length of time; write 90s, 30m or 2h")]
    Window(String),
}

impl Refusal {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Name(_)
            | Self::Playlist(_)
            | Self::Mpd
            | Self::Elsewhere(_)
            | Self::Broken(_)
            | Self::Window(_) => StatusCode::BAD_REQUEST,
            Self::Key => StatusCode::UNAUTHORIZED,
            Self::Channel => StatusCode::CONFLICT,
            Self::Nothing => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::LargeFile | Self::LargePlaylist => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Streams | Self::Files | Self::Playlists | Self::Manifests | Self::Full => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            Self::Disk(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            Self::Disk(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(format!("{self}\n")));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        match self {
            Self::Key => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"rillcast\""));
            }
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS, PUT, POST, DELETE"));
            }
            _ => {}
        }
        response
    }
}
