//! The routes of search and recommendations over a real store, index and log.
#![allow(clippy::unwrap_used)]

use http::{Method, Request, StatusCode};
use kit::config::Config;
use kit::http::{Body, Filtered, Handler};
use kit::{Context, DataFolder, Shutdown};
use proto::api::interaction::Rating;
use proto::api::video::{CommentPolicy, Privacy, VideoState};
use proto::events::{ChannelProfile, VideoEvent, Viewer};
use proto::{ChannelId, UserId};
use serde_json::{Value, json};
use store::{Options, Store};

use super::*;
use crate::data::{ABOUTS, About, HANDLES, Original, VIDEOS, VideoRecord};
use crate::media::Tools;
use crate::media::tool::ToolSettings;
use crate::peers::Peers;
use crate::service::Limits;

const ADA: UserId = UserId::from_bytes([1; 16]);
const BOB: UserId = UserId::from_bytes([2; 16]);
const CHANNEL: ChannelId = ChannelId::from_bytes([3; 16]);

/// The video service without its workers, except those of discovery.
struct Instance {
    context: Context,
    store: Store,
    discovery: Discovery,
    routes: Filtered,
    _folder: tempfile::TempDir,
}

impl Instance {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let context = Context::new(Config::default(), DataFolder::open(folder.path()).unwrap(), Shutdown::new());
        let store = Store::open(&context.data.service("video"), Options::default()).unwrap();
        let tools = Tools::new(ToolSettings::from_path()).unwrap();
        let (peers, limits) = (Peers::new(&context), Limits::of(&context.config));
        let service = Service::open(store.clone(), tools, peers, limits, context.data.media()).unwrap();
        let index = folder.path().join("search");
        let discovery = Discovery::open(Arc::clone(&service), &index, 15_000_000, kit::clock::now()).unwrap();
        let follow = discovery.clone().follow(Duration::from_millis(50), kit::clock::now(), context.shutdown.token());
        tokio::spawn(follow);
        let routes = kit::http::service(crate::routes::routes(&context, &service, &discovery));
        let channel = ChannelProfile {
            id: CHANNEL,
            owner: ADA,
            handle: "ada".to_owned(),
            name: "Ada's films".to_owned(),
            avatar_url: None,
            subscribers: 0,
        };
        let batch = Batch::new().put(CHANNELS, &CHANNEL.bytes(), &channel).put(HANDLES, &channel.handle, &CHANNEL);
        store.write(batch).await.unwrap();
        Self { context, store, discovery, routes, _folder: folder }
    }

    /// Publishes a film and waits until it is indexed.
    async fn publish(&self, title: &str, privacy: Privacy) -> VideoId {
        let id = VideoId::generate();
        let record = record(title, privacy);
        let about = About { description: format!("{title}, described."), tags: vec!["film".to_owned()] };
        let text = serde_json::to_string(&about).unwrap();
        let batch = Batch::new()
            .put(VIDEOS, &id.bytes(), &record)
            .put_text(ABOUTS, &id.bytes(), &text)
            .append(LOG, &VideoEvent::VideoChanged { video: record.profile(id) });
        let before = self.discovery.search.len();
        self.store.write(batch).await.unwrap();
        for _ in 0..400 {
            let known = self.discovery.recommender.standings(Some(ADA))(id).is_some();
            if self.discovery.search.len() > before && known {
                return id;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("not indexed in ten seconds");
    }

    /// Publishes many at once.
    async fn publish_all(&self, titles: &[String]) {
        for titles in titles.chunks(50) {
            let mut batch = Batch::new();
            for title in titles {
                let (id, record) = (VideoId::generate(), record(title, Privacy::Public));
                let about = About { description: format!("{title}. ").repeat(5), tags: vec!["film".to_owned()] };
                let text = serde_json::to_string(&about).unwrap();
                let event = VideoEvent::VideoChanged { video: record.profile(id) };
                batch =
                    batch.put(VIDEOS, &id.bytes(), &record).put_text(ABOUTS, &id.bytes(), &text).append(LOG, &event);
            }
            self.store.write(batch).await.unwrap();
        }
        let wanted = u64::try_from(titles.len()).unwrap();
        while self.discovery.search.len() < wanted {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn tell(&self, event: &InteractionEvent) {
        let (batch, afterwards) = self.discovery.interaction_event(event).unwrap();
        self.store.write(batch).await.unwrap();
        afterwards();
    }

    async fn call(&self, method: Method, path: &str, user: Option<UserId>, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(user) = user {
            request = request.header("x-djstream-user", user.to_string()).header("x-djstream-role", "user");
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::full(serde_json::to_vec(&body).unwrap())
            }
            None => Body::empty(),
        };
        let response = self.routes.handle(request.body(body).unwrap()).await;
        let status = response.status();
        let text = response.into_body().read(1 << 20).await.unwrap();
        (status, serde_json::from_slice(&text).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str, user: Option<UserId>) -> Value {
        let (status, body) = self.call(Method::GET, path, user, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    async fn code(&self, path: &str) -> (u16, String) {
        let (status, body) = self.call(Method::GET, path, None, None).await;
        (status.as_u16(), body["code"].as_str().unwrap_or_default().to_owned())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.context.shutdown.request();
    }
}

fn record(title: &str, privacy: Privacy) -> VideoRecord {
    VideoRecord {
        owner: ADA,
        channel: CHANNEL,
        title: title.to_owned(),
        privacy,
        state: VideoState::Published,
        failure: None,
        comment_policy: CommentPolicy::Open,
        duration: 100.0,
        created_at: kit::clock::now(),
        published_at: Some(kit::clock::now()),
        announced: true,
        category: "films".to_owned(),
        language: "en".to_owned(),
        license: String::new(),
        sensitive: false,
        download: false,
        original: Original { file: "x".to_owned(), bytes: 1, name: "x.mp4".to_owned(), sha256: None },
        poster: None,
        renditions: Vec::new(),
        master: None,
        captions: Vec::new(),
        version: 1,
    }
}

fn titles(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["video"]["title"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_published_film_is_found_with_typing_errors_and_only_by_those_who_may() {
    let instance = Instance::new().await;
    let rabbit = instance.publish("Rabbit in the meadow", Privacy::Public).await;
    instance.publish("Rabbit at home", Privacy::Private).await;
    instance.publish("Rabbit for members", Privacy::Internal).await;
    instance.publish("Rabbit by address", Privacy::Unlisted).await;

    let page = instance.get("/api/search?q=rabit%20medow", None).await;
    assert_eq!(titles(&page), ["Rabbit in the meadow"]);
    let hit = &page["items"][0];
    assert_eq!(hit["video"]["id"], rabbit.to_string());
    assert_eq!(hit["video"]["channel"]["handle"], "ada");
    assert_eq!(
        hit["highlights"][0],
        json!({"field": "title", "text": "Rabbit in the meadow", "ranges": [[0, 6], [14, 20]]})
    );
    assert_eq!(hit["moments"], json!([]));

    assert_eq!(titles(&instance.get("/api/search?q=rabbit", None).await).len(), 1);
    assert_eq!(titles(&instance.get("/api/search?q=rabbit", Some(BOB)).await).len(), 2);
    assert_eq!(titles(&instance.get("/api/search?q=rabbit", Some(ADA)).await).len(), 4, "one's own in every privacy");
    let suggested = instance.get("/api/search/suggest?q=rab", None).await;
    assert_eq!(suggested, json!({"items": ["Rabbit in the meadow"]}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_hidden_meanwhile_is_not_on_the_next_page() {
    let instance = Instance::new().await;
    for at in 0..3 {
        instance.publish(&format!("Rabbit {at}"), Privacy::Public).await;
    }
    for list in ["/api/search?q=rabbit", "/api/recommendations?"] {
        let first = instance.get(&format!("{list}&limit=1"), Some(BOB)).await;
        let token = first["nextPageToken"].as_str().unwrap();
        let next = format!("{list}&limit=1&pageToken={token}");
        let hidden = instance.get(&next, Some(BOB)).await["items"][0]["video"]["id"].as_str().unwrap().to_owned();
        let path = format!("/api/videos/{hidden}");
        for (privacy, is_shown) in [("private", false), ("unlisted", false), ("public", true)] {
            let (status, body) =
                instance.call(Method::PATCH, &path, Some(ADA), Some(json!({"privacy": privacy}))).await;
            assert_eq!(status, StatusCode::OK, "{body}");
            let page = instance.get(&next, Some(BOB)).await;
            assert_eq!(page["items"][0]["video"]["id"] == hidden.as_str(), is_shown, "{list} {privacy}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn search_is_paged_filtered_and_says_what_is_wrong() {
    let instance = Instance::new().await;
    for at in 0..7 {
        instance.publish(&format!("Rabbit {at}"), Privacy::Public).await;
    }
    let mut seen = Vec::new();
    let mut path = "/api/search?q=rabbit&limit=3".to_owned();
    let mut last = path.clone();
    loop {
        let page = instance.get(&path, None).await;
        seen.extend(titles(&page).into_iter().map(str::to_owned));
        let Some(token) = page["nextPageToken"].as_str() else { break };
        last = format!("/api/search?q=rabbit&limit=3&pageToken={token}");
        path.clone_from(&last);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 7, "nothing twice, nothing left out");
    let (status, body) = instance.call(Method::GET, &last, Some(BOB), None).await;
    assert_eq!((status.as_u16(), body["code"].as_str()), (422, Some("invalid-page-token")), "somebody else's list");

    for (filter, hits) in [
        ("duration=short", 7),
        ("duration=long", 0),
        ("uploaded=day", 7),
        ("channel=ada", 7),
        ("channel=bob", 0),
        ("category=films", 7),
        ("category=music", 0),
        ("language=en-GB", 7),
        ("language=de", 0),
        ("sort=popular", 7),
        ("sort=new&category=&channel=", 7),
    ] {
        let page = instance.get(&format!("/api/search?q=rabbit&{filter}"), None).await;
        assert_eq!(titles(&page).len(), hits, "{filter}");
    }
    assert_eq!(titles(&instance.get("/api/search?q=rabbit&sort=new", None).await)[0], "Rabbit 6");

    let invalid = (422, "invalid-field".to_owned());
    assert_eq!(instance.code("/api/search").await, invalid);
    assert_eq!(instance.code(&format!("/api/search?q={}", "x".repeat(501))).await, invalid);
    assert_eq!(instance.code("/api/search?q=a&limit=0").await, invalid);
    assert_eq!(instance.code("/api/search?q=a&sort=best").await, invalid);
    assert_eq!(instance.code("/api/search?q=a&type=channel").await, (501, "not-available-yet".to_owned()));
    assert_eq!(instance.code("/api/search?q=a&pageToken=xyz").await, (422, "invalid-page-token".to_owned()));
    for quiet in ["", "%22%22%22", "%00%01", "%F0%9F%90%87", "%E6%9D%B1%E4%BA%AC"] {
        assert!(titles(&instance.get(&format!("/api/search?q={quiet}"), None).await).is_empty(), "{quiet}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recommendations_differ_by_viewer_say_why_and_take_feedback() {
    let instance = Instance::new().await;
    let bread = instance.publish("Baking sourdough bread", Privacy::Public).await;
    let rolls = instance.publish("Bread rolls in one hour", Privacy::Public).await;
    instance.publish("Winter in the mountains", Privacy::Public).await;
    let hidden = instance.publish("Bread in private", Privacy::Private).await;

    assert_eq!(titles(&instance.get("/api/recommendations", None).await).len(), 3);
    let watched = InteractionEvent::Watched {
        viewer: Viewer::User(BOB),
        video: bread,
        watched_seconds: 100.0,
        position_seconds: 100.0,
        at: kit::clock::now(),
    };
    instance.tell(&watched).await;
    let page = instance.get("/api/recommendations", Some(BOB)).await;
    assert_eq!(page["items"][0]["video"]["id"], rolls.to_string());
    let reason = &page["items"][0]["reason"];
    assert_eq!((reason["kind"].as_str(), reason["videoId"].as_str()), (Some("similar"), Some(&*bread.to_string())));
    assert_eq!(reason["subject"], "Baking sourdough bread");
    assert_eq!(page["items"][2]["video"]["id"], bread.to_string(), "what was seen comes last");

    let beside = instance.get(&format!("/api/videos/{bread}/related"), None).await;
    assert_eq!(titles(&beside), ["Bread rolls in one hour", "Winter in the mountains"]);
    assert_eq!(instance.code(&format!("/api/videos/{hidden}/related")).await, (404, "not-found".to_owned()));
    assert_eq!(instance.code("/api/videos/nonsense/related").await, (404, "not-found".to_owned()));

    let feedback = async |user, body| {
        let (status, answer) = instance.call(Method::POST, "/api/recommendations/feedback", user, Some(body)).await;
        (status.as_u16(), answer["code"].as_str().unwrap_or_default().to_owned())
    };
    let never = json!({"videoId": rolls.to_string(), "verdict": "never"});
    assert_eq!(feedback(None, never.clone()).await, (401, "not-signed-in".to_owned()));
    assert_eq!(feedback(Some(BOB), json!({"verdict": "never"})).await, (422, "invalid-field".to_owned()));
    let unseen = json!({"videoId": hidden.to_string(), "verdict": "less"});
    assert_eq!(feedback(Some(BOB), unseen).await, (404, "not-found".to_owned()));
    assert_eq!(feedback(Some(BOB), never).await, (204, String::new()));
    let after = instance.get("/api/recommendations", Some(BOB)).await;
    assert!(!titles(&after).contains(&"Bread rolls in one hour"));
    assert_eq!(feedback(Some(BOB), json!({"channel": "ada", "verdict": "never"})).await, (204, String::new()));
    assert!(titles(&instance.get("/api/recommendations", Some(BOB)).await).is_empty());
    assert_eq!(titles(&instance.get("/api/recommendations", None).await).len(), 3);

    let rated = InteractionEvent::Rated { user: ADA, video: bread, rating: Rating::Like, at: kit::clock::now() };
    instance.tell(&rated).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recommendations_are_paged_as_they_were() {
    let instance = Instance::new().await;
    for at in 0..5 {
        instance.publish(&format!("Film number {at}"), Privacy::Public).await;
    }
    let first = instance.get("/api/recommendations?limit=2", None).await;
    let token = first["nextPageToken"].as_str().unwrap();
    let second = instance.get(&format!("/api/recommendations?limit=3&pageToken={token}"), None).await;
    assert!(second["nextPageToken"].is_null());
    let mut all: Vec<&str> = titles(&first).into_iter().chain(titles(&second)).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test --release -p video discovery::tests::speed -- --ignored --nocapture"]
#[allow(clippy::print_stdout)]
async fn speed() {
    let nouns = ["rabbit", "meadow", "river", "mountain", "bicycle", "garden", "piano", "kitchen", "robot", "winter"];
    let verbs = ["building", "playing", "cooking", "riding", "painting", "repairing", "learning", "climbing"];
    let count = std::env::var("VIDEOS").ok().and_then(|count| count.parse().ok()).unwrap_or(200);
    let titles: Vec<String> = (0..count)
        .map(|at: usize| format!("{} a {} with the {} {at}", verbs[at % 8], nouns[at % 10], nouns[(at / 10) % 10]))
        .collect();
    let instance = Arc::new(Instance::new().await);
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let line = status.lines().find(|line| line.starts_with("Pss:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    let empty = resident();
    instance.publish_all(&titles).await;
    let written = resident();
    tokio::time::sleep(Duration::from_secs(8)).await;
    println!("PSS {empty} MB empty, {written} MB after {count} videos were written, {} MB at rest", resident());
    let paths = [
        "/api/search?q=rabit%20medow",
        "/api/search?q=bycicle%20repairng",
        "/api/search?q=moutain%20clmbing%20winter",
        "/api/search/suggest?q=kit",
        "/api/recommendations",
    ];
    for path in paths {
        let began = std::time::Instant::now();
        let rounds = 1_000_u32;
        let at_once = (0..2).map(|_| {
            let instance = Arc::clone(&instance);
            tokio::spawn(async move {
                for _ in 0..rounds {
                    instance.get(path, None).await;
                }
            })
        });
        for task in at_once.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        println!("{path}: {:.0} a second on two threads", f64::from(2 * rounds) / began.elapsed().as_secs_f64());
    }
    println!("PSS {} MB after that", resident());
}
