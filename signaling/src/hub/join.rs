//! From a join to a member: who it is, whether it may, and where it goes.

use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use rillcast_protocol::id::{PeerId, Role, SwarmId};
use rillcast_protocol::signal::{Join, Network, RefusedCode};

use super::{Hub, Refused, lock, unix_ms};
use crate::auth::{Asker, Denied, Grant, Open, Question};
use crate::content;
use crate::geo::Geo;
use crate::listen::group;
use crate::network::network;
use crate::policy::verdict::{Bar, judge};
use crate::policy::{Case, Subject};
use crate::quota::{Over, Seat};
use crate::site::{Allowance, Site};
use crate::swarm::{Joiner, Swarm, Visit};

/// A join that may go on.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The site, as it is now.
    pub site: Arc<Site>,
    /// Where it leads to.
    pub swarm: SwarmId,
    /// What the joiner named.
    pub content: String,
    /// What it is judged by.
    pub subject: Subject,
    /// What it is allowed below what the site allows.
    pub allowance: Allowance,
    /// What its ticket is for.
    pub visit: Visit,
}

/// Why a join isn't authorised.
enum Unwelcome {
    Denied(Denied),
    Barred(Bar),
}

impl From<Denied> for Unwelcome {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<Bar> for Unwelcome {
    fn from(bar: Bar) -> Self {
        Self::Barred(bar)
    }
}

impl Hub {
    /// Counts an attempt to join, before anything is verified: verifying costs more than counting.
    pub fn knock(&self, address: IpAddr) -> Result<(), Refused> {
        self.quotas.knock(address, Instant::now()).map_err(|over| self.over(over))
    }

    /// A place among what the joiner's address, token and site may use.
    pub fn seat(&self, admission: &Admission) -> Result<Seat, Refused> {
        let seat = self.quotas.enter(&admission.site.name, &admission.subject, Instant::now());
        seat.map_err(|over| self.over(over))
    }

    fn over(&self, over: Over) -> Refused {
        self.metrics.joins_refused_total.up();
        self.metrics.joins_over_quota_total.up();
        over.into()
    }

    /// Checks a join and says which swarm it leads to.
    pub fn admit(&self, join: &Join, asker: Asker<'_>) -> Result<Admission, Refused> {
        let is_seed = join.role == Role::Seed;
        let refuse = |code, message: String| {
            self.metrics.joins_refused_total.up();
            Err(Refused { code, message })
        };
        let name = join.site.as_str();
        let Some(site) = lock(&self.sites).find(name) else {
            return refuse(
                RefusedCode::Site,
                format!("site {name:?} isn't known here; add [sites.{name}] to the server's settings file"),
            );
        };
        if !site.allows_origin(asker.origin, is_seed) {
            let origin = asker.origin.unwrap_or("(none)");
            return refuse(
                RefusedCode::Site,
                format!("pages of {origin} may not join site {name}; add the origin to its `origins`"),
            );
        }
        let content = content::canonical(join.content.as_str(), site.multi_cdn);
        let (subject, allowance) = match self.authorise(&site, join, asker, &content) {
            Ok(authorised) => authorised,
            Err(Unwelcome::Denied(denied)) => {
                self.metrics.tokens_refused_total.up();
                let code = match denied {
                    Denied::MemoryFull => RefusedCode::Unavailable,
                    _ => RefusedCode::Unauthorised,
                };
                return refuse(code, format!("site {name:?}: {denied}"));
            }
            Err(Unwelcome::Barred(bar)) => {
                self.metrics.joins_barred_total.up();
                let Refused { code, message } = bar.refusal(name);
                return refuse(code, message);
            }
        };
        if let Some(key) = join.publisher
            && (!is_seed || !site.allows_seed(&key))
        {
            return refuse(
                RefusedCode::Unauthorised,
                format!("publisher {key} may not publish for site {name}; add the key to its `seeds`"),
            );
        }
        let swarm = content::swarm_id(&self.secret, name, &content, join.delivery);
        let visit = self.visit(join, swarm);
        let content = join.content.as_str().to_owned();
        Ok(Admission { site, swarm, content, subject, allowance, visit })
    }

    /// Whoever comes back shows the ticket that it had. A ticket is no secret, but the new one will be for the same certificate, and of use to
    /// nobody else.
    fn visit(&self, join: &Join, swarm: SwarmId) -> Visit {
        let (fingerprint, session, sealing) = (join.fingerprint, join.session, join.sealing);
        let former = join.ticket.as_ref().filter(|ticket| {
            let body = &ticket.body;
            let same = (body.swarm, body.role, body.fingerprint, body.session, body.sealing);
            same == (swarm, join.role, fingerprint, session, sealing) && self.authority.has_signed(ticket)
        });
        Visit { fingerprint, session, sealing, former: former.map(|ticket| ticket.body) }
    }

    fn authorise(
        &self,
        site: &Site,
        join: &Join,
        asker: Asker<'_>,
        content: &str,
    ) -> Result<(Subject, Allowance), Unwelcome> {
        let geo = self.geo();
        let place = geo.locate(asker.address);
        let now = unix_ms() / 1000;
        let judge = |grant: Grant| {
            let Grant { user, token, key, allowance } = grant;
            let subject = Subject { user, token, key, address: asker.address, place, role: join.role };
            let case = Case { subject: &subject, content, now };
            // Once more when it has joined: what changes in between reaches it there.
            judge(site, &self.revocations.of(&site.name), &case, None)?;
            Ok((subject, allowance))
        };
        if site.keys.is_empty() {
            let near = asker.address.to_canonical().is_loopback() && !asker.forwarded;
            return if near || self.open == Open::Everyone {
                judge(Grant::default())
            } else {
                Err(Denied::NoKeys.into())
            };
        }
        let (claims, key) = site.keys.verify(join.token.as_slice())?;
        let question = Question {
            join,
            asker,
            content,
            multi_cdn: site.multi_cdn,
            max_secs: self.limits.token_max_secs,
            now,
            key,
            place,
            tells: geo.tells(),
        };
        let authorised = judge(claims.check(&question)?)?;
        // Last: a token that is refused for something else isn't used up.
        if let Some(jti) = &claims.jti {
            let mut tokens = lock(&self.tokens);
            let token = tokens.name(&[site.name.as_bytes(), jti.as_bytes()]);
            let address = group(asker.address).to_string();
            let place = tokens.name(&[address.as_bytes(), asker.origin.unwrap_or_default().as_bytes()]);
            let taken = tokens.take(token, place, claims.uses.unwrap_or(1), claims.gone(), now);
            taken.inspect_err(|denied| {
                if *denied == Denied::MemoryFull {
                    self.metrics.token_memory_full_total.up();
                }
            })?;
        }
        Ok(authorised)
    }

    /// Where a peer with this address is, in the eyes of a swarm.
    pub fn locate(&self, swarm: SwarmId, address: IpAddr) -> Network {
        network(&self.secret, swarm, address, self.geo().locate(address))
    }

    fn geo(&self) -> Arc<Geo> {
        lock(&self.geo).clone()
    }

    /// Lets a peer into its swarm; told back: the name that it has there.
    pub fn join(&self, admission: &Admission, joiner: Joiner) -> Result<PeerId, Refused> {
        let now = Instant::now();
        let id = admission.swarm;
        let full = |what: &str| {
            self.metrics.joins_refused_total.up();
            Err(Refused {
                code: RefusedCode::Unavailable,
                message: format!("{what}; come back later, or raise the limit in the server's settings file"),
            })
        };
        let mut shard = self.shard(id);
        let swarm = match shard.entry(id) {
            Entry::Occupied(swarm) => swarm.into_mut(),
            Entry::Vacant(place) => {
                if self.metrics.swarms.value() >= self.limits.swarms as u64 {
                    return full("the server has as many swarms as it may");
                }
                self.metrics.swarms.up();
                // The site may have changed since it was asked, when this swarm wasn't there to be told.
                let site = lock(&self.sites).find(&admission.site.name);
                let site = site.unwrap_or_else(|| admission.site.clone());
                place.insert(Swarm::new(&self.desk(), id, site, &admission.content, now))
            }
        };
        if swarm.len() >= self.limits.members {
            return full("the swarm has as many members as it may");
        }
        swarm.join(&self.desk(), joiner, now).inspect_err(|_| {
            self.metrics.joins_refused_total.up();
            self.metrics.joins_barred_total.up();
        })
    }
}
