/**
 * Rillcast for players that are bundled with the page.
 *
 * ```ts
 * import Hls from "hls.js";
 * import { Rillcast } from "rillcast";
 *
 * const hls = new Hls();
 * Rillcast.attach(hls, { signal: "https://signal.example", site: "example" });
 * hls.loadSource("https://cdn.example/live/master.m3u8");
 * hls.attachMedia(video);
 * ```
 *
 * The engine, `rillcast_bg.wasm`, is looked for beside the module; give `wasm` if it is elsewhere.
 */

import { setOwn } from "./ed25519.js";
import { RillcastPage, setScriptBase } from "./rillcast.js";

export type { ConsentCallback, Options } from "./page.js";
export type { Neighbour, PeerStats, Share } from "./peer.js";
export type { PageEvents, RillcastPage } from "./rillcast.js";
export type { SegmentEvent, Session, SessionEvents, State, Stats } from "./session.js";
export type { Watched } from "./watch.js";

setScriptBase(import.meta.url);
setOwn(() => import("./ed25519-here.js"));

/** The page's one Rillcast. */
export const Rillcast = new RillcastPage();
