/** The fragment loader that hls.js is given: asks the swarm, and falls back on the player's own loader. */

import type {
  FragmentLoaderContext,
  HlsConfig,
  Loader,
  LoaderCallbacks,
  LoaderConfiguration,
  LoaderStats,
} from "hls.js";
import type { SegmentPlace, Share } from "../peer.js";
import type { Session, Waiting } from "../session.js";
import { believable } from "./timing.js";

type FragmentLoader = Loader<FragmentLoaderContext>;
/** A class of loaders, as hls.js takes them. */
export type FragmentLoaderClass = new (config: HlsConfig) => FragmentLoader;

/** What the loader has to know from its player. */
export interface LoaderHost {
  readonly session: Session;
  /** The player's own loader. */
  readonly base: FragmentLoaderClass;
  /** Where in the stream the request belongs; nothing if it isn't a media segment that can be shared. */
  locate(context: FragmentLoaderContext): { playlist: string; place: SegmentPlace } | undefined;
  /** The player's estimate of the time to first byte, in milliseconds. */
  ttfb(): number;
  /** These stats get their loading times from us. */
  timed(stats: LoaderStats): void;
}

/** Longest wait for a segment, whatever the player's own limits say. */
const MAX_LOAD_MS = 120_000;
/** Segments that we once failed to bring are left to the player's own loader: at most so many are remembered. */
const MAX_DOUBTED = 64;

/** Makes the class; each instance loads one fragment, as hls.js wants it. */
export function createLoaderClass(host: LoaderHost): FragmentLoaderClass {
  const doubted = new Set<string>();
  const doubt = (url: string) => {
    if (doubted.size >= MAX_DOUBTED) doubted.clear();
    doubted.add(url);
  };

  return class RillcastLoader implements FragmentLoader {
    context: FragmentLoaderContext | null = null;
    /** The own loader's object from the first, for hls.js keeps what it sees at construction. */
    stats: LoaderStats;
    readonly #own: FragmentLoader;
    #callbacks: LoaderCallbacks<FragmentLoaderContext> | null = null;
    #config: LoaderConfiguration | null = null;
    #request: number | undefined;
    #timer: ReturnType<typeof setTimeout> | undefined;
    /** Some of it has come. */
    #begun = false;
    #playlist = "";
    #place: SegmentPlace | undefined;

    constructor(config: HlsConfig) {
      this.#own = new host.base(config);
      this.stats = this.#own.stats;
    }

    load(
      context: FragmentLoaderContext,
      config: LoaderConfiguration,
      callbacks: LoaderCallbacks<FragmentLoaderContext>,
    ): void {
      this.context = context;
      this.#config = config;
      this.#callbacks = callbacks;
      if (!this.#ask(context, config)) this.#loadOwn();
    }

    abort(): void {
      if (!this.#isOurs()) {
        this.#own.abort();
        return;
      }
      const { stats, context } = this;
      const callbacks = this.#callbacks;
      this.#drop();
      stats.aborted = true;
      if (context) callbacks?.onAbort?.(stats, context, null);
    }

    destroy(): void {
      this.#drop();
      this.context = null;
      this.#own.destroy();
    }

    getCacheAge(): number | null {
      return this.#isOurs() ? null : (this.#own.getCacheAge?.() ?? null);
    }

    getResponseHeader(name: string): string | null {
      return this.#isOurs() ? null : (this.#own.getResponseHeader?.(name) ?? null);
    }

    #isOurs(): boolean {
      return this.#request !== undefined;
    }

    /** Asks the swarm; gives false where that isn't possible. */
    #ask(context: FragmentLoaderContext, config: LoaderConfiguration): boolean {
      const where = host.locate(context);
      if (!where) return false;
      this.#playlist = where.playlist;
      this.#place = where.place;
      if (doubted.delete(context.url)) return false;

      const { maxTimeToFirstByteMs, maxLoadTimeMs } = config.loadPolicy;
      const wholeMs = Math.min(maxLoadTimeMs || Infinity, MAX_LOAD_MS);
      const firstByteMs = Math.min(maxTimeToFirstByteMs || Infinity, wholeMs);
      const asked = performance.now();
      const waiting: Waiting = {
        deliver: (...delivery) => this.#deliver(asked, ...delivery),
        progress: (loaded, total) => this.#progress(asked + wholeMs, loaded, total),
        failed: (status) => this.#failed(status),
      };
      this.#request = host.session.demand(where.playlist, where.place, { firstByteMs, wholeMs }, waiting);
      if (this.#request === undefined) return false;
      this.stats.loading.start = asked;
      this.#timeOut(firstByteMs);
      return true;
    }

    #timeOut(ms: number): void {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => {
        const { stats, context } = this;
        const callbacks = this.#callbacks;
        this.#drop();
        if (!context) return;
        doubt(context.url);
        callbacks?.onTimeout(stats, context, null);
      }, ms);
    }

    /**
     * hls.js gives up a segment whose bytes come too slowly for its buffer. So it sees no progress as long as peers
     * are bringing it in their own time, and the source's pace as soon as the rest comes from there.
     */
    #progress(until: number, loaded: number, total: number): void {
      const { stats } = this;
      if (!this.#isOurs()) return;
      const now = performance.now();
      if (!this.#begun) this.#timeOut(until - now);
      this.#begun = true;
      if (loaded === 0) return;
      stats.loading.first ||= now;
      stats.loaded = loaded;
      if (total > 0) stats.total = total;
    }

    #deliver(asked: number, parts: Uint8Array[], throughput: number, firstByte: number, share: Share): void {
      const { stats, context } = this;
      const callbacks = this.#callbacks;
      if (!this.#isOurs() || !context || !callbacks) return;
      const url = context.url;
      this.#drop();
      const bytes = joined(parts);
      this.#tell(url, bytes, share);
      const end = performance.now();
      Object.assign(stats.loading, believable(asked, end, bytes.length, throughput, firstByte, host.ttfb()));
      stats.loaded = stats.total = bytes.length;
      stats.bwEstimate = (bytes.length * 8000) / Math.max(stats.loading.end - stats.loading.first, 1);
      host.timed(stats);
      callbacks.onProgress?.(stats, context, bytes.buffer, null);
      callbacks.onSuccess({ url, data: bytes.buffer, code: 200 }, stats, context, null);
    }

    #failed(status: number): void {
      const { stats, context } = this;
      const callbacks = this.#callbacks;
      if (!this.#isOurs() || !context || !callbacks) return;
      if (status > 0) {
        this.#drop();
        callbacks.onError({ code: status, text: `HTTP status ${status}` }, context, null, stats);
        return;
      }
      // Not the server's word: perhaps ours is the fault, so the player tries for itself.
      clearTimeout(this.#timer);
      this.#request = undefined;
      this.#loadOwn();
    }

    /** Lets go of the request, if it is still running, and of everything that waits for it. */
    #drop(): void {
      clearTimeout(this.#timer);
      const request = this.#request;
      this.#request = undefined;
      this.#callbacks = null;
      if (request !== undefined) host.session.cancel(request);
    }

    #loadOwn(): void {
      const { context, stats } = this;
      const callbacks = this.#callbacks;
      const config = this.#config;
      if (!context || !callbacks || !config) return;
      // hls.js's loaders refuse to be used twice, and tell by this.
      Object.assign(stats.loading, { start: 0, first: 0, end: 0 });
      stats.loaded = stats.total = 0;
      this.#own.load(context, config, {
        ...callbacks,
        onSuccess: (response, own, same, details) => {
          if (this.#place) {
            const { start, first, end } = own.loading;
            const took = { bytes: own.loaded, firstByteMs: first - start, transferMs: end - first };
            host.session.handed(this.#playlist, this.#place, took);
            if (response.data instanceof ArrayBuffer) {
              const share = { source: own.loaded, publisher: 0, peers: 0, seeds: 0 };
              this.#tell(context.url, new Uint8Array(response.data), share);
            }
          }
          callbacks.onSuccess(response, own, same, details);
        },
      });
    }

    #tell(url: string, bytes: Uint8Array, share: Share): void {
      const { events } = host.session;
      if (!this.#place || !events.heard("segment")) return;
      const { sn, cc, part } = this.#place;
      const key = { playlist: this.#playlist, sn, cc, part };
      events.emit("segment", { key, url, bytes: bytes.slice(), share });
    }
  };
}

/** The parts in one buffer of their own: hls.js may transfer it to a worker, and the engine keeps the parts. */
function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
