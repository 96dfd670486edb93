//! An MPD tells of all its Representations, and each has a follower of its own: what one of them asks the origin serves all who look at about the same
//! time, and where it goes by the clock also those who come later.
//!
//! Whoever looks while another's request is on its way waits for that one's answer. Presentations live as long as somebody follows them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError, Weak};
use std::time::Instant;

use reqwest::Url;
use rillcast_protocol::id::SwarmId;
use tokio::sync::{Mutex, MutexGuard};

use crate::allow::AllowList;
use crate::origin::{Document, Origin, OriginError, Validators};

/// An answer of the origin's, and when it was asked for.
type Answer = Result<Option<Document>, OriginError>;

/// What the origin last said of one document.
#[derive(Debug, Default)]
pub(super) struct Presentation {
    said: Mutex<Option<Said>>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    answer: Result<Document, OriginError>,
    /// Until then it tells what there is by the clock.
    holds: Option<Instant>,
}

/// What a look is content with.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) url: Url,
    /// What the looker knows already.
    pub(super) known: Validators,
    /// An answer that was asked for then, or later.
    pub(super) since: Instant,
    /// One that tells what there is by the clock, however old.
    pub(super) by_clock: bool,
}

impl Presentation {
    /// The document as it is now, and when the origin was asked for it; nothing if it is the one that the looker knows.
    pub(super) async fn look(&self, origin: &Origin, allow: &AllowList, look: &Look) -> (Instant, Answer) {
        let mut said = self.said.lock().await;
        if let Some(said) = said.as_ref().filter(|said| said.serves(look, Instant::now())) {
            let news = said.answer.clone().map(|document| {
                let is_known = !look.known.is_empty() && document.validators == look.known;
                (!is_known).then_some(document)
            });
            return (said.at, news);
        }
        let at = Instant::now();
        let answer = origin.playlist(allow, &look.url, &look.known).await;
        note(&mut said, at, &look.known, &answer);
        (at, answer)
    }

    /// The document that was asked for at that time tells what there is until then.
    pub(super) async fn holds(&self, at: Instant, until: Instant) {
        if let Some(said) = self.said.lock().await.as_mut().filter(|said| said.at == at) {
            said.holds = Some(until);
        }
    }
}

impl Said {
    fn serves(&self, look: &Look, now: Instant) -> bool {
        self.at >= look.since || look.by_clock && self.holds.is_some_and(|until| now < until)
    }
}

fn note(said: &mut MutexGuard<'_, Option<Said>>, at: Instant, known: &Validators, answer: &Answer) {
    match answer {
        Ok(Some(document)) => **said = Some(Said { at, answer: Ok(document.clone()), holds: None }),
        Err(error) => **said = Some(Said { at, answer: Err(error.clone()), holds: None }),
        Ok(None) => match said.as_mut() {
            Some(said) if said.answer.as_ref().is_ok_and(|document| document.validators == *known) => {
                (said.at, said.holds) = (at, None);
            }
            // Another one is meant than what lies here.
            _ => **said = None,
        },
    }
}

/// The presentations that are followed now; each swarm has its own, for what may be fetched differs.
#[derive(Debug, Default)]
pub(crate) struct Presentations {
    known: StdMutex<HashMap<(SwarmId, Url), Weak<Presentation>>>,
}

impl Presentations {
    /// The one at a URL, whatever of it is followed. The caller keeps it while it follows.
    pub(super) fn at(&self, swarm: SwarmId, url: &Url) -> Arc<Presentation> {
        let mut url = url.clone();
        url.set_fragment(None);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(presentation) = known.get(&(swarm, url.clone())).and_then(Weak::upgrade) {
            return presentation;
        }
        // So there are never more than followers.
        known.retain(|_, presentation| presentation.strong_count() > 0);
        let presentation = Arc::<Presentation>::default();
        known.insert((swarm, url), Arc::downgrade(&presentation));
        presentation
    }
}
