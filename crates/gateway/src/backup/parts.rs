//! The calls to the services for their parts of a backup.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use kit::backup::MediaSummary;
use kit::backup::protocol::{MEDIA_PATH, MediaAsk, MediaPart, Phase, STORE_PATH, StoreAsk, StorePart};
use kit::{Context, Peer};
use proto::Problem;
use proto::routes::Service;

use super::Failed;

/// How long a store may be held: a request that writes waits as long at most.
const HOLD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long removals of media files may be paused before the files are held.
const PAUSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Attempts to hold all stores at the same time, and the pause after one that did not work.
const HOLDS_MAX: u32 = 5;
const HOLD_PAUSE: Duration = Duration::from_millis(300);
/// Seconds that one call waits for a step; it is asked again as long as the step takes.
const WAIT_S: u64 = 10;

/// The processes that have a store, and the one that has the media.
pub(super) struct Parts {
    stores: Vec<(Service, Peer)>,
    video: Peer,
}

impl Parts {
    pub(super) fn new(context: &Context) -> Self {
        let process = |service: Service| match service {
            Service::Notification => "notification-0",
            other => other.name(),
        };
        let stores = Service::ALL.map(|service| (service, Peer::new(context, process(service))));
        Self { stores: stores.into(), video: Peer::new(context, Service::Video.name()) }
    }

    /// Asks every store the same.
    async fn ask(&self, ask: impl Fn(Service) -> StoreAsk) -> Vec<Result<StorePart, Failed>> {
        join_all(self.stores.iter().map(|(service, peer)| {
            let ask = ask(*service);
            async move { peer.post::<_, StorePart>(STORE_PATH, &ask).await.map_err(said(peer)) }
        }))
        .await
    }

    /// Waits until every store's part of the backup is `wanted`.
    async fn all_are(&self, id: &str, wanted: Phase) -> Result<Vec<StorePart>, Failed> {
        try_join_all(self.stores.iter().map(|(_, peer)| async move {
            loop {
                let path = format!("{STORE_PATH}?wait={WAIT_S}");
                let part: StorePart = peer.get(&path).await.map_err(said(peer))?;
                if is(peer, id, &part.id, part.phase, wanted, part.error.as_deref())? {
                    return Ok(part);
                }
            }
        }))
        .await
    }

    /// Scans all stores.
    pub(super) async fn scan(&self, id: &str, folder: PathBuf) -> Result<(), Failed> {
        let asked = self.ask(|_| StoreAsk::Scan { id: id.to_owned(), folder: folder.clone() }).await;
        all(asked)?;
        self.all_are(id, Phase::Ready).await.map(drop)
    }

    /// Holds all stores at the same time, and gives the sequences where they were held.
    pub(super) async fn cut(&self, id: &str) -> Result<Vec<u64>, Failed> {
        let mut reason = String::new();
        for attempt in 1..=HOLDS_MAX {
            let timeout_ms = u64::try_from(HOLD_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
            let held = self.ask(|_| StoreAsk::Hold { id: id.to_owned(), timeout_ms }).await;
            // Whatever came of it: nobody waits any longer.
            let released = self.ask(|_| StoreAsk::Release { id: id.to_owned() }).await;
            match cut_of(held, released) {
                Ok(sequences) => return Ok(sequences),
                Err(error) => reason = error.to_string(),
            }
            tracing::info!(attempt, reason, "the stores were not held at the same time");
            tokio::time::sleep(HOLD_PAUSE * attempt).await;
        }
        Err(Failed::Said(format!("the stores could not be held at the same time: {reason}")))
    }

    /// Finishes all stores' files, each as of its sequence.
    pub(super) async fn finish(&self, id: &str, sequences: &[u64]) -> Result<Vec<StorePart>, Failed> {
        let of = |service: Service| self.stores.iter().position(|(own, _)| *own == service).unwrap_or(0);
        let asked = self.ask(|service| StoreAsk::Finish { id: id.to_owned(), sequence: sequences[of(service)] }).await;
        all(asked)?;
        self.all_are(id, Phase::Done).await
    }

    /// Lets removals of media files wait.
    pub(super) async fn pause_removals(&self, id: &str) -> Result<(), Failed> {
        let timeout_ms = u64::try_from(PAUSE_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
        self.media(&MediaAsk::Pause { id: id.to_owned(), timeout_ms }).await
    }

    /// Takes the media into the backup.
    pub(super) async fn take_media(
        &self,
        id: &str,
        folder: PathBuf,
        earlier: Option<PathBuf>,
    ) -> Result<MediaSummary, Failed> {
        self.media(&MediaAsk::Take { id: id.to_owned(), folder, earlier }).await?;
        loop {
            let path = format!("{MEDIA_PATH}?wait={WAIT_S}");
            let part: MediaPart = self.video.get(&path).await.map_err(said(&self.video))?;
            if is(&self.video, id, &part.id, part.phase, Phase::Done, part.error.as_deref())? {
                return part.media.ok_or_else(|| Failed::Said("video did not say what it took".to_owned()));
            }
        }
    }

    async fn media(&self, ask: &MediaAsk) -> Result<(), Failed> {
        self.video.post::<_, MediaPart>(MEDIA_PATH, ask).await.map(drop).map_err(said(&self.video))
    }

    /// Nobody has to remember the backup any longer.
    pub(super) async fn forget(&self, id: &str) {
        let stores = self.ask(|_| StoreAsk::Drop { id: id.to_owned() });
        let drop_media = MediaAsk::Drop { id: id.to_owned() };
        let (stores, media) = tokio::join!(stores, self.media(&drop_media));
        for error in stores.into_iter().map(|asked| asked.map(drop)).chain([media]).filter_map(Result::err) {
            tracing::debug!(%error, "a service does not forget its part by itself");
        }
    }

    /// Every store's lineage and journal, of those that answer.
    pub(super) async fn states(&self) -> Vec<(Service, StorePart)> {
        let asked = self.stores.iter().map(|(service, peer)| async move {
            peer.get::<StorePart>(STORE_PATH).await.ok().map(|part| (*service, part))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// Whether these are the states of all stores.
    pub(super) fn are_all(&self, states: &[(Service, StorePart)]) -> bool {
        states.len() == self.stores.len()
    }

    /// Tells a store what two verified backups have of it.
    pub(super) async fn covered(&self, service: Service, lineage: u64, sequence: u64) {
        let Some((_, peer)) = self.stores.iter().find(|(own, _)| *own == service) else { return };
        let told = peer.post::<_, StorePart>(STORE_PATH, &StoreAsk::Covered { lineage, sequence }).await;
        if let Err(problem) = told {
            tracing::warn!(service = service.name(), %problem, "a journal keeps more than it needs to");
        }
    }
}

fn said(peer: &Peer) -> impl FnOnce(Problem) -> Failed {
    let service = peer.name().to_owned();
    move |problem| Failed::Service { service, problem }
}

/// Whether a part has come as far as `wanted`; an error when it never will.
fn is(peer: &Peer, id: &str, own: &str, phase: Phase, wanted: Phase, error: Option<&str>) -> Result<bool, Failed> {
    if own != id {
        return Err(Failed::Said(format!("{} was started anew in the middle of it", peer.name())));
    }
    match phase {
        Phase::Working => Ok(false),
        Phase::Failed => Err(Failed::Said(format!("{}: {}", peer.name(), error.unwrap_or("it does not say why")))),
        phase if phase == wanted => Ok(true),
        phase => Err(Failed::Said(format!("{} is {phase:?} instead of {wanted:?}", peer.name()))),
    }
}

fn all(asked: Vec<Result<StorePart, Failed>>) -> Result<Vec<StorePart>, Failed> {
    asked.into_iter().collect()
}

/// The sequences, if every store was held when the last one was, which those that had not run out before they were
/// released were.
fn cut_of(held: Vec<Result<StorePart, Failed>>, released: Vec<Result<StorePart, Failed>>) -> Result<Vec<u64>, Failed> {
    let held = all(held)?;
    if !all(released)?.iter().all(|part| part.held) {
        return Err(Failed::Said("one of them had to wait for the others for too long".to_owned()));
    }
    let missing = || Failed::Said("one of them does not say where it was held".to_owned());
    held.iter().map(|part| part.held_at.ok_or_else(missing)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn part(held_at: Option<u64>, held: bool) -> Result<StorePart, Failed> {
        let (id, phase) = (String::new(), Phase::Ready);
        Ok(StorePart { id, phase, error: None, held_at, held, store: None, lineage: 1, journal_bytes: 0 })
    }

    #[test]
    fn a_cut_is_one_only_if_no_store_went_on_before_the_last_was_held() {
        let held = || vec![part(Some(7), false), part(Some(9), false)];
        assert_eq!(cut_of(held(), vec![part(None, true), part(None, true)]).unwrap(), [7, 9]);
        assert!(cut_of(held(), vec![part(None, true), part(None, false)]).is_err());
        assert!(cut_of(vec![part(Some(7), false), part(None, false)], vec![part(None, true)]).is_err());
        let away = || Err(Failed::Said("away".to_owned()));
        assert!(cut_of(vec![part(Some(7), false), away()], vec![part(None, true), part(None, true)]).is_err());
        assert!(cut_of(held(), vec![part(None, true), away()]).is_err());
    }
}
