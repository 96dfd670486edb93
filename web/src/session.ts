/**
 * One player's part in the swarm: joins when all who have a say agree, leaves when one doesn't, and stands between the
 * player's adapter and the peer. Whatever goes wrong here ends the peer and leaves the player to its own loader.
 */

import { isHidden, isMetered, storeBudget, watchDevice } from "./device.js";
import { Emitter } from "./events.js";
import type { Options, Page } from "./page.js";
import {
  createPeer,
  isSupported,
  load,
  type Neighbour,
  type Patience,
  type PeerMaker,
  type PeerPort,
  type PeerStats,
  type RequestMaker,
  type SegmentPlace,
  type Share,
  type TimelineEntry,
  type Took,
} from "./peer.js";
import type { Position, Watched } from "./watch.js";

/**
 * - `off`: switched off, here or by `Rillcast.enabled`
 * - `consent`: the viewer hasn't agreed
 * - `unsupported`: this browser lacks something
 * - `idle`: no manifest yet
 * - `loading`: the engine is on its way
 * - `joining`: the server hasn't answered
 * - `joined`: takes part
 * - `refused`: the server said no
 * - `broken`: our own code failed; the player goes on with its own loader
 */
export type State =
  | "off"
  | "consent"
  | "unsupported"
  | "idle"
  | "loading"
  | "joining"
  | "joined"
  | "refused"
  | "broken";

/** A segment that was handed to the player. */
export interface SegmentEvent {
  key: {
    /** URL of the media playlist. */
    playlist: string;
    sn: number;
    cc: number;
    part: number;
  };
  url: string;
  /** A copy. */
  bytes: Uint8Array;
  /** Who brought it. */
  share: Share;
}

/** Events of a session; `Rillcast.on` gives those of all sessions. */
export interface SessionEvents {
  /** A media segment was handed to the player, by us or by its own loader. Costs a copy while anybody listens. */
  segment: SegmentEvent;
  state: State;
  /** The site's settings came: the kill switch, and whether this viewer is in the holdout group. */
  settings: { enabled: boolean; holdout: boolean };
  /** The server refused; the message says what to do. */
  refused: { message: string; again: boolean };
  /** A neighbour sent false bytes or broke the protocol, and was cut off. */
  liar: { peer: string; why: string };
  /** The origin's bytes aren't those that the publisher signed; they were played and not shared. */
  mismatch: { sn: number };
  /** The source filled in at the last moment. */
  rescue: { sn: number; bytes: number };
}

/** Of which playlist, which segment, and what it took. */
type Handed = [playlist: string, place: SegmentPlace, took: Took];

/** The picture of the moment, and counters since the player was attached. */
export interface Stats {
  state: State;
  /** Media bytes by who brought them; `source` has those that the player's own loader fetched. */
  bytes: Share & {
    /** Given to others. */
    uploaded: number;
    /** Handed to the player. */
    played: number;
    /** Received twice or unasked for. */
    wasted: number;
  };
  /**
   * 1 - bytes from the source or a publisher / bytes handed to the player; 0 before anything was. A publisher's bytes
   * are the swarm's one copy from the source, so they count as that.
   */
  savings: number;
  /** The engine's own counters, while there is a peer. */
  engine: PeerStats | null;
  neighbours: Neighbour[];
  /** In the group that is counted but left without peers. */
  holdout: boolean;
  /** Seconds behind the live edge, as the player reckons; null where it doesn't. */
  latency: number | null;
  watched: Watched;
}

/** Who waits for a segment. */
export interface Waiting {
  deliver(parts: Uint8Array[], throughput: number, firstByte: number, share: Share): void;
  progress(loaded: number, total: number): void;
  failed(status: number): void;
}

/** What a session needs from outside; tests put their own in. */
export interface Means {
  supported: () => boolean;
  load: (wasm: string) => Promise<unknown>;
  createPeer: PeerMaker;
}

const MEANS: Means = { supported: isSupported, load, createPeer };

const COUNTERS = [
  "sourceBytes",
  "publisherBytes",
  "peerBytes",
  "seedBytes",
  "uploadedBytes",
  "deliveredBytes",
  "wastedBytes",
] as const;
type Totals = Record<(typeof COUNTERS)[number], number>;

export class Session {
  readonly events = new Emitter<SessionEvents>();
  #state: State = "idle";
  #enabled = true;
  #content: string | undefined;
  #peer: PeerPort | undefined;
  #consent: boolean | undefined;
  #asked = false;
  /** Counts starts, so that one which was overtaken knows it. */
  #start = 0;
  #holdout = false;
  #position: Position | undefined;
  #watched: Watched = { stalls: 0, stallMs: 0, playedMs: 0 };
  /** What the player's own loader brought last; a peer that comes later hears of it. */
  #handed: Handed | undefined;
  readonly #timelines = new Map<string, [boolean, boolean, readonly TimelineEntry[]]>();
  readonly #waiting = new Map<number, Waiting>();
  /** Of peers that are gone, and of the player's own loader. */
  readonly #past: Totals = Object.fromEntries(COUNTERS.map((name) => [name, 0])) as Totals;
  readonly #stops: (() => void)[] = [];

  constructor(
    readonly options: Required<Pick<Options, "signal" | "site" | "wasm">> & Options,
    readonly page: Page,
    readonly request: RequestMaker,
    readonly latency: () => number | null,
    readonly means: Means = MEANS,
  ) {
    const changed = () => this.#reconsider();
    this.#stops.push(page.changed.on("change", changed));
    this.#stops.push(watchDevice(changed, () => this.#leave("off")));
    this.#stops.push(
      watchTraps(means, () => {
        if (this.#peer) this.#break("the engine stopped");
      }),
    );
    // The engine comes while the player fetches its manifest, so that it is there for the first segments.
    if (this.#mayStart()) means.load(options.wasm).catch(() => {});
  }

  /** This player alone, whatever the page's switch says. */
  get enabled(): boolean {
    return this.#enabled;
  }
  set enabled(on: boolean) {
    this.#enabled = on;
    this.#reconsider();
  }

  get state(): State {
    return this.#state;
  }

  /** A manifest is played, under this name. Another one before it is left. */
  open(content: string): void {
    this.#leave("idle");
    this.#timelines.clear();
    this.#handed = undefined;
    this.#content = content;
    this.#reconsider();
  }

  /** A playlist as the player sees it now. */
  timeline(playlist: string, audio: boolean, live: boolean, entries: readonly TimelineEntry[]): void {
    this.#timelines.set(playlist, [audio, live, entries]);
    this.#guard((peer) => peer.timeline(playlist, audio, live, entries));
  }

  /** Where the player is, and what it has lived through. */
  tick(position: Position, watched: Watched): void {
    this.#position = position;
    this.#watched = watched;
    const { positionMs, rate, bufferedMs, starving } = position;
    this.#guard((peer) => {
      peer.playhead(positionMs, rate, bufferedMs, starving);
      peer.watched(watched.stalls, watched.stallMs, watched.playedMs);
    });
  }

  /** Asks for a segment. Gives nothing if the player has to fetch it itself. */
  demand(playlist: string, place: SegmentPlace, patience: Patience, waiting: Waiting): number | undefined {
    return this.#guard((peer) => {
      const request = peer.demand(playlist, place, patience);
      // An answer never comes before the number: see `#answer`.
      this.#waiting.set(request, waiting);
      return request;
    });
  }

  /** The player no longer wants it. */
  cancel(request: number): void {
    if (this.#waiting.delete(request)) this.#guard((peer) => peer.cancel(request));
  }

  /** The player's own loader fetched a segment. */
  handed(...handed: Handed): void {
    const { bytes } = handed[2];
    this.#past.sourceBytes += bytes;
    this.#past.deliveredBytes += bytes;
    this.#handed = handed;
    this.#guard((peer) => peer.handed(...handed));
  }

  stats(): Stats {
    const engine = this.#guard((peer) => peer.stats()) ?? null;
    const total = { ...this.#past };
    if (engine) for (const name of COUNTERS) total[name] += engine[name];
    const played = total.deliveredBytes;
    return {
      state: this.#state,
      bytes: {
        source: total.sourceBytes,
        publisher: total.publisherBytes,
        peers: total.peerBytes,
        seeds: total.seedBytes,
        uploaded: total.uploadedBytes,
        played,
        wasted: total.wastedBytes,
      },
      savings: savings(total.sourceBytes + total.publisherBytes, played),
      engine,
      neighbours: engine?.neighbours ?? [],
      holdout: this.#holdout,
      latency: this.latency(),
      watched: { ...this.#watched },
    };
  }

  /** The player is gone. */
  close(): void {
    this.#leave("off");
    this.#content = undefined;
    for (const stop of this.#stops.splice(0)) stop();
  }

  #mayStart(): boolean {
    const { options, page } = this;
    if (!this.#enabled || !page.enabled || !this.means.supported() || this.#state === "broken") return false;
    if (!options.consent) return true;
    return (options.consent === "required" ? page.consent : this.#consent) === true;
  }

  /** Joins, leaves or tells the peer of new conditions, as things stand now. */
  #reconsider(): void {
    if (this.#state === "broken") return;
    if (!this.#mayStart()) {
      this.#ask();
      const off = !this.#enabled || !this.page.enabled;
      this.#leave(off ? "off" : this.means.supported() ? "consent" : "unsupported");
    } else if (this.#peer) {
      this.#tellConditions();
    } else if (this.#content === undefined) {
      this.#enter("idle");
    } else if (this.#state !== "loading" && this.#state !== "refused") {
      void this.#join(this.#content);
    }
  }

  #ask(): void {
    const { consent } = this.options;
    if (typeof consent !== "function" || this.#asked || !this.#enabled || !this.page.enabled) return;
    this.#asked = true;
    Promise.resolve()
      .then(consent)
      .then(
        (granted) => {
          this.#consent = granted === true;
          this.#reconsider();
        },
        () => {},
      );
  }

  async #join(content: string): Promise<void> {
    const start = ++this.#start;
    this.#enter("loading");
    try {
      await this.means.load(this.options.wasm);
    } catch (error) {
      if (start === this.#start) this.#break(error);
      return;
    }
    if (start !== this.#start) return;
    this.#enter("joining");
    const { signal, site, wasm, token = "" } = this.options;
    try {
      this.#peer = this.means.createPeer(
        { signal, site, content, token, wasm, store: storeBudget() },
        {
          deliver: (id, ...rest) => this.#answer(id, (waiting) => waiting.deliver(...rest)),
          progress: (id, loaded, total) => this.#waiting.get(id)?.progress(loaded, total),
          failed: (id, status) => this.#answer(id, (waiting) => waiting.failed(status)),
          signaling: (connected) => this.#enter(connected ? "joined" : "joining"),
          settings: (enabled, holdout) => {
            this.#holdout = holdout;
            this.events.emit("settings", { enabled, holdout });
          },
          refused: (message, again) => {
            this.events.emit("refused", { message, again });
            console.warn(`Rillcast: ${message}`);
            if (!again) this.#leave("refused");
          },
          liar: (peer, why) => this.events.emit("liar", { peer, why }),
          mismatch: (sn) => this.events.emit("mismatch", { sn }),
          rescue: (sn, bytes) => this.events.emit("rescue", { sn, bytes }),
        },
        this.request,
      );
    } catch (error) {
      return this.#break(error);
    }
    this.#tellConditions();
    for (const [playlist, timeline] of this.#timelines)
      this.#guard((peer) => peer.timeline(playlist, ...timeline));
    const handed = this.#handed;
    if (handed) this.#guard((peer) => peer.handed(...handed));
    if (this.#position) this.tick(this.#position, this.#watched);
  }

  /** Answers in a task of its own: the engine is still at work, and the player will ask for more at once. */
  #answer(request: number, act: (waiting: Waiting) => void): void {
    queueMicrotask(() => {
      const waiting = this.#waiting.get(request);
      if (waiting && this.#waiting.delete(request)) act(waiting);
    });
  }

  #tellConditions(): void {
    const { page } = this;
    this.#guard((peer) => peer.conditions(page.sharing && !isMetered(), true, isHidden(), page.uploadCap));
  }

  #leave(state: State): void {
    this.#start++;
    const peer = this.#peer;
    if (peer) {
      this.#keepCounters(peer);
      this.#peer = undefined;
      try {
        peer.close();
      } catch {
        // It is gone either way.
      }
    }
    this.#failAll();
    if (this.#state !== "broken") this.#enter(state);
  }

  #keepCounters(peer: PeerPort): void {
    try {
      const stats = peer.stats();
      for (const name of COUNTERS) this.#past[name] += stats[name];
    } catch {
      // Lost with it.
    }
  }

  #failAll(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const one of waiting) one.failed(-1);
  }

  #break(error: unknown): void {
    console.error("Rillcast: stopped, the player goes on without it:", error);
    this.#leave("broken");
  }

  /** Uses the peer, if there is one. An exception ends it. */
  #guard<T>(act: (peer: PeerPort) => T): T | undefined {
    if (!this.#peer) return;
    try {
      return act(this.#peer);
    } catch (error) {
      this.#break(error);
      return;
    }
  }

  #enter(state: State): void {
    if (state === this.#state) return;
    this.#state = state;
    this.events.emit("state", state);
  }
}

/** The share of the bytes played that didn't cost the source anything. */
export function savings(source: number, played: number): number {
  return played > 0 ? 1 - source / played : 0;
}

/** A trap inside a browser's callback surfaces only as an error of the window. */
function watchTraps(means: Means, trapped: () => void): () => void {
  if (means !== MEANS) return () => {};
  const look = (event: ErrorEvent | PromiseRejectionEvent) => {
    const error: unknown = "error" in event ? event.error : event.reason;
    if (error instanceof WebAssembly.RuntimeError) trapped();
  };
  window.addEventListener("error", look);
  window.addEventListener("unhandledrejection", look);
  return () => {
    window.removeEventListener("error", look);
    window.removeEventListener("unhandledrejection", look);
  };
}
