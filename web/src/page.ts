/** What holds for the whole page: the viewer's switches and the page's defaults. */

import { Emitter } from "./events.js";

/** Answers whether the viewer agrees. Asked once for each player. */
export type ConsentCallback = () => boolean | Promise<boolean>;

/** How a player is attached. Every field has a default; the snippet takes them from its `data-` attributes. */
export interface Options {
  /** The signaling server, such as `https://signal.example`; by default where the script came from. */
  signal?: string;
  /** The site's name in the operator's settings. */
  site?: string;
  /** The site's own name for what is played; by default the manifest's whole URL. */
  content?: string;
  /** Proof that this viewer may take part, where the site asks for one. */
  token?: string;
  /**
   * `"required"`: nothing is shared, taken from peers or told to the server until `Rillcast.consent(true)` is
   * called. A callback: until it gives true.
   */
  consent?: "required" | ConsentCallback;
  /** Where `rillcast_bg.wasm` is; by default beside the script. */
  wasm?: string;
}

/** The viewer's switches, for all players of the page. */
export class Page {
  readonly changed = new Emitter<{ change: undefined }>();
  #enabled = true;
  #sharing = true;
  #uploadCap = 0;
  #consent: boolean | undefined;

  get enabled(): boolean {
    return this.#enabled;
  }
  set enabled(on: boolean) {
    this.#enabled = on;
    this.#tell();
  }

  get sharing(): boolean {
    return this.#sharing;
  }
  set sharing(on: boolean) {
    this.#sharing = on;
    this.#tell();
  }

  get uploadCap(): number {
    return this.#uploadCap;
  }
  set uploadCap(bytesPerSecond: number) {
    this.#uploadCap = Number.isFinite(bytesPerSecond) ? Math.max(0, Math.round(bytesPerSecond)) : 0;
    this.#tell();
  }

  get consent(): boolean | undefined {
    return this.#consent;
  }
  set consent(granted: boolean | undefined) {
    this.#consent = granted;
    this.#tell();
  }

  #tell(): void {
    this.changed.emit("change", undefined);
  }
}
