/** Who this visit is: a certificate that all of its connections are made with. New each time, so nobody is known again by it. */

export interface Identity {
  certificate: RTCCertificate;
  /** A session description in which its fingerprint stands: an offer that nobody gets. `getFingerprints` isn't everywhere. */
  sdp: string;
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
  return { certificate, sdp };
}
