//! All sites: the file's word, and the operator's changes on top of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::changes::All;
use super::ice::{Relay, RelayFile};
use super::{Read, SettingsError, SettingsFile, Site, SiteFile};
use crate::auth::keys::{KeyFile, Keyring};
use crate::geo::Tells;
use crate::policy::{RuleError, RuleFile, Rules};

/// All sites. The file's word, with the operator's changes at run time above it; those last until they are taken back.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    default: SiteFile,
    files: BTreeMap<String, SiteFile>,
    changes: All,
    publish_everywhere: Vec<String>,
    /// Of the sites that have keys of their own in the file, and of all others.
    keys: BTreeMap<String, Arc<Keyring>>,
    /// The same of relays.
    relays: BTreeMap<String, Arc<Relay>>,
    default_read: Read,
    tells: Tells,
    built: HashMap<String, Arc<Site>>,
}

impl Sites {
    /// The sites of a settings file; `publish` comes from the command line and holds for all of them.
    pub fn new(file: &SettingsFile, publish: Vec<String>) -> Result<Self, SettingsError> {
        Self::located(file, publish, Tells::default())
    }

    /// The same, where rules may name what there are databases for.
    pub fn located(file: &SettingsFile, publish: Vec<String>, tells: Tells) -> Result<Self, SettingsError> {
        let mut sites = Self { publish_everywhere: publish, tells, ..Self::default() };
        sites.reload(file)?;
        Ok(sites)
    }

    /// Takes in what was changed at run time before a restart.
    pub fn restore(&mut self, changes: All) -> Result<(), SettingsError> {
        self.changes = changes;
        let names: Vec<String> = self.changes.keys().cloned().collect();
        for name in names {
            // A site that was taken out of the settings file is none any more; what was changed of it waits for its return.
            if self.files.is_empty() || self.files.contains_key(&name) {
                self.build(&name)?;
            }
        }
        Ok(())
    }

    /// All changes at run time.
    pub fn changes(&self) -> All {
        self.changes.clone()
    }

    /// Takes in a changed file. On an error everything stays as it was.
    pub fn reload(&mut self, file: &SettingsFile) -> Result<(), SettingsError> {
        let load = |name: &str, keys: &Option<Vec<KeyFile>>| {
            let Some(keys) = keys else { return Ok(None) };
            let wrong = |source| SettingsError::Key { site: name.to_owned(), source };
            Keyring::load(keys).map(|keys| Some(Arc::new(keys))).map_err(wrong)
        };
        let load_relay = |name: &str, turn: &Option<RelayFile>| {
            turn.as_ref().map(|turn| turn.load(name).map(Arc::new)).transpose()
        };
        let (mut keys, mut relays) = (BTreeMap::new(), BTreeMap::new());
        for (name, site) in &file.sites {
            keys.extend(load(name, &site.keys)?.map(|own| (name.clone(), own)));
            relays.extend(load_relay(name, &site.turn)?.map(|own| (name.clone(), own)));
        }
        let default_read = Read {
            keys: load("default", &file.default.keys)?.unwrap_or_default(),
            relay: load_relay("default", &file.default.turn)?.unwrap_or_default(),
        };
        let mut next = Self {
            default: file.default.clone(),
            files: file.sites.clone(),
            changes: self.changes.clone(),
            publish_everywhere: self.publish_everywhere.clone(),
            keys,
            relays,
            default_read,
            tells: self.tells,
            built: HashMap::new(),
        };
        // The defaults must hold even while no site uses them.
        let layers = [&next.default, &next.default, &next.default];
        Site::build("default", layers, &next.publish_everywhere, next.default_read.clone(), next.tells)?;
        let names: Vec<String> =
            next.files.keys().chain(self.built.keys().filter(|_| next.files.is_empty())).cloned().collect();
        for name in names {
            next.build(&name)?;
        }
        *self = next;
        Ok(())
    }

    /// The site of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Site>> {
        if let Some(site) = self.built.get(name) {
            return Some(site.clone());
        }
        if !self.files.is_empty() {
            return None;
        }
        // Not kept: anybody can make names up.
        let nothing = SiteFile::default();
        let layers = [&nothing, &nothing, &self.default];
        let read = self.default_read.clone();
        Site::build(name, layers, &self.publish_everywhere, read, self.tells).ok().map(Arc::new)
    }

    /// Which table of the settings file leaves a site open to whoever has no token, if one does.
    pub fn open(&self) -> Option<String> {
        if self.files.is_empty() {
            return self.default_read.keys.is_empty().then(|| "default".to_owned());
        }
        let open = self.files.keys().find(|name| self.keys_of(name).is_empty())?;
        Some(format!("sites.{open}"))
    }

    fn keys_of(&self, name: &str) -> &Arc<Keyring> {
        self.keys.get(name).unwrap_or(&self.default_read.keys)
    }

    fn read(&self, name: &str) -> Read {
        let relay = self.relays.get(name).unwrap_or(&self.default_read.relay);
        Read { keys: self.keys_of(name).clone(), relay: relay.clone() }
    }

    /// Changes a site at run time.
    pub fn change(
        &mut self,
        name: &str,
        edit: impl FnOnce(&mut SiteFile),
    ) -> Result<Arc<Site>, SettingsError> {
        let before = self.changes.get(name).cloned();
        edit(self.changes.entry(name.to_owned()).or_default());
        self.build(name).inspect_err(|_| {
            match before {
                Some(before) => self.changes.insert(name.to_owned(), before),
                None => self.changes.remove(name),
            };
        })
    }

    /// Changes a site's rules at run time. From then on the file's no longer count for it, until they are taken back.
    pub fn change_rules(
        &mut self,
        name: &str,
        edit: impl FnOnce(&mut Vec<RuleFile>) -> Result<(), RuleError>,
    ) -> Result<Arc<Site>, SettingsError> {
        let mut rules = self.find(name).map_or_else(Vec::new, |site| site.rules.files().to_vec());
        edit(&mut rules).map_err(|source| SettingsError::Rule { site: name.to_owned(), source })?;
        self.change(name, |changes| changes.rules = Some(rules))
    }

    /// The rules of every site that is known by name, as they are written.
    pub fn rules(&self) -> BTreeMap<String, Arc<Rules>> {
        self.built.iter().map(|(name, site)| (name.clone(), site.rules.clone())).collect()
    }

    /// The run-time changes of a site, as they are now.
    pub fn changes_of(&self, name: &str) -> SiteFile {
        self.changes.get(name).cloned().unwrap_or_default()
    }

    fn build(&mut self, name: &str) -> Result<Arc<Site>, SettingsError> {
        let nothing = SiteFile::default();
        let changes = self.changes.get(name).unwrap_or(&nothing);
        let file = self.files.get(name).unwrap_or(&nothing);
        let layers = [changes, file, &self.default];
        let read = self.read(name);
        let site = Arc::new(Site::build(name, layers, &self.publish_everywhere, read, self.tells)?);
        self.built.insert(name.to_owned(), site.clone());
        Ok(site)
    }
}
