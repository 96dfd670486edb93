//! What a site allows has changed, or the time has: who may stay, and as what.

use std::sync::Arc;
use std::time::Instant;

use rillcast_protocol::id::Role;
use rillcast_protocol::settings::Settings;
use rillcast_protocol::signal::ServerMessage;

use super::offers::Offers;
use super::{Desk, Joiner, Swarm};
use crate::content;
use crate::geo::Geo;
use crate::hub::Refused;
use crate::policy::verdict::{Bar, judge};
use crate::policy::{Case, Standing};
use crate::site::{Reach, Site};

impl Swarm {
    /// How a peer may join, if it may.
    pub(super) fn judge_newcomer(&self, desk: &Desk<'_>, joiner: &Joiner) -> Result<Standing, Bar> {
        let case = Case { subject: &joiner.subject, content: &self.named, now: desk.unix };
        judge(&self.site, &desk.revocations.of(&self.site.name), &case, Some(joiner.id))
    }

    /// The site's settings have changed: whoever is concerned hears of it. Returns how many were sent away.
    pub fn apply(&mut self, desk: &Desk<'_>, site: Arc<Site>, now: Instant) -> usize {
        self.named = content::canonical(&self.content, site.multi_cdn);
        self.site = site;
        let sent_away = self.review(desk, now);
        self.tell_publishers(desk, None);
        self.follow(desk, now);
        sent_away
    }

    /// Where addresses are is known better.
    pub(crate) fn relocate(&mut self, geo: &Geo) {
        for member in self.members.values_mut() {
            member.joiner.subject.place = geo.locate(member.joiner.subject.address);
        }
    }

    /// The minute has changed: windows may have opened or closed.
    pub(super) fn review_by_the_clock(&mut self, desk: &Desk<'_>, now: Instant) {
        if self.reviewed != desk.unix / 60 && self.site.rules.are_timed() {
            self.review(desk, now);
        }
    }

    /// Judges all members anew. Returns how many were sent away.
    pub(crate) fn review(&mut self, desk: &Desk<'_>, now: Instant) -> usize {
        self.reviewed = desk.unix / 60;
        let revoked = desk.revocations.of(&self.site.name);
        let (mut barred, mut out, mut back) = (Vec::new(), Vec::new(), Vec::new());
        for (id, member) in &mut self.members {
            let case = Case { subject: &member.joiner.subject, content: &self.named, now: desk.unix };
            let standing = match judge(&self.site, &revoked, &case, Some(*id)) {
                Ok(standing) => standing,
                Err(bar) => {
                    barred.push((*id, bar));
                    continue;
                }
            };
            let settings =
                settings(desk, &self.site, &member.joiner, standing, member.relays_until, &self.offers);
            if settings == member.settings {
                continue;
            }
            let before = member.takes_part();
            member.settings = settings.clone();
            member.joiner.outbox.send(&ServerMessage::Settings { settings });
            match (before, member.takes_part()) {
                (true, false) => out.push((*id, std::mem::take(&mut member.introduced))),
                (false, true) => back.push(*id),
                _ => {}
            }
        }
        let count = barred.len();
        let ids: Vec<_> = barred.iter().map(|(id, _)| *id).collect();
        self.revoke(&ids);
        for (id, bar) in barred {
            let key = self.members.get(&id).and_then(|member| member.joiner.publisher);
            if let Some(member) = self.members.get(&id) {
                send_off(member.joiner.outbox.clone(), &member.settings, bar.refusal(&self.site.name));
                desk.metrics.sent_away_total.up();
            }
            // At once, not when its connection ends: nobody is introduced to it any more, and those who were are told.
            self.leave(desk, id, now);
            if let (Bar::Revoked(_), Some(key)) = (bar, key) {
                self.disown(desk, key);
            }
        }
        self.tell_revoked(desk, count);
        for (id, introduced) in out {
            self.part(id, introduced.into_keys());
        }
        for id in back {
            self.welcome_newcomer(desk, id, now);
        }
        count
    }
}

/// What a peer gets that stands so.
pub(super) fn settings(
    desk: &Desk<'_>,
    site: &Site,
    joiner: &Joiner,
    standing: Standing,
    until: u64,
    offers: &Offers,
) -> Settings {
    let reach = Reach { own: Some(&joiner.own), secret: Some(desk.turn), until };
    let settings = site.settings_for(joiner.id, joiner.role == Role::Seed, reach);
    let mut settings = standing.restrict(joiner.allowance.lower(settings));
    // A seed has an address of its own to serve from.
    settings.enabled &= !(settings.relay_only && joiner.role == Role::Seed);
    // A publisher that can open no sealed signals has come to publish alone: it meets nobody.
    settings.enabled &= !(joiner.publisher.is_some() && joiner.visit.sealing.is_none());
    offers.add_to(&mut settings, site, joiner.id, joiner.role, until);
    settings
}

/// Throws one peer's kill switch, so that it drops its links and plays from the source, and ends its connection.
fn send_off(outbox: crate::outbox::Outbox, settings: &Settings, refused: Refused) {
    let settings = Settings { enabled: false, ..settings.clone() };
    outbox.send(&ServerMessage::Settings { settings });
    outbox.refuse(refused);
}
