//! Attacks on real victims, one function each: it fails unless the attack is refused, and says in a line what became of the attacker.
//!
//! Signaling, a seed and viewers are the real ones, on loopback. The bench prints the lines, the tests in `tests/system/attack.rs` assert them.
//!
//! - [`arena`]: what each trial takes place in
//! - [`media`]: lies about media and promises; [`trust`]: about who somebody is and what it may; [`crowd`]: many at once, and far too much

pub mod arena;
pub mod crowd;
pub mod media;
pub mod trust;

use std::future::Future;
use std::pin::Pin;

use anyhow::Result;

/// What a trial comes to: what became of the attacker.
pub type Trying = Pin<Box<dyn Future<Output = Result<String>> + Send>>;

/// An attack.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// The name of the test.
    pub name: &'static str,
    /// What the attacker does.
    pub attack: &'static str,
    /// Tries it.
    pub run: fn() -> Trying,
}

macro_rules! trials {
    ($($room:ident::$name:ident => $attack:literal,)*) => {
        /// All of them, in the order of the report. A static: what a constant refers to would be compiled by each of its users.
        pub static ALL: &[Trial] =
            &[$(Trial { name: stringify!($name), attack: $attack, run: || Box::pin($room::$name()) }),*];
    };
}

trials! {
    media::an_altered_block => "one bit of every block altered",
    media::a_truncated_block => "blocks that stop half way",
    media::an_endless_block => "blocks that go on behind their end",
    media::an_altered_digest => "a digest with an altered hash",
    media::a_digest_of_another_segment => "a true digest under another segment's number",
    media::a_digest_of_another_stream => "a true digest of another stream",
    media::false_haves => "holds everything, gives nothing",
    media::a_stalling_uploader => "a kilobyte of each block, and no more",
    media::false_claims => "claims every fetch from the source",
    media::a_flood_of_requests => "40,000 urgent requests",
    trust::a_stolen_ticket => "another's ticket",
    trust::an_expired_ticket => "its own ticket of yesterday, rightly signed",
    trust::a_ticket_of_the_dash_swarm => "a ticket of the same film's DASH swarm",
    trust::a_forged_ticket => "a ticket that says seed, one of its own making",
    trust::a_false_ticket_while_signaling_is_dead => "comes back without signaling, its ticket prolonged",
    trust::a_ground_id => "a place in elections of its own choice",
    trust::a_call_in_an_honest_peers_name => "calls a viewer in the seed's name",
    trust::a_made_up_acquaintance => "tells of somebody who doesn't exist",
    trust::a_token_from_another_origin => "a token taken to another page",
    trust::message_bombs => "lengths, counts and nesting without end",
    crowd::a_thousand_ids_from_one_address => "1,000 ids from one address",
    crowd::an_eclipse => "24 peers around one viewer",
    crowd::a_crawler => "asks for everybody's address",
}
