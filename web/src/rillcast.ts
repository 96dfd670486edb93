/** The page's API: one object, `Rillcast`, the same for the snippet and for the npm package. */

import type Hls from "hls.js";
import { attachHls, type HlsAttachment } from "./adapter/hls.js";
import type { FragmentLoaderClass } from "./adapter/loader.js";
import { Emitter } from "./events.js";
import { type Options, Page } from "./page.js";
import { isSupported } from "./peer.js";
import { type Session, type SessionEvents, type Stats, savings } from "./session.js";

/** Which session an event is about, and the event's own detail. */
export type PageEvents = {
  [Name in keyof SessionEvents]: { session: Session; detail: SessionEvents[Name] };
} & {
  /** A player was attached. */
  attached: { session: Session; detail: undefined };
  /** A player was detached or destroyed. */
  detached: { session: Session; detail: undefined };
};

const EVENTS: (keyof SessionEvents)[] = [
  "segment",
  "state",
  "settings",
  "refused",
  "liar",
  "mismatch",
  "rescue",
];

/** Hands segments among the viewers of the same stream. */
export class RillcastPage {
  /** Fills in what `attach` isn't told. */
  readonly defaults: Options = {};
  readonly #page = new Page();
  readonly #attached = new Map<Hls, HlsAttachment>();
  readonly #events = new Emitter<PageEvents>();

  /** Whether this browser can take part at all. */
  get supported(): boolean {
    return isSupported();
  }

  /** The off switch: false leaves every swarm at once, and players fetch all for themselves. */
  get enabled(): boolean {
    return this.#page.enabled;
  }
  set enabled(on: boolean) {
    this.#page.enabled = on;
  }

  /** Whether this viewer gives bytes to others; taking them doesn't depend on it. */
  get sharing(): boolean {
    return this.#page.sharing;
  }
  set sharing(on: boolean) {
    this.#page.sharing = on;
  }

  /** The viewer's own limit on uploads, in bytes per second; 0 is none beyond the site's. */
  get uploadCap(): number {
    return this.#page.uploadCap;
  }
  set uploadCap(bytesPerSecond: number) {
    this.#page.uploadCap = bytesPerSecond;
  }

  /** The viewer's answer where the site has set `consent: "required"`. Can be taken back. */
  consent(granted: boolean): void {
    this.#page.consent = granted;
  }

  /** One session per attached player. */
  get sessions(): Session[] {
    return [...this.#attached.values()].map((one) => one.session);
  }

  /** Joins an hls.js player to the swarm of what it plays. Call it before `loadSource`. Twice is as good as once. */
  attach(hls: Hls, options: Options = {}): Session {
    return this.#attach(hls, options).session;
  }

  /**
   * The same for those who set `config.fLoader` themselves: gives the loader's class and leaves the player's
   * configuration as it is.
   */
  createLoader(hls: Hls, options: Options = {}): FragmentLoaderClass {
    const before = hls.config.fLoader;
    const { loader } = this.#attach(hls, options);
    if (before) hls.config.fLoader = before;
    else delete hls.config.fLoader;
    return loader;
  }

  /** Gives the player its own loader back and leaves the swarm. */
  detach(hls: Hls): void {
    this.#attached.get(hls)?.detach();
  }

  /** Counters of all players together; `neighbours` and `engine` are those of the one attached last. */
  stats(): Stats | null {
    const all = this.sessions.map((session) => session.stats());
    const last = all.pop();
    for (const one of all) {
      for (const name of Object.keys(one.bytes) as (keyof Stats["bytes"])[]) {
        (last as Stats).bytes[name] += one.bytes[name];
      }
    }
    if (last) {
      const { source, publisher, played } = last.bytes;
      last.savings = savings(source + publisher, played);
    }
    return last ?? null;
  }

  /** Calls `listener` at each event of that name, of any player; the function given back ends it. */
  on<Name extends keyof PageEvents>(name: Name, listener: (event: PageEvents[Name]) => void): () => void {
    const off = this.#events.on(name, listener);
    // A session makes the costly details only while somebody listens.
    if (name === "segment") for (const session of this.sessions) this.#listenToSegments(session);
    return off;
  }

  /** Undoes `on`. */
  off<Name extends keyof PageEvents>(name: Name, listener: (event: PageEvents[Name]) => void): void {
    this.#events.off(name, listener);
  }

  #attach(hls: Hls, options: Options): HlsAttachment {
    const known = this.#attached.get(hls);
    if (known) return known;
    const base = scriptBase();
    const merged = { ...this.defaults, ...options };
    const signal = merged.signal ?? new URL("/", base).href;
    const wasm = merged.wasm ?? new URL("rillcast_bg.wasm", base).href;
    const attachment = attachHls(
      hls,
      { ...merged, signal, wasm, site: merged.site ?? "default" },
      this.#page,
    );
    const { session } = attachment;
    const { detach } = attachment;
    attachment.detach = () => {
      detach();
      if (this.#attached.delete(hls)) this.#events.emit("detached", { session, detail: undefined });
    };
    this.#attached.set(hls, attachment);
    for (const name of EVENTS) {
      if (name !== "segment") this.#forward(session, name);
    }
    if (this.#events.heard("segment")) this.#listenToSegments(session);
    (hls as unknown as { once(event: string, f: () => void): void }).once("hlsDestroying", () =>
      attachment.detach(),
    );
    this.#events.emit("attached", { session, detail: undefined });
    return attachment;
  }

  readonly #segments = new WeakSet<Session>();
  #listenToSegments(session: Session): void {
    if (this.#segments.has(session)) return;
    this.#segments.add(session);
    this.#forward(session, "segment");
  }

  #forward<Name extends keyof SessionEvents>(session: Session, name: Name): void {
    session.events.on(name, (detail) => {
      this.#events.emit(name, { session, detail } as PageEvents[Name]);
    });
  }
}

/** Where this script came from: the tag's address, or the module's. */
let base: string | undefined;

/** Says where the script came from. */
export function setScriptBase(url: string): void {
  base = url;
}

function scriptBase(): string {
  return base ?? document.baseURI;
}
