//! A WebRTC session description for data channels, as its few essential fields (some 150 bytes instead of 2 kB of
//! SDP), and its way back to SDP.
//!
//! Both channels are negotiated in advance (`negotiated: true`, id 0 control, id 1 bulk), so nothing else differs
//! between one description and another.

use crate::coding::Text;
use crate::id::Fingerprint;
use crate::{wire_enum, wire_struct};

/// SCTP stream id of the control channel: reliable, ordered.
pub const CONTROL_CHANNEL: u16 = 0;
/// SCTP stream id of the bulk channel: reliable, unordered.
pub const BULK_CHANNEL: u16 = 1;

wire_struct! {
    /// The fields of a data-channel SDP.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Description {
        /// ICE user name fragment.
        pub ufrag: Text<256>,
        /// ICE password.
        pub password: Text<256>,
        /// SHA-256 of the DTLS certificate.
        pub fingerprint: Fingerprint,
    }
}

wire_enum! {
    /// What two peers tell each other to connect. Opaque to whoever relays it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum SessionSignal {
        /// Opens an attempt. The sender is the offerer (`a=setup:actpass`).
        0 => Offer { /// Names this attempt: answers and candidates for an older one are dropped.
                     attempt: u32, /// The offerer's side.
                     description: Description },
        /// The answer (`a=setup:active`).
        1 => Answer { /// As in the offer.
                      attempt: u32, /// The answerer's side.
                      description: Description },
        /// One trickled ICE candidate.
        2 => Candidate { /// As in the offer.
                         attempt: u32, /// The candidate-attribute's value: `candidate:...`.
                         candidate: Text<512> },
        /// The sender gives the attempt up.
        3 => Abort { /// As in the offer.
                     attempt: u32 },
    }
}

/// Which side of the DTLS handshake an SDP describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `a=setup:actpass`
    Offer,
    /// `a=setup:active`
    Answer,
}

impl Description {
    /// Takes the fields out of an SDP that WebRTC made. `None` where one is missing or out of bounds.
    pub fn from_sdp(sdp: &str) -> Option<Self> {
        Some(Self {
            ufrag: Text::new(attribute(sdp, b"ice-ufrag:")?)?,
            password: Text::new(attribute(sdp, b"ice-pwd:")?)?,
            fingerprint: fingerprint(sdp)?,
        })
    }

    /// An SDP that every WebRTC stack takes. `None` if a field holds a character that could add lines or
    /// attributes of its own.
    pub fn to_sdp(&self, side: Side) -> Option<String> {
        let plain =
            |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b));
        if !plain(self.ufrag.as_str()) || !plain(self.password.as_str()) {
            return None;
        }
        let mut sdp = String::with_capacity(640);
        sdp.push_str(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=extmap-allow-mixed\r\n\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:",
        );
        sdp.push_str(self.ufrag.as_str());
        sdp.push_str("\r\na=ice-pwd:");
        sdp.push_str(self.password.as_str());
        sdp.push_str("\r\na=ice-options:trickle\r\na=fingerprint:sha-256 ");
        for (i, byte) in self.fingerprint.0.iter().enumerate() {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            if i > 0 {
                sdp.push(':');
            }
            sdp.push(char::from(HEX[usize::from(byte >> 4)]));
            sdp.push(char::from(HEX[usize::from(byte & 15)]));
        }
        sdp.push_str(match side {
            Side::Offer => "\r\na=setup:actpass",
            Side::Answer => "\r\na=setup:active",
        });
        sdp.push_str("\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n");
        Some(sdp)
    }
}

/// The certificate's fingerprint in an SDP.
pub fn fingerprint(sdp: &str) -> Option<Fingerprint> {
    let hex = attribute(sdp, b"fingerprint:sha-256 ").or_else(|| attribute(sdp, b"fingerprint:SHA-256 "))?;
    let mut fingerprint = [0u8; 32];
    // 32 pairs of digits, with colons between them.
    if hex.len() != 32 * 3 - 1 {
        return None;
    }
    for (byte, pair) in fingerprint.iter_mut().zip(hex.as_bytes().chunks(3)) {
        if pair.get(2).is_some_and(|colon| *colon != b':') {
            return None;
        }
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(Fingerprint(fingerprint))
}

/// What follows an attribute's name in its line. By bytes: searching for a text brings two kilobytes of algorithm along for every viewer.
fn attribute<'a>(sdp: &'a str, name: &[u8]) -> Option<&'a str> {
    let bytes = sdp.as_bytes();
    let is_here = |at: &usize| bytes[..*at].ends_with(b"\na=") && bytes[*at..].starts_with(name);
    let start = (0..bytes.len()).find(is_here)? + name.len();
    let length = bytes[start..].iter().take_while(|b| !b.is_ascii_whitespace()).count();
    sdp.get(start..start + length)
}

/// Whether a peer's candidate line may be handed to the WebRTC stack: one line, printable, and a candidate.
pub fn is_candidate(line: &str) -> bool {
    line.starts_with("candidate:") && line.len() <= 512 && line.bytes().all(|b| (0x20..0x7f).contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Description {
        Description {
            ufrag: Text::new("a+/B").expect("short"),
            password: Text::new("0123456789abcdefABCDEF").expect("short"),
            fingerprint: Fingerprint(core::array::from_fn(|i| i as u8 * 7)),
        }
    }

    #[test]
    fn a_description_survives_sdp_and_back() {
        let sdp = description().to_sdp(Side::Offer).expect("plain fields");
        assert_eq!(Description::from_sdp(&sdp), Some(description()));
        assert!(sdp.contains("a=setup:actpass"));
    }

    #[test]
    fn a_fingerprint_of_another_form_is_none() {
        let sdp = description().to_sdp(Side::Offer).expect("plain fields");
        for (right, wrong) in [
            ("00:07", "0007"),
            ("00:07", "00:7"),
            ("00:07", "00:0g"),
            ("D9\r", "D9:00\r"),
            ("\na=finger", " a=finger"),
        ] {
            let text = sdp.replace(right, wrong);
            assert_ne!(text, sdp, "{right}");
            assert_eq!(Description::from_sdp(&text), None, "{wrong}");
        }
        assert_eq!(Description::from_sdp(&sdp.replace("sha-256", "SHA-256")), Some(description()));
        assert_eq!(Description::from_sdp(&sdp.replace('\r', "")), Some(description()));
        assert_eq!(Description::from_sdp(""), None);
    }

    #[test]
    fn a_field_cannot_add_lines_to_the_sdp() {
        let mut d = description();
        d.ufrag = Text::new("x\r\na=candidate:1").expect("short");
        assert_eq!(d.to_sdp(Side::Answer), None);
    }

    #[test]
    fn a_candidate_is_one_printable_line() {
        assert!(is_candidate("candidate:1 1 udp 2113937151 10.0.0.1 4444 typ host"));
        assert!(!is_candidate("candidate:1\r\na=x"));
        assert!(!is_candidate("a=candidate:1"));
    }
}
