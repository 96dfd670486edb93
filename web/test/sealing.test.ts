import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { newSealer } from "../src/io/sealing.js";

const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));

/** PKCS #8 of an X25519 key, without the key. */
const PREFIX = "302e020100300506032b656e04220420";
const PUBLIC = [
  "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209",
  "ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59",
] as const;

/** Of the secret whose bytes are all 1, or 2. */
async function sealer(byte: 1 | 2) {
  const secret = hex(`${PREFIX}0${byte}`.padEnd(96, `0${byte}`));
  const { subtle } = crypto;
  return newSealer({
    privateKey: await subtle.importKey("pkcs8", secret, "X25519", false, ["deriveBits"]),
    publicKey: await subtle.importKey("raw", hex(PUBLIC[byte - 1] as string), "X25519", true, []),
  });
}

/** That it fails. */
const fails = async (promise: Promise<unknown>, message: string) =>
  assert.ok(
    await promise.then(
      () => false,
      () => true,
    ),
    message,
  );

const text = (of: string) => new TextEncoder().encode(of);
const SIGNAL = text("\0an offer from 1 to 2");

test("H4: only the other end opens what was sealed", async () => {
  const [a, b, c] = await Promise.all([newSealer(), newSealer(), newSealer()]);
  const sealed = await a.seal(SIGNAL, b.key);
  assert.equal(sealed.length, SIGNAL.length + 12 + 16);
  assert.ok(!new TextDecoder().decode(sealed).includes("offer"));
  assert.deepEqual(await b.open(sealed, a.key), SIGNAL);
  await fails(c.open(sealed, a.key), "a third");
  await fails(b.open(sealed, c.key), "in another's name");
  await fails(a.open(sealed, b.key), "thrown back at its sender");
});

test("H2: nothing of it can be changed", async () => {
  const [a, b] = await Promise.all([newSealer(), newSealer()]);
  const sealed = await a.seal(SIGNAL, b.key);
  for (let at = 0; at < sealed.length; at++) {
    const changed = sealed.slice();
    changed[at] = (changed[at] as number) ^ 1;
    await fails(b.open(changed, a.key), `byte ${at}`);
  }
  for (const length of [0, 5, sealed.length - 1]) {
    await fails(b.open(sealed.slice(0, length), a.key), `${length} bytes`);
  }
});

// Others would say nothing to it in the clear.
test("a browser that can't do all of it names no key", async () => {
  const { subtle } = crypto;
  const before = subtle.importKey;
  subtle.importKey = () => Promise.reject(new Error("not supported"));
  try {
    await fails(newSealer(), "it says so at once");
  } finally {
    subtle.importKey = before;
  }
});

// The native side is held to the same bytes: seed-node/src/sealing.rs.
test("the format is what it was", async () => {
  const golden = await readFile("../seed-node/tests/golden/sealed.txt");
  const [a, b] = await Promise.all([sealer(1), sealer(2)]);
  assert.deepEqual(await b.open(hex(new TextDecoder().decode(golden).trim()), a.key), SIGNAL);
});
