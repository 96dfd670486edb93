/**
 * The script tag:
 *
 * ```html
 * <script src="https://signal.example/rillcast.js" data-site="example"></script>
 * ```
 *
 * Attaches every hls.js player of the page by itself, whether hls.js comes before or after, and leaves
 * `window.Rillcast` for those who want more. Attributes: `data-site`, `data-content`, `data-token`, `data-signal` (by
 * default where the script came from), `data-wasm`, `data-consent="required"`, `data-auto="off"` (attach nothing).
 */

import { setOwn } from "./ed25519.js";
import { hookHls } from "./hook.js";
import { RillcastPage, setScriptBase } from "./rillcast.js";

declare global {
  interface Window {
    Rillcast?: RillcastPage;
  }
}

const script = document.currentScript;

function start(): RillcastPage {
  const rillcast = new RillcastPage();
  if (script instanceof HTMLScriptElement) {
    setScriptBase(script.src);
    // Resolved by the browser, so that the bundler leaves it a file.
    setOwn(() => import(new URL("rillcast_ed25519.mjs", script.src).href));
    const { site, content, token, signal, wasm, consent } = script.dataset;
    const given = Object.entries({ site, content, token, signal, wasm }).filter(([, value]) => value);
    Object.assign(rillcast.defaults, Object.fromEntries(given));
    if (consent === "required") rillcast.defaults.consent = "required";
    if (script.dataset.auto !== "off") hookHls(window, (hls) => rillcast.attach(hls));
  }
  return rillcast;
}

// A second tag changes nothing.
window.Rillcast ??= start();
