/** The way between the page's script and the wasm shell: loads it, and passes calls on in both directions. */

import init, { type InitOutput, Peer } from "../pkg/rillcast.js";
import { verify } from "./ed25519.js";
import { Fetches } from "./io/fetches.js";
import { Socket } from "./io/socket.js";
import { Wires } from "./io/wires.js";

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

let module: Promise<InitOutput> | undefined;

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

/** Loads the wasm, once per page. */
export function load(wasm: string): Promise<unknown> {
  module ??= init({ module_or_path: wasm });
  module.catch(() => {
    module = undefined;
  });
  return module;
}

const NUMBERS = 7;

/** Makes a peer; `load` must be through. */
export const createPeer: PeerMaker = (options, events, request) => {
  const socket = new URL("/ws", options.signal);
  socket.protocol = socket.protocol.replace("http", "ws");
  let peer: Peer | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const called = () => peer as Peer;
  const wires = new Wires(called);
  const fetches = new Fetches(called);
  const connection = new Socket(called);
  // A fixed object: the shell calls these by name, from inside its own work.
  const host = {
    ...events,
    wake(milliseconds: number) {
      clearTimeout(timer);
      timer = setTimeout(() => peer?.wake(), milliseconds);
    },
    fetch(id: number, url: string, start: number, end: number, origin: boolean, urgent: boolean) {
      fetches.start(id, (signal) => {
        const init: RequestInit = { signal, priority: urgent ? "high" : "auto" };
        if (end > 0) init.headers = { Range: `bytes=${start}-${end - 1}` };
        return origin ? request(url, init) : new Request(url, init);
      });
    },
    stop: (id: number) => fetches.stop(id),
    verify(id: number, ...[key, message, signature]: [Uint8Array, Uint8Array, Uint8Array]) {
      // wasm memory may move under a view: what is used later is copied now.
      verify(key.slice(), message.slice(), signature.slice()).then(
        (ok) => peer?.verdict(id, ok),
        () => peer?.verdict(id, false),
      );
    },
    dial: (link: number, ice: string[], sdp: string) => wires.dial(link, ice, sdp),
    accept: (link: number, sdp: string) => wires.accept(link, sdp),
    candidate: (link: number, candidate: string) => wires.candidate(link, candidate),
    hangUp: (link: number) => wires.hangUp(link),
    sendControl: (link: number, bytes: Uint8Array) => wires.sendControl(link, bytes),
    sendBulk: (link: number, header: Uint8Array, payload: Uint8Array) =>
      wires.sendBulk(link, header, payload),
    buffered: (link: number) => wires.buffered(link),
    openSocket: (url: string) => connection.open(url),
    sendSocket: (bytes: Uint8Array) => connection.send(bytes),
    closeSocket: () => connection.close(),
    absolute: (url: string) => (url ? new URL(url, options.signal).href : ""),
    deliver(
      id: number,
      parts: Uint8Array[],
      throughput: number,
      firstByte: number,
      ...[source, publisher, peers, seeds]: [number, number, number, number]
    ) {
      events.deliver(id, parts, throughput, firstByte, { source, publisher, peers, seeds });
    },
  };
  const token = new TextEncoder().encode(options.token);
  const made = new Peer(socket.href, options.site, options.content, token, options.store, host);
  peer = made;
  return {
    timeline(playlist, audio, live, segments) {
      const numbers = new Float64Array(segments.length * NUMBERS);
      segments.forEach((s, i) => {
        numbers.set([s.sn, s.cc, s.part, s.start * 1000, s.duration * 1000, ...s.range], i * NUMBERS);
      });
      const urls = segments.map((s) => s.url);
      made.timeline(playlist, audio, live, numbers, urls);
    },
    demand: (playlist, s, patience) =>
      made.demand(playlist, s.sn, s.cc, s.part, s.url, ...s.range, patience.firstByteMs, patience.wholeMs),
    handed: (playlist, s, took) =>
      made.handed(playlist, s.sn, s.cc, s.part, took.bytes, took.firstByteMs, took.transferMs),
    cancel: (id) => made.cancel(id),
    playhead: (...args) => made.playhead(...args),
    conditions: (...args) => made.conditions(...args),
    watched: (...args) => made.watched(...args),
    stats: () => made.stats() as PeerStats,
    close() {
      clearTimeout(timer);
      made.close();
    },
  };
};
