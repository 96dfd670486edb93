/** Ed25519 verification: by the browser where it can (secure contexts, from 2025 on), else by our own code. */

type Verify = (key: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;

let loadOwn: () => Promise<{ verifyHere: Verify }> = () => Promise.reject(new Error("not told where"));

/** Says where our own code is: a module of its own, that most viewers never need. */
export function setOwn(load: typeof loadOwn): void {
  loadOwn = load;
}

/** Keys that the browser has taken in: a swarm has few publishers. */
const imported = new Map<string, Promise<CryptoKey>>();
const MAX_KEYS = 32;

/** Verifies by the browser where that is possible. Fails where it isn't and our own code can't be loaded. */
export async function verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const subtle = globalThis.crypto?.subtle;
  if (subtle) {
    try {
      const name = key.join();
      let taken = imported.get(name);
      if (!taken) {
        if (imported.size >= MAX_KEYS) imported.clear();
        taken = subtle.importKey("raw", key as BufferSource, "Ed25519", false, ["verify"]);
        imported.set(name, taken);
      }
      return await subtle.verify("Ed25519", await taken, signature as BufferSource, message as BufferSource);
    } catch {
      // This browser doesn't know the algorithm.
    }
  }
  return (await loadOwn()).verifyHere(key, message, signature);
}
