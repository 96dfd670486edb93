//! HLS playlists (RFC 8216).

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::resource::{Packaging, Stream};
use super::{Shared, parts};

/// Segments behind the newest whose parts are still listed.
const IN_PARTS: u64 = 2;

/// The list of renditions.
pub(super) fn master(shared: &Shared) -> String {
    let (width, height) = shared.library.frame();
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    for rendition in shared.library.renditions() {
        let _ = writeln!(
            text,
            "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\",RESOLUTION={width}x{height},\
             FRAME-RATE={}.000\n{}/index.m3u8",
            rendition.peak_bps,
            rendition.mean_bps,
            rendition.codecs,
            shared.library.fps(),
            rendition.name
        );
    }
    text
}

/// The list of a rendition's segments: the newest ones if live, all if VOD.
pub(super) fn media(shared: &Shared, stream: Stream) -> String {
    let seconds = shared.library.segment_seconds();
    let (first, last) = if stream.live {
        let newest = shared.newest();
        ((newest + 1).saturating_sub(shared.config.window), newest)
    } else {
        (0, shared.vod_segments() - 1)
    };
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{seconds}\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n"
    );
    if !stream.live {
        text += "#EXT-X-PLAYLIST-TYPE:VOD\n";
    }
    match stream.packaging {
        Packaging::Ts => {}
        Packaging::Fmp4 => text += "#EXT-X-MAP:URI=\"init.mp4\"\n",
        // Without an IV attribute the media sequence number is the IV (RFC 8216, 5.2).
        Packaging::Aes => text += "#EXT-X-KEY:METHOD=AES-128,URI=\"../key.bin\"\n",
        Packaging::Parts => {
            let part = parts::length(shared).as_secs_f64();
            let _ = writeln!(
                text,
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={}\n#EXT-X-PART-INF:PART-TARGET={part}",
                3.0 * part
            );
        }
    }
    let begins = |number: u64| {
        let begin = shared.epoch + Duration::from_secs(number * u64::from(seconds));
        format!("#EXT-X-PROGRAM-DATE-TIME:{}\n", iso8601(begin))
    };
    let in_parts = stream.packaging == Packaging::Parts;
    for number in first..=last {
        if stream.live {
            text += &begins(number);
        }
        if in_parts && number + IN_PARTS > last {
            text += &listed_parts(shared, number, parts::PARTS);
        }
        let _ = writeln!(text, "#EXTINF:{seconds}.000,\nseg-{number}.{}", stream.extension());
    }
    if in_parts {
        // What was listed as complete may be a moment old.
        let begun = parts::there(shared).saturating_sub((last + 1) * parts::PARTS).min(parts::PARTS - 1);
        text += &begins(last + 1);
        text += &listed_parts(shared, last + 1, begun);
        let _ = writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-{}-{}.ts\"", last + 1, begun + 1);
    }
    if !stream.live {
        text += "#EXT-X-ENDLIST\n";
    }
    text
}

/// The first few parts of a segment.
fn listed_parts(shared: &Shared, number: u64, count: u64) -> String {
    let seconds = parts::length(shared).as_secs_f64();
    let one = |part: u64| {
        let independent = if part == 1 { ",INDEPENDENT=YES" } else { "" };
        format!("#EXT-X-PART:DURATION={seconds},URI=\"part-{number}-{part}.ts\"{independent}\n")
    };
    (1..=count).map(one).collect()
}

/// A moment in UTC with milliseconds.
fn iso8601(moment: SystemTime) -> String {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days as i64);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60,
        since.subsec_millis()
    )
}

/// Day, month and year of a number of days after 1970-01-01 in the proleptic Gregorian calendar: years are taken to
/// begin in March, so that the leap day is a year's last.
fn civil(days: i64) -> (i64, i64, i64) {
    // 719,468 days lie between 0000-03-01 and 1970-01-01; 146,097 days make 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        let at = |seconds: u64| iso8601(SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7));
        assert_eq!(at(0), "1970-01-01T00:00:00.007Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.007Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.007Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59.007Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.007Z");
    }
}
