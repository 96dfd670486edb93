/** Requests to the origin, the CDN or a publisher, by the numbers that the engine gives them. */

/** What the shell is told of its requests. */
export interface FetchEvents {
  /** `first` and `total` are -1 where they couldn't be read. */
  sourceHead(id: number, status: number, first: number, total: number): void;
  sourceData(id: number, bytes: Uint8Array): void;
  sourceEnd(id: number): void;
  sourceFailed(id: number): void;
}

export class Fetches {
  readonly #running = new Map<number, AbortController>();

  constructor(readonly events: () => FetchEvents) {}

  /** Starts one. Its events come later, and none after `stop`. */
  start(id: number, makeRequest: (signal: AbortSignal) => Promise<Request> | Request): void {
    const abort = new AbortController();
    this.#running.set(id, abort);
    const running = () => this.#running.get(id) === abort;
    this.#run(id, makeRequest, abort.signal, running)
      .then(
        () => running() && this.events().sourceEnd(id),
        () => running() && this.events().sourceFailed(id),
      )
      .finally(() => running() && this.#running.delete(id));
  }

  stop(id: number): void {
    this.#running.get(id)?.abort();
    this.#running.delete(id);
  }

  async #run(
    id: number,
    makeRequest: (signal: AbortSignal) => Promise<Request> | Request,
    signal: AbortSignal,
    running: () => boolean,
  ): Promise<void> {
    const response = await fetch(await makeRequest(signal));
    if (!running()) return;
    const [first, total] = extent(response);
    this.events().sourceHead(id, response.status, first, total);
    const reader = response.body?.getReader();
    while (reader && running()) {
      const { done, value } = await reader.read();
      if (done) return;
      if (running()) this.events().sourceData(id, value);
    }
  }
}

/**
 * The first byte that an answer brings, and the length of the whole resource; -1 where that can't be read. From other
 * origins a page may read `Content-Range` only where it is exposed.
 */
export function extent({ status, headers }: Pick<Response, "status" | "headers">): [number, number] {
  if (status === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)/.exec(headers.get("content-range") ?? "");
    return range ? [Number(range[1]), range[2] === "*" ? -1 : Number(range[2])] : [-1, -1];
  }
  // The length of an encoded body isn't that of the resource.
  const length = headers.get("content-encoding") ? null : headers.get("content-length");
  return [-1, length === null ? -1 : Number(length)];
}
