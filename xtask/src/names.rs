//! Gives what crosses between wasm and its glue names of one or two letters, on both sides. wasm-bindgen's end in a hash,
//! which no compression shortens.

use anyhow::{Context, Result};

use crate::order::{IMPORT_SECTION, MAGIC, byte, number, push_number, sized};

const EXPORT_SECTION: u8 = 7;
/// What the glue writes before an export's name, and after an import's.
const BEFORE_EXPORT: &str = "wasm.";
const AFTER_IMPORT: &str = ":";
/// What the page's script takes from the exports itself.
const KNOWN: &str = "memory";

/// Module and glue with short names. A name stays if the glue has it anywhere else than where an import is given or an
/// export is used, or nowhere: then somebody else may know it.
pub(crate) fn shorten(module: &[u8], glue: &str) -> Result<(Vec<u8>, String)> {
    let mut glue = glue.to_owned();
    let mut count = 0;
    let module = rewrite(module, |import, name| {
        let words = words(&glue, name);
        let expected = |&at: &usize| match import {
            true => glue[at + name.len()..].starts_with(AFTER_IMPORT),
            false => glue[..at].ends_with(BEFORE_EXPORT),
        };
        if name == KNOWN || words.is_empty() || (import && words.len() > 1) || !words.iter().all(expected) {
            return name.to_owned();
        }
        let short = short(count);
        count += 1;
        for at in words.into_iter().rev() {
            glue.replace_range(at..at + name.len(), &short);
        }
        short
    })
    .context(
        "wasm-bindgen left a module that xtask/src/names.rs can't read; does it import more than functions?",
    )?;
    Ok((module, glue))
}

/// A, B, ..., Z, AA, AB, ...: capitals, for no export of ours begins with one.
fn short(count: usize) -> String {
    let last = char::from(b'A' + (count % 26) as u8);
    match count / 26 {
        0 => last.to_string(),
        before => short(before - 1) + last.encode_utf8(&mut [0; 4]),
    }
}

/// Where the text has this word.
fn words(text: &str, word: &str) -> Vec<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let alone = |&at: &usize| {
        !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part) && !word.is_empty()
    };
    text.match_indices(word).map(|found| found.0).filter(alone).collect()
}

/// The module with other names: `name` is told whether it is an import's.
fn rewrite(module: &[u8], mut name: impl FnMut(bool, &str) -> String) -> Option<Vec<u8>> {
    let mut out = MAGIC.to_vec();
    let mut rest = module.strip_prefix(MAGIC)?;
    while !rest.is_empty() {
        let id = byte(&mut rest)?;
        let mut section = sized(&mut rest)?;
        let mut new = Vec::with_capacity(section.len());
        if id == IMPORT_SECTION || id == EXPORT_SECTION {
            let import = id == IMPORT_SECTION;
            let count = number(&mut section)?;
            push_number(&mut new, count);
            for _ in 0..count {
                if import {
                    push_sized(&mut new, sized(&mut section)?);
                }
                let old = core::str::from_utf8(sized(&mut section)?).ok()?;
                push_sized(&mut new, name(import, old).as_bytes());
                // The kind, and the index: of an imported function that of its type.
                let kind = byte(&mut section)?;
                (!import || kind == 0).then_some(())?;
                new.push(kind);
                push_number(&mut new, number(&mut section)?);
            }
        }
        new.extend_from_slice(section);
        out.push(id);
        push_sized(&mut out, &new);
    }
    Some(out)
}

fn push_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    push_number(out, bytes.len());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Imports `m.stop_1`, exports `run_it` and `memory`.
    fn module() -> Vec<u8> {
        let mut module = MAGIC.to_vec();
        module.extend_from_slice(b"\x02\x0c\x01\x01m\x06stop_1\0\0");
        module.extend_from_slice(b"\x07\x13\x02\x06run_it\0\x01\x06memory\x02\0");
        module
    }

    #[test]
    fn both_sides_get_the_same_names() {
        let glue = "imports = { stop_1: function() {} }; wasm.run_it(); wasm.run_it_now; wasm.memory";
        let (short, glue) = shorten(&module(), glue).unwrap();
        assert_eq!(glue, "imports = { A: function() {} }; wasm.B(); wasm.run_it_now; wasm.memory");
        let mut expected = MAGIC.to_vec();
        expected.extend_from_slice(b"\x02\x07\x01\x01m\x01A\0\0");
        expected.extend_from_slice(b"\x07\x0e\x02\x01B\0\x01\x06memory\x02\0");
        assert_eq!(short, expected);
    }

    #[test]
    fn names_that_somebody_else_may_know_stay() {
        for glue in ["", "{ stop_1: 1, stop_1: 2 }", "stop_1(); exports.run_it()"] {
            assert_eq!(shorten(&module(), glue).unwrap(), (module(), glue.to_owned()), "{glue}");
        }
        assert!(shorten(b"text", "").is_err());
    }

    #[test]
    fn short_names_are_all_different() {
        assert_eq!([0, 25, 26, 51, 52, 701, 702].map(short), ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]);
    }
}
