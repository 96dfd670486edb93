/**
 * Who this visit is: a certificate that all of its connections are made with, a key that it signs receipts with, and one that what it tells
 * others to connect is sealed with. New each time, so nobody is known again by them.
 */

import { newSealer, type Sealer } from "./sealing.js";

export interface Identity {
  certificate: RTCCertificate;
  /** A session description in which its fingerprint stands: an offer that nobody gets. `getFingerprints` isn't everywhere. */
  sdp: string;
  /** The public key; empty where the browser can't sign (old ones, insecure contexts). */
  session: Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array>;
  /** What is told to others to connect goes sealed, where the browser can. */
  sealer: Sealer | undefined;
}

export async function newIdentity(): Promise<Identity> {
  const certificate = await RTCPeerConnection.generateCertificate({
    name: "ECDSA",
    namedCurve: "P-256",
  } as EcKeyGenParams);
  const connection = new RTCPeerConnection({ certificates: [certificate] });
  connection.createDataChannel("");
  const { sdp = "" } = await connection.createOffer();
  connection.close();
  let session = new Uint8Array();
  let own: CryptoKeyPair | undefined;
  try {
    own = (await crypto.subtle.generateKey("Ed25519", false, ["sign"])) as CryptoKeyPair;
    session = new Uint8Array(await crypto.subtle.exportKey("raw", own.publicKey));
  } catch {
    // Others give all the same, they only get no receipts.
  }
  const sign = async (message: Uint8Array) =>
    new Uint8Array(
      await crypto.subtle.sign("Ed25519", (own as CryptoKeyPair).privateKey, message as BufferSource),
    );
  const sealer = await newSealer().catch(() => undefined);
  return { certificate, sdp, session, sign, sealer };
}
