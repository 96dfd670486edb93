//! What two peers tell each other to connect, session descriptions and candidates.

use rillcast_protocol::session::{Description, SessionSignal, Side, is_candidate};
use rillcast_seed::rtc::candidate::is_usable;
use rtc::ice::candidate::unmarshal_candidate;

use crate::wire::one_form;

/// Reads a signal, an SDP and a candidate.
pub fn run(data: &[u8]) {
    match one_form::<SessionSignal>(data) {
        Some(SessionSignal::Offer { description, .. } | SessionSignal::Answer { description, .. }) => {
            sdp(&description);
        }
        Some(SessionSignal::Candidate { candidate, .. }) => line(candidate.as_str()),
        Some(SessionSignal::Abort { .. }) | None => {}
    }
    let Ok(text) = str::from_utf8(data) else { return };
    if let Some(description) = Description::from_sdp(text) {
        sdp(&description);
    }
    line(text);
}

/// Where a description makes an SDP, that has its fields and no lines of their making.
fn sdp(description: &Description) {
    for side in [Side::Offer, Side::Answer] {
        let Some(sdp) = description.to_sdp(side) else { continue };
        assert_eq!(Description::from_sdp(&sdp).as_ref(), Some(description));
        assert_eq!(sdp.lines().count(), 16, "{sdp}");
        assert_eq!(sdp.matches("\r\nm=").count(), 1);
    }
}

/// What is handed to the WebRTC stack is one line, and the stack survives it.
fn line(text: &str) {
    if is_usable(text, true) {
        assert!(is_candidate(text) && text.lines().count() == 1);
        let _ = unmarshal_candidate(text);
    }
}
