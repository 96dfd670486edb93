//! Where URLs stand in an MPD's text, for whoever hands it on from another place: byte for byte the same but for these.

use std::ops::Range;

use reqwest::Url;
use roxmltree::Node;

use super::MpdError;
use super::xml::{child, children, content, document};

/// By which bases a URL counts: where it leads from, and where the reader believes it to lead from.
#[derive(Clone, Debug)]
pub struct Bases {
    /// In truth.
    pub meant: Url,
    /// For the reader.
    pub seen: Url,
}

/// The MPD with some of its URLs replaced by what `moved` says; `None` leaves one as it is. Told of each are the bases that it counts by.
///
/// Looked at are BaseURL, Location and PatchLocation, templates, lists, and the URLs of indices, initialisation and the like, remote elements and
/// clocks. Namespaces, schemes and licences' servers are none of them.
pub fn mend(
    text: &str,
    bases: &Bases,
    mut moved: impl FnMut(&str, &Bases) -> Option<String>,
) -> Result<String, MpdError> {
    let document = document(text)?;
    let root = document.root_element();
    if root.tag_name().name() != "MPD" {
        return Err(MpdError::NotMpd);
    }
    let mut mending = Mending { text, moved: &mut moved, changes: Vec::new() };
    mending.root(root, bases);
    let mut changes = mending.changes;
    changes.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut at = 0;
    for (span, new) in changes {
        // Spans of different texts and attributes don't overlap.
        out.push_str(text.get(at..span.start).unwrap_or_default());
        out.push_str(&escaped(&new));
        at = span.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Ok(out)
}

const LEVELS: [&str; 4] = ["MPD", "Period", "AdaptationSet", "Representation"];
const XLINK: (&str, &str) = ("http://www.w3.org/1999/xlink", "href");

struct Mending<'a, F> {
    text: &'a str,
    moved: &'a mut F,
    changes: Vec<(Range<usize>, String)>,
}

impl<F: FnMut(&str, &Bases) -> Option<String>> Mending<'_, F> {
    fn root(&mut self, root: Node<'_, '_>, bases: &Bases) {
        for name in ["Location", "PatchLocation"] {
            children(root, name).for_each(|node| drop(self.content(node, bases)));
        }
        for clock in children(root, "UTCTiming") {
            if clock.attribute("schemeIdUri").is_some_and(|scheme| scheme.contains(":http-")) {
                self.attribute(clock, "value", bases);
            }
        }
        self.level(root, 0, bases);
    }

    /// No deeper than the levels that there are, however an MPD is nested.
    fn level(&mut self, node: Node<'_, '_>, level: usize, bases: &Bases) {
        self.remote(node, bases);
        let mut own = None;
        for base in children(node, "BaseURL") {
            let new = self.content(base, bases);
            let text = content(base).unwrap_or_default();
            let seen = bases.seen.join(new.as_deref().unwrap_or(text));
            if let (None, Ok(meant), Ok(seen)) = (&own, bases.meant.join(text), seen) {
                own = Some(Bases { meant, seen });
            }
        }
        let bases = own.as_ref().unwrap_or(bases);
        for name in ["SegmentBase", "SegmentList", "SegmentTemplate"] {
            children(node, name).for_each(|segments| self.segments(segments, bases));
        }
        for name in ["EventStream", "AssetIdentifier"] {
            children(node, name).for_each(|remote| self.remote(remote, bases));
        }
        if let Some(below) = LEVELS.get(level + 1) {
            children(node, below).for_each(|node| self.level(node, level + 1, bases));
        }
    }

    fn segments(&mut self, segments: Node<'_, '_>, bases: &Bases) {
        self.remote(segments, bases);
        for name in ["media", "index", "initialization", "bitstreamSwitching"] {
            self.attribute(segments, name, bases);
        }
        for name in ["Initialization", "RepresentationIndex", "BitstreamSwitching", "FailoverContent"] {
            child(segments, name).into_iter().for_each(|node| self.attribute(node, "sourceURL", bases));
        }
        for node in children(segments, "SegmentURL") {
            self.attribute(node, "media", bases);
            self.attribute(node, "index", bases);
        }
    }

    fn remote(&mut self, node: Node<'_, '_>, bases: &Bases) {
        if let Some(link) = node.attribute_node(XLINK).filter(|link| !link.value().starts_with("urn:")) {
            self.replace(link.value(), link.range_value(), bases);
        }
    }

    fn attribute(&mut self, node: Node<'_, '_>, name: &str, bases: &Bases) {
        if let Some(attribute) = node.attribute_node(name) {
            self.replace(attribute.value(), attribute.range_value(), bases);
        }
    }

    /// An element's text; told back: what stands there now, if it is something else.
    fn content(&mut self, node: Node<'_, '_>, bases: &Bases) -> Option<String> {
        let span = inside(self.text, node)?;
        self.replace(content(node)?, span, bases)
    }

    fn replace(&mut self, url: &str, span: Range<usize>, bases: &Bases) -> Option<String> {
        let new = (self.moved)(url, bases)?;
        self.changes.push((span, new.clone()));
        Some(new)
    }
}

/// What stands between an element's tags, without the white space around it.
fn inside(text: &str, node: Node<'_, '_>) -> Option<Range<usize>> {
    let whole = node.range();
    // A value may have a bracket in it, what comes behind the last one is the tag's end.
    let from =
        node.attributes().map(|a| a.range().end).chain(node.namespaces().map(|_| 0)).max().unwrap_or(0);
    let from = from.max(whole.start);
    let start = from + text.get(from..whole.end)?.find('>')? + 1;
    let end = whole.start + text.get(whole.clone())?.rfind("</")?;
    let content = text.get(start..end)?;
    let trimmed = content.trim_start();
    let start = end - trimmed.len();
    Some(start..start + trimmed.trim_end().len())
}

fn escaped(url: &str) -> String {
    url.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the text becomes where all URLs lead elsewhere, and where none does.
    fn mended(text: &str) -> [String; 2] {
        let bases = || {
            let url = |text: &str| Url::parse(text).expect("a URL");
            Bases { meant: url("https://o.example/a/live.mpd"), seen: url("http://here.example/a/live.mpd") }
        };
        let all = |url: &str, bases: &Bases| Some(format!("[{url}&{}]", bases.meant.path()));
        [mend(text, &bases(), all).expect("an MPD"), mend(text, &bases(), |_, _| None).expect("an MPD")]
    }

    #[test]
    fn nothing_but_urls_changes_and_each_counts_by_its_base() {
        let mpd = |urls: [&str; 12]| {
            let [location, patch, base, period, link, set, template, init, list, listed, source, clock] =
                urls;
            format!(
                "<?xml version=\"1.0\"?>\n<MPD xmlns='urn:x' xmlns:xlink=\"http://www.w3.org/1999/xlink\" profiles='media'>\r\n\
                 <Location>{location}</Location><PatchLocation ttl=\"3>\">{patch}</PatchLocation>\n\
                 <BaseURL serviceLocation='a>b'>\n  {base}\n</BaseURL><!-- <BaseURL>x</BaseURL> -->\n\
                 <Period xlink:href=\"{link}\"><BaseURL>{period}</BaseURL><AdaptationSet><BaseURL>{set}</BaseURL>\
                 <SegmentTemplate  media = '{template}' initialization=\"{init}\"/>\
                 <Representation id='1'><SegmentList media=\"{list}\"><Initialization sourceURL='{source}'/>\
                 <SegmentURL media='{listed}' mediaRange='1-2'/></SegmentList></Representation></AdaptationSet>\
                 <ContentProtection schemeIdUri='urn:y' value='https://licence.example/'/></Period>\n\
                 <UTCTiming schemeIdUri='urn:mpeg:dash:utc:http-xsdate:2014' value='{clock}'/>\n\
                 <UTCTiming schemeIdUri='urn:mpeg:dash:utc:direct:2014' value='2026-01-01T00:00:00Z'/></MPD>\n"
            )
        };
        let text = mpd([
            "l",
            "<![CDATA[p]]>",
            "b/",
            "<!-- c -->per/",
            "x",
            "s/?a=1&amp;b=2",
            "$Number$.m4s",
            "i",
            "m",
            "u",
            "so",
            "t",
        ]);
        let [all, none] = mended(&text);
        assert_eq!(none, text);
        let (mpd_base, top, low) = ("/a/live.mpd", "/a/b/", "/a/b/per/s/");
        let said = [
            format!("[l&amp;{mpd_base}]"),
            format!("[p&amp;{mpd_base}]"),
            format!("[b/&amp;{mpd_base}]"),
            format!("[per/&amp;{top}]"),
            format!("[x&amp;{top}]"),
            "[s/?a=1&amp;b=2&amp;/a/b/per/]".to_owned(),
            format!("[$Number$.m4s&amp;{low}]"),
            format!("[i&amp;{low}]"),
            format!("[m&amp;{low}]"),
            format!("[u&amp;{low}]"),
            format!("[so&amp;{low}]"),
            format!("[t&amp;{mpd_base}]"),
        ];
        assert_eq!(all, mpd(said.each_ref().map(String::as_str)));
    }

    #[test]
    fn empty_bases_and_other_documents_do_no_harm() {
        let text = "<MPD><BaseURL/><Period><BaseURL></BaseURL><Period><Period/></Period></Period></MPD>";
        assert_eq!(mended(text)[1], text);
        let bases = Url::parse("http://o.example/").expect("a URL");
        let bases = Bases { meant: bases.clone(), seen: bases };
        assert_eq!(mend("<html/>", &bases, |_, _| None), Err(MpdError::NotMpd));
    }
}
