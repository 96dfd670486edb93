// A WebTorrent tracker for p2p-media-loader: `node tracker.mjs ADDRESS PORT`. Ends when stdin does.

import { join } from "node:path";
import { pathToFileURL } from "node:url";

const modules = process.env.RILLCAST_NODE_MODULES;
if (!modules)
  throw new Error("RILLCAST_NODE_MODULES is not set: point it at a node_modules with bittorrent-tracker");
// Only the server: the client beside it wants a native WebRTC, which is nobody's business here.
const { default: Server } = await import(pathToFileURL(join(modules, "bittorrent-tracker/server.js")).href);

const [address, port] = process.argv.slice(2);
const server = new Server({ udp: false, http: false, ws: true, stats: false });
server.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
server.on("warning", (warning) => console.error(warning.message));
server.listen(Number(port), address);
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
