/**
 * Puts the engine's module together: `rillcast_bg.wasm` has what its code consists of apart, kind by kind, for that compresses better.
 * `xtask/src/streams.rs` says how, and refuses what isn't known here.
 */

/** Magic number, section, its length and its empty name. */
const HEADER = 15;
/** Kinds, in the order of their streams. */
const REST = 0;
const LOCALS = 1;
const OPCODE = 2;
const TYPE = 3;
const LABEL = 4;
const FUNCTION = 5;
const TABLE = 6;
const LOCAL = 7;
const GLOBAL = 8;
const ALIGN = 9;
const OFFSET = 10;
const NUMBER = 11;
const LONG_NUMBER = 12;
const FLOAT = 13;
const KINDS = 14;
/** Bytes that a function's length takes at most. */
const LONGEST = 5;

const OPERANDS: Record<number, number[]> = {
  2: [TYPE],
  3: [TYPE],
  4: [TYPE],
  12: [LABEL],
  13: [LABEL],
  16: [FUNCTION],
  17: [TABLE, TABLE],
  32: [LOCAL],
  33: [LOCAL],
  34: [LOCAL],
  35: [GLOBAL],
  36: [GLOBAL],
  37: [TABLE],
  38: [TABLE],
  63: [GLOBAL],
  64: [GLOBAL],
  65: [NUMBER],
  66: [LONG_NUMBER],
  208: [TYPE],
};

export function unpack(packed: Uint8Array): Uint8Array<ArrayBuffer> {
  const at = [HEADER];
  let out = new Uint8Array(LONGEST);
  let end = 0;
  /** Copies bytes of a stream. */
  const raw = (kind: number, count: number) => {
    while (count--) {
      const from = at[kind] as number;
      out[end++] = packed[from] as number;
      at[kind] = from + 1;
    }
  };
  /** Copies a number. */
  const copy = (kind: number): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      raw(kind, 1);
      const byte = out[end - 1] as number;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const header = () => {
    end = 0;
    return copy(REST);
  };

  const length = header();
  const before = header();
  const functions = header();
  const lengths = Array.from({ length: KINDS }, header);
  for (const [kind, length] of lengths.entries()) at[kind + 1] = (at[kind] as number) + length;
  out = new Uint8Array(length + LONGEST);
  end = 0;
  raw(REST, before);
  for (let f = 0; f < functions; f++) {
    const start = end;
    end += LONGEST;
    for (let n = copy(LOCALS); n--; ) {
      copy(LOCALS);
      raw(LOCALS, 1);
    }
    for (let depth = 1; depth; ) {
      raw(OPCODE, 1);
      const opcode = out[end - 1] as number;
      if (opcode === 11) depth--;
      else if (opcode > 1 && opcode < 5) depth++;
      if (opcode >= 40 && opcode < 63) {
        copy(ALIGN);
        copy(OFFSET);
      } else if (opcode === 14) for (let n = copy(LABEL); n >= 0; n--) copy(LABEL);
      else if (opcode === 67) raw(FLOAT, 4);
      else if (opcode === 68) raw(FLOAT, 8);
      else if (opcode === 252) {
        const more = copy(OPCODE);
        if (more > 9) raw(GLOBAL, more > 10 ? 1 : 2);
      } else OPERANDS[opcode]?.map(copy);
    }
    let size = end - start - LONGEST;
    let to = start;
    for (; size > 127; size >>= 7) out[to++] = size | 128;
    out[to++] = size;
    out.copyWithin(to, start + LONGEST, end);
    end += to - start - LONGEST;
  }
  raw(REST, length - end);
  return out.subarray(0, length);
}
