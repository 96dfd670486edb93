import assert from "node:assert/strict";
import { test } from "node:test";
import type Hls from "hls.js";
import { hookHls } from "../src/hook.js";

const fakeHls = () =>
  class {
    static isSupported = () => true;
    source = "";
    constructor(readonly config: object = {}) {}
    loadSource(url: string) {
      this.source = url;
    }
  };
type Fake = ReturnType<typeof fakeHls>;

const attachedTo = () => {
  const seen: unknown[] = [];
  return { seen, attach: (hls: Hls) => void (seen.includes(hls) || seen.push(hls)) };
};

test("players are attached when they are made, whether hls.js comes before or after", () => {
  for (const before of [true, false]) {
    const page: { Hls?: Fake } = {};
    const { seen, attach } = attachedTo();
    const plain = fakeHls();
    if (before) page.Hls = plain;
    hookHls(page, attach);
    page.Hls ??= plain;
    const hls = new page.Hls();
    assert.deepEqual(seen, [hls]);
    assert.ok(hls instanceof plain && hls instanceof page.Hls);
    assert.equal(page.Hls.isSupported(), true);
    hls.loadSource("x");
    assert.equal(hls.source, "x");
    assert.equal(seen.length, 1);
  }
});

test("a player made before the hook is attached when it gets its source", () => {
  const page = { Hls: fakeHls() };
  const hls = new page.Hls();
  const { seen, attach } = attachedTo();
  hookHls(page, attach);
  assert.equal(seen.length, 0);
  hls.loadSource("x");
  assert.deepEqual(seen, [hls]);
});

test("players of stitched-in assets are left alone", () => {
  const page = { Hls: fakeHls() };
  const { seen, attach } = attachedTo();
  hookHls(page, attach);
  const hls = new page.Hls({ assetPlayerId: "ad-1" });
  hls.loadSource("x");
  assert.deepEqual(seen, []);
});

test("an attach that fails doesn't stop the player", () => {
  const page = { Hls: fakeHls() };
  const { error } = console;
  console.error = () => {};
  hookHls(page, () => {
    throw new Error("no");
  });
  const hls = new page.Hls();
  hls.loadSource("x");
  console.error = error;
  assert.equal(hls.source, "x");
});
