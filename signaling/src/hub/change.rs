//! Changes while viewers watch: of settings, rules, revocations and databases.

use std::sync::Arc;
use std::time::Instant;

use super::{Hub, lock, unix_ms};
use crate::audit::{By, Record};
use crate::geo::Geo;
use crate::policy::{RuleError, RuleFile, Rules};
use crate::revocation::store::Kept;
use crate::revocation::{Request, RevocationError};
use crate::site::changes::Made;
use crate::site::{SettingsError, SettingsFile, SiteFile, Sites};

impl Hub {
    /// Takes in a changed settings file and tells the peers concerned.
    pub fn reload(&self, file: &SettingsFile) -> Result<(), SettingsError> {
        let (before, after) = {
            let mut sites = lock(&self.sites);
            let before = sites.rules();
            sites.reload(file)?;
            (before, sites.rules())
        };
        self.apply(|_| true);
        for (site, rules) in after {
            let files = rules.files();
            if before.get(&site).is_some_and(|before| before.files() == files) {
                continue;
            }
            if files.is_empty() && !before.contains_key(&site) {
                continue;
            }
            let ids: Vec<&str> = files.iter().map(|rule| rule.id.as_str()).collect();
            let detail = serde_json::json!({ "rules": ids });
            let action = "rules.read".to_owned();
            let record = Record { at: unix_ms(), by: By::SettingsFile, from: None, action, site, detail };
            if let Err(error) = self.audit.write(record) {
                tracing::error!(%error, "rules changed, and there is no record of it");
            }
        }
        Ok(())
    }

    /// Tells the swarms of these sites what holds now. Returns how many peers were sent away.
    fn apply(&self, concerns: impl Fn(&str) -> bool) -> usize {
        let desk = self.desk();
        let mut sent_away = 0;
        for shard in &self.shards {
            for swarm in lock(shard).values_mut().filter(|swarm| concerns(swarm.site())) {
                // Asked for under the shard's lock: of two changes the later one is told last. A site that was taken
                // out of the file keeps its last settings until its swarms are empty.
                let site = lock(&self.sites).find(swarm.site());
                if let Some(site) = site {
                    sent_away += swarm.apply(&desk, site, Instant::now());
                } else {
                    sent_away += swarm.review(&desk, Instant::now());
                }
            }
        }
        sent_away
    }

    /// Changes a site at run time and tells the peers concerned. Told back: how many were sent away, and whether the change will outlast
    /// the server.
    pub fn change_site(
        &self,
        name: &str,
        edit: impl FnOnce(&mut SiteFile),
    ) -> Result<Made<usize>, SettingsError> {
        self.change(name, |sites| sites.change(name, edit).map(drop))
    }

    /// Changes a site's rules at run time and judges its members by them. Told back as by [`Hub::change_site`].
    pub fn change_rules(
        &self,
        name: &str,
        edit: impl FnOnce(&mut Vec<RuleFile>) -> Result<(), RuleError>,
    ) -> Result<Made<usize>, SettingsError> {
        self.change(name, |sites| sites.change_rules(name, edit).map(drop))
    }

    fn change(
        &self,
        name: &str,
        edit: impl FnOnce(&mut Sites) -> Result<(), SettingsError>,
    ) -> Result<Made<usize>, SettingsError> {
        let Made { saved, .. } = self.changes.make(|| {
            let mut sites = lock(&self.sites);
            edit(&mut sites)?;
            Ok::<_, SettingsError>(((), sites.changes()))
        })?;
        Ok(Made { told: self.apply(|site| site == name), saved })
    }

    /// A site's rules.
    pub fn rules_of(&self, name: &str) -> Option<Arc<Rules>> {
        Some(lock(&self.sites).find(name)?.rules.clone())
    }

    /// Revokes something of a site and sends away whom it concerns. Returns how many those were.
    pub fn revoke(&self, site: &str, request: Request) -> Result<(Kept, usize), RevocationError> {
        let kept = self.revocations.add(site, request, self.limits.revocations, unix_ms() / 1000)?;
        Ok((kept, self.apply(|name| name == site)))
    }

    /// Takes a revocation back.
    pub fn take_back(&self, site: &str, number: u64) -> Result<Kept, RevocationError> {
        self.revocations.take_back(site, number, unix_ms() / 1000)
    }

    /// Takes in databases that were read again, and judges everybody by them.
    pub fn relocate(&self, geo: Geo) {
        let geo = Arc::new(geo);
        *lock(&self.geo) = geo.clone();
        let desk = self.desk();
        for shard in &self.shards {
            for swarm in lock(shard).values_mut() {
                swarm.relocate(&geo);
                swarm.review(&desk, Instant::now());
            }
        }
    }
}
