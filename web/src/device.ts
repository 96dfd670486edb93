/** What the device and its owner allow, as far as a browser tells. */

interface Connection extends EventTarget {
  saveData?: boolean;
  type?: string;
}

const connection = (): Connection | undefined => (navigator as { connection?: Connection }).connection;

/** Whether bytes may be given away: not where they are paid for, or where the viewer asks for thrift. */
export function isMetered(): boolean {
  const now = connection();
  return now?.saveData === true || now?.type === "cellular";
}

/** Whether nobody sees the page. */
export const isHidden = (): boolean => document.visibilityState === "hidden" || frozen;

let frozen = false;

/** Bytes of media that a peer may hold: 1/32 of the memory, at least 32 MiB and at most 256 MiB. */
export function storeBudget(): number {
  const gibibytes = (navigator as { deviceMemory?: number }).deviceMemory ?? 4;
  return Math.min(Math.max(gibibytes * 32, 32), 256) * 2 ** 20;
}

/** Calls `changed` whenever one of the above may have changed, and `left` when the page is left. */
export function watchDevice(changed: () => void, left: (forGood: boolean) => void): () => void {
  const off = new AbortController();
  const signal = off.signal;
  document.addEventListener("visibilitychange", changed, { signal });
  const freeze = (state: boolean) => () => {
    frozen = state;
    changed();
  };
  document.addEventListener("freeze", freeze(true), { signal });
  document.addEventListener("resume", freeze(false), { signal });
  window.addEventListener("pagehide", (event) => left(!event.persisted), { signal });
  window.addEventListener("pageshow", (event) => event.persisted && changed(), { signal });
  connection()?.addEventListener("change", changed, { signal });
  return () => off.abort();
}
