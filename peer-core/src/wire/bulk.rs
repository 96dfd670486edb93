//! The header of a bulk message: 4 bytes of transfer id and 4 of offset, big-endian. The rest is payload.

use crate::engine::io::BULK_HEADER;

use super::TransferId;

/// Where a piece of a block belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkHeader {
    /// The transfer.
    pub transfer: TransferId,
    /// First byte of the piece within the block.
    pub offset: u32,
}

impl BulkHeader {
    /// As it goes over the wire.
    pub fn to_bytes(self) -> [u8; BULK_HEADER] {
        let mut bytes = [0; BULK_HEADER];
        bytes[..4].copy_from_slice(&self.transfer.0.to_be_bytes());
        bytes[4..].copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }

    /// As it came.
    pub fn from_bytes(bytes: [u8; BULK_HEADER]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        Self {
            transfer: TransferId(u32::from_be_bytes([a, b, c, d])),
            offset: u32::from_be_bytes([e, f, g, h]),
        }
    }
}
