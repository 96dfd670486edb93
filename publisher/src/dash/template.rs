//! Templates of URLs (ISO/IEC 23009-1, 5.3.9.4.4): `$RepresentationID$`, `$Number%05d$`, `$Bandwidth$`, `$Time$`, and `$$` for a dollar.

use std::fmt::Write;

use super::MpdError;

/// Widest number: no name is that long.
pub const MAX_WIDTH: usize = 32;
/// Most identifiers of one template, and longest template: it is written out for each segment.
pub const MAX_PIECES: usize = 16;
/// See [`MAX_PIECES`].
pub const MAX_LENGTH: usize = 2048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Number,
    Time,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Value, usize),
}

/// A template of which all is known but number and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

impl Template {
    pub(super) fn new(text: &str, id: &str, bandwidth: u64) -> Result<Self, MpdError> {
        if text.len() > MAX_LENGTH {
            return Err(MpdError::Template);
        }
        let mut pieces = vec![Piece::Text(String::new())];
        let mut put = |piece: Piece| match (pieces.last_mut(), piece) {
            (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
            (_, piece) => pieces.push(piece),
        };
        for (at, part) in text.split('$').enumerate() {
            // What stands between two dollars names something; nothing between them is one of them.
            let piece = match (at % 2, part) {
                (0, text) => Piece::Text(text.to_owned()),
                (_, "") => Piece::Text("$".to_owned()),
                (_, "RepresentationID") => Piece::Text(id.to_owned()),
                (_, part) => {
                    let (name, format) = part.split_once('%').unwrap_or((part, "01d"));
                    let width = format.strip_prefix('0').and_then(|f| f.strip_suffix('d'));
                    let width =
                        width.and_then(|width| width.parse().ok()).filter(|width| *width <= MAX_WIDTH);
                    let width = width.ok_or(MpdError::Template)?;
                    match name {
                        "Number" => Piece::Value(Value::Number, width),
                        "Time" => Piece::Value(Value::Time, width),
                        "Bandwidth" => Piece::Text(format!("{bandwidth:0width$}")),
                        _ => return Err(MpdError::Template),
                    }
                }
            };
            put(piece);
        }
        let closed = text.matches('$').count().is_multiple_of(2);
        let length: usize =
            pieces.iter().map(|p| if let Piece::Text(text) = p { text.len() } else { 0 }).sum();
        if closed && pieces.len() <= 2 * MAX_PIECES + 1 && length <= MAX_LENGTH {
            Ok(Self(pieces))
        } else {
            Err(MpdError::Template)
        }
    }

    /// Writes it out into an empty text.
    pub(super) fn fill(&self, number: u64, time: u64, out: &mut String) {
        out.clear();
        for piece in &self.0 {
            // Writing to a text can't fail.
            let _ = match piece {
                Piece::Text(text) => out.write_str(text),
                Piece::Value(Value::Number, width) => write!(out, "{number:0width$}"),
                Piece::Value(Value::Time, width) => write!(out, "{time:0width$}"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, MpdError> {
        let mut out = "before".to_owned();
        Template::new(text, "v/1", 64_000)?.fill(7, 90_000, &mut out);
        Ok(out)
    }

    // R2
    #[test]
    fn identifiers_are_replaced_and_numbers_padded() {
        for (text, name) in [
            ("a.m4s", "a.m4s"),
            ("$RepresentationID$/$Number$.m4s", "v/1/7.m4s"),
            ("$Number%05d$-$Time%01d$$$", "00007-90000$"),
            ("$Bandwidth%08d$/$Bandwidth$", "00064000/64000"),
            ("$Time%03d$$Number$", "900007"),
            ("", ""),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(name), "{text}");
        }
    }

    #[test]
    fn what_no_template_says_is_refused() {
        for text in [
            "$Number",
            "$number$",
            "$Number%5d$",
            "$Number%05x$",
            "$Number%$",
            "$SubNumber$",
            "$Number%0999999999d$",
        ] {
            assert_eq!(filled(text), Err(MpdError::Template), "{text}");
        }
    }

    #[test]
    fn widths_lengths_and_identifiers_are_bounded() {
        let width = |n: usize| filled(&format!("$Number%0{n}d$")).map(|name| name.len());
        assert_eq!((width(MAX_WIDTH - 1), width(MAX_WIDTH)), (Ok(MAX_WIDTH - 1), Ok(MAX_WIDTH)));
        assert_eq!(width(MAX_WIDTH + 1), Err(MpdError::Template));
        let length = |n: usize| filled(&"x".repeat(n)).map(|name| name.len());
        assert_eq!((length(MAX_LENGTH - 1), length(MAX_LENGTH)), (Ok(MAX_LENGTH - 1), Ok(MAX_LENGTH)));
        assert_eq!(length(MAX_LENGTH + 1), Err(MpdError::Template));
        let pieces = |n: usize| filled(&"$Number$-".repeat(n)).is_ok();
        assert!(pieces(MAX_PIECES - 1) && pieces(MAX_PIECES) && !pieces(MAX_PIECES + 1));
    }
}
