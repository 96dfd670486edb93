import assert from "node:assert/strict";
import { test } from "node:test";
import { makeRequest } from "../src/adapter/request.js";
import { extent } from "../src/io/fetches.js";

const answer = (status: number, headers: Record<string, string>) =>
  extent({ status, headers: new Headers(headers) });

test("an answer's extent is read where it may be read", () => {
  assert.deepEqual(answer(206, { "content-range": "bytes 5-9/200" }), [5, 200]);
  assert.deepEqual(answer(206, { "content-range": "bytes 5-9/*" }), [5, -1]);
  assert.deepEqual(answer(206, {}), [-1, -1]);
  assert.deepEqual(answer(206, { "content-length": "5" }), [-1, -1]);
  assert.deepEqual(answer(200, { "content-length": "200" }), [-1, 200]);
  assert.deepEqual(answer(200, { "content-length": "90", "content-encoding": "gzip" }), [-1, -1]);
  assert.deepEqual(answer(200, {}), [-1, -1]);
});

const context = { url: "http://cdn.test/1.ts", responseType: "arraybuffer", type: "media-fragment" } as never;
const range = { headers: { Range: "bytes=0-9" } };

test("a request carries what the site's xhrSetup adds, whether it opens the request itself or not", async () => {
  for (const opens of [true, false]) {
    const request = await makeRequest(
      {
        xhrSetup(xhr, url) {
          if (opens) xhr.open("GET", `${url}?token=1`);
          xhr.withCredentials = true;
          xhr.setRequestHeader("X-Token", "t");
        },
      },
      context,
      range,
    );
    assert.equal(request.url, opens ? "http://cdn.test/1.ts?token=1" : "http://cdn.test/1.ts");
    assert.equal(request.headers.get("x-token"), "t");
    assert.equal(request.headers.get("range"), "bytes=0-9");
    assert.equal(request.credentials, "include");
  }
});

test("fetchSetup makes the request itself", async () => {
  const fetchSetup = (_: unknown, init: RequestInit) => new Request("http://other.test/", init);
  const request = await makeRequest({ fetchSetup: fetchSetup as never }, context, range);
  assert.equal(request.url, "http://other.test/");
  assert.equal(request.headers.get("range"), "bytes=0-9");
});

test("without a set-up it is the plain request", async () => {
  const request = await makeRequest({}, context, range);
  assert.deepEqual([request.url, request.credentials], ["http://cdn.test/1.ts", "same-origin"]);
});
