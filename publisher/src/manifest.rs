//! Manifests, HLS or DASH: what whoever follows a stream asks of one without knowing which it is.
//!
//! An HLS rendition has a playlist of its own. A DASH one is found in its MPD, and its address is the MPD's with its name in the fragment
//! ([`rillcast_protocol::dash::address`]), which no server sees.

use std::time::{Duration, SystemTime};

use reqwest::Url;
use rillcast_protocol::dash;
use rillcast_protocol::id::{Delivery, TrackId};
use thiserror::Error;

use crate::dash::{Mpd, MpdError};
use crate::playlist::{self, Playlist, PlaylistError, Rendition, RenditionKind};

/// Why a manifest is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// An HLS playlist.
    #[error(transparent)]
    Hls(#[from] PlaylistError),
    /// An MPD.
    #[error(transparent)]
    Dash(#[from] MpdError),
    /// Swarms of HLS and DASH are told apart before the manifest is read.
    #[error(
        "an MPD whose URL doesn't end with .mpd, by which DASH is told from HLS; have it served under such a name"
    )]
    Name,
}

/// A rendition's playlist as it is now.
#[derive(Clone, Debug)]
pub struct Read {
    /// Its segments.
    pub playlist: Playlist,
    /// What is to come can be told from the same document for so long.
    pub holds: Duration,
    /// So long after the time that was asked about there is one segment more, where the clock says that exactly.
    pub until_next: Option<Duration>,
    /// Where the document wants to be looked for from now on.
    pub moved: Option<Url>,
}

/// By which protocol a manifest is delivered, by its URL alone: that is known before there is a stream.
pub fn delivery(manifest: &Url) -> Delivery {
    if manifest.path().to_ascii_lowercase().ends_with(".mpd") { Delivery::Dash } else { Delivery::Hls }
}

/// Whether these bytes are rather an MPD than a playlist.
pub fn is_mpd(bytes: &[u8]) -> bool {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes).trim_ascii_start().starts_with(b"<")
}

/// The renditions that a manifest names that was asked for at `address` and found at `found`; none in a media playlist of HLS. Of DASH only those
/// whose segments can be shared.
pub fn renditions(address: &Url, found: &Url, bytes: &[u8]) -> Result<Vec<Rendition>, ManifestError> {
    if !is_mpd(bytes) {
        return Ok(playlist::renditions(found, bytes)?);
    }
    if delivery(address) != Delivery::Dash {
        return Err(ManifestError::Name);
    }
    let named = Mpd::parse(found, bytes)?.representations();
    let shared = named.iter().filter(|named| named.is_shared && named.kind != RenditionKind::Text);
    let renditions: Result<Vec<_>, _> = shared
        .map(|named| {
            let url = Url::parse(&dash::address(address.as_str(), &named.id)).map_err(|_| MpdError::Url)?;
            Ok::<_, MpdError>(Rendition { url, kind: named.kind })
        })
        .collect();
    match renditions? {
        none if none.is_empty() => Err(MpdError::SingleFile.into()),
        renditions => Ok(renditions),
    }
}

/// The playlist of the rendition at `address`, whose document was found at `found`.
pub fn read(
    track: TrackId,
    address: &Url,
    found: &Url,
    bytes: &[u8],
    now: SystemTime,
) -> Result<Read, ManifestError> {
    if !is_mpd(bytes) {
        return Ok(Read {
            playlist: Playlist::parse(track, found, bytes)?,
            holds: Duration::ZERO,
            until_next: None,
            moved: None,
        });
    }
    let id = dash::representation_id(address.as_str()).ok_or(MpdError::Unknown)?;
    let mpd = Mpd::parse(found, bytes)?;
    let (playlist, until_next) = (mpd.playlist(track, &id, now)?, mpd.until_next(&id, now));
    Ok(Read { playlist, holds: mpd.holds(), until_next, moved: mpd.moved().cloned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track_id;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    const MPD: &str = r#"<?xml version="1.0"?><MPD type="static" mediaPresentationDuration="PT4S"><Period>
        <AdaptationSet mimeType="video/mp4"><SegmentTemplate media="$RepresentationID$/$Number$" duration="2"/>
        <Representation id="a b"/></AdaptationSet>
        <AdaptationSet contentType="text"><SegmentTemplate media="$Number$" duration="2"/><Representation id="t"/></AdaptationSet>
        <AdaptationSet contentType="audio"><Representation id="s"><BaseURL>s.mp4</BaseURL><SegmentBase indexRange="1-2"/>
        </Representation></AdaptationSet></Period></MPD>"#;

    // R2 H10
    #[test]
    fn a_rendition_is_found_by_its_address_whichever_protocol_it_is_of() {
        let (asked, found) = (url("http://o.example/live.mpd?t=1"), url("http://edge.example/x/live.mpd"));
        let renditions = renditions(&asked, &found, MPD.as_bytes()).expect("an MPD");
        assert_eq!(renditions.len(), 1, "texts and single files aren't shared");
        let address = &renditions[0].url;
        assert_eq!(address.as_str(), "http://o.example/live.mpd?t=1#representation=a%20b");
        let track = track_id(address.as_str());
        let read = |address: &Url| read(track, address, &found, MPD.as_bytes(), SystemTime::now());
        let playlist = read(address).expect("a playlist").playlist;
        assert_eq!(playlist.segments[1].url, url("http://edge.example/x/a%20b/2"));
        assert_eq!(playlist.segments[1].key.track, track);
        assert_eq!(read(&asked).err(), Some(MpdError::Unknown.into()));
        let single = url("http://o.example/live.mpd#representation=s");
        assert_eq!(read(&single).err(), Some(MpdError::SingleFile.into()));
    }

    #[test]
    fn an_mpd_under_another_name_is_told_so() {
        let other = url("http://o.example/manifest?format=mpd");
        assert_eq!(renditions(&other, &other, MPD.as_bytes()), Err(ManifestError::Name));
        assert_eq!(delivery(&url("http://o.example/LIVE.MPD?x=.m3u8")), Delivery::Dash);
        assert_eq!(delivery(&url("http://o.example/live.m3u8?x=.mpd")), Delivery::Hls);
    }
}
