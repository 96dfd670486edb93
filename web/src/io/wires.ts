/**
 * The connections of a peer, by the numbers that the engine's shell gives them: one `RTCPeerConnection` each, with two
 * negotiated data channels. Who is connected to whom, and when to try again, isn't decided here.
 */

/** What the shell is told of its connections. */
export interface WireEvents {
  described(link: number, sdp: string): void;
  foundCandidate(link: number, candidate: string): void;
  opened(link: number): void;
  lost(link: number): void;
  control(link: number, bytes: Uint8Array): void;
  bulk(link: number, message: Uint8Array): void;
  drained(link: number, buffered: number): void;
}

// SCTP stream ids, as in `protocol/src/session.rs`.
const CONTROL = 0;
const BULK = 1;
/** The shell is told when the bulk buffer falls to this: one message is still on its way out then. */
const LOW_WATER = 16 * 1024;
/** Bytes in the control channel's buffer beyond which the other end counts as gone. */
const MAX_CONTROL_WAITING = 2 ** 20;
/** A connection that stays `disconnected` so long is given up; browsers take 30 s. */
const LOST_MS = 5000;
/** Candidates that wait for the other side's description. */
const MAX_EARLY = 32;

interface Wire {
  connection: RTCPeerConnection;
  control: RTCDataChannel;
  bulk: RTCDataChannel;
  early: string[];
}

/** Texts of three per server: URL, user name, credential. */
function iceServers(texts: readonly string[]): RTCIceServer[] {
  const servers: RTCIceServer[] = [];
  for (let i = 0; i + 2 < texts.length; i += 3) {
    const [urls = "", username, credential] = texts.slice(i, i + 3);
    servers.push(username ? { urls, username, credential: credential ?? "" } : { urls });
  }
  return servers;
}

export class Wires {
  readonly #wires = new Map<number, Wire>();
  /** What all connections are made with. */
  certificates: RTCCertificate[] = [];

  constructor(readonly events: () => WireEvents) {}

  /** Makes a connection and its offer, or its answer to the offer `sdp`; if `relayOnly`, so that nobody learns our address. */
  dial(link: number, ice: readonly string[], sdp: string, relayOnly: boolean): void {
    let wire: Wire;
    try {
      wire = this.#make(link, {
        iceServers: iceServers(ice),
        iceTransportPolicy: relayOnly ? "relay" : "all",
        certificates: this.certificates,
      });
    } catch {
      queueMicrotask(() => this.events().lost(link));
      return;
    }
    this.#wires.set(link, wire);
    const { connection } = wire;
    this.#try(link, wire, async () => {
      if (sdp) await this.#setRemote(wire, { type: "offer", sdp });
      await connection.setLocalDescription();
      const own = connection.localDescription?.sdp;
      if (own && this.#wires.get(link) === wire) this.events().described(link, own);
    });
  }

  /** Takes in the answer to our offer. */
  accept(link: number, sdp: string): void {
    const wire = this.#wires.get(link);
    if (wire) this.#try(link, wire, () => this.#setRemote(wire, { type: "answer", sdp }));
  }

  candidate(link: number, candidate: string): void {
    const wire = this.#wires.get(link);
    if (!wire) return;
    if (wire.connection.remoteDescription) addCandidate(wire, candidate);
    else if (wire.early.length < MAX_EARLY) wire.early.push(candidate);
  }

  hangUp(link: number): void {
    const wire = this.#wires.get(link);
    if (!wire) return;
    this.#wires.delete(link);
    const { connection, control, bulk } = wire;
    for (const channel of [control, bulk]) {
      channel.onopen = channel.onclose = channel.onmessage = channel.onbufferedamountlow = null;
    }
    connection.onicecandidate = connection.onconnectionstatechange = null;
    connection.close();
  }

  /** False if it couldn't be sent. `bytes` is copied before this returns. */
  sendControl(link: number, bytes: Uint8Array): boolean {
    const control = this.#wires.get(link)?.control;
    if (!control || control.bufferedAmount > MAX_CONTROL_WAITING) return false;
    control.send(bytes as Uint8Array<ArrayBuffer>);
    return true;
  }

  /** Sends header and payload as one message; gives what waits in the buffer then, or -1. */
  sendBulk(link: number, header: Uint8Array, payload: Uint8Array): number {
    const bulk = this.#wires.get(link)?.bulk;
    if (bulk?.readyState !== "open") return -1;
    const message = new Uint8Array(header.length + payload.length);
    message.set(header);
    message.set(payload, header.length);
    bulk.send(message);
    return bulk.bufferedAmount;
  }

  buffered(link: number): number {
    return this.#wires.get(link)?.bulk.bufferedAmount ?? 0;
  }

  #try(link: number, wire: Wire, act: () => Promise<void>): void {
    act().catch(() => {
      if (this.#wires.get(link) === wire) this.events().lost(link);
    });
  }

  async #setRemote(wire: Wire, description: RTCSessionDescriptionInit): Promise<void> {
    await wire.connection.setRemoteDescription(description);
    for (const candidate of wire.early.splice(0)) addCandidate(wire, candidate);
  }

  #make(link: number, configuration: RTCConfiguration): Wire {
    const connection = new RTCPeerConnection(configuration);
    const control = channel(connection, "control", CONTROL, true);
    const bulk = channel(connection, "bulk", BULK, false);
    bulk.bufferedAmountLowThreshold = LOW_WATER;
    const { events } = this;

    let isOpen = false;
    // The other side may speak before the second channel's event is here.
    const early: (() => void)[] = [];
    const receive = (act: (bytes: Uint8Array) => void) => (event: MessageEvent) => {
      if (!(event.data instanceof ArrayBuffer)) return events().lost(link);
      const bytes = new Uint8Array(event.data);
      if (isOpen) act(bytes);
      else early.push(() => act(bytes));
    };
    const open = () => {
      if (isOpen || control.readyState !== "open" || bulk.readyState !== "open") return;
      isOpen = true;
      events().opened(link);
      for (const act of early.splice(0)) act();
    };
    const lost = () => events().lost(link);
    control.onopen = bulk.onopen = open;
    control.onclose = bulk.onclose = lost;
    control.onmessage = receive((bytes) => events().control(link, bytes));
    bulk.onmessage = receive((bytes) => events().bulk(link, bytes));
    bulk.onbufferedamountlow = () => events().drained(link, bulk.bufferedAmount);
    connection.onicecandidate = ({ candidate }) => {
      // Behind its own address a candidate may name the one that it was gathered from, which nobody needs and may not be known.
      const told = candidate?.candidate.replace(/ raddr \S+ rport \d+/, " raddr 0.0.0.0 rport 0");
      if (told) events().foundCandidate(link, told);
    };
    connection.onconnectionstatechange = () => {
      const state = connection.connectionState;
      if (state === "failed" || state === "closed") lost();
      if (state !== "disconnected") return;
      setTimeout(() => {
        if (connection.connectionState === "disconnected" && this.#wires.has(link)) lost();
      }, LOST_MS);
    };
    return { connection, control, bulk, early: [] };
  }
}

/** One that the browser doesn't take (a name that it can't resolve, say) leaves the others. */
function addCandidate({ connection }: Wire, candidate: string): void {
  connection.addIceCandidate({ candidate, sdpMid: "0", sdpMLineIndex: 0 }).catch(() => {});
}

function channel(connection: RTCPeerConnection, label: string, id: number, ordered: boolean): RTCDataChannel {
  const made = connection.createDataChannel(label, { negotiated: true, id, ordered });
  made.binaryType = "arraybuffer";
  return made;
}
