//! The XML of an MPD, bounded before it is parsed: roxmltree compares each attribute with those before it in its element, and gives each element
//! the namespaces of those around it, so that a megabyte of either would cost minutes or gigabytes. Document types, and entities with them, are refused.

use std::str::FromStr;

use roxmltree::{Document, Node, ParsingOptions};

use super::MpdError;
use crate::date::span_us;

/// Most elements, texts and comments.
pub const MAX_NODES: u32 = 100_000;
/// Most attributes of one element.
pub const MAX_ATTRIBUTES: usize = 64;
/// Most declarations of namespaces.
pub const MAX_NAMESPACES: usize = 1000;

/// The document.
pub(super) fn document(text: &str) -> Result<Document<'_>, MpdError> {
    bounded(text)?;
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::NodesLimitReached => MpdError::TooMuch,
        other => {
            let at = other.pos();
            MpdError::Xml(at.row, at.col)
        }
    })
}

/// Looks at the document's tags alone: comments and the like hold whatever they like.
fn bounded(text: &str) -> Result<(), MpdError> {
    if text.matches("xmlns").nth(MAX_NAMESPACES).is_some() {
        return Err(MpdError::TooMuch);
    }
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let skips = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")];
        if let Some((begin, end)) = skips.iter().find(|(begin, _)| rest.starts_with(begin)) {
            let Some(at) = rest[begin.len()..].find(end) else { break };
            rest = &rest[begin.len() + at + end.len()..];
            continue;
        }
        let (mut quote, mut values, mut length) = (None, 0, rest.len());
        for (at, byte) in rest.bytes().enumerate() {
            match (quote, byte) {
                (None, b'>') => {
                    length = at + 1;
                    break;
                }
                (None, b'"' | b'\'') => {
                    (quote, values) = (Some(byte), values + 1);
                    if values > MAX_ATTRIBUTES {
                        return Err(MpdError::TooMuch);
                    }
                }
                (Some(open), byte) if open == byte => quote = None,
                _ => {}
            }
        }
        rest = &rest[length..];
    }
    Ok(())
}

/// Elements by their local names: some packagers put a prefix before them.
pub(super) fn children<'a, 'i: 'a>(
    node: Node<'a, 'i>,
    name: &'a str,
) -> impl Iterator<Item = Node<'a, 'i>> + 'a {
    node.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}

/// The first of them.
pub(super) fn child<'a, 'i: 'a>(node: Node<'a, 'i>, name: &'a str) -> Option<Node<'a, 'i>> {
    children(node, name).next()
}

/// An element's text, whatever stands before it.
pub(super) fn content<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    let text = |child: Node<'a, '_>| child.text().filter(|_| child.is_text());
    node.children().filter_map(text).map(str::trim).find(|text| !text.is_empty())
}

/// An attribute that is a number.
pub(super) fn number<T: FromStr>(node: Node<'_, '_>, name: &'static str) -> Result<Option<T>, MpdError> {
    let read = |text: &str| text.trim().parse().map_err(|_| MpdError::Attribute(name));
    node.attribute(name).map(read).transpose()
}

/// An attribute that is a length of time, in microseconds.
pub(super) fn span(node: Node<'_, '_>, name: &'static str) -> Result<Option<u64>, MpdError> {
    node.attribute(name).map(|text| span_us(text).ok_or(MpdError::Attribute(name))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> Option<MpdError> {
        document(text).err()
    }

    // R2
    #[test]
    fn a_documents_nodes_attributes_and_namespaces_are_bounded() {
        // The root of the document is one too, and its element.
        let nodes = |n: u32| format!("<MPD>{}</MPD>", "<S/>".repeat(n as usize - 2));
        assert_eq!((says(&nodes(MAX_NODES - 1)), says(&nodes(MAX_NODES))), (None, None));
        assert_eq!(says(&nodes(MAX_NODES + 1)), Some(MpdError::TooMuch));
        let attributes = |n: usize| {
            let all: String = (0..n).map(|n| format!(" a{n}='\">'")).collect();
            format!("<MPD><!-- it's --><?it's?><a><![CDATA[it's]]></a><b{all}/></MPD>")
        };
        assert_eq!((says(&attributes(MAX_ATTRIBUTES - 1)), says(&attributes(MAX_ATTRIBUTES))), (None, None));
        assert_eq!(says(&attributes(MAX_ATTRIBUTES + 1)), Some(MpdError::TooMuch));
        let nested = |n: usize| {
            let open: String = (0..n).map(|n| format!("<a xmlns:n{n}='u{n}'>")).collect();
            format!("{open}{}", "</a>".repeat(n))
        };
        assert_eq!((says(&nested(MAX_NAMESPACES - 1)), says(&nested(MAX_NAMESPACES))), (None, None));
        assert_eq!(says(&nested(MAX_NAMESPACES + 1)), Some(MpdError::TooMuch));
    }

    #[test]
    fn what_is_no_document_is_refused_at_once() {
        for text in [
            "",
            "<MPD",
            "<MPD>",
            "<MPD a=\"",
            "<!-- ",
            "<MPD/><MPD/>",
            "<!DOCTYPE m [<!ENTITY a \"b\"><!ENTITY c \"&a;&a;\">]><MPD>&c;</MPD>",
            "<MPD>&a;</MPD>",
        ] {
            assert!(matches!(says(text), Some(MpdError::Xml(..))), "{text}");
        }
        // Deeper than a thread's stack, were it parsed by recursion.
        let deep = 90_000;
        assert_eq!(says(&format!("{}{}", "<a>".repeat(deep), "</a>".repeat(deep))), None);
    }
}
