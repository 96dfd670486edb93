//! Which tokens have been used from where (H1).
//!
//! A page that reconnects, or is loaded again, hands the same token over again. So what is counted isn't joins but the
//! *places* a token is used from: client address (an IPv6 /64 is one) and page origin. A place that is known may come as
//! often as it likes while the token lives; another one is let in only up to the token's `uses`. Two viewers behind one
//! address can share a token so, which is one household's or office's affair; a token that is passed on is worth nothing.
//!
//! Only tokens with a `jti` are remembered, each until it has expired. When there's no room, new places are refused
//! rather than old ones forgotten: whoever wanted to replay a token would only have to fill the memory.

use std::collections::{BTreeSet, HashMap};

use super::Denied;
use super::places::{Place, Places};
use crate::random;

/// A keyed hash, so that nobody can make two alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(pub(super) [u8; 16]);

/// Tokens in use.
#[derive(Debug)]
pub struct Memory {
    key: [u8; 32],
    room: usize,
    places: usize,
    tokens: HashMap<Name, Used>,
    /// The same tokens, the first to expire in front.
    by_end: BTreeSet<(u64, Name)>,
    /// Where it is written down, so that it outlasts the server.
    file: Option<Places>,
}

#[derive(Debug)]
struct Used {
    gone: u64,
    places: Vec<Name>,
}

impl Memory {
    /// Remembers this many pairs of token and place.
    pub fn new(room: usize) -> Self {
        Self {
            key: random::fresh(),
            room,
            places: 0,
            tokens: HashMap::new(),
            by_end: BTreeSet::new(),
            file: None,
        }
    }

    /// The same, with what a file knows from before, under the key of then. All of that is remembered, also if there's less room now.
    pub fn kept(room: usize, key: [u8; 32], file: Places, known: &[Place]) -> Self {
        let mut memory = Self { key, ..Self::new(room) };
        for known in known {
            let used = memory.tokens.entry(known.token).or_insert(Used { gone: 0, places: Vec::new() });
            if !used.places.contains(&known.place) {
                used.places.push(known.place);
                memory.places += 1;
            }
            memory.keep(known.token, known.gone);
        }
        memory.file = Some(file);
        memory
    }

    /// A short name for what these parts make up together.
    pub fn name(&self, parts: &[&[u8]]) -> Name {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
        }
        let mut name = [0; 16];
        name.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Name(name)
    }

    /// How many pairs it remembers.
    pub fn len(&self) -> usize {
        self.places
    }

    /// Whether it remembers none.
    pub fn is_empty(&self) -> bool {
        self.places == 0
    }

    /// Uses a token, which is `gone` at that second, from a place.
    pub fn take(&mut self, token: Name, place: Name, uses: u32, gone: u64, now: u64) -> Result<(), Denied> {
        self.forget(now);
        let known = self.tokens.get(&token);
        if let Some(used) = known.filter(|used| used.places.contains(&place)) {
            if used.gone < gone {
                self.keep(token, gone);
                self.write(Place { token, place, gone });
            }
            return Ok(());
        }
        if known.is_some_and(|used| used.places.len() >= uses as usize) {
            return Err(Denied::Replayed);
        }
        if self.places >= self.room {
            return Err(Denied::MemoryFull);
        }
        self.tokens.entry(token).or_insert(Used { gone: 0, places: Vec::new() }).places.push(place);
        self.places += 1;
        self.keep(token, gone);
        self.write(Place { token, place, gone });
        Ok(())
    }

    fn write(&mut self, place: Place) {
        let Some(file) = &mut self.file else { return };
        file.add(&place);
        if file.is_worn(self.places) {
            let all = self.tokens.iter().flat_map(|(&token, used)| {
                used.places.iter().map(move |&place| Place { token, place, gone: used.gone })
            });
            file.renew(&all.collect::<Vec<_>>());
        }
    }

    /// Keeps a token until then at least: of two tokens with one name the longer-lived counts.
    fn keep(&mut self, token: Name, gone: u64) {
        if let Some(used) = self.tokens.get_mut(&token)
            && used.gone < gone
        {
            self.by_end.remove(&(used.gone, token));
            self.by_end.insert((gone, token));
            used.gone = gone;
        }
    }

    fn forget(&mut self, now: u64) {
        while let Some((gone, token)) = self.by_end.first().copied()
            && gone <= now
        {
            self.by_end.pop_first();
            if let Some(used) = self.tokens.remove(&token) {
                self.places -= used.places.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(memory: &mut Memory, token: &str, place: &str, uses: u32, now: u64) -> Result<(), Denied> {
        let (token, place) = (memory.name(&[token.as_bytes()]), memory.name(&[place.as_bytes()]));
        memory.take(token, place, uses, 100, now)
    }

    #[test]
    fn a_place_may_come_again_and_another_may_not() {
        let mut memory = Memory::new(10);
        for now in [0, 50, 99] {
            assert_eq!(take(&mut memory, "a", "home", 1, now), Ok(()));
            assert_eq!(take(&mut memory, "a", "elsewhere", 1, now), Err(Denied::Replayed));
        }
        assert_eq!(take(&mut memory, "b", "elsewhere", 1, 99), Ok(()));
        assert_eq!(memory.len(), 2);
    }

    #[test]
    fn as_many_places_as_there_are_uses() {
        let mut memory = Memory::new(10);
        for place in ["1", "2", "3"] {
            assert_eq!(take(&mut memory, "a", place, 3, 0), Ok(()));
        }
        assert_eq!(take(&mut memory, "a", "4", 3, 0), Err(Denied::Replayed));
        assert_eq!(take(&mut memory, "a", "2", 3, 0), Ok(()));
    }

    #[test]
    fn a_full_memory_refuses_new_places_and_knows_the_old_ones_until_they_expire() {
        let mut memory = Memory::new(2);
        assert_eq!(take(&mut memory, "a", "home", 1, 0), Ok(()));
        assert_eq!(take(&mut memory, "b", "home", 1, 0), Ok(()));
        assert_eq!(take(&mut memory, "c", "home", 1, 99), Err(Denied::MemoryFull));
        assert_eq!(take(&mut memory, "a", "home", 1, 99), Ok(()));
        assert_eq!(take(&mut memory, "c", "home", 1, 100), Ok(()));
        assert_eq!(memory.len(), 1);
        assert_eq!(take(&mut Memory::new(0), "a", "home", 1, 0), Err(Denied::MemoryFull));
    }

    #[test]
    fn the_longer_life_of_two_tokens_with_one_name_counts() {
        let mut memory = Memory::new(9);
        let (token, home, away) = (memory.name(&[b"a"]), memory.name(&[b"h"]), memory.name(&[b"x"]));
        for gone in [100, 200, 50] {
            assert_eq!(memory.take(token, home, 1, gone, 0), Ok(()));
        }
        assert_eq!(memory.take(token, away, 1, 200, 199), Err(Denied::Replayed));
        assert_eq!(memory.take(token, away, 1, 300, 200), Ok(()));
        assert_eq!((memory.len(), memory.by_end.len()), (1, 1), "nothing is left behind");
    }

    // H1
    #[test]
    fn what_a_file_knows_outlasts_the_memory() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("places");
        let open = || {
            let (file, known) = Places::open(&path, 0).expect("a file");
            Memory::kept(2, [7; 32], file, &known)
        };
        let mut memory = open();
        assert_eq!(take(&mut memory, "a", "home", 1, 0), Ok(()));
        let (token, home) = (memory.name(&[b"a"]), memory.name(&[b"home"]));
        // The same token, made out anew, lives longer.
        assert_eq!(memory.take(token, home, 1, 200, 0), Ok(()));
        drop(memory);
        let mut memory = open();
        assert_eq!(memory.len(), 1);
        assert_eq!(take(&mut memory, "a", "elsewhere", 1, 150), Err(Denied::Replayed));
        assert_eq!(take(&mut memory, "a", "home", 1, 150), Ok(()));
        assert_eq!(take(&mut memory, "b", "home", 1, 0), Ok(()));
        assert_eq!(take(&mut memory, "c", "home", 1, 0), Err(Denied::MemoryFull));
        assert_eq!(take(&mut memory, "c", "home", 1, 100), Ok(()), "what is over makes room");
    }

    #[test]
    fn parts_keep_apart() {
        let memory = Memory::new(1);
        assert_ne!(memory.name(&[b"ab", b"c"]), memory.name(&[b"a", b"bc"]));
        assert_ne!(memory.name(&[b"a"]), Memory::new(1).name(&[b"a"]));
    }
}
