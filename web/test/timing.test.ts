import assert from "node:assert/strict";
import { test } from "node:test";
import Hls from "hls.js";
import { believable, forgiveParsing } from "../src/adapter/timing.js";
import { LoadStats } from "./load-stats.js";

/** hls.js's real ABR controller, fed as its stream controller does. */
function estimator() {
  type Told = (event: string, data: object) => void;
  const Abr = Hls.DefaultConfig.abrController as unknown as new (
    hls: object,
  ) => {
    onFragLoaded: Told;
    onFragBuffered: Told;
    bwEstimator: { getEstimate(): number; getEstimateTTFB(): number };
  };
  const quiet = () => {};
  const logger = { trace: quiet, debug: quiet, log: quiet, info: quiet, warn: quiet, error: quiet };
  const abr = new Abr({ config: Hls.DefaultConfig, on: quiet, logger, levels: [] });
  return {
    bwEstimator: abr.bwEstimator,
    sample(stats: LoadStats) {
      const frag = { type: "main", sn: 1, level: 0, bitrate: 1_400_000, stats };
      abr.onFragLoaded("", { frag, part: null });
      abr.onFragBuffered("", { frag, part: null });
    },
  };
}

for (const [name, throughput, bytes] of [
  ["slow source", 60_000, 700_000],
  ["fast source", 5_000_000, 700_000],
  ["small segment", 400_000, 30_000],
] as const) {
  test(`hls.js's estimator computes the engine's throughput: ${name}`, () => {
    const { bwEstimator, sample } = estimator();
    for (let i = 0; i < 5; i++) {
      const stats = new LoadStats();
      const end = 50_000 + 4000 * i;
      // Here since long before it was asked for, and parsed in 35 ms.
      const times = believable(end - 1, end, bytes, throughput, end - 3000, bwEstimator.getEstimateTTFB());
      Object.assign(stats.loading, times);
      stats.loaded = stats.total = bytes;
      stats.parsing.end = end + 35;
      forgiveParsing(stats);
      sample(stats);
    }
    const estimate = bwEstimator.getEstimate() / 8;
    assert.ok(Math.abs(estimate / throughput - 1) < 1e-6, `${estimate} for ${throughput}`);
    assert.equal(Math.round(bwEstimator.getEstimateTTFB()), 100);
  });
}

test("while nothing is measured the times are true", () => {
  assert.deepEqual(believable(1000, 1500, 10_000, Number.NaN, 1200, 80), {
    start: 1000,
    first: 1200,
    end: 1500,
  });
});

test("a block that was here before it was asked for counts from when it came", () => {
  assert.deepEqual(believable(1000, 1001, 10_000, Number.NaN, 400, 80), {
    start: 320,
    first: 400,
    end: 1001,
  });
});
