//! Whom we help, and what we take for others.

use rillcast_protocol::id::Role;

use crate::payload::Payload;
use crate::switches::Mechanism;
use crate::time::Instant;
use crate::wire::message::{BlockName, No};

use super::{Dirty, Engine};

/// Blocks coming at a time that are for others alone.
const AT_ONCE: usize = 6;
/// A block is taken that so many neighbours lack.
const LACKING: usize = 2;

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    /// Thinks over whom to help, now and then.
    pub(super) fn consider_helping(&mut self, now: Instant) {
        self.helping.count(self.counters.rescue_bytes, self.counters.delivered_bytes);
        if !self.helping.looks(self.spare, now) {
            return;
        }
        let timeline = &self.timeline;
        // What is taken for others takes nothing of what the own player needs.
        let able = self.switches.has(Mechanism::Helping)
            && self.config.role == Role::Viewer
            && self.may_upload()
            && self.may_download()
            && timeline.current().all(|c| c.live)
            && timeline.has_started()
            && !timeline.is_starving()
            && self.sources.way(now).is_some_and(|way| way.bytes_per_second() > 2 * self.bitrate);
        let links = self.members.links().map(|(_, l)| l).filter(|_| able);
        let track = self.helping.choose(links, |track| timeline.playing(track).is_some(), now);
        if self.helping.begin(track) {
            self.dirty = Dirty { get: true, give: true };
        }
    }

    /// Whether an offered block is one to pass on, which isn't played here.
    pub(super) fn for_others(&self, name: &BlockName) -> bool {
        self.helping.track == Some(name.key.track) && self.timeline.playing(name.key.track).is_none()
    }

    /// Whether to take a block only to pass it on.
    pub(super) fn helps(&mut self, name: BlockName, now: Instant) -> Result<BlockName, No> {
        if !self.may_upload() || !self.may_download() {
            return Err(No::Unwanted);
        }
        if let Some(why) = self.unfit(&name, now) {
            return Err(why);
        }
        let lacks = |(link, _): &(_, _)| !self.index.holds(*link, &name.key, name.block.0);
        let lacking = self.members.links().filter(|(_, l)| l.wants(&name.key)).filter(lacks).count();
        if lacking < LACKING {
            return Err(No::Held);
        }
        if !self.helping.may_take() || self.downloads.of_track(name.key.track) >= AT_ONCE {
            return Err(No::Busy);
        }
        self.helping.take(self.store.segment(&name.key).map_or(0, |s| s.block_len(name.block.0)));
        Ok(name)
    }
}
