//! Attribute lists of HLS tags (RFC 8216, 4.2): `NAME=VALUE,...`, where a quoted value may hold commas.

/// What stands behind a tag's colon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a>(pub(crate) &'a str);

impl<'a> Attributes<'a> {
    /// The value of the attribute that has this name, without its quotes.
    pub(crate) fn find(self, name: &str) -> Option<&'a str> {
        let mut rest = self.0;
        while let Some((key, value)) = rest.split_once('=') {
            let (value, after) = match value.strip_prefix('"') {
                Some(quoted) => {
                    let (value, after) = quoted.split_once('"')?;
                    (value, after.split_once(',').map_or("", |(_, after)| after))
                }
                None => value.split_once(',').unwrap_or((value, "")),
            };
            if key.trim() == name {
                return Some(value.trim());
            }
            rest = after;
        }
        None
    }

    /// Whether the attribute says `YES`.
    pub(crate) fn says_yes(self, name: &str) -> bool {
        self.find(name) == Some("YES")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_names_and_quotes_hide_commas() {
        let list = Attributes("DURATION=0.5, URI=\"a,GAP=YES,b\",BYTERANGE=\"5@7\",X=1,GAP=NO");
        assert_eq!(list.find("DURATION"), Some("0.5"));
        assert_eq!(list.find("URI"), Some("a,GAP=YES,b"));
        assert_eq!(list.find("BYTERANGE"), Some("5@7"));
        assert_eq!(list.find("RANGE"), None);
        assert!(!list.says_yes("GAP") && Attributes("GAP=YES").says_yes("GAP"));
    }

    #[test]
    fn broken_lists_end_where_they_break() {
        for text in ["", "=", "URI", "URI=\"a", ",,,", "A=\"b\"URI=c"] {
            assert_eq!(Attributes(text).find("URI"), None, "{text}");
        }
        assert_eq!(Attributes("URI=").find("URI"), Some(""));
    }
}
