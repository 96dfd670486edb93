/** The WebSocket to the signaling server; when it is opened again is the shell's to say. */

/** What the shell is told of it. */
export interface SocketEvents {
  socketOpened(sdp: string, session: Uint8Array, sealing: Uint8Array): void;
  socketMessage(bytes: Uint8Array): void;
  socketClosed(): void;
}

/** Bytes that may wait. Beyond them messages are dropped: the server isn't reading. */
const MAX_WAITING = 256 * 1024;

export class Socket {
  #socket: WebSocket | undefined;

  constructor(readonly events: () => SocketEvents) {}

  /** Who we are comes back when it is open. */
  open(url: string, ...who: Parameters<SocketEvents["socketOpened"]>): void {
    this.close();
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    const mine = (act: (event: MessageEvent) => void) => (event: Event) => {
      if (this.#socket === socket) act(event as MessageEvent);
    };
    socket.onopen = mine(() => this.events().socketOpened(...who));
    socket.onclose = mine(() => this.events().socketClosed());
    socket.onmessage = mine(({ data }) => {
      if (data instanceof ArrayBuffer) this.events().socketMessage(new Uint8Array(data));
    });
  }

  /** `bytes` is copied before this returns. */
  send(bytes: Uint8Array): void {
    const socket = this.#socket;
    if (socket?.readyState === WebSocket.OPEN && socket.bufferedAmount <= MAX_WAITING) {
      socket.send(bytes as Uint8Array<ArrayBuffer>);
    }
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }
}
