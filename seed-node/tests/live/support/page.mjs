// One browser page with one RTCPeerConnection, told what to do by JSON lines on stdin; it answers with JSON lines on
// stdout. First argument: chromium or firefox; second: its executable.
//
//   -> {"op": "start", "offer": true}    -> {"op": "signal", "kind": "offer" | "answer" | "candidate", "text": "..."}
//   -> {"op": "send", "seed": 1, "total": 2000000}    -> {"op": "expect", "seed": 1, "total": 2000000}
//   -> {"op": "control", "text": "..."}  -> {"op": "crash"}  -> {"op": "port"}
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const modules = process.env.RILLCAST_NODE_MODULES;
if (!modules) throw new Error("RILLCAST_NODE_MODULES is not set: point it at a node_modules with puppeteer-core");
const entry = createRequire(join(modules, "x.js")).resolve("puppeteer-core");
const { default: puppeteer } = await import(pathToFileURL(entry).href);
const [, , name, executablePath] = process.argv;

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const server = createServer((_, answer) => answer.setHeader("content-type", "text/html").end("<!doctype html><title>peer</title>"));
await new Promise((done) => server.listen(0, "127.0.0.1", done));

const browser = await puppeteer.launch({
  browser: name === "firefox" ? "firefox" : "chrome",
  executablePath,
  headless: true,
  args: name === "firefox" ? [] : [
    "--no-sandbox",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks,LocalNetworkAccessChecksWebRTC",
  ],
  extraPrefsFirefox: {
    "media.peerconnection.ice.loopback": true,
    "media.peerconnection.ice.obfuscate_host_addresses": false,
  },
});
const page = await browser.newPage();
page.on("console", (message) => say({ log: message.text() }));
page.on("pageerror", (error) => say({ log: `pageerror: ${error}` }));
await page.exposeFunction("say", say);
await page.goto(`http://127.0.0.1:${server.address().port}/`);
await page.evaluate(inPage);
say({ ready: await browser.version() });

function inPage() {
  const byte = (seed, at) => ((Math.imul(at, 2654435761) ^ Math.imul(seed, 40503)) >>> 13) & 255;
  const PAYLOAD = 16 * 1024 - 8;
  const pc = new RTCPeerConnection();
  const control = pc.createDataChannel("control", { negotiated: true, id: 0 });
  const bulk = pc.createDataChannel("bulk", { negotiated: true, id: 1, ordered: false });
  control.binaryType = bulk.binaryType = "arraybuffer";
  pc.onicecandidate = ({ candidate }) => {
    if (candidate?.candidate) say({ kind: "candidate", text: candidate.candidate });
  };
  let open = 0;
  control.onopen = bulk.onopen = () => {
    if (++open === 2) say({ open: true });
  };
  control.onclose = () => say({ closed: true });
  control.onmessage = ({ data }) => say({ control: new TextDecoder().decode(data) });

  let expected;
  const take = (data) => {
    const now = performance.now();
    const at = Number(new DataView(data).getBigUint64(0));
    const bytes = new Uint8Array(data, 8);
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] !== byte(expected.seed, at + i)) {
        expected.bad++;
        break;
      }
    }
    expected.start ??= now;
    expected.gap = Math.max(expected.gap, now - (expected.last ?? now));
    expected.last = now;
    expected.got += bytes.length;
    if (expected.got >= expected.total) {
      say({ received: expected.got, bad: expected.bad, ms: now - expected.start, gap: expected.gap });
      expected = undefined;
    }
  };
  const early = [];
  bulk.onmessage = ({ data }) => (expected ? take(data) : early.push(data));

  window.ops = {
    async start({ offer }) {
      if (!offer) return;
      await pc.setLocalDescription(await pc.createOffer());
      say({ kind: "offer", text: pc.localDescription.sdp });
    },
    async signal({ kind, text }) {
      if (kind === "candidate") {
        await pc.addIceCandidate({ candidate: text, sdpMid: "0", sdpMLineIndex: 0 });
        return;
      }
      await pc.setRemoteDescription({ type: kind, sdp: text });
      if (kind === "offer") {
        await pc.setLocalDescription(await pc.createAnswer());
        say({ kind: "answer", text: pc.localDescription.sdp });
      }
    },
    expect({ seed, total }) {
      expected = { seed, total, got: 0, bad: 0, gap: 0 };
      for (const data of early.splice(0)) take(data);
    },
    send({ seed, total }) {
      let at = 0;
      bulk.bufferedAmountLowThreshold = 256 * 1024;
      const fill = () => {
        while (at < total && bulk.bufferedAmount < 1024 * 1024) {
          const payload = Math.min(PAYLOAD, total - at);
          const message = new Uint8Array(8 + payload);
          new DataView(message.buffer).setBigUint64(0, BigInt(at));
          for (let i = 0; i < payload; i++) message[8 + i] = byte(seed, at + i);
          bulk.send(message);
          at += payload;
        }
      };
      bulk.onbufferedamountlow = fill;
      fill();
    },
    control({ text }) {
      control.send(new TextEncoder().encode(text));
    },
    // The port that the browser receives on, for its drop counter. Channels may be open before a pair is nominated, or
    // before the statistics, which browsers keep for a while, show it.
    async port() {
      for (;;) {
        const stats = [...(await pc.getStats()).values()];
        const pair = stats.find((s) => s.type === "candidate-pair" && (s.selected || (s.nominated && s.state === "succeeded")));
        const port = stats.find((s) => s.id === pair?.localCandidateId)?.port;
        if (port) return say({ port });
        say({ log: "no pair is nominated yet" });
        await new Promise((done) => setTimeout(done, 100));
      }
    },
  };
}

const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", async (line) => {
  const command = JSON.parse(line);
  try {
    if (command.op === "crash") browser.process().kill("SIGKILL");
    else if (command.op === "busy") page.evaluate((ms) => { const end = performance.now() + ms; while (performance.now() < end); }, command.ms);
    else await page.evaluate((c) => window.ops[c.op](c), command);
  } catch (error) {
    say({ log: `${command.op}: ${error}` });
  }
});
lines.on("close", async () => {
  // Closed by itself it takes its profile with it; one that has crashed can't.
  const patience = new Promise((done) => setTimeout(done, 3000));
  await Promise.race([browser.close().catch(() => {}), patience]);
  browser.process()?.kill("SIGKILL");
  process.exit(0);
});
