// One end of a transfer in a page, driven by `page.rs`: a plain connection with our two channels.
window.rcOpen = (controlId, bulkId) => {
  const PAYLOAD = 16 * 1024;
  const HIGH = 1024 * 1024;
  const LOW = 256 * 1024;
  const pc = new RTCPeerConnection();
  const control = pc.createDataChannel("control", { negotiated: true, id: controlId });
  const bulk = pc.createDataChannel("bulk", { negotiated: true, id: bulkId, ordered: false });
  bulk.binaryType = "arraybuffer";
  const seen = { open: false, got: 0, first_ms: null, last_ms: null, gap_ms: 0 };
  const candidates = [];
  pc.onicecandidate = ({ candidate }) => {
    if (candidate?.candidate) candidates.push(candidate.candidate);
  };
  const open = () => {
    seen.open = control.readyState === "open" && bulk.readyState === "open";
  };
  control.onopen = bulk.onopen = open;
  bulk.onmessage = ({ data }) => {
    const now = performance.now();
    seen.first_ms ??= now;
    seen.gap_ms = Math.max(seen.gap_ms, now - (seen.last_ms ?? now));
    seen.last_ms = now;
    seen.got += data.byteLength;
  };
  return {
    async begin(offer) {
      if (offer) await pc.setRemoteDescription({ type: "offer", sdp: offer });
      await pc.setLocalDescription();
      return pc.localDescription.sdp;
    },
    answered: (sdp) => pc.setRemoteDescription({ type: "answer", sdp }).then(() => true),
    // What it can't use, of another kind than it knows, is no error of the link.
    candidate: (line) =>
      pc.addIceCandidate({ candidate: line, sdpMid: "0", sdpMLineIndex: 0 }).then(
        () => true,
        () => false,
      ),
    news: () => ({ ...seen, candidates: candidates.splice(0) }),
    send(total) {
      let at = 0;
      bulk.bufferedAmountLowThreshold = LOW;
      const fill = () => {
        while (at < total && bulk.bufferedAmount < HIGH) {
          const length = Math.min(PAYLOAD, total - at);
          bulk.send(new Uint8Array(length));
          at += length;
        }
      };
      bulk.onbufferedamountlow = fill;
      fill();
      return true;
    },
    close() {
      pc.close();
      return true;
    },
  };
};
