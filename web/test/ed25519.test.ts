import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { test } from "node:test";
import { setOwn, verify } from "../src/ed25519.js";
import { sha512, verifyHere } from "../src/ed25519-here.js";

const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));

// RFC 8032, section 7.1, tests 1 to 3.
const VECTORS = [
  [
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ],
  [
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ],
  [
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "af82",
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  ],
] as const;

test("the RFC's signatures hold, with and without the browser's help", async () => {
  for (const vector of VECTORS) {
    const [key, message, signature] = vector.map(hex) as [Uint8Array, Uint8Array, Uint8Array];
    assert.equal(verifyHere(key, message, signature), true);
    assert.equal(await verify(key, message, signature), true);
  }
});

test("one changed bit anywhere and they don't", () => {
  const parts = VECTORS[2].map(hex) as [Uint8Array, Uint8Array, Uint8Array];
  for (const part of [0, 1, 2] as const) {
    for (const at of [0, (parts[part].length - 1) >> 1, parts[part].length - 1]) {
      const changed = parts.map((bytes) => bytes.slice()) as typeof parts;
      (changed[part] as Uint8Array)[at] = (changed[part][at] as number) ^ 1;
      assert.equal(verifyHere(...changed), false);
    }
  }
});

test("it agrees with OpenSSL on messages of every kind of length", () => {
  for (const length of [0, 1, 46, 47, 48, 63, 64, 111, 175, 400, 2000]) {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const key = new Uint8Array(publicKey.export({ format: "der", type: "spki" }).subarray(-32));
    const message = new Uint8Array(randomBytes(length));
    const signature = new Uint8Array(sign(null, message, privateKey));
    assert.equal(verifyHere(key, message, signature), true, `${length}`);
    signature[7] = (signature[7] as number) ^ 4;
    assert.equal(verifyHere(key, message, signature), false, `${length}`);
  }
});

test("keys of small order and numbers beyond the group's order are refused", () => {
  const signature = hex(VECTORS[1][2]);
  assert.equal(verifyHere(new Uint8Array(32), hex("72"), signature), false);
  const one = new Uint8Array(32);
  one[0] = 1;
  assert.equal(verifyHere(one, hex("72"), signature), false);
  // s + order has the same effect, and would make a second signature of the first.
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const little =
    [...signature.subarray(32)].reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n) + order;
  const second = signature.slice();
  for (let i = 0; i < 32; i++) second[32 + i] = Number((little >> BigInt(8 * i)) & 255n);
  assert.equal(verifyHere(hex(VECTORS[1][0]), hex("72"), second), false);
  assert.equal(verifyHere(hex(VECTORS[1][0]), hex("72"), signature.subarray(1)), false);
});

test("SHA-512 is SHA-512", () => {
  for (const length of [0, 3, 111, 112, 127, 128, 129, 1000]) {
    const message = new Uint8Array(length).fill(length & 255);
    assert.deepEqual(Buffer.from(sha512(message)), createHash("sha512").update(message).digest());
  }
});

test("our own code is loaded where the browser has none, and without it nothing is said", async () => {
  const [key, message, signature] = VECTORS[0].map(hex) as [Uint8Array, Uint8Array, Uint8Array];
  const { crypto } = globalThis;
  Object.defineProperty(globalThis, "crypto", { configurable: true, value: {} });
  try {
    assert.equal(await verify(key, message, signature).catch(() => "failed"), "failed");
    setOwn(() => import("../src/ed25519-here.js"));
    assert.equal(await verify(key, message, signature), true);
    assert.equal(await verify(key, hex("00"), signature), false);
  } finally {
    Object.defineProperty(globalThis, "crypto", { configurable: true, value: crypto });
  }
});
