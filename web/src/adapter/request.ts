/** The request for a media segment as the site has set up its player to make it. */

import type { HlsConfig, LoaderContext } from "hls.js";

/** Makes a request that carries what the site's `fetchSetup` or `xhrSetup` adds. */
export async function makeRequest(
  config: Pick<HlsConfig, "fetchSetup" | "xhrSetup">,
  context: LoaderContext,
  init: RequestInit,
): Promise<Request> {
  if (config.fetchSetup) {
    return config.fetchSetup(context, {
      method: "GET",
      mode: "cors",
      credentials: "same-origin",
      ...init,
      headers: new Headers(init.headers),
    });
  }
  const { xhrSetup } = config;
  if (!xhrSetup) return new Request(context.url, init);
  const notes = new XhrNotes();
  // hls.js's own way: the function may open the request itself, and fails if it sets headers before that.
  const ask = () => xhrSetup(notes as unknown as XMLHttpRequest, context.url, context);
  try {
    await ask();
  } catch {
    notes.open("GET", context.url);
    await ask();
  }
  const headers = new Headers(init.headers);
  for (const [name, value] of notes.headers) headers.set(name, value);
  return new Request(notes.url ?? context.url, {
    ...init,
    headers,
    credentials: notes.withCredentials ? "include" : "same-origin",
  });
}

/** Stands in for an `XMLHttpRequest` and writes down what is asked of it. */
class XhrNotes {
  readonly headers: [string, string][] = [];
  withCredentials = false;
  readyState = 0;
  responseType = "";
  timeout = 0;
  url: string | undefined;

  open(_method: string, url: string | URL): void {
    this.url = String(url);
    this.readyState = 1;
  }

  setRequestHeader(name: string, value: string): void {
    if (this.readyState !== 1)
      throw new DOMException("The request must be opened first", "InvalidStateError");
    this.headers.push([name, value]);
  }

  addEventListener(): void {}
  removeEventListener(): void {}
  overrideMimeType(): void {}
}
