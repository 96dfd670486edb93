/**
 * Seals what we tell other peers to connect, and opens what they tell us, so that whoever carries it reads no addresses:
 * `protocol/src/sealing.rs` says how.
 */

export interface Sealer {
  /** What others seal with for us. */
  key: Uint8Array;
  seal(signal: Uint8Array, to: Uint8Array): Promise<Uint8Array>;
  /** Fails where it wasn't sealed with these keys. */
  open(sealed: Uint8Array, from: Uint8Array): Promise<Uint8Array>;
}

const INFO = "rillcast signal v1\0";
/** What stays in the clear. */
const KIND = 1;
const NONCE = 12;

type Bytes = Uint8Array<ArrayBuffer>;

/** Fails where the browser can't: old ones, insecure contexts. */
export async function newSealer(own?: CryptoKeyPair): Promise<Sealer> {
  const { subtle } = crypto;
  const { privateKey, publicKey } =
    own ?? ((await subtle.generateKey("X25519", false, ["deriveBits"])) as CryptoKeyPair);
  const key = new Uint8Array(await subtle.exportKey("raw", publicKey));

  /** What goes one way, between us and the holder of another key. */
  const way = async (other: Uint8Array, ours: boolean) => {
    const theirs = await subtle.importKey("raw", other as Bytes, "X25519", false, []);
    const shared = await subtle.deriveBits({ name: "X25519", public: theirs }, privateKey, 256);
    const info = new Uint8Array([
      ...new TextEncoder().encode(INFO),
      ...(ours ? key : other),
      ...(ours ? other : key),
    ]);
    return subtle.deriveKey(
      { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info },
      await subtle.importKey("raw", shared, "HKDF", false, ["deriveKey"]),
      { name: "AES-GCM", length: 256 },
      false,
      ["encrypt", "decrypt"],
    );
  };
  const algorithm = (iv: Uint8Array, kind: Uint8Array) => ({
    name: "AES-GCM",
    iv: iv as Bytes,
    additionalData: kind as Bytes,
  });

  const sealer: Sealer = {
    key,
    async seal(signal, to) {
      const kind = signal.subarray(0, KIND);
      const nonce = crypto.getRandomValues(new Uint8Array(NONCE));
      const rest = signal.subarray(KIND) as Bytes;
      const body = await subtle.encrypt(algorithm(nonce, kind), await way(to, true), rest);
      return new Uint8Array([...kind, ...nonce, ...new Uint8Array(body)]);
    },
    async open(sealed, from) {
      const kind = sealed.subarray(0, KIND);
      const nonce = sealed.subarray(KIND, KIND + NONCE);
      const body = sealed.subarray(KIND + NONCE) as Bytes;
      const rest = await subtle.decrypt(algorithm(nonce, kind), await way(from, false), body);
      return new Uint8Array([...kind, ...new Uint8Array(rest)]);
    },
  };
  // Whoever names a key has to be able to use it: others say nothing in the clear then.
  await sealer.open(await sealer.seal(key, key), key);
  return sealer;
}
