// Measures playback at the media element, in the same way for every client. Plain script: pages of all clients load
// it before anything else. `rcStats.report()` gives the whole account as one JSON-able object.
//
// stall: after the start, the playhead didn't move for STALL_AFTER ms although it should have; seeks don't count.
// start-up: from navigation to the first moving playhead. latency: now minus PROGRAM-DATE-TIME at the playhead.

window.rcStats = (() => {
  const TICK = 100;
  const STALL_AFTER = 300;
  const LATENCY_EVERY = 500;
  const LONGEST_TICK = 2000;
  const query = new URLSearchParams(location.search);

  const state = {
    createdAt: null,
    startMs: null,
    startPlayerMs: null,
    stalls: 0,
    stallMs: 0,
    playedMs: 0,
    bitMs: 0,
    latencies: [], // [ms since start, seconds]
    segments: [],
    errors: {}, // hls.js error details -> count
    fatal: 0,
    decodeErrors: [],
    seeks: 0,
    sources: { http: 0, peers: 0, seeds: 0, publisher: 0 },
    uploaded: 0,
    hashes: [], // of what the loader handed over, with ?sha
    hashing: 0,
  };
  let video, hls;
  let lastTime,
    lastMove,
    stallSince,
    seeking = false,
    waitingSince = null,
    lastLatency = 0,
    lastTick;

  function attach(element, player) {
    video = element;
    hls = player;
    state.createdAt ??= performance.now();
    if (query.has("sha")) hashPayloads();
    const Events = hls.constructor.Events;
    hls.on(Events.FRAG_LOADED, (_, data) => loaded(data));
    hls.on(Events.ERROR, (_, data) => failed(data));
    video.addEventListener("waiting", () => (waitingSince ??= performance.now()));
    video.addEventListener("seeking", () => {
      if (state.startMs !== null) state.seeks++;
      endStall();
      seeking = true;
    });
    video.addEventListener("seeked", () => {
      seeking = false;
      lastMove = performance.now();
    });
    video.addEventListener("error", () =>
      state.decodeErrors.push(`element: ${video.error?.message ?? video.error?.code}`),
    );
    setInterval(tick, TICK);
  }

  function tick() {
    const now = performance.now();
    const since = now - (lastTick ?? now);
    lastTick = now;
    const time = video.currentTime;
    const moved = lastTime !== undefined && time !== lastTime;
    if (state.startMs === null) {
      if (moved && !video.paused && !video.seeking && video.readyState >= 3 && time > 0) {
        // The first move seen after a seek to the live edge may be the seek itself: ask for a second one.
        if (lastMove !== undefined && now - lastMove < 5 * TICK && time - lastTime < 1) {
          state.startMs = now;
          state.startPlayerMs = now - state.createdAt;
        }
        lastMove = now;
      }
      lastTime = time;
      return;
    }
    if (moved) {
      endStall();
      lastMove = now;
      waitingSince = null;
      // A page that was frozen comes back with one long tick, in which it played nothing.
      const played = Math.min(since, LONGEST_TICK);
      state.playedMs += played;
      const level = hls.levels?.[hls.currentLevel] ?? hls.levels?.[hls.loadLevel];
      if (level) state.bitMs += played * (level.averageBitrate || level.bitrate);
    } else if (
      !video.paused &&
      !video.ended &&
      !seeking &&
      stallSince === undefined &&
      now - lastMove > STALL_AFTER
    ) {
      stallSince = Math.max(lastMove, Math.min(waitingSince ?? lastMove, now));
      state.stalls++;
    }
    lastTime = time;
    if (now - lastLatency >= LATENCY_EVERY) {
      lastLatency = now;
      const date = hls.playingDate;
      if (date) state.latencies.push([now - state.startMs, (Date.now() - date.getTime()) / 1000]);
    }
  }

  function endStall() {
    if (stallSince === undefined) return;
    state.stallMs += performance.now() - stallSince;
    stallSince = undefined;
  }

  function loaded({ frag, part }) {
    if (frag.type !== "main" || frag.sn === "initSegment") return;
    // A segment that is played in parts may have no address of its own yet.
    state.segments.push({
      path: new URL((part ?? frag).url).pathname,
      level: frag.level,
      sn: frag.sn,
      bytes: frag.stats.loaded,
      first: state.segments.length === 0,
      at: performance.timeOrigin + performance.now(),
    });
  }

  // `?sha`: hashes what the client's loader hands to the player. The payload is transferred to a worker right after,
  // so this sits between loader and player, around whatever loader the client has put in.
  function hashPayloads() {
    const Base = hls.config.fLoader ?? hls.config.loader;
    hls.config.fLoader = class extends Base {
      load(context, config, callbacks) {
        const onSuccess = (response, ...rest) => {
          if (context.frag?.type === "main" && context.frag.sn !== "initSegment") {
            hash(new URL(context.url).pathname, response.data.slice(0));
          }
          callbacks.onSuccess(response, ...rest);
        };
        super.load(context, config, { ...callbacks, onSuccess });
      }
    };
  }

  async function hash(path, payload) {
    state.hashing++;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", payload));
    const sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    state.hashes.push({ path, bytes: payload.byteLength, sha256 });
    state.hashing--;
  }

  function failed(data) {
    state.errors[data.details] = (state.errors[data.details] ?? 0) + 1;
    if (
      /bufferAppend|bufferAppending|fragParsing|fragDecrypt|bufferAddCodec|bufferIncompatible/.test(
        data.details,
      )
    ) {
      state.decodeErrors.push(`${data.details}: ${data.error?.message ?? data.reason ?? ""}`);
    }
    if (!data.fatal) return;
    state.fatal++;
    // What any site's page does.
    if (data.type === "networkError") hls.startLoad();
    else if (data.type === "mediaError") hls.recoverMediaError();
  }

  function median(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length === 0
      ? null
      : sorted.length % 2
        ? sorted[middle]
        : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  function report() {
    api.collect?.(state);
    const running = stallSince === undefined ? 0 : performance.now() - stallSince;
    const settled = state.latencies.filter(([at]) => at >= 20_000).map(([, latency]) => latency);
    return {
      start_ms: state.startMs,
      start_player_ms: state.startPlayerMs,
      stalls: state.stalls,
      stall_ms: state.stallMs + running,
      latency_s: median(settled.length ? settled : state.latencies.map(([, latency]) => latency)),
      latencies: state.latencies,
      bitrate_bps: state.playedMs > 0 ? state.bitMs / state.playedMs : null,
      played_ms: state.playedMs,
      consumed_bytes: state.segments.reduce((sum, segment) => sum + segment.bytes, 0),
      segments: state.segments,
      errors: state.errors,
      fatal: state.fatal,
      decode_errors: state.decodeErrors,
      seeks: state.seeks,
      hashes: state.hashes,
      hashing: state.hashing,
      sources: state.sources,
      uploaded: state.uploaded,
      time: video?.currentTime ?? null,
    };
  }

  /** Where playing stands, for a test that waits in vain. */
  function standing() {
    const { currentTime, paused, ended, seeking, readyState, buffered } = video;
    return {
      ...{ currentTime, paused, ended, seeking, readyState },
      buffered: Array.from({ length: buffered.length }, (_, i) => [buffered.start(i), buffered.end(i)]),
      level: hls.loadLevel,
      window: hls.levels?.[hls.loadLevel]?.details?.fragments
        ?.map((f) => f.start)
        ?.filter((_, i, all) => i % (all.length - 1) === 0),
      last: state.segments
        .slice(-3)
        .map(({ path, at }) => [path, Math.round(performance.timeOrigin + performance.now() - at)]),
      errors: state.errors,
      rillcast: window.Rillcast?.stats?.(),
    };
  }

  const api = {
    query,
    state,
    attach,
    report,
    standing,
    /** Where the stream is: `?src=`. */
    src: query.get("src") ?? "/live/master.m3u8",
    /** Called just before the player is made. */
    creating: () => {
      state.createdAt = performance.now();
    },
    /** Set by a client's page: fills in `sources` and `uploaded` just before a report. */
    collect: undefined,
  };
  return api;
})();
