/**
 * The demo page: a player and what Rillcast does for it.
 *
 * `?src=`: the manifest, by default this server's `/live/master.m3u8`. `?signal=`: the signaling server, by default the
 * one that `/demo.json` names, or this host's port 9100. Whatever else a site would write as `data-` attribute: `?site=`, `?content=`.
 */

import Hls from "hls.js";
import type { RillcastPage } from "../src/rillcast.js";
import type { State, Stats } from "../src/session.js";
import { Chart, SERIES } from "./parts/chart.js";
import { bytes, rate } from "./parts/format.js";
import { drawGraph } from "./parts/graph.js";

const STATES: Record<State, string> = {
  off: "Switched off: the player fetches all for itself",
  consent: "Waiting for consent",
  unsupported: "This browser lacks what peers need: plain playback",
  idle: "Waiting for the stream",
  loading: "Loading the engine",
  joining: "Looking for the signaling server",
  joined: "Taking part",
  refused: "The signaling server said no: plain playback",
  broken: "Stopped after a fault: plain playback",
};
/** The upload slider's last notch: no limit of the viewer's own. */
const NO_CAP = 20;
/** Bytes per second of one notch: 250 kbit/s. */
const NOTCH = 31_250;

const query = new URLSearchParams(location.search);
const find = <T extends Element = HTMLElement>(id: string) => document.getElementById(id) as unknown as T;

/** Where the script is: at the server in the page's address, or where the demo's own server says. */
async function scriptUrl(): Promise<string> {
  const signal = query.get("signal");
  if (signal) return new URL("/rillcast.js", signal).href;
  try {
    const { script } = await (await fetch("/demo.json")).json();
    if (typeof script === "string") return script;
  } catch {
    // Another server than the demo's.
  }
  return `${location.protocol}//${location.hostname}:9100/rillcast.js`;
}

/** The one script tag that a site adds. */
async function addSnippet(): Promise<RillcastPage | undefined> {
  const script = document.createElement("script");
  script.src = await scriptUrl();
  for (const name of ["site", "content"]) {
    const value = query.get(name);
    if (value) script.dataset[name] = value;
  }
  return new Promise((resolve) => {
    script.onload = () => resolve(window.Rillcast);
    script.onerror = () => resolve(undefined);
    document.head.append(script);
  });
}

function showStats(stats: Stats, chart: Chart, before: Map<string, number>): void {
  const { bytes: by, neighbours } = stats;
  const holdout = stats.holdout ? " (in the holdout group: without peers)" : "";
  find("status").textContent = STATES[stats.state] + holdout;
  find("status").dataset.state = stats.state;
  find("savings").textContent = by.played > 0 ? `${(100 * Math.max(0, stats.savings)).toFixed(1)} %` : "–";
  find("sources").replaceChildren(
    ...[...SERIES].reverse().map(({ key, name, colour }) => item(name, bytes(by[key]), colour)),
    item("Given to others", bytes(by.uploaded), "#b59cff"),
  );
  chart.push(by);
  find("count").textContent = neighbours.length ? `(${neighbours.length})` : "";
  drawGraph(find<SVGElement>("graph"), neighbours, before);
  before.clear();
  for (const one of neighbours) before.set(one.peer, one.received + one.sent);
  const rows = neighbours.map((one) => {
    const name = cell(one.seed ? "seed node" : one.peer.slice(0, 8), one.seed ? "seed" : "peer");
    const rtt = cell(one.rttMs === null ? "–" : one.rttMs < 1 ? "under 1 ms" : `${one.rttMs} ms`);
    return row(name, rtt, cell(bytes(one.received)), cell(bytes(one.sent)));
  });
  if (rows.length === 0) {
    const none = cell("Nobody yet. Open this page in another window.", "none");
    none.colSpan = 4;
    rows.push(row(none));
  }
  find("neighbours").replaceChildren(...rows);
}

function showPlayer(hls: Hls, video: HTMLVideoElement, watched: Stats["watched"] | undefined): void {
  const level = hls.levels[hls.currentLevel];
  find("rendition").textContent = level
    ? `${level.height ? `${level.height}p, ` : ""}${rate(level.bitrate / 8)}`
    : "–";
  find("latency").textContent = hls.latestLevelDetails?.live ? `${hls.latency.toFixed(1)} s` : "on demand";
  const stalls = watched?.stalls ?? 0;
  find("stalls").textContent = stalls
    ? `${stalls}, ${((watched?.stallMs ?? 0) / 1000).toFixed(1)} s`
    : "none";
  const { buffered, currentTime } = video;
  const end = buffered.length ? buffered.end(buffered.length - 1) : currentTime;
  find("buffer").textContent = `${Math.max(0, end - currentTime).toFixed(1)} s`;
}

function listenToSwitches(rillcast: RillcastPage): void {
  const [enabled, sharing, cap] = ["enabled", "sharing", "cap"].map((id) => find<HTMLInputElement>(id)) as [
    HTMLInputElement,
    HTMLInputElement,
    HTMLInputElement,
  ];
  enabled.onchange = () => {
    rillcast.enabled = enabled.checked;
  };
  const share = () => {
    const notch = Number(cap.value);
    rillcast.sharing = sharing.checked && notch > 0;
    rillcast.uploadCap = notch < NO_CAP ? notch * NOTCH : 0;
    find("cap-value").textContent =
      notch === NO_CAP ? "as the site allows" : notch === 0 ? "nothing" : rate(notch * NOTCH);
  };
  sharing.onchange = cap.oninput = share;
}

function item(name: string, value: string, colour: string): HTMLLIElement {
  const element = document.createElement("li");
  element.style.setProperty("--colour", colour);
  element.append(span(name), span(value));
  return element;
}

function span(text: string): HTMLSpanElement {
  const element = document.createElement("span");
  element.textContent = text;
  return element;
}

function cell(text: string, name = ""): HTMLTableCellElement {
  const element = document.createElement("td");
  element.textContent = text;
  element.className = name;
  return element;
}

function row(...cells: HTMLTableCellElement[]): HTMLTableRowElement {
  const element = document.createElement("tr");
  element.append(...cells);
  return element;
}

function recover(hls: Hls): void {
  hls.on(Hls.Events.ERROR, (_, data) => {
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.NETWORK_ERROR) setTimeout(() => hls.startLoad(), 1000);
    else if (data.type === Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
  });
}

async function main(): Promise<void> {
  // As on any page with hls.js in a script tag; the snippet finds it there.
  Object.assign(window, { Hls });
  const rillcast = await addSnippet();
  const video = find<HTMLVideoElement>("video");
  const chart = new Chart(find<HTMLCanvasElement>("chart"));
  const before = new Map<string, number>();

  const hls = new window.Hls();
  recover(hls);
  hls.loadSource(query.get("src") ?? "/live/master.m3u8");
  hls.attachMedia(video);

  if (rillcast) listenToSwitches(rillcast);
  else find("status").textContent = "The signaling server gave no script: is it running? Plain playback";
  const show = () => {
    const stats = rillcast?.stats();
    if (stats) showStats(stats, chart, before);
    showPlayer(hls, video, stats?.watched);
  };
  show();
  setInterval(show, 1000);
}

declare global {
  interface Window {
    Hls: typeof Hls;
    Rillcast?: RillcastPage;
  }
}

void main();
