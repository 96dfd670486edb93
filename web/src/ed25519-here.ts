/**
 * Ed25519 verification without the browser's help; a file of its own, for only old browsers and insecure contexts load it.
 *
 * Verification alone, of public values, so nothing needs to take constant time. RFC 8032, section 5.1.7, without
 * multiplying by the cofactor; points are in extended twisted Edwards coordinates (X, Y, Z, T), T = XY / Z.
 */

const P = 2n ** 255n - 19n;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

type Point = readonly [bigint, bigint, bigint, bigint];

const mod = (a: bigint, m = P): bigint => {
  const r = a % m;
  return r < 0n ? r + m : r;
};

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let e = exponent, b = base; e > 0n; e >>= 1n) {
    if (e & 1n) result = mod(result * b);
    b = mod(b * b);
  }
  return result;
}

const inverse = (a: bigint) => power(a, P - 2n);
const D = mod(-121665n * inverse(121666n));
const SQRT_MINUS_1 = power(2n, (P - 1n) / 4n);
const ZERO: Point = [0n, 1n, 1n, 0n];

// RFC 8032, 5.1.4; the addition also doubles.
function add([x1, y1, z1, t1]: Point, [x2, y2, z2, t2]: Point): Point {
  const a = mod((y1 - x1) * (y2 - x2));
  const b = mod((y1 + x1) * (y2 + x2));
  const c = mod(2n * t1 * t2 * D);
  const d = mod(2n * z1 * z2);
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

function multiply(point: Point, scalar: bigint): Point {
  let result = ZERO;
  for (let s = scalar, p = point; s > 0n; s >>= 1n) {
    if (s & 1n) result = add(result, p);
    p = add(p, p);
  }
  return result;
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] as number);
  return value;
}

/** The point that 32 bytes stand for, if they are its one encoding. */
function decode(bytes: Uint8Array): Point | undefined {
  const all = littleEndian(bytes);
  const sign = all >> 255n;
  const y = all & (2n ** 255n - 1n);
  if (y >= P) return;
  const u = mod(y * y - 1n);
  const v = mod(D * y * y + 1n);
  let x = mod(u * v ** 3n * power(mod(u * v ** 7n), (P - 5n) / 8n));
  if (mod(v * x * x) !== u) x = mod(x * SQRT_MINUS_1);
  if (mod(v * x * x) !== u || (x === 0n && sign)) return;
  if ((x & 1n) !== sign) x = P - x;
  return [x, y, 1n, mod(x * y)];
}

const isSmallOrder = (point: Point) => {
  const [x, y, z] = multiply(point, 8n);
  return x === 0n && y === z;
};

let base: Point | undefined;
const basePoint = (): Point => {
  const y = new Uint8Array(32).fill(0x66);
  y[0] = 0x58;
  base ??= decode(y) as Point;
  return base;
};

const ROUNDS = 80;
const MASK = 2n ** 64n - 1n;
let constants: bigint[] | undefined;
let initial: bigint[] | undefined;

/** The first 64 bits of the fractional part of the n-th root, by Newton's method on whole numbers. */
function rootBits(prime: bigint, n: bigint): bigint {
  const target = prime << (64n * n);
  let root = 1n << 68n;
  for (;;) {
    const next = ((n - 1n) * root + target / root ** (n - 1n)) / n;
    if (next >= root) return root & MASK;
    root = next;
  }
}

/** SHA-512 (FIPS 180-4) for pages on which `crypto.subtle` is missing. */
export function sha512(message: Uint8Array): Uint8Array {
  if (!constants || !initial) {
    const primes: bigint[] = [];
    for (let n = 2n; primes.length < ROUNDS; n++) if (primes.every((p) => n % p)) primes.push(n);
    constants = primes.map((p) => rootBits(p, 3n));
    initial = primes.slice(0, 8).map((p) => rootBits(p, 2n));
  }
  const padded = new Uint8Array((message.length + 17 + 127) & ~127);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - 8, BigInt(message.length) * 8n);
  const rotate = (x: bigint, n: bigint) => (x >> n) | ((x << (64n - n)) & MASK);
  const state = [...initial];
  const w = new Array<bigint>(ROUNDS);
  for (let at = 0; at < padded.length; at += 128) {
    let [a, b, c, d, e, f, g, h] = state as [bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint];
    for (let i = 0; i < ROUNDS; i++) {
      if (i < 16) {
        w[i] = view.getBigUint64(at + 8 * i);
      } else {
        const [x, y] = [w[i - 15] as bigint, w[i - 2] as bigint];
        const s0 = rotate(x, 1n) ^ rotate(x, 8n) ^ (x >> 7n);
        const s1 = rotate(y, 19n) ^ rotate(y, 61n) ^ (y >> 6n);
        w[i] = ((w[i - 16] as bigint) + s0 + (w[i - 7] as bigint) + s1) & MASK;
      }
      const s1 = rotate(e, 14n) ^ rotate(e, 18n) ^ rotate(e, 41n);
      const t1 = h + s1 + ((e & f) ^ (~e & g & MASK)) + (constants[i] as bigint) + (w[i] as bigint);
      const s0 = rotate(a, 28n) ^ rotate(a, 34n) ^ rotate(a, 39n);
      const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) & MASK, c, b, a, (t1 + t2) & MASK];
    }
    [a, b, c, d, e, f, g, h].forEach((x, i) => {
      state[i] = ((state[i] as bigint) + x) & MASK;
    });
  }
  const digest = new DataView(new ArrayBuffer(64));
  state.forEach((x, i) => {
    digest.setBigUint64(8 * i, x);
  });
  return new Uint8Array(digest.buffer);
}

/** Verifies without the browser's help; some milliseconds. */
export function verifyHere(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (key.length !== 32 || signature.length !== 64) return false;
  const a = decode(key);
  const r = decode(signature.subarray(0, 32));
  const s = littleEndian(signature.subarray(32));
  if (!a || !r || s >= ORDER || isSmallOrder(a)) return false;
  const hashed = new Uint8Array(64 + message.length);
  hashed.set(signature.subarray(0, 32));
  hashed.set(key, 32);
  hashed.set(message, 64);
  const k = mod(littleEndian(sha512(hashed)), ORDER);
  // s B = R + k A
  const [x1, y1, z1] = multiply(basePoint(), s);
  const [x2, y2, z2] = add(r, multiply(a, k));
  return mod(x1 * z2) === mod(x2 * z1) && mod(y1 * z2) === mod(y2 * z1);
}
