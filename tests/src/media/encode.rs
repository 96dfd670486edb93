//! Runs ffmpeg: one encode of the whole ladder to transport stream segments, then a remux of each rendition to
//! fragmented MP4, so that both carry the same pictures and sound.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::probe::Probe;
use super::spec::{MediaSpec, Source};

/// Seconds encoded before (and after) the part that is kept: long enough for the rate control and the
/// multiplexer to settle, and a whole number of audio frames.
pub(super) const LEAD: u32 = 8;

const AUDIO_KBPS: u32 = 64;

/// Reports progress: what is being done, and how much of it (0 to 1).
pub(crate) type Progress<'a> = &'a dyn Fn(&str, f64);

/// Encodes the ladder into `dir/ts/{rung}/%05d.ts` and `dir/fmp4/{rung}/%05d.m4s`, lead included.
pub(super) fn encode(
    spec: &MediaSpec,
    probe: Option<Probe>,
    dir: &Path,
    progress: Progress<'_>,
) -> Result<()> {
    let audio = probe.is_none_or(|probe| probe.audio);
    let total = spec.loop_seconds() + 2 * LEAD;
    let mut command = ffmpeg();
    match &spec.source {
        Source::Synthetic => {
            let picture = format!("testsrc2=s={}x{}:r={}", spec.frame.0, spec.frame.1, spec.fps);
            command.args(["-f", "lavfi", "-i", &picture]);
            command.args(["-f", "lavfi", "-i", "sine=frequency=220:beep_factor=4:sample_rate=48000"]);
        }
        Source::File(path) => {
            command.args(["-stream_loop", "-1", "-i"]).arg(path);
        }
    }
    command.args(["-filter_complex", &filters(spec, audio)]);
    for (index, rung) in spec.rungs.iter().enumerate() {
        let out = dir.join("ts").join(&rung.name);
        std::fs::create_dir_all(&out).with_context(|| format!("can't create {}", out.display()))?;
        command.args(["-map", &format!("[v{index}]")]);
        if audio {
            command.args(["-map", &format!("[a{index}]"), "-c:a", "aac", "-b:a", &format!("{AUDIO_KBPS}k")]);
        }
        command.args(["-t", &total.to_string()]);
        picture_options(&mut command, spec, video_kbps(rung.kbps, audio));
        hls_options(&mut command, spec);
        command.args(["-hls_ts_options", "pat_period=4:sdt_period=60"]);
        command.arg("-hls_segment_filename").arg(out.join("%05d.ts")).arg(out.join("all.m3u8"));
    }
    run(command, "encoding", f64::from(total), progress)?;
    for rung in &spec.rungs {
        remux(spec, &rung.name, audio, dir, f64::from(total), progress)?;
    }
    Ok(())
}

fn remux(
    spec: &MediaSpec,
    rung: &str,
    audio: bool,
    dir: &Path,
    total: f64,
    progress: Progress<'_>,
) -> Result<()> {
    let out = dir.join("fmp4").join(rung);
    std::fs::create_dir_all(&out).with_context(|| format!("can't create {}", out.display()))?;
    let mut command = ffmpeg();
    command.arg("-i").arg(dir.join("ts").join(rung).join("all.m3u8")).args(["-c", "copy"]);
    if audio {
        command.args(["-bsf:a", "aac_adtstoasc"]);
    }
    hls_options(&mut command, spec);
    command.args(["-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4"]);
    command.args(["-hls_segment_options", "use_editlist=0"]);
    command.arg("-hls_segment_filename").arg(out.join("%05d.m4s")).arg(out.join("all.m3u8"));
    run(command, &format!("packing {rung} as fMP4"), total, progress)
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error", "-progress", "pipe:1", "-y"]);
    command
}

/// Scales and pads to one frame size, delays everything by the lead, and splits it per rendition.
fn filters(spec: &MediaSpec, audio: bool) -> String {
    let ((width, height), fps, count) = (spec.frame, spec.fps, spec.rungs.len());
    let outs = |kind: char| (0..count).map(|index| format!("[{kind}{index}]")).collect::<String>();
    let mut graph = format!(
        "[0:v:0]fps={fps},scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2,\
         pad={width}:{height}:-1:-1,setsar=1,format=yuv420p,tpad=start_duration={LEAD}:start_mode=clone,\
         split={count}{}",
        outs('v')
    );
    if audio {
        let input = if spec.source == Source::Synthetic { "[1:a:0]" } else { "[0:a:0]" };
        let lead = LEAD * 1000;
        graph += &format!(
            ";{input}aresample=48000:async=1:first_pts=0,aformat=channel_layouts=stereo,adelay={lead}:all=1,apad,\
             asplit={count}{}",
            outs('a')
        );
    }
    graph
}

/// Bitrate left for the pictures when the segments come out at `total` kbit/s: transport stream overhead was
/// measured as about 40 kbit/s and 1.1 % at 25 pictures per second.
fn video_kbps(total: u32, audio: bool) -> u32 {
    let rest = total.saturating_sub(40 + if audio { AUDIO_KBPS } else { 0 });
    (f64::from(rest) / 1.011) as u32
}

fn picture_options(command: &mut Command, spec: &MediaSpec, kbps: u32) {
    let rate = format!("{kbps}k");
    let gop = (spec.segment_seconds * spec.fps).to_string();
    command.args([
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-profile:v",
        "main",
        "-level",
        "3.1",
        "-bf",
        "0",
    ]);
    command.args(["-b:v", &rate, "-maxrate", &rate, "-bufsize", &rate]);
    // Constant bitrate with filler: segments weigh what the playlist says, whatever the pictures show.
    command.args(["-x264-params", "nal-hrd=cbr:force-cfr=1"]);
    command.args(["-g", &gop, "-keyint_min", &gop, "-sc_threshold", "0"]);
}

fn hls_options(command: &mut Command, spec: &MediaSpec) {
    let seconds = spec.segment_seconds.to_string();
    command.args(["-f", "hls", "-hls_time", &seconds, "-hls_list_size", "0"]);
}

fn run(mut command: Command, what: &str, total: f64, progress: Progress<'_>) -> Result<()> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("can't run ffmpeg: install it (Debian: apt-get install ffmpeg)")?;
    let errors = child.stderr.take().context("ffmpeg has no stderr")?;
    let errors = std::thread::spawn(move || {
        // Bounded: a broken file can make ffmpeg complain about every packet.
        let mut lines = std::collections::VecDeque::new();
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            lines.push_back(line);
            if lines.len() > 5 {
                lines.pop_front();
            }
        }
        Vec::from(lines).join("\n")
    });
    let reports = child.stdout.take().context("ffmpeg has no stdout")?;
    for line in BufReader::new(reports).lines().map_while(Result::ok) {
        if let Some(done) = line.strip_prefix("out_time_us=").and_then(|us| us.parse::<f64>().ok()) {
            progress(what, (done / 1e6 / total).clamp(0.0, 1.0));
        }
    }
    let status = child.wait().context("ffmpeg vanished")?;
    let said = errors.join().unwrap_or_default();
    if !status.success() {
        bail!("ffmpeg failed while {what} ({status}): is the file a video that it can decode?\n{said}");
    }
    Ok(())
}
