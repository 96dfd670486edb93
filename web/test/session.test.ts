import assert from "node:assert/strict";
import { test } from "node:test";
import { type FakePeer, fakeBrowser, fakeSession, settle } from "./fakes.js";

const TOOK = { bytes: 100, firstByteMs: 20, transferMs: 80 };
const PATIENCE = { firstByteMs: 1000, wholeMs: 2000 };

fakeBrowser();
const last = (peer: FakePeer | undefined) => peer?.calls.filter((c) => c.startsWith("conditions")).at(-1);

test("joins once the manifest is known, and tells the peer what it missed", async () => {
  const { session, peers } = fakeSession();
  await settle();
  assert.equal(peers.length, 0);
  session.timeline("p", false, true, []);
  session.open("a");
  session.timeline("q", false, true, []);
  await settle();
  assert.equal(peers.length, 1);
  assert.deepEqual(peers[0]?.calls, ["conditions true true false 0", "timeline"]);
  peers[0]?.events.signaling(true);
  assert.equal(session.state, "joined");
  session.close();
});

test("a peer that comes later hears what the player has got without it", async () => {
  const { session, peers } = fakeSession();
  session.open("a");
  session.handed("p", { sn: 7, cc: 0, part: 0, url: "u", range: [0, 0] }, TOOK);
  await settle();
  assert.ok(peers[0]?.calls.includes("handed p 7"));
  session.handed("p", { sn: 8, cc: 0, part: 0, url: "u", range: [0, 0] }, TOOK);
  assert.equal(peers[0]?.calls.at(-1), "handed p 8");
  assert.equal(session.stats().bytes.source, 200 + 10);
  session.close();
});

test("without consent nobody is told anything", async () => {
  const { session, page, peers } = fakeSession({ consent: "required" });
  session.open("a");
  await settle();
  assert.equal(session.state, "consent");
  assert.equal(peers.length, 0);
  assert.equal(
    session.demand("p", { sn: 1, cc: 0, part: 0, url: "u", range: [0, 0] }, PATIENCE, {} as never),
    undefined,
  );
  page.consent = true;
  await settle();
  assert.equal(peers.length, 1);
  page.consent = false;
  assert.equal(peers[0]?.calls.at(-1), "close");
  assert.equal(session.state, "consent");
  session.close();
});

test("a consent callback is asked once, and its failure is a no", async () => {
  for (const [answer, joined] of [
    [() => Promise.resolve(true), 1],
    [() => false, 0],
    [() => Promise.reject(new Error("closed")), 0],
  ] as const) {
    let asked = 0;
    const consent = () => {
      asked++;
      return answer();
    };
    const { session, page, peers } = fakeSession({ consent });
    session.open("a");
    page.sharing = false;
    await settle();
    assert.deepEqual([asked, peers.length], [1, joined]);
    session.close();
  }
});

test("the off switch leaves at once, and counters live on", async () => {
  const { session, page, peers } = fakeSession();
  session.open("a");
  await settle();
  const failed: number[] = [];
  const waiting = { deliver() {}, progress() {}, failed: (status: number) => void failed.push(status) };
  session.demand("p", { sn: 1, cc: 0, part: 0, url: "u", range: [0, 0] }, PATIENCE, waiting);
  page.enabled = false;
  assert.deepEqual([peers[0]?.calls.at(-1), session.state, failed], ["close", "off", [-1]]);
  assert.equal(session.stats().bytes.peers, 70);
  page.enabled = true;
  await settle();
  assert.equal(peers.length, 2);
  assert.equal(session.stats().bytes.peers, 140);
  assert.equal(session.stats().savings, 1 - 60 / 200);
  session.close();
});

test("the viewer's switches are conditions for the peer", async () => {
  const { session, page, peers } = fakeSession();
  session.open("a");
  await settle();
  page.uploadCap = 1000.4;
  assert.equal(last(peers[0]), "conditions true true false 1000");
  page.sharing = false;
  assert.equal(last(peers[0]), "conditions false true false 1000");
  Object.assign(document, { visibilityState: "hidden" });
  document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(last(peers[0]), "conditions false true true 1000");
  Object.assign(document, { visibilityState: "visible" });
  session.close();
});

test("another manifest is another swarm", async () => {
  const { session, peers } = fakeSession();
  session.open("a");
  await settle();
  session.open("b");
  await settle();
  assert.equal(peers[0]?.calls.at(-1), "close");
  assert.equal(peers.length, 2);
  session.close();
});

test("a server that says no isn't asked again", async () => {
  const { session, peers } = fakeSession();
  const { warn } = console;
  console.warn = () => {};
  session.open("a");
  await settle();
  peers[0]?.events.refused("Unknown site: add it to the settings", false);
  console.warn = warn;
  await settle();
  assert.deepEqual([session.state, peers.length], ["refused", 1]);
  session.close();
});
