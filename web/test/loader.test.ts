import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import Hls, {
  type FragmentLoaderContext,
  type HlsConfig,
  type LoaderCallbacks,
  type LoaderConfiguration,
} from "hls.js";
import { createLoaderClass, type FragmentLoaderClass } from "../src/adapter/loader.js";
import type { Session } from "../src/session.js";
import { type FakePeer, fakeBrowser, fakeSession, SHARE, settle } from "./fakes.js";

fakeBrowser();

const { LoadStats } = await import("./load-stats.js");
const URL_1 = "http://cdn.test/1.ts";
const BODY = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5, 6)];

/** The player's own loader: keeps what it is asked. */
class OwnLoader {
  static made: OwnLoader[] = [];
  context: FragmentLoaderContext | null = null;
  stats = new LoadStats();
  callbacks: LoaderCallbacks<FragmentLoaderContext> | undefined;
  aborted = false;
  constructor() {
    OwnLoader.made.push(this);
  }
  load(
    context: FragmentLoaderContext,
    _: LoaderConfiguration,
    callbacks: LoaderCallbacks<FragmentLoaderContext>,
  ) {
    // As hls.js's own do.
    if (this.stats.loading.start) throw new Error("Loader can only be used once.");
    this.stats.loading.start = performance.now();
    this.context = context;
    this.callbacks = callbacks;
  }
  abort() {
    this.aborted = true;
  }
  destroy() {}
}

let session: Session;
let peers: FakePeer[];
let Loader: FragmentLoaderClass;
let heard: unknown[][];

const context = (url = URL_1) =>
  ({ url, responseType: "arraybuffer", rangeStart: 0, rangeEnd: 0 }) as unknown as FragmentLoaderContext;
const policy = (first: number, whole: number) =>
  ({ loadPolicy: { maxTimeToFirstByteMs: first, maxLoadTimeMs: whole } }) as unknown as LoaderConfiguration;
const callbacks = (): LoaderCallbacks<FragmentLoaderContext> => ({
  onSuccess: (...args) => void heard.push(["success", ...args]),
  onError: (...args) => void heard.push(["error", ...args]),
  onTimeout: (...args) => void heard.push(["timeout", ...args]),
  onAbort: (...args) => void heard.push(["abort", ...args]),
});
const peer = () => peers[0] as FakePeer;
const own = () => OwnLoader.made.at(-1) as OwnLoader;

beforeEach(async () => {
  heard = [];
  ({ session, peers } = fakeSession());
  Loader = createLoaderClass({
    session,
    base: OwnLoader as unknown as FragmentLoaderClass,
    locate: ({ url }) =>
      url.endsWith(".ts")
        ? { playlist: "p", place: { sn: 1, cc: 0, part: 0, url, range: [0, 0] } }
        : undefined,
    ttfb: () => 100,
    timed: () => {},
  });
  session.open("content");
  await settle();
});

const make = () => new Loader({} as HlsConfig);

test("a segment from the swarm comes whole, in a buffer of its own, with the stats object of the start", async () => {
  const loader = make();
  const { stats } = loader;
  const told: Uint8Array[] = [];
  session.events.on("segment", ({ bytes }) => told.push(bytes));
  loader.load(context(), policy(10_000, 20_000), callbacks());
  peer().events.deliver(0, BODY, 1000, performance.now(), SHARE);
  await settle();
  const [kind, response, given] = heard[0] as [string, { data: ArrayBuffer; code: number }, unknown];
  assert.equal(kind, "success");
  assert.equal(response.code, 200);
  assert.deepEqual([...new Uint8Array(response.data)], [1, 2, 3, 4, 5, 6]);
  assert.equal(given, stats);
  assert.equal(loader.stats, stats);
  assert.deepEqual([stats.loaded, stats.total, stats.aborted], [6, 6, false]);
  // What is transferred away takes neither the engine's parts nor the listener's copy with it.
  structuredClone(response.data, { transfer: [response.data] });
  assert.deepEqual([...(told[0] as Uint8Array)], [1, 2, 3, 4, 5, 6]);
  assert.equal(BODY[0]?.length, 3);
});

test("the player sees no progress while peers deliver, and the source's pace once the rest comes from there", () => {
  const loader = make();
  loader.load(context(), policy(10_000, 20_000), callbacks());
  peer().events.progress(0, 0, 6);
  assert.deepEqual([loader.stats.loaded, loader.stats.total, loader.stats.loading.first], [0, 0, 0]);
  peer().events.progress(0, 3, -1);
  assert.deepEqual([loader.stats.loaded, loader.stats.total], [3, 0]);
  assert.ok(loader.stats.loading.first >= loader.stats.loading.start);
  peer().events.progress(0, 4, 6);
  assert.deepEqual([loader.stats.loaded, loader.stats.total], [4, 6]);
  loader.destroy();
});

test("an abort is told once, and the engine learns of it", async () => {
  const loader = make();
  loader.load(context(), policy(10_000, 20_000), callbacks());
  loader.abort();
  loader.abort();
  loader.destroy();
  peer().events.deliver(0, BODY, 1000, 0, SHARE);
  await settle();
  assert.deepEqual(
    heard.map((h) => h[0]),
    ["abort"],
  );
  assert.equal(loader.stats.aborted, true);
  assert.deepEqual(
    peer().calls.filter((c) => c.startsWith("cancel")),
    ["cancel 0"],
  );
});

test("no first byte within the policy's time is a timeout, and the next try goes to the player's own loader", async () => {
  const loader = make();
  loader.load(context(), policy(5, 20_000), callbacks());
  while (heard.length === 0) await settle();
  assert.deepEqual(
    heard.map((h) => h[0]),
    ["timeout"],
  );
  const again = make();
  again.load(context(), policy(10_000, 20_000), callbacks());
  assert.equal(own().context?.url, URL_1);
  assert.equal(peer().demands.length, 1);
});

test("after the first byte the time for the whole counts", async () => {
  const loader = make();
  loader.load(context(), policy(10, 40), callbacks());
  assert.deepEqual(peer().demands[0]?.patience, { firstByteMs: 10, wholeMs: 40 });
  peer().events.progress(0, 0, 6);
  const started = performance.now();
  while (heard.length === 0) await settle();
  assert.equal(heard[0]?.[0], "timeout");
  assert.ok(performance.now() - started > 10);
});

test("the server's refusal is the player's error", async () => {
  const loader = make();
  loader.load(context(), policy(10_000, 20_000), callbacks());
  peer().events.failed(0, 404);
  await settle();
  assert.deepEqual((heard[0] as unknown[]).slice(0, 2), ["error", { code: 404, text: "HTTP status 404" }]);
});

test("any other failure leaves the request to the player's own loader, with the same stats object", async () => {
  const loader = make();
  const { stats } = loader;
  loader.load(context(), policy(10_000, 20_000), callbacks());
  peer().events.progress(0, 3, 6);
  peer().events.failed(0, -1);
  await settle();
  assert.equal(own().context?.url, URL_1);
  assert.equal(own().stats, stats);
  assert.deepEqual([stats.loaded, stats.total, stats.loading.first], [0, 0, 0]);
  stats.loaded = 9;
  own().callbacks?.onSuccess({ url: URL_1, data: new ArrayBuffer(9) }, stats, context(), null);
  assert.equal(heard[0]?.[0], "success");
  assert.equal(session.stats().bytes.source, 10 + 9);
});

test("a broken engine costs nobody a segment", async () => {
  const loader = make();
  loader.load(context(), policy(10_000, 20_000), callbacks());
  peer().broken = true;
  const { error } = console;
  console.error = () => {};
  const second = make();
  second.load(context("http://cdn.test/2.ts"), policy(10_000, 20_000), callbacks());
  console.error = error;
  await settle();
  assert.equal(session.state, "broken");
  assert.deepEqual(
    OwnLoader.made.slice(-2).map((l) => l.context?.url),
    [URL_1, "http://cdn.test/2.ts"],
  );
});

test("what isn't a media segment goes to the player's own loader", () => {
  make().load(context("http://cdn.test/init.mp4"), policy(10_000, 20_000), callbacks());
  assert.equal(own().context?.url, "http://cdn.test/init.mp4");
  assert.equal(peer().demands.length, 0);
});

test("hls.js has the events that the adapter names", () => {
  const names = new Set<string>(Object.values(Hls.Events));
  for (const name of [
    "hlsManifestLoaded",
    "hlsLevelUpdated",
    "hlsLevelPtsUpdated",
    "hlsAudioTrackUpdated",
    "hlsFragParsed",
  ]) {
    assert.ok(names.has(name), name);
  }
});
