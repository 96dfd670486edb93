//! Takes structured inputs off the bytes of a fuzzer. Plain enough that its mutations stay local: a changed byte changes
//! one step of a sequence, and a step cut short reads zeros.

/// What is left of an input.
#[derive(Debug)]
pub struct Feed<'a>(&'a [u8]);

impl<'a> Feed<'a> {
    /// Begins at the start.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether there is nothing left.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// At most so many bytes.
    pub fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        head
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// One of `n` numbers from 0 on.
    pub fn below(&mut self, n: u8) -> u8 {
        self.byte() % n
    }

    /// Two bytes.
    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Four bytes.
    pub fn long(&mut self) -> u32 {
        u32::from(self.short()) << 16 | u32::from(self.short())
    }

    /// Bytes with their number, two bytes long, before them.
    pub fn bytes(&mut self) -> &'a [u8] {
        let n = self.short();
        self.take(usize::from(n))
    }
}
