//! MPEG transport streams (ISO/IEC 13818-1): shifting a segment in time and renumbering its packets.

/// Bytes in a transport packet.
pub const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// PTS, DTS and PCR base count 90 kHz in 33 bits.
const CLOCK_MASK: u64 = (1 << 33) - 1;

/// Ticks per second of PTS, DTS and PCR base.
pub const CLOCK: u64 = 90_000;

/// Payload packets by packet id: what continuity counters count.
pub type PacketCounts = Vec<(u16, u64)>;

/// A segment that is no transport stream.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("byte {offset} is not the beginning of a transport packet: prepare the media again")]
pub struct NotTs {
    /// Where the sync byte was missing, in bytes.
    pub offset: usize,
}

/// Counts the packets of each packet id that carry payload.
pub fn count_packets(segment: &[u8]) -> Result<PacketCounts, NotTs> {
    let mut counts = PacketCounts::new();
    each_packet(segment, |packet| {
        if has_payload(packet) {
            *entry(&mut counts, pid(packet)) += 1;
        }
    })?;
    Ok(counts)
}

/// Adds one set of counts to another.
pub fn add_counts(sum: &mut PacketCounts, more: &PacketCounts) {
    for &(pid, count) in more {
        *entry(sum, pid) += count;
    }
}

/// Shifts every PTS, DTS and PCR by `ticks` of 90 kHz (they wrap at 33 bits) and sets the continuity counters to
/// continue after `before` payload packets of each packet id.
pub fn rewrite(segment: &mut [u8], ticks: u64, before: &PacketCounts) -> Result<(), NotTs> {
    check(segment)?;
    let mut counts = before.clone();
    for packet in segment.chunks_exact_mut(PACKET) {
        let sent = entry(&mut counts, pid(packet));
        let counter = if has_payload(packet) {
            *sent += 1;
            *sent - 1
        } else {
            // A packet without payload repeats the counter of the one before it (2.4.3.3).
            sent.wrapping_sub(1)
        };
        packet[3] = packet[3] & 0xf0 | (counter & 0x0f) as u8;
        shift_pcr(packet, ticks);
        shift_pes(packet, ticks);
    }
    Ok(())
}

/// The first presentation timestamp in a segment, in ticks of 90 kHz.
pub fn first_pts(segment: &[u8]) -> Option<u64> {
    segment.chunks_exact(PACKET).find_map(|packet| {
        let header = pes_header(packet)?;
        Some(decode_timestamp(&packet[header + 9..header + 14]))
    })
}

/// Cuts a segment before pictures into so many parts of as many pictures each as may be, every one of which begins with the tables that the
/// segment begins with: so each can be read by itself, and one after the other they are a segment.
pub fn parts(segment: &[u8], count: usize) -> Result<Vec<Vec<u8>>, NotTs> {
    check(segment)?;
    let packets: Vec<&[u8]> = segment.chunks_exact(PACKET).collect();
    let media = packets.iter().position(|packet| pes_header(packet).is_some()).unwrap_or(packets.len());
    let is_picture = |packet: &[u8]| pes_header(packet).is_some_and(|at| packet[at + 3] & 0xf0 == 0xe0);
    let pictures: Vec<usize> = (media..packets.len()).filter(|at| is_picture(packets[*at])).collect();
    // The first part takes whatever stands before the first picture.
    let cut = |part: usize| match part {
        0 => media,
        part => pictures.get(pictures.len() * part / count).copied().unwrap_or(packets.len()),
    };
    let part = |number: usize| {
        let end = if number + 1 == count { packets.len() } else { cut(number + 1) };
        [&packets[..media], &packets[cut(number)..end]].concat().concat()
    };
    Ok((0..count).map(part).collect())
}

fn check(segment: &[u8]) -> Result<(), NotTs> {
    each_packet(segment, |_| ())
}

fn each_packet(segment: &[u8], mut act: impl FnMut(&[u8])) -> Result<(), NotTs> {
    for (index, packet) in segment.chunks(PACKET).enumerate() {
        if packet.len() != PACKET || packet[0] != SYNC {
            return Err(NotTs { offset: index * PACKET });
        }
        act(packet);
    }
    Ok(())
}

fn entry(counts: &mut PacketCounts, pid: u16) -> &mut u64 {
    let at = counts.iter().position(|&(known, _)| known == pid).unwrap_or_else(|| {
        counts.push((pid, 0));
        counts.len() - 1
    });
    &mut counts[at].1
}

fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

fn has_payload(packet: &[u8]) -> bool {
    packet[3] & 0x10 != 0
}

fn adaptation_length(packet: &[u8]) -> Option<usize> {
    (packet[3] & 0x20 != 0).then(|| usize::from(packet[4]))
}

fn shift_pcr(packet: &mut [u8], ticks: u64) {
    let has_pcr = adaptation_length(packet).is_some_and(|length| length >= 7) && packet[5] & 0x10 != 0;
    if !has_pcr {
        return;
    }
    let base = u64::from(u32::from_be_bytes([packet[6], packet[7], packet[8], packet[9]])) << 1
        | u64::from(packet[10] >> 7);
    let base = base.wrapping_add(ticks) & CLOCK_MASK;
    packet[6..10].copy_from_slice(&((base >> 1) as u32).to_be_bytes());
    packet[10] = packet[10] & 0x7f | ((base & 1) as u8) << 7;
}

/// Offset of a PES header with a PTS in this packet.
fn pes_header(packet: &[u8]) -> Option<usize> {
    let starts = packet[1] & 0x40 != 0 && has_payload(packet);
    let at = 4 + adaptation_length(packet).map_or(0, |length| length + 1);
    let payload = packet.get(at..).filter(|payload| starts && payload.len() >= 14)?;
    let audio_or_video = payload[..3] == [0, 0, 1] && (0xc0..=0xef).contains(&payload[3]);
    (audio_or_video && payload[7] & 0x80 != 0).then_some(at)
}

fn shift_pes(packet: &mut [u8], ticks: u64) {
    let Some(at) = pes_header(packet) else { return };
    shift_timestamp(&mut packet[at + 9..at + 14], ticks);
    if packet[at + 7] & 0x40 != 0 && packet.len() >= at + 19 {
        shift_timestamp(&mut packet[at + 14..at + 19], ticks);
    }
}

fn decode_timestamp(field: &[u8]) -> u64 {
    u64::from(field[0] >> 1 & 0x07) << 30
        | u64::from(field[1]) << 22
        | u64::from(field[2] >> 1) << 15
        | u64::from(field[3]) << 7
        | u64::from(field[4] >> 1)
}

fn shift_timestamp(field: &mut [u8], ticks: u64) {
    let time = decode_timestamp(field).wrapping_add(ticks) & CLOCK_MASK;
    field[0] = field[0] & 0xf1 | (time >> 29) as u8 & 0x0e;
    field[1] = (time >> 22) as u8;
    field[2] = (time >> 14) as u8 | 1;
    field[3] = (time >> 7) as u8;
    field[4] = (time << 1) as u8 | 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pid: u16, counter: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![SYNC, 0x40 | (pid >> 8) as u8, pid as u8, 0x10 | counter];
        packet.extend_from_slice(payload);
        packet.resize(PACKET, 0xff);
        packet
    }

    fn pes(pts: u64, dts: u64) -> Vec<u8> {
        let mut pes = vec![0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10];
        for (mark, time) in [(0x31, pts), (0x11, dts)] {
            let mut field = [mark, 0, 1, 0, 1];
            shift_timestamp(&mut field, time);
            pes.extend(field);
        }
        pes
    }

    #[test]
    fn timestamps_survive_the_33_bit_wrap() {
        let mut segment = packet(256, 3, &pes(CLOCK_MASK - 9, CLOCK_MASK - 99));
        rewrite(&mut segment, 20, &vec![]).unwrap();
        assert_eq!(first_pts(&segment), Some(10));
        assert_eq!(decode_timestamp(&segment[4 + 14..]), CLOCK_MASK - 79);
    }

    #[test]
    fn counters_continue_where_the_last_segment_ended() {
        let mut segment = [packet(256, 9, b"a"), packet(257, 9, b"b"), packet(256, 9, b"c")].concat();
        assert_eq!(count_packets(&segment).unwrap(), vec![(256, 2), (257, 1)]);
        rewrite(&mut segment, 0, &vec![(256, 31)]).unwrap();
        let counter = |index: usize| segment[index * PACKET + 3] & 0x0f;
        assert_eq!((counter(0), counter(1), counter(2)), (15, 0, 0));
    }

    #[test]
    fn what_is_no_transport_stream_is_refused() {
        assert_eq!(count_packets(&[0; PACKET]), Err(NotTs { offset: 0 }));
        let mut short = packet(256, 0, b"");
        short.push(SYNC);
        assert_eq!(count_packets(&short), Err(NotTs { offset: PACKET }));
    }

    #[test]
    fn the_clock_reference_moves_with_the_pictures() {
        let mut segment = packet(256, 0, b"");
        segment[3] = 0x20;
        segment[4..12].copy_from_slice(&[183, 0x10, 0, 0, 0, 1, 0x80 | 0x7e, 5]);
        rewrite(&mut segment, 90_000, &vec![]).unwrap();
        let base = u64::from(u32::from_be_bytes([segment[6], segment[7], segment[8], segment[9]])) << 1
            | u64::from(segment[10] >> 7);
        assert_eq!((base, segment[10] & 0x7f, segment[11]), (90_003, 0x7e, 5));
    }
}
