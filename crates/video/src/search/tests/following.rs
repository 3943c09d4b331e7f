//! The index follows a real event log.

use std::sync::Mutex;
use std::time::Duration;

use proto::events::VideoEvent;
use store::{Batch, Log, Store};
use tokio_util::sync::CancellationToken;

use super::*;

const LOG: Log<VideoEvent> = Log::new("events", &[CONSUMER]);
const INTERVAL: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Shelf(Mutex<BTreeMap<VideoId, Document>>);

impl Library for Shelf {
    fn document(&self, id: VideoId) -> Result<Option<Document>, store::ReadError> {
        Ok(self.0.lock().unwrap().get(&id).cloned())
    }

    fn documents(&self, after: Option<VideoId>, limit: usize) -> Result<Vec<Document>, store::ReadError> {
        let shelf = self.0.lock().unwrap();
        let all = shelf.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
        Ok(all.take(limit).map(|(_, document)| document.clone()).collect())
    }
}

impl Shelf {
    /// Changes a video and tells it.
    async fn put(&self, store: &Store, document: &Document) {
        self.0.lock().unwrap().insert(document.profile.id, document.clone());
        let event = VideoEvent::VideoChanged { video: document.profile.clone() };
        store.write(Batch::new().append(LOG, &event)).await.unwrap();
    }

    async fn remove(&self, store: &Store, document: &Document) {
        self.0.lock().unwrap().remove(&document.profile.id);
        let VideoProfile { id, owner, channel, .. } = document.profile.clone();
        store.write(Batch::new().append(LOG, &VideoEvent::VideoDeleted { id, owner, channel })).await.unwrap();
    }
}

fn titles(search: &Search, query: &str) -> usize {
    let all = |_| Some(Standing::default());
    search.find(query, &Filters::default(), Sort::Relevance, all, NOW).unwrap().len()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not in ten seconds: {what}");
}

struct Following {
    search: Search,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Following {
    fn begin(folder: &Path, store: &Store, shelf: &Arc<Shelf>) -> Self {
        let search = Search::open(folder, WRITER_BYTES).unwrap();
        let stop = CancellationToken::new();
        let follow = search.clone().follow(store.log(LOG), shelf.clone(), INTERVAL, stop.clone());
        Self { search, stop, task: tokio::spawn(follow) }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_reach_the_index_and_a_restart_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store"), store::Options::default()).unwrap();
    let index = folder.path().join("search");
    let shelf = Arc::new(Shelf::default());
    let mut rabbit = video("Rabbit");
    shelf.put(&store, &rabbit).await;

    let first = Following::begin(&index, &store, &shelf);
    until("the first video is found", || titles(&first.search, "rabit") == 1).await;
    rabbit.profile.title = "Squirrel".to_owned();
    shelf.put(&store, &rabbit).await;
    until("its new title is found", || titles(&first.search, "squirrel") == 1).await;
    assert_eq!(titles(&first.search, "rabbit"), 0);
    let head = store.log(LOG).head();
    until("the log knows", || store.log(LOG).cursors().unwrap() == [(CONSUMER.to_owned(), head)]).await;
    rabbit.channel_name = "Acorn films".to_owned();
    shelf.0.lock().unwrap().insert(rabbit.profile.id, rabbit.clone());
    first.search.channel_renamed(rabbit.profile.channel);
    until("a channel's new name is found", || titles(&first.search, "acorn") == 1).await;
    first.end().await;

    // What happens while nobody follows is caught up with, without a rebuild.
    let hedgehog = video("Hedgehog");
    shelf.put(&store, &hedgehog).await;
    shelf.remove(&store, &rabbit).await;
    let second = Following::begin(&index, &store, &shelf);
    until("the second video is found", || titles(&second.search, "hedgehog") == 1).await;
    assert_eq!(titles(&second.search, "squirrel"), 0);
    let generations = generation::numbers(&index).unwrap();
    assert_eq!(generations.len(), 1);
    second.end().await;

    // Damage behind our back: everything is found again all the same, in a new generation.
    std::fs::write(index.join(format!("{:010}", generations[0])).join("meta.json"), "{}").unwrap();
    let third = Following::begin(&index, &store, &shelf);
    until("it is made anew", || titles(&third.search, "hedgehog") == 1).await;
    until("the old one is gone", || generation::numbers(&index).unwrap().len() == 1).await;
    assert!(generation::numbers(&index).unwrap()[0] > generations[0]);
    third.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_is_made_anew_when_somebody_asks_and_the_old_one_answers_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store"), store::Options::default()).unwrap();
    let index = folder.path().join("search");
    let shelf = Arc::new(Shelf::default());
    for number in 0..50 {
        shelf.put(&store, &video(&format!("Rabbit {number}"))).await;
    }
    let following = Following::begin(&index, &store, &shelf);
    until("all are found", || titles(&following.search, "rabbit") == 50).await;
    let head = store.log(LOG).head();
    until("it is done", || following.search.standpoint() == Standpoint { sequence: head, rebuilds: false }).await;
    // What changed behind the log's back is in no event: only a rebuild finds it.
    shelf.0.lock().unwrap().values_mut().for_each(|document| document.profile.title = "Squirrel".to_owned());
    let before = generation::numbers(&index).unwrap();
    following.search.rebuild();
    assert!(following.search.standpoint().rebuilds);
    until("it is another one", || {
        let found = (titles(&following.search, "rabbit"), titles(&following.search, "squirrel"));
        assert!(found == (50, 0) || found == (0, 50), "{found:?}");
        found == (0, 50)
    })
    .await;
    until("the old one is gone", || !generation::numbers(&index).unwrap().contains(&before[0])).await;
    until("it follows again", || !following.search.standpoint().rebuilds).await;
    shelf.put(&store, &video("Hedgehog")).await;
    until("it does", || titles(&following.search, "hedgehog") == 1).await;
    following.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_of_other_data_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("search");
    let shelf = Arc::new(Shelf::default());
    for name in ["one", "other"] {
        let store = Store::open(&folder.path().join(name), store::Options::default()).unwrap();
        shelf.0.lock().unwrap().clear();
        shelf.put(&store, &video(&format!("Rabbit {name}"))).await;
        let following = Following::begin(&index, &store, &shelf);
        until(name, || titles(&following.search, &format!("rabbit {name} ")) == 1).await;
        until("nothing else is left", || following.search.len() == 1).await;
        following.end().await;
    }
}
