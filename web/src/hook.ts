/** Finds the page's hls.js, whenever it comes, and attaches every player that it makes. */

import type Hls from "hls.js";

type HlsClass = typeof Hls;
/** Marks a class that has been hooked. */
const HOOKED = Symbol.for("rillcast.hooked");

/**
 * Puts a hook into `target.Hls`, now or when it is set. A player is attached when it is made, and at the latest
 * when it is given a source (for those made before the hook). Players of interstitial assets are left alone: what is
 * stitched in for one viewer isn't everybody's.
 */
export function hookHls(target: object, attach: (hls: Hls) => void): void {
  const global = target as { Hls?: HlsClass };
  const tryAttach = (hls: Hls) => {
    try {
      if (!hls.config?.assetPlayerId) attach(hls);
    } catch (error) {
      console.error("Rillcast: could not attach; the player goes on without it:", error);
    }
  };
  let current = hooked(global.Hls, tryAttach);
  try {
    Object.defineProperty(global, "Hls", {
      configurable: true,
      enumerable: true,
      get: () => current,
      set: (value: HlsClass | undefined) => {
        current = hooked(value, tryAttach);
      },
    });
  } catch {
    // Somebody has nailed it down: what it is now is all we get.
    if (current) {
      try {
        global.Hls = current;
      } catch {
        // The hook in `loadSource` is in place all the same.
      }
    }
  }
}

function hooked(value: HlsClass | undefined, attach: (hls: Hls) => void): HlsClass | undefined {
  const prototype = value?.prototype as (Hls & { [HOOKED]?: boolean }) | undefined;
  if (typeof value !== "function" || !prototype || typeof prototype.loadSource !== "function") return value;
  if (prototype[HOOKED]) return value;
  prototype[HOOKED] = true;
  const { loadSource } = prototype;
  prototype.loadSource = function (this: Hls, url: string) {
    attach(this);
    return loadSource.call(this, url);
  };
  return new Proxy(value, {
    construct(target, args, newTarget) {
      const hls = Reflect.construct(target, args, newTarget) as Hls;
      attach(hls);
      return hls;
    },
  });
}
