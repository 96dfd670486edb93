/** The form of hls.js's own stats, which it doesn't export as a class. */
export class LoadStats {
  aborted = false;
  loaded = 0;
  retry = 0;
  total = 0;
  chunkCount = 0;
  bwEstimate = 0;
  loading = { start: 0, first: 0, end: 0 };
  parsing = { start: 0, end: 0 };
  buffering = { start: 0, first: 0, end: 0 };
}
