//! A STUN binding (RFC 8489): a question, and what an answer says about our address.

use std::net::SocketAddr;

use stun_proto::types::attribute::XorMappedAddress;
use stun_proto::types::message::{BINDING, Message, MessageClass, MessageWriteVec, TransactionId};
use stun_proto::types::prelude::MessageWrite;

/// A question that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question(TransactionId);

impl Question {
    /// A new one, and its bytes.
    pub fn new() -> (Self, Vec<u8>) {
        let bytes = Message::builder_request(BINDING, MessageWriteVec::new()).finish();
        let id = Message::from_bytes(&bytes).map(|message| message.transaction_id());
        (Self(id.unwrap_or_else(|_| TransactionId::generate())), bytes)
    }

    /// Our address as its receiver saw it, if this is the answer.
    pub fn answered(self, bytes: &[u8]) -> Option<SocketAddr> {
        let message = Message::from_bytes(bytes).ok()?;
        let is_answer = message.has_class(MessageClass::Success)
            && message.has_method(BINDING)
            && message.transaction_id() == self.0;
        let mapped = is_answer.then(|| message.attribute::<XorMappedAddress>().ok())??;
        Some(mapped.addr(self.0))
    }
}

#[cfg(test)]
mod tests {
    use stun_proto::types::prelude::MessageWriteExt;

    use super::*;

    fn answer(question: &[u8], address: SocketAddr) -> Vec<u8> {
        let question = Message::from_bytes(question).expect("a message");
        let mut answer = Message::builder_success(&question, MessageWriteVec::new());
        let mapped = XorMappedAddress::new(address, question.transaction_id());
        answer.add_attribute(&mapped).expect("room");
        answer.finish()
    }

    #[test]
    fn an_answer_says_our_address_and_another_ones_says_nothing() {
        let ((one, first), (other, second)) = (Question::new(), Question::new());
        for address in ["192.0.2.1:7000", "[2001:db8::1]:7000"] {
            let address = address.parse().expect("an address");
            assert_eq!(one.answered(&answer(&first, address)), Some(address));
            assert_eq!(other.answered(&answer(&first, address)), None);
        }
        assert_eq!(one.answered(&first), None, "a question is no answer");
        assert!(other.answered(&second[..10]).is_none() && other.answered(&[]).is_none());
    }
}
