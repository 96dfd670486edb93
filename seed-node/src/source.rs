//! Fetches from the source for the engine: a byte range of a segment, as it comes in.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, HeaderMap, RANGE};
use reqwest::{Client, StatusCode, Url, redirect};
use rillcast_core::engine::{FetchId, SourceError, SourceHead};
use rillcast_protocol::digest::MAX_SEGMENT;
use rillcast_protocol::id::{SegmentKey, TrackId};
use rillcast_publisher::playlist::Playlist;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Pieces of fetches that wait for the engine. It pushes back on the source.
pub const PIECES: usize = 64;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(10);
/// Servers whose requests carry something.
const ORIGINS: usize = 16;
/// Bytes skipped at most where the source has no ranges and the segment is a part of a resource.
const MAX_SKIPPED: u64 = 64 * 1024 * 1024;

/// A piece of a fetch.
#[derive(Debug)]
pub struct Piece {
    /// Which fetch.
    pub fetch: FetchId,
    /// What of it.
    pub what: What,
}

/// See [`Piece`].
#[derive(Debug)]
pub enum What {
    /// The answer's head.
    Head(SourceHead),
    /// The next bytes.
    Data(Bytes),
    /// It is complete.
    End,
    /// It failed.
    Failed(SourceError),
}

/// Where a segment's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The resource.
    pub url: Url,
    /// Its part that is the segment; `None` is all of it.
    pub part: Option<Range<u64>>,
}

/// A client for sources, which follows redirects as told.
pub fn client(redirects: redirect::Policy) -> Result<Client, reqwest::Error> {
    Client::builder()
        .redirect(redirects)
        .connect_timeout(CONNECT_WITHIN)
        .read_timeout(SILENCE)
        .user_agent(concat!("rillcast/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Fetches under way, and the playlists that say where segments are.
#[derive(Debug)]
pub struct Sources {
    client: Client,
    playlists: HashMap<TrackId, Arc<Playlist>>,
    /// What a player's own requests to a server carry, by the server's origin: at most [`ORIGINS`].
    carried: HashMap<String, HeaderMap>,
    running: HashMap<FetchId, AbortHandle>,
    pieces: mpsc::Sender<Piece>,
}

impl Sources {
    /// Pieces go to `pieces`.
    pub fn new(client: Client, pieces: mpsc::Sender<Piece>) -> Self {
        let (playlists, carried, running) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { client, playlists, carried, running, pieces }
    }

    /// From now on requests to this URL's server carry these headers, as the player's own do, and no other server's do.
    pub fn carry(&mut self, url: &Url, headers: HeaderMap) {
        let origin = url.origin().ascii_serialization();
        if self.carried.len() < ORIGINS || self.carried.contains_key(&origin) {
            self.carried.insert(origin, headers);
        }
    }

    /// A playlist as it is now.
    pub fn learn(&mut self, track: TrackId, playlist: Arc<Playlist>) {
        self.playlists.insert(track, playlist);
    }

    /// Whether a track's playlist is known.
    pub fn knows(&self, track: TrackId) -> bool {
        self.playlists.contains_key(&track)
    }

    /// A track that isn't followed any more.
    pub fn forget(&mut self, track: TrackId) {
        self.playlists.remove(&track);
    }

    /// Where a segment is, as far as known.
    pub fn place(&self, key: SegmentKey) -> Option<Place> {
        let segment = self.playlists.get(&key.track)?.find_or_hint(key)?;
        Some(Place { url: segment.url.clone(), part: segment.range.clone() })
    }

    /// The next segments of a track from a number on, as far as known.
    pub fn upcoming(&self, track: TrackId, number: u64, count: usize) -> impl Iterator<Item = SegmentKey> {
        let all = self.playlists.get(&track).into_iter().flat_map(|playlist| &playlist.segments);
        all.map(|segment| segment.key).skip_while(move |key| key.number < number).take(count)
    }

    /// Begins a fetch of a segment, or of a range of its bytes.
    pub fn fetch(&mut self, fetch: FetchId, place: Option<Place>, range: Option<Range<u32>>) {
        let (client, pieces) = (self.client.clone(), self.pieces.clone());
        let origin = place.as_ref().map(|place| place.url.origin().ascii_serialization());
        let headers = origin.and_then(|origin| self.carried.get(&origin)).cloned().unwrap_or_default();
        let task = tokio::spawn(async move {
            let what = match place {
                None => What::Failed(SourceError::Unknown),
                Some(place) => match run(&client, headers, fetch, &place, range, &pieces).await {
                    Ok(()) => What::End,
                    Err(error) => What::Failed(error),
                },
            };
            let _ = pieces.send(Piece { fetch, what }).await;
        });
        self.running.insert(fetch, task.abort_handle());
    }

    /// Stops a fetch.
    pub fn cancel(&mut self, fetch: FetchId) {
        if let Some(task) = self.running.remove(&fetch) {
            task.abort();
        }
    }

    /// Whether a piece still counts: those of a cancelled fetch may be on their way.
    pub fn counts(&mut self, piece: &Piece) -> bool {
        match piece.what {
            What::End | What::Failed(_) => self.running.remove(&piece.fetch).is_some(),
            What::Head(_) | What::Data(_) => self.running.contains_key(&piece.fetch),
        }
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        self.running.values().for_each(AbortHandle::abort);
    }
}

async fn run(
    client: &Client,
    headers: HeaderMap,
    fetch: FetchId,
    place: &Place,
    range: Option<Range<u32>>,
    pieces: &mpsc::Sender<Piece>,
) -> Result<(), SourceError> {
    let network = |_: reqwest::Error| SourceError::Network;
    let start = place.part.as_ref().map_or(0, |p| p.start);
    let asked = asked(place.part.as_ref(), range.as_ref());
    let mut request = client.get(place.url.clone()).headers(headers);
    if let Some(asked) = &asked {
        request = request.header(RANGE, format!("bytes={}-{}", asked.start, asked.end.saturating_sub(1)));
    }
    let mut response = request.send().await.map_err(network)?;
    let status = response.status();
    let part_length = place.part.as_ref().and_then(|p| u32::try_from(p.end - p.start).ok());
    let (head, mut skip, mut left) = match status {
        StatusCode::PARTIAL_CONTENT => {
            let asked = asked.ok_or(SourceError::Status(206))?;
            let said = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
            let (from, total) = said.and_then(content_range).ok_or(SourceError::Status(206))?;
            if from != asked.start {
                return Err(SourceError::Status(206));
            }
            let total = part_length.or(total);
            let head =
                if range.is_some() { SourceHead::Partial { total } } else { SourceHead::Whole { total } };
            (head, 0, asked.end - asked.start)
        }
        StatusCode::OK => {
            let total = part_length.or(response.content_length().and_then(|n| u32::try_from(n).ok()));
            let left = part_length.map_or(u64::from(MAX_SEGMENT), u64::from);
            if start > MAX_SKIPPED {
                return Err(SourceError::Status(200));
            }
            (SourceHead::Whole { total }, start, left)
        }
        other => return Err(SourceError::Status(other.as_u16())),
    };
    let tell = async |what| pieces.send(Piece { fetch, what }).await.map_err(|_| SourceError::Network);
    tell(What::Head(head)).await?;
    while let Some(chunk) = response.chunk().await.map_err(network)? {
        let passed = skip.min(chunk.len() as u64);
        skip -= passed;
        let mut chunk = chunk.slice(passed as usize..);
        chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len()));
        left -= chunk.len() as u64;
        if !chunk.is_empty() {
            tell(What::Data(chunk)).await?;
        }
        if left == 0 {
            break;
        }
    }
    Ok(())
}

/// The resource's bytes to ask for: a segment's, or a range of them.
fn asked(part: Option<&Range<u64>>, range: Option<&Range<u32>>) -> Option<Range<u64>> {
    let Some(range) = range else { return part.cloned() };
    // A playlist may say that a segment begins just before the last byte that there can be.
    let at = |n: u32| part.map_or(0, |part| part.start).saturating_add(n.into());
    Some(at(range.start)..at(range.end))
}

/// First byte and the resource's length, out of a Content-Range such as `bytes 0-9/100`.
pub fn content_range(value: &str) -> Option<(u64, Option<u32>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split('-').next()?.parse().ok()?, total.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_lies_in_its_part_of_the_resource() {
        assert_eq!(asked(None, None), None);
        assert_eq!(asked(Some(&(5..9)), None), Some(5..9));
        assert_eq!(asked(None, Some(&(1..3))), Some(1..3));
        assert_eq!(asked(Some(&(5..9)), Some(&(1..3))), Some(6..8));
    }

    #[test]
    fn a_part_at_the_end_of_numbers_is_asked_for_without_overflow() {
        let part = u64::MAX - 2..u64::MAX;
        for (range, asked_for) in [(0..2, u64::MAX - 2..u64::MAX), (1..9, u64::MAX - 1..u64::MAX)] {
            assert_eq!(asked(Some(&part), Some(&range)), Some(asked_for));
        }
    }

    #[test]
    fn a_content_range_is_read_as_far_as_it_matters() {
        for (said, read) in [
            ("bytes 0-9/100", Some((0, Some(100)))),
            ("bytes 5-9/*", Some((5, None))),
            ("bytes 5-9/4294967296", Some((5, None))),
            ("bytes */100", None),
            ("bytes 5-9", None),
            ("", None),
        ] {
            assert_eq!(content_range(said), read, "{said}");
        }
    }
}
