//! Recommendations on small catalogues, made by hand, and over a real store.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Mutex;

use proto::api::interaction::Rating;
use proto::api::video::{CommentPolicy, Privacy, ReasonKind, VideoState};
use proto::events::{ChannelEvent, InteractionEvent, VideoProfile, Viewer};

use super::*;
use crate::search::Document;

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const DAY_MS: i64 = 86_400_000;
const OWNER: UserId = UserId::from_bytes([9; 16]);

fn film(title: &str, channel: u8, age_days: i64) -> Document {
    Document {
        profile: VideoProfile {
            id: VideoId::generate(),
            owner: OWNER,
            channel: ChannelId::from_bytes([channel; 16]),
            title: title.to_owned(),
            privacy: Privacy::Public,
            state: VideoState::Published,
            comment_policy: CommentPolicy::Open,
            duration: 100.0,
            published_at: Some(NOW.plus_ms(-age_days * DAY_MS)),
            thumbnail_url: None,
        },
        description: String::new(),
        tags: Vec::new(),
        category: String::new(),
        language: "en".to_owned(),
        channel_name: format!("Channel {channel}"),
        channel_handle: format!("channel{channel}"),
        views: 0,
        likes: 0,
        dislikes: 0,
    }
}

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

/// An instance with its films, over a store in a temporary folder.
struct Instance {
    recommender: Recommender,
    shelf: Shelf,
    store: Store,
    _folder: tempfile::TempDir,
}

impl Instance {
    fn of(films: &[Document]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), store::Options::default()).unwrap();
        let shelf = Shelf::default();
        shelf.0.lock().unwrap().extend(films.iter().map(|film| (film.profile.id, film.clone())));
        let recommender = Recommender::load(&store, &shelf, NOW).unwrap();
        Self { recommender, shelf, store, _folder: folder }
    }

    async fn tell(&self, event: InteractionEvent) {
        let lesson = self.recommender.lesson(&event).unwrap();
        if !lesson.batch.is_empty() {
            self.store.write(lesson.batch).await.unwrap();
        }
        self.recommender.learn(lesson.change);
    }

    async fn tell_channel(&self, event: ChannelEvent) {
        let lesson = self.recommender.channel_lesson(&event).unwrap();
        if !lesson.batch.is_empty() {
            self.store.write(lesson.batch).await.unwrap();
        }
        self.recommender.learn(lesson.change);
    }

    async fn watch(&self, user: UserId, film: &Document) {
        self.tell(watched(Viewer::User(user), film, 100.0)).await;
    }

    fn home(&self, user: UserId) -> Vec<Shown> {
        shown(&self.recommender, self.recommender.home(Some(user), NOW), Some(user))
    }

    fn related(&self, film: &Document) -> Vec<Shown> {
        shown(&self.recommender, self.recommender.related(film.profile.id, None, NOW), None)
    }

    /// The films that most people watch: of late, or at all.
    fn chart(&self, viewer: Option<UserId>, trending: bool) -> Vec<VideoId> {
        let model = self.recommender.read();
        let most = model.most(viewer, NOW);
        let heat = |item: &items::Item| if trending { most.heat(item).1 } else { most.heat(item).0 };
        let mut hot: Vec<_> = model.items.all().map(|(_, item)| (heat(item), item.id)).collect();
        hot.sort_by(|left, right| right.0.total_cmp(&left.0));
        hot.into_iter().map(|(_, id)| id).collect()
    }

    /// The same instance after a restart.
    fn restarted(&self) -> Recommender {
        Recommender::load(&self.store, &self.shelf, NOW).unwrap()
    }
}

fn watched(viewer: Viewer, film: &Document, seconds: f64) -> InteractionEvent {
    InteractionEvent::Watched {
        viewer,
        video: film.profile.id,
        watched_seconds: seconds,
        position_seconds: seconds,
        at: NOW.plus_ms(-1_000),
    }
}

/// A recommendation as it is answered.
#[derive(Debug, Clone, PartialEq)]
struct Shown {
    id: VideoId,
    reason: Reason,
}

fn shown(recommender: &Recommender, picks: Vec<Pick>, viewer: Option<UserId>) -> Vec<Shown> {
    picks.iter().map(|pick| Shown { id: pick.id, reason: recommender.reason(pick, viewer) }).collect()
}

fn ids(shown: &[Shown]) -> Vec<VideoId> {
    shown.iter().map(|one| one.id).collect()
}

fn home_of(recommender: &Recommender, viewer: Option<UserId>) -> Vec<Shown> {
    shown(recommender, recommender.home(viewer, NOW), viewer)
}

fn ten() -> Vec<Document> {
    [
        "Baking sourdough bread",
        "Bread rolls in one hour",
        "Rye bread for beginners",
        "Fixing a bicycle chain",
        "Bicycle tour along the river",
        "A bicycle trailer of bamboo",
        "Learning the piano",
        "Piano: first songs",
        "Winter in the mountains",
        "Robot arm from scrap",
    ]
    .into_iter()
    .zip(1..)
    .map(|(title, channel)| film(title, channel, 40))
    .collect()
}

#[tokio::test]
async fn one_watched_video_makes_a_new_instance_personal() {
    let films = ten();
    let instance = Instance::of(&films);
    let user = UserId::generate();
    let before = instance.home(user);
    assert_eq!(before.len(), 10, "everything there is");
    instance.watch(user, &films[0]).await;
    let after = instance.home(user);
    let first: Vec<VideoId> = ids(&after)[..2].to_vec();
    assert!(first.contains(&films[1].profile.id) && first.contains(&films[2].profile.id), "bread comes first");
    assert_eq!(after[0].reason.kind, ReasonKind::Similar);
    assert_eq!(after[0].reason.video_id, Some(films[0].profile.id));
    assert_eq!(after[0].reason.subject.as_deref(), Some("Baking sourdough bread"));
    assert_eq!(after.last().unwrap().id, films[0].profile.id, "what was seen comes last");
    let stranger = instance.home(UserId::generate());
    assert_ne!(ids(&after), ids(&stranger), "others get another page");
}

#[tokio::test]
async fn what_the_same_people_watch_is_recommended_with_its_reason() {
    let films = ten();
    let instance = Instance::of(&films);
    // People who watch the robot watch the mountains: no word in common.
    for _ in 0..5 {
        let user = UserId::generate();
        instance.watch(user, &films[9]).await;
        instance.watch(user, &films[8]).await;
    }
    for _ in 0..8 {
        instance.watch(UserId::generate(), &films[6]).await;
    }
    let user = UserId::generate();
    instance.watch(user, &films[9]).await;
    let home = instance.home(user);
    assert_eq!(home[0].id, films[8].profile.id, "ahead of the most popular one");
    assert_eq!(home[0].reason.kind, ReasonKind::BecauseYouWatched);
    assert_eq!(home[0].reason.subject.as_deref(), Some("Robot arm from scrap"));
    instance.tell(InteractionEvent::Rated { user, video: films[9].profile.id, rating: Rating::Like, at: NOW }).await;
    assert_eq!(instance.home(user)[0].reason.kind, ReasonKind::BecauseYouLiked);
    let related = instance.related(&films[9]);
    assert_eq!((related[0].id, related[0].reason.kind), (films[8].profile.id, ReasonKind::BecauseYouWatched));
    assert!(!ids(&related).contains(&films[9].profile.id));
}

#[tokio::test]
async fn guests_get_what_is_popular_by_distinct_viewers() {
    let films = ten();
    let instance = Instance::of(&films);
    for page in 0..6 {
        instance.tell(watched(Viewer::Page(format!("page {page}")), &films[3], 50.0)).await;
    }
    // One person's reloads count once.
    let one = UserId::generate();
    for at in 0..50 {
        let event = InteractionEvent::Watched {
            viewer: Viewer::User(one),
            video: films[4].profile.id,
            watched_seconds: 60.0,
            position_seconds: 60.0,
            at: NOW.plus_ms(-at * 60_000),
        };
        instance.tell(event).await;
    }
    assert_eq!(instance.chart(None, true)[..2], [films[3].profile.id, films[4].profile.id]);
    assert_eq!(instance.chart(None, false)[0], films[3].profile.id);
    let home = home_of(&instance.recommender, None);
    assert_eq!((home[0].id, home[0].reason.kind), (films[3].profile.id, ReasonKind::Popular));
    assert_eq!(home.len(), 10);
}

#[tokio::test]
async fn the_private_the_deleted_and_the_unfinished_never_appear() {
    let mut films = ten();
    films[1].profile.privacy = Privacy::Private;
    films[2].profile.privacy = Privacy::Unlisted;
    films[3].profile.state = VideoState::Processing;
    films[4].profile.state = VideoState::Blocked;
    films[5].profile.privacy = Privacy::Internal;
    let instance = Instance::of(&films);
    let user = UserId::generate();
    instance.watch(user, &films[0]).await;
    instance.shelf.0.lock().unwrap().remove(&films[6].profile.id);
    instance.recommender.refresh(films[6].profile.id, &instance.shelf).unwrap();
    let recommender = &instance.recommender;
    let lists = [ids(&home_of(recommender, None)), ids(&instance.related(&films[0]))];
    for list in &lists {
        for hidden in &films[1..=6] {
            assert!(!list.contains(&hidden.profile.id), "{}", hidden.profile.title);
        }
    }
    assert!(ids(&instance.home(user)).contains(&films[5].profile.id), "internal is for those who are signed in");
    assert!(recommender.standings(Some(user))(films[1].profile.id).is_none());
    assert!(recommender.standings(Some(OWNER))(films[1].profile.id).is_some(), "one's own is found by oneself");
}

#[tokio::test]
async fn a_reason_never_tells_a_title_that_became_private() {
    let mut films = ten();
    let instance = Instance::of(&films);
    let user = UserId::generate();
    instance.watch(user, &films[0]).await;
    films[0].profile.privacy = Privacy::Private;
    instance.shelf.0.lock().unwrap().insert(films[0].profile.id, films[0].clone());
    instance.recommender.refresh(films[0].profile.id, &instance.shelf).unwrap();
    for pick in instance.home(user) {
        assert_ne!(pick.reason.video_id, Some(films[0].profile.id));
        assert!(!pick.reason.text.contains("sourdough"));
    }
}

#[tokio::test]
async fn subscriptions_bring_new_videos_up_and_say_so() {
    let mut films = ten();
    films[7].profile.published_at = Some(NOW.plus_ms(-DAY_MS));
    let instance = Instance::of(&films);
    let user = UserId::generate();
    let channel = films[7].profile.channel;
    let subscribed = ChannelEvent::Subscribed {
        user,
        channel,
        owner: OWNER,
        handle: "channel8".to_owned(),
        notify: proto::api::channel::NotifyLevel::All,
        new: true,
        at: NOW,
    };
    instance.tell_channel(subscribed).await;
    let home = instance.home(user);
    assert_eq!((home[0].id, home[0].reason.kind), (films[7].profile.id, ReasonKind::Subscribed));
    assert_eq!(home[0].reason.subject.as_deref(), Some("Channel 8"));
    assert!(instance.recommender.standings(Some(user))(films[7].profile.id).unwrap().subscribed);
    instance.tell_channel(ChannelEvent::Unsubscribed { user, channel }).await;
    assert!(instance.home(user).iter().all(|pick| pick.reason.kind != ReasonKind::Subscribed));
}

#[tokio::test]
async fn feedback_acts_at_once_and_survives_a_restart() {
    let films = ten();
    let instance = Instance::of(&films);
    let user = UserId::generate();
    instance.watch(user, &films[0]).await;
    let recommender = &instance.recommender;
    recommender.feedback(user, Subject::Video(films[1].profile.id), Verdict::Never, NOW, Batch::new()).await.unwrap();
    recommender
        .feedback(user, Subject::Channel(films[2].profile.channel), Verdict::Never, NOW, Batch::new())
        .await
        .unwrap();
    recommender.feedback(user, Subject::Video(films[5].profile.id), Verdict::Less, NOW, Batch::new()).await.unwrap();
    let place = |picks: &[Shown], film: &Document| ids(picks).iter().position(|id| *id == film.profile.id);
    for recommender in [recommender.clone(), instance.restarted()] {
        let home = home_of(&recommender, Some(user));
        assert_eq!(place(&home, &films[1]), None);
        assert_eq!(place(&home, &films[2]), None);
        assert!(place(&home, &films[5]) > place(&home, &films[6]), "less of that, and of what is like it");
        assert!(place(&home, &films[4]) > place(&home, &films[6]));
        assert!(
            !ids(&shown(&recommender, recommender.related(films[0].profile.id, Some(user), NOW), Some(user)))
                .contains(&films[1].profile.id)
        );
        let others = home_of(&recommender, None);
        assert!(place(&others, &films[1]).is_some(), "others still see it");
    }
}

#[tokio::test]
async fn a_dislike_hides_and_forgetting_forgets() {
    let films = ten();
    let instance = Instance::of(&films);
    let user = UserId::generate();
    let fresh = ids(&instance.home(user));
    let video = films[3].profile.id;
    instance.tell(InteractionEvent::Rated { user, video, rating: Rating::Dislike, at: NOW }).await;
    assert!(!ids(&instance.home(user)).contains(&video));
    instance.tell(InteractionEvent::Rated { user, video, rating: Rating::None, at: NOW }).await;
    assert_eq!(ids(&instance.home(user)), fresh);
    instance.watch(user, &films[0]).await;
    instance.watch(user, &films[6]).await;
    assert_ne!(ids(&instance.home(user)), fresh);
    instance.tell(InteractionEvent::Forgotten { user, video: Some(films[0].profile.id) }).await;
    assert!(instance.home(user).iter().all(|pick| pick.reason.video_id != Some(films[0].profile.id)));
    instance.tell(InteractionEvent::Forgotten { user, video: None }).await;
    assert_eq!(ids(&instance.home(user)), fresh);
    assert_eq!(ids(&home_of(&instance.restarted(), Some(user))), fresh, "nothing of it is stored");
}

#[tokio::test]
async fn an_event_that_comes_twice_counts_once_and_a_restart_changes_nothing() {
    let films = ten();
    let instance = Instance::of(&films);
    let users: Vec<UserId> = (0..4).map(|_| UserId::generate()).collect();
    for user in &users {
        for film in [&films[0], &films[8]] {
            instance.watch(*user, film).await;
        }
    }
    let once = instance.home(users[0]);
    for user in &users {
        for film in [&films[0], &films[8]] {
            instance.watch(*user, film).await;
        }
    }
    assert_eq!(instance.home(users[0]), once);
    assert_eq!(home_of(&instance.restarted(), Some(users[0])), once);
}

#[tokio::test]
async fn one_channel_does_not_fill_the_page() {
    let mut films: Vec<Document> = (0..20).map(|at| film(&format!("Bread number {at}"), 1, 10)).collect();
    films.extend((2..=20).map(|channel| film(&format!("Film of channel {channel}"), channel, 200)));
    let instance = Instance::of(&films);
    let user = UserId::generate();
    instance.watch(user, &films[0]).await;
    let home = instance.home(user);
    let channel_of = |id: &VideoId| films.iter().find(|film| film.profile.id == *id).unwrap().profile.channel;
    let loud = ids(&home)[..10].iter().filter(|id| channel_of(id) == films[0].profile.channel).count();
    assert_eq!(loud, 2);
    assert_eq!(home.len(), films.len() - 1, "all of it is further down; what was seen is not needed");
}

#[tokio::test]
async fn a_new_video_that_nobody_knows_gets_its_chance() {
    let mut films: Vec<Document> = (1..=40).map(|at| film(&format!("Old film {at}"), at, 300)).collect();
    films.push(film("Premiere of something else", 50, 1));
    let instance = Instance::of(&films);
    for film in &films[..40] {
        for _ in 0..3 {
            instance.watch(UserId::generate(), film).await;
        }
    }
    let home = home_of(&instance.recommender, None);
    let place = ids(&home).iter().position(|id| *id == films[40].profile.id).unwrap();
    assert!(place < 6, "{place}");
    assert_eq!(home[place].reason.kind, ReasonKind::New);
}

#[tokio::test]
async fn events_before_their_video_are_kept() {
    let late = film("A late film", 3, 1);
    let instance = Instance::of(&ten());
    let user = UserId::generate();
    instance.watch(user, &late).await;
    assert!(!ids(&home_of(&instance.recommender, None)).contains(&late.profile.id));
    instance.shelf.0.lock().unwrap().insert(late.profile.id, late.clone());
    instance.recommender.refresh(late.profile.id, &instance.shelf).unwrap();
    assert!(ids(&home_of(&instance.recommender, None)).contains(&late.profile.id));
    assert_eq!(instance.chart(None, true)[0], late.profile.id);
}

#[test]
#[ignore = "a measurement: cargo test --release -p video recommend::tests::speed -- --ignored --nocapture"]
#[allow(clippy::print_stdout)]
fn speed() {
    let of = |name: &str, default: usize| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (videos, people) = (of("VIDEOS", 200), of("PEOPLE", 500));
    let titles: Vec<String> = ten().into_iter().map(|film| film.profile.title).collect();
    let films: Vec<Document> = (0..videos)
        .map(|at| film(&format!("{} {}", titles[at % 10], at / 10), u8::try_from(at % 250).unwrap(), at as i64 % 400))
        .collect();
    let mut model = Model::new(NOW);
    for film in &films {
        model.items.put(film);
    }
    let users: Vec<UserId> = (0..people).map(|_| UserId::generate()).collect();
    let mut seed = 1_u64;
    let mut next = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let began = std::time::Instant::now();
    let events = people * 50;
    for at in 0..events {
        let signal = data::Signal { watched_seconds: 80.0, at_ms: NOW.ms() - 1_000, ..data::Signal::default() };
        let film = &films[next(videos)];
        model.set_signal(Person::from(users[at % people]), film.profile.id, Some(signal));
    }
    let learnt = began.elapsed();
    let began = std::time::Instant::now();
    let rounds = 100;
    for round in 0..rounds {
        assert!(!model.home(Some(users[round % people]), NOW).is_empty());
    }
    let home = began.elapsed() / u32::try_from(rounds).unwrap();
    println!(
        "{videos} videos, {events} events: {:.0} learnt a second, a home page in {home:?}",
        events as f64 / learnt.as_secs_f64()
    );
}
