import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { unpack } from "../src/io/unpack.js";

const bytes = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));

/** `xtask/src/streams.rs` has both, too. */
const MODULE =
  "\0asm\x01\0\0\0\x03\x02\x01\0\x0a\x25\x01\x23\x01\x02\x7f\x02\x40\x20\x00\x41\x80\x01\x28\x02\x04\x0e\x01\0\0\x0c\0\x0b" +
  "\x44\0\0\0\0\0\0\xf0?\xfc\x0b\0\x10\0\x0b\x00\x02ab";
const APART =
  "\0asm\x01\0\0\0\0\xc8\x80\x80\x80\0\0\x37\x0f\x01\x13\x03\x0c\x01\x04\x01\0\x01\x01\x01\x01\x02\0\x08" +
  "\0asm\x01\0\0\0\x03\x02\x01\0\x0a\x25\x01\x00\x02ab\x01\x02\x7f\x02\x20\x41\x28\x0e\x0c\x0b\x44\xfc\x0b\x10\x0b\x40\x01\0\0\0\0\0\0\x02\x04\x80\x01" +
  "\0\0\0\0\0\0\xf0?";

test("what was taken apart kind by kind is put together again", () => {
  assert.deepEqual(unpack(bytes(APART)), bytes(MODULE));
});

test("the engine that is downloaded becomes the one that was built, to the byte", async () => {
  const [downloaded, built] = await Promise.all([
    readFile("dist/rillcast_bg.wasm"),
    readFile("pkg/rillcast_bg.wasm"),
  ]);
  const module = unpack(downloaded);
  assert.ok(module.every((byte, i) => byte === built[i]) && module.length === built.length);
  assert.ok(WebAssembly.validate(module));
  // As it comes it is a module too, though an empty one: nothing on the way has to know.
  assert.ok(WebAssembly.validate(downloaded));
});
