/** Looks at the media element: where the playhead is, and what the viewer had to sit through. */

/** What the viewer has lived through. */
export interface Watched {
  /** Times that playback stopped for want of media, after it had begun and not because of a seek. */
  stalls: number;
  /** How long in all, in milliseconds. */
  stallMs: number;
  /** Milliseconds of wall time in which media was played. */
  playedMs: number;
}

/** Where the player is. */
export interface Position {
  positionMs: number;
  /** Hundredths of normal speed; 0 while nothing plays. */
  rate: number;
  /** End of the buffered range around the position. */
  bufferedMs: number;
  /** Wants to play and can't. */
  starving: boolean;
}

const EVERY_MS = 250;
/** A gap in the buffer that players step over, in seconds. */
const GAP = 0.3;
const EVENTS = ["playing", "pause", "seeking", "seeked", "waiting", "ratechange", "ended"] as const;
/** Enough to go on playing: `HAVE_FUTURE_DATA`. */
const ENOUGH = 3;

/** Where the element is. `start` is where it will begin, in seconds, while it holds nothing yet. */
export function position(media: HTMLMediaElement, start: number | undefined): Position {
  const { buffered } = media;
  const at =
    buffered.length === 0 && media.currentTime === 0 && start !== undefined ? start : media.currentTime;
  let end = at;
  for (let i = 0; i < buffered.length; i++) {
    if (buffered.start(i) <= end + GAP && buffered.end(i) > end) end = buffered.end(i);
  }
  const wants = !media.paused && !media.ended;
  const plays = wants && media.readyState >= ENOUGH && !media.seeking;
  return {
    positionMs: at * 1000,
    rate: plays ? media.playbackRate * 100 : 0,
    bufferedMs: end * 1000,
    starving: wants && media.readyState < ENOUGH,
  };
}

/** Follows one media element until `stop`. */
export class Watch {
  readonly watched: Watched = { stalls: 0, stallMs: 0, playedMs: 0 };
  readonly #off = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  #last = performance.now();
  #began = false;
  #stalled = false;
  /** A seek's own wait isn't a stall. */
  #seeking = false;

  constructor(
    readonly media: HTMLMediaElement,
    readonly tell: () => void,
  ) {
    for (const event of EVENTS)
      media.addEventListener(event, () => this.#look(event), { signal: this.#off.signal });
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
  }

  stop(): void {
    this.#off.abort();
    clearInterval(this.#timer);
  }

  #look(event?: (typeof EVENTS)[number]): void {
    const now = performance.now();
    const since = now - this.#last;
    this.#last = now;
    const { media, watched } = this;
    if (this.#stalled) watched.stallMs += since;
    else if (this.#began && !media.paused && media.readyState >= ENOUGH) watched.playedMs += since;
    if (event === "seeking") this.#seeking = true;
    if (event === "playing") {
      this.#began = true;
      this.#seeking = this.#stalled = false;
    }
    if (event === "pause" || event === "ended" || event === "seeking") this.#stalled = false;
    if (event === "waiting" && this.#began && !this.#seeking && !this.#stalled) {
      this.#stalled = true;
      watched.stalls++;
    }
    this.tell();
  }
}
