/**
 * Joins an hls.js player (1.5 and later; made for 1.7) to a session: takes the place of its fragment loader, and tells
 * the session of playlists and of the playhead. Initialisation segments, keys, subtitles and playlists stay with the
 * player's own loaders.
 */

import type Hls from "hls.js";
import type {
  Fragment,
  FragmentLoaderContext,
  FragParsedData,
  HlsConfig,
  LevelDetails,
  LevelUpdatedData,
  LoaderContext,
  LoaderStats,
  ManifestLoadedData,
  MediaAttachedData,
  Part,
} from "hls.js";
import type { Options, Page } from "../page.js";
import type { RequestMaker, SegmentPlace, TimelineEntry } from "../peer.js";
import { type Means, Session } from "../session.js";
import { position, Watch } from "../watch.js";
import { createLoaderClass, type FragmentLoaderClass } from "./loader.js";
import { makeRequest } from "./request.js";
import { forgiveParsing } from "./timing.js";

// hls.js's event names, so that nothing of it has to be bundled.
const MANIFEST_LOADED = "hlsManifestLoaded";
const MEDIA_ATTACHED = "hlsMediaAttached";
const MEDIA_DETACHING = "hlsMediaDetaching";
const LEVEL_UPDATED = "hlsLevelUpdated";
const LEVEL_PTS_UPDATED = "hlsLevelPtsUpdated";
const AUDIO_TRACK_UPDATED = "hlsAudioTrackUpdated";
const FRAG_PARSED = "hlsFragParsed";
const DESTROYING = "hlsDestroying";

type Handler = (event: string, data: never) => void;
/** As much of an hls.js event bus as matters here. */
interface Bus {
  on(event: string, handler: Handler): void;
  off(event: string, handler: Handler): void;
}

/** A player that was joined to a session. */
export interface HlsAttachment {
  readonly session: Session;
  /** The class to put into `config.fLoader`; `attach` has done so. */
  readonly loader: FragmentLoaderClass;
  /** Gives the player its own loader back. */
  detach(): void;
}

/** Joins the player to a session of its own. */
export function attachHls(
  hls: Hls,
  options: Required<Pick<Options, "signal" | "site" | "wasm">> & Options,
  page: Page,
  means?: Means,
): HlsAttachment {
  const config = hls.config;
  const before = config.fLoader as FragmentLoaderClass | undefined;
  const own = before ?? (config.loader as unknown as FragmentLoaderClass);
  const request: RequestMaker = (url, init) => makeRequest(config, contextOf(url), init);
  const session = new Session(options, page, request, () => latency(hls), means);

  /** Media playlists by their URL without query, as fragments name it. */
  const playlists = new Map<string, { playlist: string; audio: boolean }>();
  const ours = new WeakSet<LoaderStats>();
  let watch: Watch | undefined;

  const loader = createLoaderClass({
    session,
    base: own,
    locate(context) {
      const { frag, part } = context;
      const known = playlists.get(plain(frag.baseurl));
      if (!known || !isShared(frag) || context.responseType !== "arraybuffer") return;
      const { rangeStart = 0, rangeEnd = 0 } = context;
      return { playlist: known.playlist, place: placeOf(frag, part, context.url, [rangeStart, rangeEnd]) };
    },
    ttfb: () => hls.ttfbEstimate || 0,
    timed: (stats) => ours.add(stats),
  });

  const saw = (playlist: string, audio: boolean, details: LevelDetails) => {
    playlists.set(plain(details.url), { playlist, audio });
    const parts = config.lowLatencyMode ? details.partList : null;
    session.timeline(playlist, audio, details.live, timelineOf(details, parts));
  };
  const levelUpdated = (_: string, { level, details }: LevelUpdatedData) => {
    saw(hls.levels[level]?.uri ?? details.url, false, details);
  };
  const handlers: Record<string, (event: string, data: never) => void> = {
    [MANIFEST_LOADED]: (_: string, data: ManifestLoadedData) => {
      playlists.clear();
      session.open(options.content ?? new URL(data.url, location.href).href);
    },
    [LEVEL_UPDATED]: levelUpdated,
    [LEVEL_PTS_UPDATED]: levelUpdated,
    [AUDIO_TRACK_UPDATED]: (_: string, data: { details: LevelDetails; id: number; groupId?: string }) => {
      const { details, id, groupId } = data;
      const track = hls.audioTracks.find((t) => t.id === id && (!groupId || t.groupId === groupId));
      saw(track?.url ?? details.url, true, details);
    },
    [MEDIA_ATTACHED]: (_: string, { media }: MediaAttachedData) => look(media),
    [MEDIA_DETACHING]: () => look(undefined),
    [FRAG_PARSED]: (_: string, { frag, part }: FragParsedData) => {
      const stats = part?.stats ?? frag.stats;
      if (ours.delete(stats)) forgiveParsing(stats);
    },
    [DESTROYING]: () => detach(),
  };

  function look(media: HTMLMediaElement | undefined): void {
    watch?.stop();
    watch = undefined;
    if (!media) return;
    const started: Watch = new Watch(media, () =>
      session.tick(position(media, startOf(hls)), started.watched),
    );
    watch = started;
  }

  function detach(): void {
    for (const [event, handler] of Object.entries(handlers)) bus.off(event, handler);
    look(undefined);
    if (config.fLoader === loader) {
      if (before) config.fLoader = before;
      else delete config.fLoader;
    }
    session.close();
  }

  const bus = hls as unknown as Bus;
  for (const [event, handler] of Object.entries(handlers)) bus.on(event, handler);
  config.fLoader = loader as unknown as NonNullable<HlsConfig["fLoader"]>;
  if (hls.media) look(hls.media);
  return { session, loader, detach };
}

/** Media that everybody gets alike: not initialisation segments, not subtitles. */
function isShared(frag: Fragment): boolean {
  return typeof frag.sn === "number" && (frag.type === "main" || frag.type === "audio") && !frag.gap;
}

function placeOf(
  frag: Fragment,
  part: Part | null,
  url: string,
  range: readonly [number, number],
): SegmentPlace {
  return { sn: frag.sn as number, cc: frag.cc, part: part ? part.index + 1 : 0, url, range };
}

/** The playlist's segments; where the player takes parts, those instead of the segment that they make up. */
function timelineOf(details: LevelDetails, parts: readonly Part[] | null): TimelineEntry[] {
  const inParts = new Set(parts?.map((part) => part.fragment.sn));
  const entries: TimelineEntry[] = [];
  const push = (frag: Fragment, part: Part | null) => {
    const { url, byteRangeStartOffset = 0, byteRangeEndOffset = 0, start, duration } = part ?? frag;
    if (!url) return;
    const place = placeOf(frag, part, url, [byteRangeStartOffset, byteRangeEndOffset]);
    entries.push({ ...place, start, duration });
  };
  for (const frag of details.fragments) {
    if (frag && !frag.gap && !inParts.has(frag.sn)) push(frag, null);
  }
  for (const part of parts ?? []) if (!part.gap) push(part.fragment, part);
  return entries;
}

/** Where playback will begin, in seconds, before anything is buffered. */
function startOf(hls: Hls): number | undefined {
  const { startPosition } = hls;
  return startPosition >= 0 ? startPosition : (hls.liveSyncPosition ?? undefined);
}

function latency(hls: Hls): number | null {
  return hls.latestLevelDetails?.live ? hls.latency : null;
}

/** A URL without query and fragment, as both change with low-latency requests and tokens. */
function plain(url: string): string {
  return url.split(/[?#]/, 1)[0] ?? url;
}

/** As much of a loader's context as the site's own set-up functions look at. */
function contextOf(url: string): LoaderContext {
  const type = "media-fragment" as FragmentLoaderContext["type"];
  return { url, responseType: "arraybuffer", type, headers: {} };
}
