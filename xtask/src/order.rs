//! Puts functions of a wasm module that are alike beside each other. gzip finds a repetition only within the last 32 KiB, and
//! codes a near one shorter than a far one: the module is 4 % smaller for it.
//!
//! Decided is the order alone; wasm-opt, which knows every instruction that names a function, moves them: it sorts by
//! name, so each function is given its place as its name.

use std::collections::HashMap;

use anyhow::{Context, Result};

/// What is compared: sequences of so many bytes.
const SEQUENCE: usize = 5;
/// A sequence that more functions have is everywhere anyway.
const MAX_SHARED: usize = 200;
/// The next function is compared with so many before it, the nearest first.
const LOOK_BACK: usize = 8;
/// A function's length counts for so much more, in bytes: short ones are alike by chance.
const LENGTH_BIAS: f64 = 20.0;

pub(crate) const MAGIC: &[u8; 8] = b"\0asm\x01\0\0\0";
const CUSTOM_SECTION: u8 = 0;
pub(crate) const IMPORT_SECTION: u8 = 2;
const CODE_SECTION: u8 = 10;
const FUNCTION_NAMES: u8 = 1;

/// The module, which must have no names yet, with names for its functions that sort in the order they are to have.
pub(crate) fn with_names(module: &[u8]) -> Result<Vec<u8>> {
    let Functions { imported, bodies } = Functions::of(module).context(
        "wasm-opt left a module that xtask/src/order.rs can't read; does it import more than functions?",
    )?;
    let order = order(&bodies);
    let mut place = vec![0; bodies.len()];
    for (at, &function) in order.iter().enumerate() {
        place[function] = at;
    }
    let mut names = Vec::new();
    push_number(&mut names, imported + bodies.len());
    for index in 0..imported + bodies.len() {
        // Imported functions come first in any case.
        let name = match index.checked_sub(imported) {
            Some(function) => format!("{:06}", place[function]),
            None => format!("import {index}"),
        };
        push_number(&mut names, index);
        push_number(&mut names, name.len());
        names.extend_from_slice(name.as_bytes());
    }
    let mut section = b"\x04name".to_vec();
    section.push(FUNCTION_NAMES);
    push_number(&mut section, names.len());
    section.append(&mut names);

    let mut named = module.to_vec();
    named.push(CUSTOM_SECTION);
    push_number(&mut named, section.len());
    named.append(&mut section);
    Ok(named)
}

/// One after the other the function that has most in common with those just before it.
fn order(bodies: &[&[u8]]) -> Vec<usize> {
    let sequences: Vec<Vec<&[u8]>> = bodies.iter().map(|body| sequences(body)).collect();
    let mut having: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (function, sequences) in sequences.iter().enumerate() {
        for sequence in sequences {
            having.entry(sequence).or_default().push(function);
        }
    }
    having.retain(|_, functions| (2..MAX_SHARED).contains(&functions.len()));

    let mut left = vec![true; bodies.len()];
    let mut order: Vec<usize> = Vec::with_capacity(bodies.len());
    let mut next = (!bodies.is_empty()).then_some(0);
    while let Some(function) = next {
        left[function] = false;
        order.push(function);
        let mut alike = vec![0.0; bodies.len()];
        for (back, &before) in order.iter().rev().take(LOOK_BACK).enumerate() {
            for functions in sequences[before].iter().filter_map(|sequence| having.get(sequence)) {
                let weight = 1.0 / (((functions.len() - 1) as f64).sqrt() * (back + 1) as f64);
                functions.iter().for_each(|&other| alike[other] += weight);
            }
        }
        let score = |f: &usize| alike[*f] / (bodies[*f].len() as f64 + LENGTH_BIAS);
        // Where nothing is alike, the longest.
        let better = |a: &usize, b: &usize| {
            score(a).total_cmp(&score(b)).then(bodies[*a].len().cmp(&bodies[*b].len())).then(b.cmp(a))
        };
        next = (0..bodies.len()).filter(|&f| left[f]).max_by(better);
    }
    order
}

/// The different sequences of a function.
fn sequences(body: &[u8]) -> Vec<&[u8]> {
    let mut sequences: Vec<&[u8]> = body.windows(SEQUENCE).collect();
    sequences.sort_unstable();
    sequences.dedup();
    sequences
}

/// The functions of a module.
struct Functions<'a> {
    /// How many are imported; the others' indices follow.
    imported: usize,
    bodies: Vec<&'a [u8]>,
}

impl<'a> Functions<'a> {
    /// Nothing, if the module can't be read or imports anything but functions.
    fn of(module: &'a [u8]) -> Option<Self> {
        let mut functions = Self { imported: 0, bodies: Vec::new() };
        let mut rest = module.strip_prefix(MAGIC)?;
        while !rest.is_empty() {
            let id = byte(&mut rest)?;
            let mut section = sized(&mut rest)?;
            match id {
                IMPORT_SECTION => {
                    functions.imported = number(&mut section)?;
                    for _ in 0..functions.imported {
                        sized(&mut section)?;
                        sized(&mut section)?;
                        // The kind, and the type's index.
                        (byte(&mut section)? == 0).then_some(())?;
                        number(&mut section)?;
                    }
                }
                CODE_SECTION => {
                    for _ in 0..number(&mut section)? {
                        functions.bodies.push(sized(&mut section)?);
                    }
                }
                _ => {}
            }
        }
        Some(functions)
    }
}

pub(crate) fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

/// LEB128.
pub(crate) fn number(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in (0..32).step_by(7) {
        let byte = byte(rest)?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Bytes that come after their number.
pub(crate) fn sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest)?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

pub(crate) fn push_number(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_functions_end_up_side_by_side() {
        let (a, b) = (*b"a function of the first kind", *b"and quite another procedure!");
        let variant = |mut body: [u8; 28]| {
            body[20] = b'?';
            body
        };
        let (c, d) = (variant(a), variant(b));
        assert_eq!(order(&[&a, &b, &c, &d]), [0, 2, 1, 3]);
        assert!(order(&[]).is_empty());
    }

    #[test]
    fn names_stand_for_places_and_imports_come_first() {
        let mut module = MAGIC.to_vec();
        module.extend_from_slice(b"\x02\x07\x01\x01h\x01f\0\0");
        module.extend_from_slice(b"\x0a\x0a\x02\x02\0\x0b\x05\0\x01\x01\x01\x0b");
        let functions = Functions::of(&module).unwrap();
        assert_eq!(functions.imported, 1);
        assert_eq!(functions.bodies, [&b"\0\x0b"[..], b"\0\x01\x01\x01\x0b"]);
        let named = with_names(&module).unwrap();
        assert!(named.starts_with(&module));
        assert!(named.ends_with(b"\x03\x00\x08import 0\x01\x06000000\x02\x06000001"));
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(with_names(b"text").is_err());
        assert!(with_names(b"\0asm\x01\0\0\0\x0a\x7f").is_err());
    }
}
