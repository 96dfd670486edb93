// How a backend on Node signs a join token, EdDSA, without dependencies:
//
//   node mint.mjs site.pem KID SITE CONTENT
//
// For HS256 the header's alg is "HS256", and the signature
// createHmac("sha256", secret).update(input).digest("base64url").

import { createPrivateKey, randomUUID, sign } from "node:crypto";
import { readFileSync } from "node:fs";

const [keyFile, kid, site, content] = process.argv.slice(2);
if (!content) {
  console.error("arguments: KEY-FILE KID SITE CONTENT");
  process.exit(1);
}
const key = createPrivateKey(readFileSync(keyFile));
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
// Seconds, not milliseconds.
const now = Math.floor(Date.now() / 1000);
const claims = {
  site,
  content,
  iat: now,
  exp: now + 15 * 60,
  // The name of this token: it opens the swarm to one viewer, who may come back as often as needed.
  jti: randomUUID(),
};
const input = `${part({ alg: "EdDSA", typ: "JWT", kid })}.${part(claims)}`;
console.log(`${input}.${sign(null, Buffer.from(input), key).toString("base64url")}`);
