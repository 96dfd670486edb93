/** As much of Node as the tests use; its whole types would redefine the browser's timers. */

declare module "node:test" {
  type Body = () => void | Promise<void>;
  export function test(name: string, body: Body): void;
  export function beforeEach(body: Body): void;
}

declare module "node:assert/strict" {
  interface Assert {
    equal(actual: unknown, expected: unknown, message?: string): void;
    deepEqual(actual: unknown, expected: unknown, message?: string): void;
    ok(value: unknown, message?: string): asserts value;
  }
  const assert: Assert;
  export default assert;
}

declare module "node:fs/promises" {
  export function readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
}

declare module "node:crypto" {
  interface Key {
    export(options: { format: "der"; type: "spki" }): Uint8Array;
  }
  export function createHash(name: string): { update(data: Uint8Array): { digest(): Uint8Array } };
  export function generateKeyPairSync(type: "ed25519"): { publicKey: Key; privateKey: Key };
  export function randomBytes(length: number): Uint8Array;
  export function sign(algorithm: null, data: Uint8Array, key: Key): Uint8Array;
}

declare const Buffer: {
  from(text: string, encoding: "hex"): Uint8Array;
  from(bytes: Uint8Array): Uint8Array;
};
