// What verification costs a viewer. `?costs` loads this before the script tag: it keeps the engine's module, to tell which of its
// functions hash, and times the checks of signatures.

window.rcCosts = (() => {
  // BLAKE3 rotates by these, 224 times in its compression; nothing else in the engine rotates a tenth as often.
  const ROTATED = [7, 8, 12, 16, 20, 24, 25];
  const MANY = 100;
  const [CONST, ROTATE_LEFT, ROTATE_RIGHT] = [0x41, 0x77, 0x78];
  const [IMPORTS, CODE] = [2, 10];
  let module;
  const checks = { count: 0, ms: 0 };

  const { compile, compileStreaming } = WebAssembly;
  WebAssembly.compile = (bytes) => {
    module = new Uint8Array(bytes.slice(0));
    return compile(bytes);
  };
  WebAssembly.compileStreaming = async (source) => {
    const response = await source;
    module = new Uint8Array(await response.clone().arrayBuffer());
    return compileStreaming(response);
  };

  const { verify } = SubtleCrypto.prototype;
  SubtleCrypto.prototype.verify = async function (...args) {
    const began = performance.now();
    const good = await verify.apply(this, args);
    checks.count++;
    checks.ms += performance.now() - began;
    return good;
  };

  function reader(at) {
    const number = () => {
      let value = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = module[at++];
        value += (byte & 127) * 2 ** shift;
        if (byte < 128) return value;
      }
    };
    const skip = (count) => {
      at += count;
      return at;
    };
    return { number, skip, at: () => at };
  }

  function rotations(from, to) {
    let count = 0;
    for (let at = from; at + 2 < to; at++) {
      if (module[at] !== CONST || !ROTATED.includes(module[at + 1])) continue;
      if (module[at + 2] === ROTATE_LEFT || module[at + 2] === ROTATE_RIGHT) count++;
    }
    return count;
  }

  /** Numbers of the functions that hash, as profiles name them. */
  function hashers() {
    const found = [];
    let imported = 0;
    for (let at = 8; at < module.length; ) {
      const section = module[at];
      const read = reader(at + 1);
      const end = read.number() + read.at();
      const count = section === IMPORTS || section === CODE ? read.number() : 0;
      for (let i = 0; i < count; i++) {
        if (section === IMPORTS) {
          // Module, name, the kind (a function), its type.
          read.skip(read.number());
          read.skip(read.number());
          read.skip(1);
          read.number();
          imported++;
        } else {
          const length = read.number();
          const from = read.at();
          if (rotations(from, read.skip(length)) >= MANY) found.push(imported + i);
        }
      }
      at = end;
    }
    return found;
  }

  /** Milliseconds that checking one ticket takes, as the page does it: the key is read each time. The median of `count`. */
  async function ticketCheck(count) {
    const ED25519 = "Ed25519";
    const pair = await crypto.subtle.generateKey(ED25519, true, ["sign", "verify"]);
    const key = await crypto.subtle.exportKey("raw", pair.publicKey);
    // As long as a ticket with its domain is.
    const message = crypto.getRandomValues(new Uint8Array(160));
    const signature = await crypto.subtle.sign(ED25519, pair.privateKey, message);
    const times = [];
    for (let i = 0; i < count; i++) {
      const began = performance.now();
      const imported = await crypto.subtle.importKey("raw", key, ED25519, false, ["verify"]);
      if (!(await verify.call(crypto.subtle, ED25519, imported, signature, message)))
        throw new Error("a true ticket is refused");
      times.push(performance.now() - began);
    }
    return times.sort((a, b) => a - b)[count >> 1];
  }

  return { hashers, ticketCheck, checks };
})();
