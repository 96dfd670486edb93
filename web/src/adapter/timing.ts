/**
 * What hls.js's ABR may believe of a segment that came by way of peers.
 *
 * hls.js (1.7, `abr-controller.ts`) takes as one sample of bandwidth the bytes over
 * `parsing.end - loading.start - min(loading.first - loading.start, its estimate of the time to first byte)`. Peers
 * deliver faster or slower than the source could, so the loading times are set such that the sample is the throughput
 * that the engine vouches for, and the time to first byte is the player's own estimate, which leaves that as it is.
 */

/** The times of one request, on `performance.now()`'s clock. */
export interface LoadTimes {
  start: number;
  first: number;
  end: number;
}

/** As much of hls.js's `LoaderStats` as matters here. */
export interface TimedStats {
  loading: LoadTimes;
  parsing: { end: number };
}

/**
 * Times to report for `bytes` complete at `end` that were asked for at `asked`. `throughput` is in bytes/s and may be
 * NaN; `firstByte` is when the first byte was here, which can be before it was asked for; `ttfb` is the player's
 * estimate in milliseconds.
 */
export function believable(
  asked: number,
  end: number,
  bytes: number,
  throughput: number,
  firstByte: number,
  ttfb: number,
): LoadTimes {
  if (throughput > 0) {
    const first = end - (bytes / throughput) * 1000;
    return { start: first - ttfb, first, end };
  }
  // Nothing measured yet: the truth, where a block that was here early counts from when it came.
  const first = Math.min(Math.max(firstByte, 0), end);
  return first < asked ? { start: first - ttfb, first, end } : { start: asked, first, end };
}

/** Moves the times by what parsing took, so that it doesn't count as loading. To be called when parsing has ended. */
export function forgiveParsing({ loading, parsing }: TimedStats): void {
  const late = parsing.end - loading.end;
  if (!(late > 0)) return;
  loading.start += late;
  loading.first += late;
  loading.end += late;
}
