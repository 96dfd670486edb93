//! The engine's module as it is downloaded: what its code consists of, kind by kind. In a module opcodes, indices and numbers alternate, so that general
//! compressors see next to no repetition; side by side with its like, each is 16 % shorter in gzip. `web/src/io/unpack.ts` puts them together again.
//!
//! The outcome is a module itself, one without any code: whoever serves `.wasm` files, compresses or checks them, has nothing to learn.

use anyhow::{Context, Result, bail};

use crate::order::{MAGIC, byte, number, push_number, sized};

/// A custom section, as long as it says in five bytes, with an empty name: so what is in it always begins at the same place.
const CUSTOM_SECTION: u8 = 0;
const CODE_SECTION: u8 = 10;

/// Kinds of what code consists of, in the order in which they are stored.
#[derive(Clone, Copy)]
enum Kind {
    /// All that isn't code.
    Rest,
    /// Declarations of locals.
    Locals,
    Opcode,
    /// Of a block.
    Type,
    Label,
    Function,
    /// Of an indirect call.
    Table,
    Local,
    Global,
    Align,
    Offset,
    Number,
    LongNumber,
    Float,
}

const KINDS: usize = Kind::Float as usize + 1;

/// The module with its code taken apart.
pub(crate) fn apart(module: &[u8]) -> Result<Vec<u8>> {
    let mut streams = Streams::default();
    let mut rest = module.strip_prefix(MAGIC).context("xtask/src/streams.rs was given what is no module")?;
    streams.push(Kind::Rest, MAGIC);
    let (mut before, mut functions) = (0, 0);
    while !rest.is_empty() {
        let start = rest;
        let (id, mut section) = header(&mut rest).context("a section of the module can't be read")?;
        let whole = &start[..start.len() - rest.len()];
        if id != CODE_SECTION {
            streams.push(Kind::Rest, whole);
            continue;
        }
        functions = number(&mut section).context("the code section can't be read")?;
        streams.push(Kind::Rest, &whole[..whole.len() - section.len()]);
        before = streams.of(Kind::Rest).len();
        for function in 0..functions {
            let mut body = sized(&mut section).context("the code section is cut short")?;
            streams
                .function(&mut body)
                .with_context(|| format!("function {function} has what xtask/src/streams.rs doesn't know"))?;
        }
    }
    Ok(streams.packed(module.len(), before, functions))
}

fn header<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    Some((byte(rest)?, sized(rest)?))
}

#[derive(Default)]
struct Streams([Vec<u8>; KINDS]);

impl Streams {
    fn of(&mut self, kind: Kind) -> &mut Vec<u8> {
        &mut self.0[kind as usize]
    }

    fn push(&mut self, kind: Kind, bytes: &[u8]) {
        self.of(kind).extend_from_slice(bytes);
    }

    fn function(&mut self, body: &mut &[u8]) -> Result<()> {
        for _ in 0..self.leb(Kind::Locals, body)? {
            self.leb(Kind::Locals, body)?;
            self.raw(Kind::Locals, body, 1)?;
        }
        let mut depth = 1;
        while depth > 0 {
            depth = self.instruction(body, depth)?;
        }
        if !body.is_empty() {
            bail!("it goes on after its end");
        }
        Ok(())
    }

    /// Returns how many blocks are open afterwards.
    fn instruction(&mut self, body: &mut &[u8], depth: usize) -> Result<usize> {
        let opcode = self.raw(Kind::Opcode, body, 1)?[0];
        match opcode {
            // block, loop, if
            0x02..=0x04 => {
                self.leb(Kind::Type, body)?;
                return Ok(depth + 1);
            }
            // end
            0x0b => return Ok(depth - 1),
            // br, br_if
            0x0c | 0x0d => drop(self.leb(Kind::Label, body)?),
            // br_table
            0x0e => {
                for _ in 0..=self.leb(Kind::Label, body)? {
                    self.leb(Kind::Label, body)?;
                }
            }
            // ref.null
            0xd0 => drop(self.leb(Kind::Type, body)?),
            // table.get, table.set
            0x25 | 0x26 => drop(self.leb(Kind::Table, body)?),
            // call
            0x10 => drop(self.leb(Kind::Function, body)?),
            // call_indirect
            0x11 => {
                self.leb(Kind::Table, body)?;
                self.leb(Kind::Table, body)?;
            }
            // local.get, local.set, local.tee
            0x20..=0x22 => drop(self.leb(Kind::Local, body)?),
            // global.get, global.set; memory.size and memory.grow with the memory's index
            0x23 | 0x24 | 0x3f | 0x40 => drop(self.leb(Kind::Global, body)?),
            // loads and stores
            0x28..=0x3e => {
                self.leb(Kind::Align, body)?;
                self.leb(Kind::Offset, body)?;
            }
            0x41 => drop(self.leb(Kind::Number, body)?),
            0x42 => drop(self.leb(Kind::LongNumber, body)?),
            0x43 => drop(self.raw(Kind::Float, body, 4)?),
            0x44 => drop(self.raw(Kind::Float, body, 8)?),
            // unreachable, nop, else, return, drop, select; all that work on what is on the stack
            0x00 | 0x01 | 0x05 | 0x0f | 0x1a | 0x1b | 0x45..=0xc4 => {}
            0xfc => match self.leb(Kind::Opcode, body)? {
                // Saturating conversions.
                0..=7 => {}
                // memory.copy
                10 => drop(self.raw(Kind::Global, body, 2)?),
                // memory.fill, table.grow, table.size, table.fill
                11 | 15..=17 => drop(self.raw(Kind::Global, body, 1)?),
                more => bail!("instruction 0xfc {more}"),
            },
            opcode => bail!("instruction {opcode:#04x}"),
        }
        Ok(depth)
    }

    /// A number of at most 64 bits. Only what fits 32 is ever looked at.
    fn leb(&mut self, kind: Kind, body: &mut &[u8]) -> Result<usize> {
        let length = body.iter().take(10).position(|byte| *byte < 0x80).context("a number has no end")? + 1;
        let mut bytes = self.raw(kind, body, length)?;
        Ok(number(&mut bytes).unwrap_or(usize::MAX))
    }

    fn raw<'a>(&mut self, kind: Kind, body: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
        let (bytes, after) = body.split_at_checked(length).context("it is cut short")?;
        *body = after;
        self.push(kind, bytes);
        Ok(bytes)
    }

    /// How long the module is, how much of it is before its first function and how many those are; how long each stream is; the streams.
    fn packed(self, length: usize, before: usize, functions: usize) -> Vec<u8> {
        let mut content = Vec::new();
        for value in [length, before, functions].into_iter().chain(self.0.iter().map(Vec::len)) {
            push_number(&mut content, value);
        }
        content.extend(self.0.into_iter().flatten());
        let mut packed = MAGIC.to_vec();
        packed.push(CUSTOM_SECTION);
        // With the empty name.
        let mut size = content.len() + 1;
        for _ in 0..4 {
            packed.push(size as u8 | 0x80);
            size >>= 7;
        }
        packed.extend([size as u8, 0]);
        packed.append(&mut content);
        packed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `web/test/unpack.test.ts` has both, too.
    const MODULE: &[u8] = b"\0asm\x01\0\0\0\x03\x02\x01\0\x0a\x25\x01\x23\x01\x02\x7f\x02\x40\x20\x00\x41\x80\x01\x28\x02\x04\x0e\x01\0\0\x0c\0\x0b\
        \x44\0\0\0\0\0\0\xf0?\xfc\x0b\0\x10\0\x0b\x00\x02ab";
    const APART: &[u8] = b"\0asm\x01\0\0\0\0\xc8\x80\x80\x80\0\0\x37\x0f\x01\x13\x03\x0c\x01\x04\x01\0\x01\x01\x01\x01\x02\0\x08\
        \0asm\x01\0\0\0\x03\x02\x01\0\x0a\x25\x01\x00\x02ab\x01\x02\x7f\x02\x20\x41\x28\x0e\x0c\x0b\x44\xfc\x0b\x10\x0b\x40\x01\0\0\0\0\0\0\x02\x04\x80\x01\
        \0\0\0\0\0\0\xf0?";

    #[test]
    fn code_is_taken_apart_kind_by_kind() {
        assert_eq!(apart(MODULE).unwrap().escape_ascii().to_string(), APART.escape_ascii().to_string());
    }

    #[test]
    fn what_has_no_code_is_only_wrapped() {
        let module = b"\0asm\x01\0\0\0\0\x02\x01x";
        assert!(apart(module).unwrap().ends_with(module));
    }

    #[test]
    fn what_is_no_module_or_has_unknown_code_is_refused() {
        let refused = |module: &[u8], why: &str| {
            let error = format!("{:#}", apart(module).unwrap_err());
            assert!(error.contains(why), "{error}");
        };
        refused(b"text", "no module");
        refused(b"\0asm\x01\0\0\0\x0a\x7f", "section");
        // SIMD.
        refused(
            b"\0asm\x01\0\0\0\x0a\x06\x01\x04\0\xfd\x0c\x0b",
            "function 0 has what xtask/src/streams.rs doesn't know: instruction 0xfd",
        );
        refused(b"\0asm\x01\0\0\0\x0a\x05\x01\x03\0\x0b\x0b", "goes on after its end");
        refused(b"\0asm\x01\0\0\0\x0a\x04\x01\x02\0\x20", "no end");
    }
}
