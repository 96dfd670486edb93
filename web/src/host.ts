/**
 * What the engine in wasm (`../wasm-peer`) imports, by wasm-bindgen's glue. Only numbers come in.
 *
 * Bytes that the engine moves around are kept here, under numbers: it names a part of them by number, start and length.
 * Texts and bytes of its own are named by their place in its memory and their length.
 */

/** As the glue exports it, whose own functions would only call these. A truth is 0 or 1. */
export type Engine = Omit<typeof import("../pkg/rillcast.js"), "default" | "initSync">;
/** A number for bytes that are kept here, and how many they are. */
export type Kept = [kept: number, length: number];
/** What the page's script does for a peer, by name. */
export type Host = Record<string, (...args: number[]) => unknown>;

const all = new Map<number, Uint8Array>();
const hosts = new Map<number, Host>();
const encoder = new TextEncoder();
const decoder = new TextDecoder();
let last = 0;
/** The engine's. */
export let memory: WebAssembly.Memory;
/** What it can be told; `wasm-peer/src/api.rs` says what each function does. */
export let engine: Engine;

const next = () => {
  // The engine's numbers have 32 bits, and come back with a sign.
  last = (last + 1) & 0x7fffffff;
  return last;
};

/** Says where the engine is, before anything else. */
export function setEngine(exports: Engine & { memory: WebAssembly.Memory }): void {
  engine = exports;
  memory = exports.memory;
}

/** The peer is gone: nothing more is done for it. */
export function leave(peer: number): void {
  hosts.delete(peer);
}

/** Keeps bytes, or a text's, until the engine lets go of them. */
export function keep(bytes: Uint8Array | string): Kept {
  const view = typeof bytes === "string" ? encoder.encode(bytes) : bytes;
  const kept = next();
  all.set(kept, view);
  return [kept, view.length];
}

/** A part of what is kept. */
export const part = (kept: number, start: number, length: number) =>
  (all.get(kept) as Uint8Array).subarray(start, start + length);

/** Bytes of the engine's memory; its next call may move them. */
export const bytes = (at: number, length: number) =>
  // Memory that has grown is another buffer.
  new Uint8Array(memory.buffer as ArrayBuffer, at, length);

/** A text in the engine's memory. */
export const text = (at: number, length: number) => decoder.decode(bytes(at, length));

/** What is imported; `wasm-peer/src/host.rs` says what each function does. Those of a peer's host come with the first. */
export const host: Host = {
  room: (length) => keep(new Uint8Array(length))[0],
  put: (into, at, ...from) => all.get(into)?.set(part(...(from as [number, number, number])), at),
  read: (kept, start, at, length) => bytes(at, length).set(part(kept, start, length)),
  release: (kept) => all.delete(kept),
};

/** Takes a peer's host in; gives its number. */
export function enter(mine: Host): number {
  const peer = next();
  hosts.set(peer, mine);
  for (const name of Object.keys(mine)) {
    host[name] ??= (peer, ...args) => {
      // The host's mistakes are its own: an exception must not leave the engine half-way.
      try {
        return hosts.get(peer)?.[name]?.(...args);
      } catch {
        return 0;
      }
    };
  }
  return peer;
}
