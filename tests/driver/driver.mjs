// Drives one browser for the Rust side: reads commands as JSON lines from stdin, answers with JSON lines on stdout.
//
//   -> {"id": 1, "op": "launch", "browser": "chromium", ...}     <- {"id": 1, "ok": {...}} or {"id": 1, "error": "..."}
//
// Commands run side by side, so a page that hangs doesn't hold up the others. When stdin ends the browser is killed.

import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const modules = process.env.RILLCAST_NODE_MODULES;
if (!modules)
  throw new Error("RILLCAST_NODE_MODULES is not set: point it at a node_modules with puppeteer-core");
const entry = createRequire(join(modules, "x.js")).resolve("puppeteer-core");
const { default: puppeteer } = await import(pathToFileURL(entry).href);

let browser;
let nextPage = 1;
const pages = new Map(); // id -> { page, context, log: string[] }
const LOG_LINES = 200;

const ops = {
  async launch({ browser: name, executable, args, prefs, profile, timeout_ms }) {
    browser = await puppeteer.launch({
      browser: name === "firefox" ? "firefox" : "chrome",
      executablePath: executable,
      headless: true,
      args,
      extraPrefsFirefox: prefs,
      userDataDir: profile,
      pipe: name !== "firefox",
      timeout: timeout_ms,
      protocolTimeout: timeout_ms,
      // What puppeteer would add for its own sake (disabled features, say) isn't what viewers run.
      ignoreDefaultArgs: name === "firefox" ? false : ["--disable-features"],
      handleSIGINT: true,
      defaultViewport: { width: 800, height: 600 },
    });
    return { pid: browser.process().pid, version: await browser.version() };
  },

  // Each page has a context, hence a cache, of its own: pages of one browser are viewers apart.
  async open({ url, timeout_ms }) {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    const id = nextPage++;
    const log = [];
    const note = (line) => {
      log.push(line);
      if (log.length > LOG_LINES) log.shift();
    };
    page.on("console", (message) => note(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => note(`pageerror: ${error?.stack ?? error}`));
    page.on("error", (error) => note(`crash: ${error}`));
    pages.set(id, { page, context, log });
    await page.goto(url, { waitUntil: "domcontentloaded", timeout: timeout_ms });
    return id;
  },

  async navigate({ page, url, timeout_ms }) {
    await find(page).page.goto(url, { waitUntil: "domcontentloaded", timeout: timeout_ms });
  },

  async eval({ page, expression }) {
    return await find(page).page.evaluate(expression);
  },

  async log({ page }) {
    return find(page).log;
  },

  async screenshot({ page, path }) {
    await find(page).page.screenshot({ path });
  },

  async close({ page }) {
    const { page: open, context } = find(page);
    pages.delete(page);
    await open.close();
    await context.close();
  },

  async profile({ page, seconds }) {
    return profile(find(page), seconds);
  },

  async freeze({ page }) {
    // As it happens: another tab has covered it. One frozen in front would get its media back suspended.
    const held = find(page);
    held.cover = await held.context.newPage();
    await held.cover.bringToFront();
    await lifecycle(page, "frozen");
  },

  async thaw({ page }) {
    await lifecycle(page, "active");
    const held = find(page);
    await held.cover?.close();
    await held.page.bringToFront();
  },
};

// Microseconds of the page's main thread, by function.
async function profile(held, seconds) {
  held.cdp ??= await held.page.createCDPSession();
  await held.cdp.send("Profiler.enable");
  await held.cdp.send("Profiler.setSamplingInterval", { interval: 500 });
  await held.cdp.send("Profiler.start");
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const { profile } = await held.cdp.send("Profiler.stop");
  const names = new Map(profile.nodes.map((node) => [node.id, node.callFrame.functionName]));
  const times = {};
  profile.samples.forEach((id, i) => {
    const name = names.get(id);
    times[name] = (times[name] ?? 0) + profile.timeDeltas[i];
  });
  return times;
}

function find(id) {
  const found = pages.get(id);
  if (!found) throw new Error(`there is no page ${id}`);
  return found;
}

async function lifecycle(id, state) {
  const held = find(id);
  held.cdp ??= await held.page.createCDPSession();
  await held.cdp.send("Page.setWebLifecycleState", { state });
}

function answer(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", async (line) => {
  const { id, op, ...rest } = JSON.parse(line);
  try {
    if (!Object.hasOwn(ops, op)) throw new Error(`there is no command ${op}`);
    answer({ id, ok: (await ops[op](rest)) ?? null });
  } catch (error) {
    answer({ id, error: String(error?.message ?? error) });
  }
});
lines.on("close", async () => {
  browser?.process()?.kill("SIGKILL");
  process.exit(0);
});
