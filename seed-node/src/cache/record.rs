//! What the file of a copy holds: where the bytes came from, their signed digest, the bytes.
//!
//! ```text
//! "rillcast copy 1\n"   place: u64 BE   length of the digest: u32 BE   the digest as on the wire   the segment's bytes
//! ```

use bytes::Bytes;
use rillcast_protocol::coding::Wire;
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::PublisherKey;
use rillcast_publisher::ledger::Place;
use rillcast_publisher::sign;

use super::index::Name;

const MAGIC: &[u8; 16] = b"rillcast copy 1\n";
const HEAD: usize = MAGIC.len() + 8 + 4;

/// A copy that was read and found true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where at the origin the bytes were.
    pub place: Place,
    /// Signed.
    pub digest: SegmentDigest,
    /// The segment's bytes.
    pub body: Bytes,
}

impl Record {
    /// What stands in the file before the segment's bytes.
    pub fn head(place: Place, digest: &SegmentDigest) -> Vec<u8> {
        let digest = digest.to_bytes();
        let mut head = Vec::with_capacity(HEAD + digest.len());
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&place.0.to_be_bytes());
        head.extend_from_slice(&u32::try_from(digest.len()).unwrap_or(u32::MAX).to_be_bytes());
        head.extend_from_slice(&digest);
        head
    }

    /// What a file holds, if every byte of the segment is as `publisher` has signed it.
    pub fn read(file: &Bytes, publisher: PublisherKey) -> Option<Self> {
        let rest = file.strip_prefix(MAGIC)?;
        let (place, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (digest, body) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let digest = SegmentDigest::from_bytes(digest).ok()?;
        let is_true = digest.publisher == publisher
            && body.len() == digest.length as usize
            && sign::verify(&digest)
            && sign::block_hashes(body, digest.duration_ms) == digest.hashes;
        let place = Place(u64::from_be_bytes(*place));
        is_true.then(|| Self { place, digest, body: file.slice_ref(body) })
    }

    /// Whether it is what its file's name says.
    pub fn is_of(&self, name: &Name) -> bool {
        self.digest.swarm == name.swarm && self.digest.key == name.key
    }
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::{SegmentKey, SwarmId, TrackId};
    use rillcast_publisher::PublishingKey;

    use super::*;

    fn file() -> (Vec<u8>, PublishingKey) {
        let key = PublishingKey::from_seed(&[1; 32]);
        let name = SegmentKey { track: TrackId(1), number: 2, discontinuity: 0, part: 0 };
        let body: Vec<u8> = (0..70_000u32).map(|i| i as u8).collect();
        let digest = sign::digest(&key, SwarmId([3; 16]), name, 4000, &body).expect("in bounds");
        let mut file = Record::head(Place(9), &digest);
        file.extend_from_slice(&body);
        (file, key)
    }

    #[test]
    fn what_was_written_is_read() {
        let (file, key) = file();
        let record = Record::read(&Bytes::from(file.clone()), key.public()).expect("as it was");
        assert_eq!((record.place, record.body.len()), (Place(9), 70_000));
        assert_eq!(record.body, file[file.len() - 70_000..]);
        let other = PublishingKey::from_seed(&[2; 32]).public();
        assert_eq!(Record::read(&Bytes::from(file), other), None, "of another key");
    }

    // R10
    #[test]
    fn a_flipped_bit_anywhere_in_digest_or_bytes_is_noticed() {
        let (file, key) = file();
        let head = file.len() - 70_000;
        // The place stands for itself: flipped, the copy is found to be of another one. And one bit of the digest is a hint outside its
        // signature.
        let hint = head - 1;
        let places = (0..MAGIC.len()).chain(MAGIC.len() + 8..hint).chain((head..file.len()).step_by(997));
        for at in places.chain([file.len() - 1]) {
            let mut flipped = file.clone();
            flipped[at] ^= 0x10;
            assert_eq!(Record::read(&Bytes::from(flipped), key.public()), None, "byte {at}");
        }
    }

    #[test]
    fn a_torn_file_is_none() {
        let (file, key) = file();
        for length in [0, 1, MAGIC.len(), HEAD - 1, HEAD, HEAD + 50, file.len() - 70_000, file.len() - 1] {
            assert_eq!(Record::read(&Bytes::from(file[..length].to_vec()), key.public()), None, "{length}");
        }
        let longer = [&file[..], b"x"].concat();
        assert_eq!(Record::read(&Bytes::from(longer), key.public()), None);
    }
}
