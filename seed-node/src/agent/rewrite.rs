//! Manifests as the player behind the agent has to see them: unchanged, but for URLs that would lead past the agent or astray.

use rillcast_publisher::dash::urls::{Bases, mend};
use rillcast_publisher::{AllowList, Url, manifest};

use super::address::path_of;

/// Only stands for the agent's own host, whatever the player calls that.
const HERE: &str = "http://agent.invalid";

/// The playlist, or MPD, that was found at `base`. Whatever the agent may not serve the player gets from its own place.
pub fn rewrite(base: &Url, allow: &AllowList, text: &str) -> String {
    let Some(local) = path_of(base).and_then(|path| Url::parse(&format!("{HERE}{path}")).ok()) else {
        return text.to_owned();
    };
    if manifest::is_mpd(text.as_bytes()) {
        return mpd(base, local, allow, text);
    }
    let places = Places { base, local, allow };
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for line in text.split_inclusive('\n') {
        let content = line.trim_end();
        let end = &line[content.len()..];
        if content.starts_with("#EXT") {
            places.tag(content, &mut out);
        } else if content.is_empty() || content.starts_with('#') {
            out.push_str(content);
        } else {
            let start = content.trim_start();
            out.push_str(&content[..content.len() - start.len()]);
            places.uri(start, &mut out);
        }
        out.push_str(end);
    }
    out
}

/// One that can't be read stays as it is: the player finds out.
fn mpd(base: &Url, local: Url, allow: &AllowList, text: &str) -> String {
    let (mark, rest) = text.split_at(text.len() - text.trim_start_matches('\u{feff}').len());
    let bases = Bases { meant: base.clone(), seen: local };
    let moved = |url: &str, bases: &Bases| {
        // By the player's own base. Where that is elsewhere, all leads where it is meant to, and what would lead back here needs a name for here.
        if !bases.seen.as_str().starts_with(HERE) {
            return None;
        }
        Places { base: &bases.meant, local: bases.seen.clone(), allow }.moved(url)
    };
    mend(rest, &bases, moved).map_or_else(|_| text.to_owned(), |mended| format!("{mark}{mended}"))
}

struct Places<'a> {
    base: &'a Url,
    /// Where the player believes the playlist to be.
    local: Url,
    allow: &'a AllowList,
}

impl Places<'_> {
    /// A tag's attributes whose values are URLs: those that are called so (URI, SERVER-URI, X-ASSET-URI), and a list of assets.
    fn tag(&self, mut rest: &str, out: &mut String) {
        while let Some(at) = rest.find("=\"") {
            let (before, value) = rest.split_at(at + 2);
            let Some(end) = value.find('"') else { break };
            out.push_str(before);
            let name = &before[..at];
            if name.ends_with("URI") || name.ends_with("X-ASSET-LIST") {
                self.uri(&value[..end], out);
            } else {
                out.push_str(&value[..end]);
            }
            out.push('"');
            rest = &value[end + 1..];
        }
        out.push_str(rest);
    }

    fn uri(&self, uri: &str, out: &mut String) {
        match self.moved(uri) {
            Some(moved) => out.push_str(&moved),
            None => out.push_str(uri),
        }
    }

    /// Where a URL has to lead; none if it leads there already.
    fn moved(&self, uri: &str) -> Option<String> {
        // The player puts variables in; what comes out is as good as the playlist's own.
        if uri.contains("{$") {
            return None;
        }
        let meant = self.base.join(uri).ok()?;
        if !matches!(meant.scheme(), "http" | "https") {
            return None;
        }
        let leads = self.local.join(uri).ok()?;
        let right = if self.allow.allows(&meant) { path_of(&meant)? } else { meant.to_string() };
        let seen = leads.as_str();
        (seen.strip_prefix(HERE) != Some(&right) && seen != right).then_some(right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        let base = Url::parse("https://cdn.example/live/hd/index.m3u8?t=1").expect("a URL");
        let allow = AllowList::new(["https://cdn.example/live/", "http://two.example"]).expect("prefixes");
        rewrite(&base, &allow, text)
    }

    #[test]
    fn what_leads_to_the_right_place_stays_byte_for_byte() {
        let text = "\u{feff}#EXTM3U\r\n#EXT-X-TARGETDURATION:4\r\n#EXT-X-KEY:METHOD=AES-128,URI=\"../key.bin\",IV=0x1\r\n\
                    # URI=\"https://cdn.example/live/x\"\r\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"https://cdn.example/live/\"\r\n\
                    #EXTINF:4,\"https://cdn.example/live/\"\r\n  1.ts?x=https://cdn.example/\r\n\r\n#EXTINF:4,\r\n{$a}2.ts";
        assert_eq!(rewritten(text), text);
    }

    #[test]
    fn what_would_lead_past_the_agent_leads_to_it() {
        for (uri, seen) in [
            ("https://cdn.example/live/1.ts?a=b", "/https/cdn.example/live/1.ts?a=b"),
            ("http://two.example:80/1.ts", "/http/two.example/1.ts"),
            ("/live/1.ts", "/https/cdn.example/live/1.ts"),
            ("//cdn.example/live/1.ts", "/https/cdn.example/live/1.ts"),
            ("../../../live/1.ts", "/https/cdn.example/live/1.ts"),
        ] {
            assert_eq!(
                rewritten(&format!("#EXTM3U\n#EXTINF:4,\n{uri}\n")),
                format!("#EXTM3U\n#EXTINF:4,\n{seen}\n")
            );
        }
    }

    #[test]
    fn what_the_agent_may_not_serve_is_left_where_it_is() {
        for (uri, seen) in [
            ("https://other.example/1.ts", "https://other.example/1.ts"),
            ("//other.example/1.ts", "https://other.example/1.ts"),
            ("/vod/1.ts", "https://cdn.example/vod/1.ts"),
            ("../../vod/1.ts", "https://cdn.example/vod/1.ts"),
            ("data:text/plain,x", "data:text/plain,x"),
            ("skd://key", "skd://key"),
        ] {
            assert_eq!(rewritten(&format!("{uri}\n")), format!("{seen}\n"));
        }
    }

    #[test]
    fn every_attribute_that_holds_a_url_is_looked_at() {
        let right = "/https/cdn.example/live/x";
        for (before, after) in [
            ("#EXT-X-MEDIA:TYPE=AUDIO,NAME=\"URI=x\",URI=\"", "\",LANGUAGE=\"en\""),
            ("#EXT-X-MAP:URI=\"", "\",BYTERANGE=\"720@0\""),
            ("#EXT-X-KEY:METHOD=AES-128,URI=\"", "\""),
            ("#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"", "\""),
            ("#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"", "\""),
            ("#EXT-X-PART:DURATION=0.5,URI=\"", "\",INDEPENDENT=YES"),
            ("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"", "\""),
            ("#EXT-X-RENDITION-REPORT:URI=\"", "\",LAST-MSN=2"),
            ("#EXT-X-SESSION-DATA:DATA-ID=\"d\",URI=\"", "\""),
            ("#EXT-X-CONTENT-STEERING:SERVER-URI=\"", "\""),
            ("#EXT-X-DATERANGE:ID=\"a\",X-ASSET-URI=\"", "\""),
            ("#EXT-X-DATERANGE:ID=\"a\",X-ASSET-LIST=\"", "\""),
        ] {
            let text = format!("{before}https://cdn.example/live/x{after}");
            assert_eq!(rewritten(&text), format!("{before}{right}{after}"));
        }
        let broken = "#EXT-X-MAP:URI=\"https://cdn.example/live/x";
        assert_eq!(rewritten(broken), broken, "and one that is broken is left alone");
    }

    // R1 R22
    #[test]
    fn an_mpd_is_the_same_but_for_what_would_lead_past_the_agent() {
        let mpd = |location: &str, base: &str, media: &str| {
            format!(
                "\u{feff}<?xml version=\"1.0\"?>\r\n<MPD  xmlns='urn:mpeg:dash:schema:mpd:2011'>\n<Location>{location}</Location>\n\
                 <BaseURL>{base}</BaseURL><Period><AdaptationSet><SegmentTemplate media=\"{media}\" initialization='$RepresentationID$/i'/>\
                 <Representation id='v'><BaseURL>../v/</BaseURL></Representation></AdaptationSet></Period></MPD>"
            )
        };
        for (text, seen) in [
            (mpd("", "", "$Number%05d$.m4s?t=1&amp;u=2"), None),
            (mpd("live.mpd", "a/", "/x/$Time$"), Some(mpd("live.mpd", "a/", "https://cdn.example/x/$Time$"))),
            (
                mpd("https://cdn.example/live/b.mpd?a=1&amp;b=2", "https://cdn.example/live/hd/", "1"),
                Some(mpd("/https/cdn.example/live/b.mpd?a=1&amp;b=2", "/https/cdn.example/live/hd/", "1")),
            ),
            (
                mpd("//other.example/x.mpd", "http://two.example/$/", "http://two.example/live/$Number%05d$"),
                Some(mpd(
                    "https://other.example/x.mpd",
                    "/http/two.example/$/",
                    "/http/two.example/live/$Number%05d$",
                )),
            ),
            // Where the player is sent elsewhere, what counts from there stays.
            (mpd("b.mpd", "https://other.example/x/", "https://cdn.example/live/$Number$"), None),
        ] {
            let rewritten = rewritten(&text);
            match seen {
                Some(seen) => assert_eq!(rewritten, seen),
                None => assert_eq!(rewritten, text),
            }
        }
        let broken = "<MPD><BaseURL>https://cdn.example/live/</BaseURL>";
        assert_eq!(rewritten(broken), broken);
    }
}
