/** The way between the page's script and the wasm shell: loads it, and passes calls on in both directions. */

import { initSync } from "../pkg/rillcast.js";
import { verify } from "./ed25519.js";
import {
  bytes,
  type Engine,
  engine,
  enter,
  type Host,
  keep,
  leave,
  memory,
  part,
  setEngine,
  text,
} from "./host.js";
import { type FetchEvents, Fetches } from "./io/fetches.js";
import { newIdentity } from "./io/identity.js";
import { Socket, type SocketEvents } from "./io/socket.js";
import { unpack } from "./io/unpack.js";
import { type WireEvents, Wires } from "./io/wires.js";

/** Bytes of one segment by who brought them. */
export interface Share {
  /** Origin or CDN. */
  source: number;
  /** The publisher built into signaling. */
  publisher: number;
  /** Other viewers. */
  peers: number;
  /** Seed nodes. */
  seeds: number;
}

/** One open link. */
export interface Neighbour {
  /** The other end's id, 32 hexadecimal digits. */
  peer: string;
  /** A seed node, not a viewer. */
  seed: boolean;
  /** Round trip in milliseconds, once measured. */
  rttMs: number | null;
  /** Media bytes received. */
  received: number;
  /** Media bytes sent. */
  sent: number;
}

/** The engine's own counters, in bytes where the name doesn't say otherwise. */
export interface PeerStats {
  sourceBytes: number;
  publisherBytes: number;
  peerBytes: number;
  seedBytes: number;
  uploadedBytes: number;
  deliveredBytes: number;
  wastedBytes: number;
  /** Blocks that failed verification. */
  falseBlocks: number;
  /** Links refused, or ended, for want of a ticket that counts. */
  refusedLinks: number;
  /** Times that the source had to fill in at the last moment. */
  rescues: number;
  rescueBytes: number;
  storedBytes: number;
  /** Bytes per second. */
  uploadRate: number;
  /** Bytes per second. */
  sourceRate: number;
  neighbours: Neighbour[];
}

/** A segment of a playlist: where it is in the stream, and where its bytes are. */
export interface SegmentPlace {
  /** Media sequence number. */
  sn: number;
  /** Discontinuity sequence. */
  cc: number;
  /** 0 for a whole segment; 1, 2, ... for the parts of a low-latency one. */
  part: number;
  /** Absolute. */
  url: string;
  /** First byte in the resource, and the byte after the last; 0 and 0 are all of it. */
  range: readonly [number, number];
}

/** A segment of a playlist on the player's timeline. */
export interface TimelineEntry extends SegmentPlace {
  /** Seconds. */
  start: number;
  /** Seconds. */
  duration: number;
}

/** When a player gives up what it asked for, in milliseconds from then. */
export interface Patience {
  /** If nothing of it has come. */
  firstByteMs: number;
  /** If not all of it has come. */
  wholeMs: number;
}

/** What it took the player's own loader to fetch a segment. */
export interface Took {
  bytes: number;
  /** From asking to the first byte. */
  firstByteMs: number;
  /** From the first byte to the last. */
  transferMs: number;
}

/** What an adapter needs of a peer. Any of these may throw once the peer is broken. */
export interface PeerPort {
  timeline(playlist: string, audio: boolean, live: boolean, segments: readonly TimelineEntry[]): void;
  demand(playlist: string, segment: SegmentPlace, patience: Patience): number;
  /** The player got a segment without us. */
  handed(playlist: string, segment: SegmentPlace, took: Took): void;
  cancel(request: number): void;
  playhead(positionMs: number, rate: number, bufferedMs: number, starving: boolean): void;
  conditions(mayUpload: boolean, mayDownload: boolean, hidden: boolean, uploadCap: number): void;
  watched(stalls: number, stallMs: number, playedMs: number): void;
  stats(): PeerStats;
  close(): void;
}

/** What a peer tells. */
export interface PeerEvents {
  /** The segment is here. `throughput` in bytes/s, NaN if unknown; `firstByte` on `performance.now()`'s clock. */
  deliver(request: number, parts: Uint8Array[], throughput: number, firstByte: number, share: Share): void;
  /** More of it is here: `loaded` bytes if the rest is coming from the source, else 0. `total` is -1 while unknown. */
  progress(request: number, loaded: number, total: number): void;
  /** It can't be had. `status`: of the answer; 0 is no answer, -1 anything else. */
  failed(request: number, status: number): void;
  /** The rendezvous server was reached or lost. */
  signaling(connected: boolean): void;
  /** The site's settings have come or changed. */
  settings(enabled: boolean, holdout: boolean): void;
  /** The server said no; `again` if it will be asked again. */
  refused(message: string, again: boolean): void;
  /** A neighbour was cut off. */
  liar(peer: string, why: string): void;
  /** The origin's bytes of this media sequence number aren't those that the publisher signed. */
  mismatch(sn: number): void;
  /** The source filled in at the last moment. */
  rescue(sn: number, bytes: number): void;
}

/** How to join. */
export interface JoinOptions {
  /** The signaling server, as an `http(s)` URL. */
  signal: string;
  site: string;
  content: string;
  /** Proof of authorisation; empty where the site needs none. */
  token: string;
  /** Bytes of media that may be held. */
  store: number;
  /** Where the wasm is. */
  wasm: string;
}

/** Makes the request for a media segment as the player's own loader would: credentials, headers, signed URLs. */
export type RequestMaker = (url: string, init: RequestInit) => Promise<Request> | Request;

/** Makes a peer. */
export type PeerMaker = (options: JoinOptions, events: PeerEvents, request: RequestMaker) => PeerPort;

let module: Promise<void> | undefined;

/** Whether this browser has everything a peer needs. */
export function isSupported(): boolean {
  return (
    typeof WebAssembly === "object" &&
    typeof RTCPeerConnection === "function" &&
    typeof WebSocket === "function" &&
    typeof ReadableStream === "function" &&
    typeof AbortController === "function"
  );
}

async function compile(url: string): Promise<WebAssembly.Module> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: HTTP status ${response.status}`);
  return WebAssembly.compile(unpack(new Uint8Array(await response.arrayBuffer())));
}

/** Loads the wasm, once per page. */
export function load(wasm: string): Promise<unknown> {
  module ??= compile(wasm).then((module) =>
    setEngine(initSync({ module }) as unknown as Engine & { memory: WebAssembly.Memory }),
  );
  module.catch(() => {
    module = undefined;
  });
  return module;
}

const NUMBERS = 7;
/** Counters, in the order in which `stats` of `wasm-peer/src/api.rs` tells them. */
const COUNTERS = [
  "sourceBytes",
  "publisherBytes",
  "peerBytes",
  "seedBytes",
  "uploadedBytes",
  "deliveredBytes",
  "wastedBytes",
  "falseBlocks",
  "refusedLinks",
  "rescues",
  "rescueBytes",
  "storedBytes",
  "uploadRate",
  "sourceRate",
] as const;
/** After them, for each neighbour: 16 bytes of its id, and what `neighbour` reads. */
const ID = 16;
const PER_NEIGHBOUR = ID + 4;
const KEY = 32;
const SIGNATURE = 64;

const hex = (bytes: ArrayLike<number>) =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

function neighbour(values: number[]): Neighbour {
  const [seed, rttMs = 0, received = 0, sent = 0] = values.slice(ID);
  return {
    peer: hex(values.slice(0, ID)),
    seed: seed === 1,
    rttMs: rttMs < 0 ? null : rttMs,
    received,
    sent,
  };
}

function readStats(values: number[]): PeerStats {
  const neighbours: Neighbour[] = [];
  for (let at = COUNTERS.length; at < values.length; at += PER_NEIGHBOUR) {
    neighbours.push(neighbour(values.slice(at, at + PER_NEIGHBOUR)));
  }
  return Object.assign(
    { neighbours } as PeerStats,
    Object.fromEntries(COUNTERS.map((name, i) => [name, values[i]])),
  );
}

/** What the engine can be told: bytes and texts as they are, without its number for the peer. */
type Said = number | boolean | string | Uint8Array;
type Told = WireEvents & FetchEvents & SocketEvents & Record<keyof Engine, (...args: Said[]) => number>;

const tellable = (said: Said): number[] =>
  typeof said === "string" || typeof said === "object" ? keep(said) : [Number(said)];

const place = ({ sn, cc, part }: SegmentPlace) => [sn, cc, part] as const;

/** Makes a peer; `load` must be through. */
export const createPeer: PeerMaker = (options, events, request) => {
  const socket = new URL("/ws", options.signal);
  socket.protocol = socket.protocol.replace("http", "ws");
  let peer = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stats: number[] = [];

  // Bytes and texts are kept here, and their numbers told.
  const told = new Proxy({} as Told, {
    get:
      (_, name: keyof Engine) =>
      (...args: Said[]) =>
        (engine[name] as (...numbers: number[]) => unknown)(peer, ...args.flatMap(tellable)),
  });
  const tell = () => told;
  const wires = new Wires(tell);
  const fetches = new Fetches(tell);
  const connection = new Socket(tell);
  const identity = newIdentity();
  let passed: Promise<unknown> = identity;

  /** Seals or opens one signal after the other, so that they stay in order. */
  const pass = (
    how: "seal" | "open",
    then: (peer: Uint8Array, signal: Uint8Array) => void,
    key: number,
    other: number,
    at: number,
    length: number,
  ) => {
    const [their, id, signal] = [bytes(key, KEY), bytes(other, ID), bytes(at, length)].map((view) =>
      view.slice(),
    ) as [Uint8Array, Uint8Array, Uint8Array];
    passed = passed
      .then(async () => (await identity).sealer?.[how](signal, their))
      .then(
        (signal) => signal && then(id, signal),
        // Whoever made it hasn't these keys.
        () => {},
      );
  };

  // What is given by place and length is read before the function returns: the engine's memory may move.
  const host: Host = {
    wake(milliseconds) {
      clearTimeout(timer);
      timer = setTimeout(() => told.wake(), milliseconds);
    },
    fetch(id, at, length, start, end, origin, urgent) {
      const url = text(at, length);
      fetches.start(id, (signal) => {
        const init: RequestInit = { signal, priority: urgent ? "high" : "auto" };
        if (end > 0) init.headers = { Range: `bytes=${start}-${end - 1}` };
        return origin ? request(url, init) : new Request(new URL(url, options.signal), init);
      });
    },
    stop: (id) => fetches.stop(id),
    verify(id, key, message, length, signature) {
      const copies = [bytes(key, KEY), bytes(message, length), bytes(signature, SIGNATURE)] as const;
      const [a, b, c] = copies.map((view) => view.slice()) as [Uint8Array, Uint8Array, Uint8Array];
      verify(a, b, c).then(
        (ok) => told.verdict(id, ok),
        // Nobody lied: left unchecked, the segment comes from the source.
        (error) => console.warn("Rillcast: can't verify:", error),
      );
    },
    sign(id, at, length) {
      const message = bytes(at, length).slice();
      identity
        .then((own) => own.sign(message))
        .then(
          (signature) => told.signed(id, signature),
          () => {},
        );
    },
    seal: (key, to, at, length) => pass("seal", told.signalSealed, key, to, at, length),
    open: (key, from, at, length) => pass("open", told.signalOpened, key, from, at, length),
    dial: (link, ice, iceLength, at, length, relayOnly) =>
      wires.dial(link, text(ice, iceLength).split("\0"), text(at, length), !!relayOnly),
    accept: (link, at, length) => wires.accept(link, text(at, length)),
    candidate: (link, at, length) => wires.candidate(link, text(at, length)),
    hangUp: (link) => wires.hangUp(link),
    sendControl: (link, at, length) => wires.sendControl(link, bytes(at, length)),
    sendBulk: (link, header, headerLength, kept, start, length) =>
      wires.sendBulk(link, bytes(header, headerLength), part(kept, start, length)),
    buffered: (link) => wires.buffered(link),
    openSocket(at, length) {
      const url = text(at, length);
      identity.then(
        ({ certificate, sdp, session, sealer }) => {
          wires.certificates = [certificate];
          connection.open(url, sdp, session, sealer?.key ?? new Uint8Array());
        },
        (error) => events.refused(`${error}`, false),
      );
    },
    sendSocket: (at, length) => connection.send(bytes(at, length)),
    closeSocket: () => connection.close(),
    deliver(id, at, count, throughput, firstByte, source, publisher, peers, seeds) {
      const parts = [];
      const numbers = new Uint32Array(memory.buffer, at, count * 3);
      for (let i = 0; i < numbers.length; i += 3) {
        parts.push(part(...(numbers.subarray(i, i + 3) as unknown as [number, number, number])));
      }
      events.deliver(id, parts, throughput, firstByte, { source, publisher, peers, seeds });
    },
    progress: (id, loaded, total) => events.progress(id, loaded, total),
    failed: (id, status) => events.failed(id, status),
    signaling: (connected) => events.signaling(!!connected),
    settings: (enabled, holdout) => events.settings(!!enabled, !!holdout),
    refused: (at, length, again) => events.refused(text(at, length), !!again),
    liar: (peer, at, length) => events.liar(hex(bytes(peer, ID)), text(at, length)),
    mismatch: (sn) => events.mismatch(sn),
    rescue: (sn, length) => events.rescue(sn, length),
    counters(at, count) {
      stats = [...new Float64Array(memory.buffer, at, count)];
    },
  };
  const { site, content, token, store } = options;
  peer = enter(host);
  if (!told.join(socket.href, site, content, token, store)) {
    leave(peer);
    throw new Error("site (64 bytes), content (2048) or token (4096) is too long");
  }
  return {
    timeline(playlist, audio, live, segments) {
      const numbers = new Float64Array(segments.length * NUMBERS);
      segments.forEach((s, i) => {
        numbers.set([s.sn, s.cc, s.part, s.start * 1000, s.duration * 1000, ...s.range], i * NUMBERS);
      });
      const urls = segments.map((s) => s.url).join("\0");
      told.timeline(playlist, audio, live, new Uint8Array(numbers.buffer), urls);
    },
    demand: (playlist, s, { firstByteMs, wholeMs }) =>
      told.demand(playlist, ...place(s), s.url, ...s.range, firstByteMs, wholeMs),
    handed: (playlist, s, { bytes, firstByteMs, transferMs }) =>
      told.handed(playlist, ...place(s), bytes, firstByteMs, transferMs),
    cancel: (id) => told.cancel(id),
    playhead: (...args) => told.playhead(...args),
    conditions: (...args) => told.conditions(...args),
    watched: (...args) => told.watched(...args),
    stats() {
      told.stats();
      return readStats(stats);
    },
    close() {
      clearTimeout(timer);
      try {
        told.close();
      } finally {
        leave(peer);
      }
    },
  };
};
