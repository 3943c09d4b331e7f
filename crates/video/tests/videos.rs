//! Videos through the real socket: processing, rights, lists, edits.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use kit::Caller;
use kit::http::Body;
use proto::VideoId;
use proto::api::account::Role;
use proto::events::{ChannelEvent, InteractionEvent, VideoEvent};
use serde_json::{Value, json};
use support::{World, film, made, person, with_role};

fn titles(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap()).collect()
}

async fn patch(world: &World, caller: &Caller, id: VideoId, body: Value) -> support::Answer {
    world.ask(Method::PATCH, &format!("/api/videos/{id}"), Some(caller), Some(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_is_playable_soon_and_gets_better() {
    let world = World::start().await;
    let caller = person("ann");
    world.open_channel(&caller, "films").await;
    let film = match std::env::var_os("DJSTREAM_TEST_FILM") {
        Some(path) => std::fs::read(path).unwrap(),
        None => film(6, "1280x720"),
    };
    let metadata = [("filename", "rabbit.mp4"), ("title", "Rabbit in the meadow"), ("tags", "rabbit,meadow")];
    let id = world.upload(&caller, &film, &metadata).await;
    let last_byte = Instant::now();
    let video = world.until_state(&caller, id, "published").await;
    eprintln!("last byte to playable: {} ms", last_byte.elapsed().as_millis());
    assert!(last_byte.elapsed() < Duration::from_secs(2));
    assert_eq!(video["title"], "Rabbit in the meadow");
    assert_eq!(video["tags"], json!(["rabbit", "meadow"]));
    assert_eq!(video["channel"]["handle"], "films");
    assert_eq!(video["playback"]["hls"], format!("/media/{id}/master.m3u8"));
    assert!(video["duration"].as_f64().unwrap() > 4.9);
    assert!(video["publishedAt"].is_string());

    let settled = world.until_settled(&caller, id).await;
    eprintln!("last byte to all done: {} ms", last_byte.elapsed().as_millis());
    let kinds: Vec<&str> =
        settled["jobs"].as_array().unwrap().iter().map(|job| job["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["probe", "remux", "poster", "rendition"]);
    assert!(settled["jobs"].as_array().unwrap().iter().all(|job| job["state"] == "done"), "{settled}");
    let video = world.video(&Caller::guest(), id).await;
    let heights: Vec<u64> =
        video["renditions"].as_array().unwrap().iter().map(|one| one["height"].as_u64().unwrap()).collect();
    assert_eq!(heights, [480, 720]);
    assert_eq!(video["thumbnailUrl"], format!("/media/{id}/poster.jpg"));
    assert!(video.get("bytes").is_none() && video["playback"].get("original").is_none());

    let grant = world.grant(&Caller::guest(), id).await.unwrap();
    assert!(grant.public);
    let names: Vec<&str> = grant.files.iter().map(|file| file.name.as_str()).collect();
    for name in ["master.m3u8", "480.m3u8", "480.mp4", "720.m3u8", "720.mp4", "poster.jpg", "thumbnail.jpg"] {
        assert!(names.contains(&name), "{names:?} lacks {name}");
    }
    assert!(!names.contains(&"original"));
    for file in &grant.files {
        assert!(world.media().join(&file.path).is_file(), "{file:?}");
    }
    let master = grant.files.iter().find(|file| file.name == "master.m3u8").unwrap();
    let master = std::fs::read_to_string(world.media().join(&master.path)).unwrap();
    assert!(master.contains("480.m3u8") && master.contains("720.m3u8") && master.contains("CODECS=\"avc1."));
    told_of_publishing(&world, id).await;
    world.end().await;
}

async fn told_of_publishing(world: &World, id: VideoId) {
    let events = world.events().await;
    let published = events.iter().filter(|event| matches!(event, VideoEvent::VideoPublished { .. })).count();
    let done = events.iter().filter(|event| matches!(event, VideoEvent::ProcessingDone { .. })).count();
    assert_eq!((published, done), (1, 1));
    let last = events.iter().rev().find_map(|event| match event {
        VideoEvent::VideoChanged { video } if video.id == id => Some(video.clone()),
        _ => None,
    });
    assert!(last.unwrap().thumbnail_url.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_browsers_do_not_play_is_published_with_its_smallest_rendition() {
    let world = World::start().await;
    let caller = person("ann");
    world.open_channel(&caller, "films").await;
    let film = made(3, "1280x720", "avi", &["-c:v", "mpeg4", "-q:v", "5"]);
    let id = world.upload(&caller, &film, &[]).await;
    let first = world.until_state(&caller, id, "published").await;
    assert_eq!(first["renditions"][0]["height"], 480);
    let settled = world.until_settled(&caller, id).await;
    assert!(settled["jobs"].as_array().unwrap().iter().all(|job| job["state"] == "done"), "{settled}");
    let heights: Vec<u64> = world.video(&caller, id).await["renditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["height"].as_u64().unwrap())
        .collect();
    assert_eq!(heights, [480, 720]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_with_sparse_keyframes_is_encoded_after_all() {
    let world = World::start().await;
    let caller = person("ann");
    world.open_channel(&caller, "films").await;
    let codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "9999"];
    let id = world.upload(&caller, &made(15, "160x120", "mp4", &codec), &[]).await;
    let settled = world.until_settled(&caller, id).await;
    assert_eq!(settled["state"], "published", "{settled}");
    assert_eq!(settled["jobs"][1]["kind"], "rendition");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_film_fails_with_a_sentence_and_blocks_nothing() {
    let world = World::start().await;
    let caller = person("ann");
    world.open_channel(&caller, "films").await;
    let text = world.upload(&caller, b"This is only a text, and no film at all.", &[("filename", "notes.mp4")]).await;
    let good = film(2, "320x240");
    let mut torn = good.clone();
    torn.truncate(300);
    let torn = world.upload(&caller, &torn, &[]).await;
    let nothing = world.create(&caller, 0, &[]).await.video();
    let fine = world.upload(&caller, &good, &[]).await;
    for id in [text, torn, nothing] {
        let video = world.until_state(&caller, id, "failed").await;
        assert!(video["failure"].as_str().unwrap().ends_with('.'), "{video}");
        assert_eq!(world.get(&format!("/api/videos/{id}"), &person("bob")).await.status, 404);
    }
    world.until_state(&caller, fine, "published").await;
    let told = world.events().await;
    let failed = told.iter().filter(|event| matches!(event, VideoEvent::ProcessingFailed { .. })).count();
    assert_eq!(failed, 3);
    let own = world.get("/api/me/videos?state=failed", &caller).await.body;
    assert_eq!(own["items"].as_array().unwrap().len(), 3);
    assert!(own["items"][0]["failure"].is_string());
    retrying_is_possible(&world, &caller, text).await;
    world.end().await;
}

async fn retrying_is_possible(world: &World, caller: &Caller, id: VideoId) {
    let settled = world.until_settled(caller, id).await;
    let job = settled["jobs"][0]["id"].as_str().unwrap();
    assert_eq!(
        (settled["jobs"][0]["state"].as_str().unwrap(), settled["state"].as_str().unwrap()),
        ("failed", "failed")
    );
    let path = format!("/api/videos/{id}/processing/{job}/retry");
    assert_eq!(world.ask(Method::POST, &path, Some(&person("bob")), None).await.status, 404);
    let again = world.ask(Method::POST, &path, Some(caller), None).await;
    assert_eq!(again.status, 200, "{again:?}");
    world.until_state(caller, id, "failed").await;
    let admin = with_role(Role::Admin);
    world.until_settled(caller, id).await;
    let again = world.ask(Method::POST, &format!("/api/admin/jobs/{job}/retry"), Some(&admin), None).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(world.get("/api/admin/jobs", caller).await.status, 403);
    assert_eq!(world.get("/api/admin/jobs", &admin).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_is_missing_ends_in_a_dead_letter_that_can_be_revived() {
    let mut world = World::start_with(|config| {
        config.media.ffprobe = "/nonexistent/ffprobe".into();
        config.media.job_attempts = 1;
    })
    .await;
    let caller = person("ann");
    world.open_channel(&caller, "films").await;
    let id = world.upload(&caller, &film(1, "160x120"), &[]).await;
    world.until_state(&caller, id, "failed").await;
    let queues = world.get("/internal/queues", &Caller::guest()).await.body;
    assert_eq!(queues[0]["dead"], 1, "{queues}");
    world.stop_service().await;
    world.configure(|config| config.media.ffprobe = "ffprobe".into());
    world.start_service().await;
    let job = world.get(&format!("/api/videos/{id}/processing"), &caller).await.body["jobs"][0]["id"].clone();
    let path = format!("/api/videos/{id}/processing/{}/retry", job.as_str().unwrap());
    assert_eq!(world.ask(Method::POST, &path, Some(&caller), None).await.status, 200);
    world.until_state(&caller, id, "published").await;
    let queues = world.get("/internal/queues", &Caller::guest()).await.body;
    assert_eq!(queues[0]["dead"], 0, "{queues}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_see_what() {
    let world = World::start().await;
    let owner = person("ann");
    world.open_channel(&owner, "films").await;
    let id = world.publish(&owner, &film(1, "160x120"), &[("title", "Mine")]).await;
    world.until_settled(&owner, id).await;
    let (guest, other, moderator) = (Caller::guest(), person("bob"), with_role(Role::Moderator));
    let viewers = [("guest", &guest), ("other", &other), ("owner", &owner), ("moderator", &moderator)];
    // Of each privacy: who watches it, and whose lists name it.
    let rules: [(&str, &[&str], &[&str]); 4] = [
        ("public", &["guest", "other", "owner", "moderator"], &["guest", "other", "owner", "moderator"]),
        ("unlisted", &["guest", "other", "owner", "moderator"], &[]),
        ("internal", &["other", "owner", "moderator"], &["other", "owner", "moderator"]),
        ("private", &["owner", "moderator"], &[]),
    ];
    for (privacy, watch, listed) in rules {
        let changed = patch(&world, &owner, id, json!({ "privacy": privacy })).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        for (name, viewer) in viewers {
            let may = watch.contains(&name);
            let document = world.get(&format!("/api/videos/{id}"), viewer).await;
            assert_eq!(document.status == 200, may, "{privacy} {name}");
            assert_eq!(document.status == 404, !may, "{privacy} {name}");
            let grant = world.grant(viewer, id).await;
            assert_eq!(grant.is_some(), may, "{privacy} {name}");
            assert!(grant.is_none_or(|grant| grant.public == matches!(privacy, "public" | "unlisted")));
            let query = json!({ "ids": [id, VideoId::generate()] });
            let cards = world.ask(Method::POST, "/internal/cards", Some(viewer), Some(query)).await;
            assert_eq!(cards.body["cards"].as_array().unwrap().len(), usize::from(may), "{privacy} {name}");
            for path in
                ["/api/videos", "/api/videos?sort=popular", "/api/videos?channel=films", "/api/channels/films/videos"]
            {
                // A ranking is a few seconds old at most; here it must not be.
                let list = world.get(path, viewer).await.body;
                let named = titles(&list).contains(&"Mine");
                assert!(named == listed.contains(&name) || path.contains("sort"), "{privacy} {name} {path}");
                assert!(!named || may, "{privacy} {name} {path}");
            }
            let edit = patch(&world, viewer, id, json!({ "title": "Mine" })).await.status;
            let expected = match name {
                "owner" | "moderator" => 200,
                "guest" => 401,
                _ if may => 403,
                _ => 404,
            };
            assert_eq!(edit, expected, "{privacy} {name}");
        }
    }
    let password = patch(&world, &owner, id, json!({ "privacy": "password" })).await;
    assert_eq!((password.status.as_u16(), password.code()), (501, "not-available-yet"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_are_checked_and_nobody_overwrites_unread() {
    let world = World::start().await;
    let owner = person("ann");
    world.open_channel(&owner, "films").await;
    world.open_channel(&owner, "more").await;
    let id = world.publish(&owner, &film(1, "160x120"), &[]).await;
    let path = format!("/api/videos/{id}");
    let tag = world.get(&path, &owner).await.header("etag").to_owned();
    let not_modified = world.send(Method::GET, &path, Some(&owner), &[("if-none-match", &tag)], Body::empty()).await;
    assert!(matches!(not_modified.status.as_u16(), 200 | 304));
    let edit = |title: &'static str, tag: String| {
        let (world, owner, path) = (&world, &owner, &path);
        async move {
            let headers = [("content-type", "application/json"), ("if-match", tag.as_str())];
            let body = Body::full(json!({ "title": title }).to_string());
            world.send(Method::PATCH, path, Some(owner), &headers, body).await
        }
    };
    let first = edit("First", tag.clone()).await;
    assert_eq!(first.status, StatusCode::OK);
    let late = edit("Second", tag).await;
    assert_eq!((late.status.as_u16(), late.code()), (412, "precondition-failed"));
    assert_eq!(edit("Second", first.header("etag").to_owned()).await.status, 200);

    let all = json!({
        "description": "About rabbits.", "channel": "more", "tags": ["Rabbit", "rabbit"], "category": "nature",
        "language": "en", "license": "CC-BY-4.0", "sensitive": true, "download": true, "commentPolicy": "closed"
    });
    let edited = patch(&world, &owner, id, all).await.body;
    assert_eq!((edited["title"].as_str().unwrap(), edited["channel"]["handle"].as_str().unwrap()), ("Second", "more"));
    assert_eq!(edited["tags"], json!(["Rabbit"]));
    assert_eq!(edited["playback"]["original"], format!("/media/{id}/original"));
    for (field, value) in [
        ("title", json!("")),
        ("title", json!("x".repeat(121))),
        ("description", json!("x".repeat(5001))),
        ("tags", json!(vec!["x".repeat(51)])),
        ("channel", json!("nobodys")),
        ("privacy", json!("hidden")),
        ("unknown", json!(1)),
    ] {
        let refused = patch(&world, &owner, id, json!({ field: value })).await;
        assert_eq!(refused.status, 422, "{field}: {refused:?}");
        assert_eq!(refused.body["errors"][0]["field"], field, "{refused:?}");
    }
    assert_eq!(titles(&world.get("/api/videos?category=nature&tag=RABBIT", &owner).await.body), ["Second"]);
    assert!(titles(&world.get("/api/channels/films/videos", &owner).await.body).is_empty());
    assert_eq!(titles(&world.get("/api/channels/more/videos", &owner).await.body), ["Second"]);
    assert_eq!(world.get("/api/channels/nobodys/videos", &owner).await.status, 404);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_page_without_repeats_and_follow_the_counts() {
    let world = World::start().await;
    let owner = person("ann");
    world.open_channel(&owner, "films").await;
    let film = film(1, "160x120");
    let mut ids = Vec::new();
    for title in ["one", "two", "three", "four", "five"] {
        ids.push(world.publish(&owner, &film, &[("title", title)]).await);
    }
    let mut seen = Vec::new();
    let mut path = "/api/videos?limit=2".to_owned();
    loop {
        let page = world.get(&path, &Caller::guest()).await.body;
        seen.extend(titles(&page).iter().map(|&title| title.to_owned()));
        let Some(token) = page["nextPageToken"].as_str() else { break };
        path = format!("/api/videos?limit=2&pageToken={token}");
    }
    assert_eq!(seen, ["five", "four", "three", "two", "one"]);
    let counts = InteractionEvent::Counts { video: ids[1], views: 42, likes: 3, dislikes: 1, comments: 2 };
    world.tell_interaction(counts).await;
    let video = world.until(&owner, ids[1], |video| video["views"] == 42).await;
    assert_eq!((&video["likes"], &video["dislikes"], &video["comments"]), (&json!(3), &json!(1), &json!(2)));
    let popular = world.get("/api/videos?sort=popular&limit=2", &Caller::guest()).await.body;
    assert_eq!(titles(&popular)[0], "two");
    let token = popular["nextPageToken"].as_str().unwrap();
    let rest = world.get(&format!("/api/videos?sort=popular&pageToken={token}"), &Caller::guest()).await.body;
    assert_eq!(titles(&rest).len(), 3);
    for path in ["/api/videos?limit=0", "/api/videos?sort=worst", "/api/videos?pageToken=nonsense"] {
        assert_eq!(world.get(path, &owner).await.status, 422, "{path}");
    }
    assert_eq!(titles(&world.get("/api/me/videos?q=THR", &owner).await.body), ["three"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_gone_with_its_files() {
    let world = World::start().await;
    let owner = person("ann");
    let channel = world.open_channel(&owner, "films").await;
    let film = film(2, "640x480");
    let first = world.publish(&owner, &film, &[]).await;
    // In the middle of its processing.
    let second = world.upload(&owner, &film, &[]).await;
    for id in [first, second] {
        let path = format!("/api/videos/{id}");
        assert!(world.ask(Method::DELETE, &path, Some(&person("bob")), None).await.status.is_client_error());
        assert_eq!(world.ask(Method::DELETE, &path, Some(&owner), None).await.status, 204);
        assert_eq!(world.get(&path, &owner).await.status, 404);
        assert!(world.grant(&owner, id).await.is_none());
        let folder = world.media().join(id.to_string());
        world.eventually(async || !folder.exists()).await;
    }
    assert!(titles(&world.get("/api/videos", &owner).await.body).is_empty());
    let events = world.events().await;
    assert_eq!(events.iter().filter(|event| matches!(event, VideoEvent::VideoDeleted { .. })).count(), 2);

    let third = world.publish(&owner, &film, &[]).await;
    world.tell_channel(ChannelEvent::ChannelDeleted { id: channel.id }).await;
    let path = format!("/api/videos/{third}");
    world.eventually(async || world.get(&path, &owner).await.status == 404).await;
    let folder = world.media().join(third.to_string());
    world.eventually(async || !folder.exists()).await;
    let idle = async || {
        let queues = world.get("/internal/queues", &owner).await.body;
        ["ready", "delayed", "leased", "dead"].iter().all(|state| queues[0][state] == 0)
    };
    world.eventually(idle).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subtitles_are_rewritten_and_chapters_kept() {
    let world = World::start().await;
    let owner = person("ann");
    world.open_channel(&owner, "films").await;
    let id = world.publish(&owner, &film(1, "160x120"), &[]).await;
    let path = format!("/api/videos/{id}/captions/en");
    let srt = "1\n00:00:00,000 --> 00:00:01,000\n<b>Hello</b> <script>\n";
    let put = world.send(Method::PUT, &path, Some(&owner), &[], Body::full(srt)).await;
    assert_eq!((put.status.as_u16(), &put.body["label"]), (200, &json!("English")), "{put:?}");
    let grant = world.grant(&Caller::guest(), id).await.unwrap();
    let track = grant.files.iter().find(|file| file.name == "captions/en.vtt").unwrap();
    let vtt = std::fs::read_to_string(world.media().join(&track.path)).unwrap();
    assert_eq!(vtt, "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nHello\n");
    let refused = world.send(Method::PUT, &path, Some(&owner), &[], Body::full("no subtitles")).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "invalid-field"));
    assert_eq!(world.video(&owner, id).await["captions"][0]["url"], format!("/media/{id}/captions/en.vtt"));
    assert_eq!(world.ask(Method::DELETE, &path, Some(&owner), None).await.status, 204);
    assert_eq!(world.ask(Method::DELETE, &path, Some(&owner), None).await.status, 404);
    let chapters = json!([{"startSeconds": 0.5, "title": "Later"}, {"startSeconds": 0, "title": "Start"}]);
    let put = world.ask(Method::PUT, &format!("/api/videos/{id}/chapters"), Some(&owner), Some(chapters)).await;
    assert_eq!(put.body[0]["title"], "Start");
    assert_eq!(world.video(&owner, id).await["chapters"][1]["title"], "Later");
    world.end().await;
}
