/** Stand-ins for the browser, hls.js and the engine. */

import { Page } from "../src/page.js";
import type { Patience, PeerEvents, PeerPort, PeerStats, SegmentPlace, Share } from "../src/peer.js";
import { type Means, Session } from "../src/session.js";

/** A document and a window that never change. Node has the rest. */
export function fakeBrowser(): void {
  const target = () => new EventTarget();
  // Node has it from version 21 on.
  globalThis.navigator ??= {} as Navigator;
  Object.assign(globalThis, {
    document: Object.assign(target(), { visibilityState: "visible", baseURI: "http://page.test/" }),
    window: target(),
  });
}

export const SHARE: Share = { source: 0, publisher: 0, peers: 6, seeds: 0 };

export const STATS: PeerStats = {
  sourceBytes: 10,
  publisherBytes: 20,
  peerBytes: 70,
  seedBytes: 0,
  uploadedBytes: 5,
  deliveredBytes: 100,
  wastedBytes: 0,
  falseBlocks: 0,
  refusedLinks: 0,
  rescues: 0,
  rescueBytes: 0,
  storedBytes: 0,
  uploadRate: 0,
  sourceRate: 0,
  neighbours: [],
};

/** An engine that answers when the test says so. */
export class FakePeer implements PeerPort {
  readonly calls: string[] = [];
  readonly demands: { playlist: string; place: SegmentPlace; patience: Patience }[] = [];
  broken = false;

  constructor(readonly events: PeerEvents) {}

  #call(name: string): void {
    if (this.broken) throw new WebAssembly.RuntimeError("unreachable");
    this.calls.push(name);
  }
  timeline(): void {
    this.#call("timeline");
  }
  demand(playlist: string, place: SegmentPlace, patience: Patience): number {
    this.#call("demand");
    return this.demands.push({ playlist, place, patience }) - 1;
  }
  handed(playlist: string, { sn }: SegmentPlace): void {
    this.#call(`handed ${playlist} ${sn}`);
  }
  cancel(request: number): void {
    this.#call(`cancel ${request}`);
  }
  playhead(): void {
    this.#call("playhead");
  }
  conditions(up: boolean, down: boolean, hidden: boolean, cap: number): void {
    this.#call(`conditions ${up} ${down} ${hidden} ${cap}`);
  }
  watched(): void {}
  stats(): PeerStats {
    return STATS;
  }
  close(): void {
    this.#call("close");
  }
}

/** A session whose engine is a fake. `peers` gets one per join. */
export function fakeSession(options: object = {}, page = new Page()) {
  const peers: FakePeer[] = [];
  const means: Means = {
    supported: () => true,
    load: async () => {},
    createPeer: (_, events) => {
      const peer = new FakePeer(events);
      peers.push(peer);
      return peer;
    },
  };
  const all = { signal: "http://signal.test/", site: "", wasm: "http://signal.test/w", ...options };
  const session = new Session(
    all,
    page,
    (url, init) => new Request(url, init),
    () => null,
    means,
  );
  return { session, page, peers };
}

/** Lets promises and microtasks run. */
export const settle = () => new Promise<void>((resolve) => setTimeout(resolve));
