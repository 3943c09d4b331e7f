//! The service over its socket, with real neighbours.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use http::Method;
use kit::Caller;
use proto::ChannelId;
use proto::api::video::Privacy;
use proto::events::ChannelEvent;
use serde_json::{Value, json};
use support::World;

async fn channel(world: &World, owner: &Caller, handle: &str) -> ChannelId {
    let body = json!({ "handle": handle, "name": handle });
    let made = world.ask(Method::POST, "/api/channels", Some(owner), Some(body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body["id"].as_str().unwrap().parse().unwrap()
}

fn titles(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_are_made_read_edited_and_deleted() {
    let world = World::start().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let long = "ä€😀 ".repeat(1_250).trim().to_owned();
    let body = json!({ "handle": "films", "name": " My films ", "description": long,
        "links": [{ "label": "Home", "url": "https://example.org/" }] });
    let made = world.ask(Method::POST, "/api/channels", Some(&ada), Some(body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["name"], "My films");
    assert_eq!(made.body["owner"], "ada");

    let taken = json!({ "handle": "films", "name": "Mine" });
    let taken = world.ask(Method::POST, "/api/channels", Some(&bob), Some(taken)).await;
    assert_eq!((taken.status.as_u16(), taken.code()), (409, "handle-taken"));
    for (body, code, field) in [
        (json!({ "handle": "F", "name": "a" }), "invalid-field", "handle"),
        (json!({ "handle": "fine", "name": " " }), "invalid-field", "name"),
        (json!({ "handle": "fine", "name": "a", "colour": 1 }), "unknown-field", "colour"),
        (
            json!({ "handle": "fine", "name": "a", "links": [{ "label": "a", "url": "javascript:1" }] }),
            "invalid-field",
            "links",
        ),
        (json!({ "handle": "fine", "name": "a", "description": "x".repeat(5_001) }), "invalid-field", "description"),
    ] {
        let refused = world.ask(Method::POST, "/api/channels", Some(&bob), Some(body)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (422, code), "{refused:?}");
        assert_eq!(refused.body["errors"][0]["field"], field);
    }
    let guest = world.ask(Method::POST, "/api/channels", None, Some(json!({ "handle": "fine", "name": "a" }))).await;
    assert_eq!((guest.status.as_u16(), guest.code()), (401, "not-signed-in"));

    let read = world.ask(Method::GET, "/api/channels/films", None, None).await;
    assert_eq!((&read.body["description"], &read.body["me"]), (&json!(long), &Value::Null));
    let tag = read.headers["etag"].to_str().unwrap().to_owned();
    let again = world.ask_with(Method::GET, "/api/channels/films", None, None, &[("if-none-match", &tag)]).await;
    assert_eq!((again.status.as_u16(), again.body), (304, Value::Null));

    let other = json!({ "name": "Other" });
    let refused = world.ask(Method::PATCH, "/api/channels/films", Some(&bob), Some(other.clone())).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "forbidden"));
    let matched = [("if-match", tag.as_str())];
    let patched = world.ask_with(Method::PATCH, "/api/channels/films", Some(&ada), Some(other.clone()), &matched).await;
    assert_eq!((patched.status.as_u16(), &patched.body["name"]), (200, &json!("Other")));
    assert_eq!(patched.body["description"], long);
    let stale = world.ask_with(Method::PATCH, "/api/channels/films", Some(&ada), Some(other), &matched).await;
    assert_eq!((stale.status.as_u16(), stale.code()), (412, "precondition-failed"));

    let id = made.body["id"].as_str().unwrap().to_owned();
    let profile = world.ask(Method::GET, &format!("/internal/channels/{id}"), None, None).await;
    assert_eq!(profile.body["handle"], "films");
    let own = world.all("/api/me/channels", Some(&ada), 1).await;
    assert_eq!(own.len(), 1);

    let video = world.publish(ada.user.unwrap(), id.parse().unwrap(), 1_000).await;
    world
        .eventually(async || world.ask(Method::GET, "/api/channels/films", None, None).await.body["videos"] == 1)
        .await;
    let full = world.ask(Method::DELETE, "/api/channels/films", Some(&ada), None).await;
    assert_eq!((full.status.as_u16(), full.code()), (409, "channel-not-empty"));
    world.delete_video(&video).await;
    world
        .eventually(async || world.ask(Method::GET, "/api/channels/films", None, None).await.body["videos"] == 0)
        .await;
    assert_eq!(world.ask(Method::DELETE, "/api/channels/films", Some(&ada), None).await.status, 204);
    assert_eq!(world.ask(Method::GET, "/api/channels/films", None, None).await.code(), "not-found");
    assert_eq!(channel(&world, &bob, "films").await.to_string().len(), 22);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_gets_the_first_answer() {
    let mut world = World::start().await;
    let ada = world.user("ada").await;
    let body = json!({ "title": "Mine", "description": "x".repeat(5_000) });
    let key = [("idempotency-key", "k1")];
    let first = world.ask_with(Method::POST, "/api/playlists", Some(&ada), Some(body.clone()), &key).await;
    world.stop_service().await;
    world.start_service().await;
    let second = world.ask_with(Method::POST, "/api/playlists", Some(&ada), Some(body.clone()), &key).await;
    assert_eq!((first.status.as_u16(), &first.body), (201, &second.body));
    let other = world.ask_with(Method::POST, "/api/playlists", Some(&ada), Some(json!({ "title": "B" })), &key).await;
    assert_eq!((other.status.as_u16(), other.code()), (422, "idempotency-key-reused"));
    let bob = world.user("bob").await;
    let his = world.ask_with(Method::POST, "/api/playlists", Some(&bob), Some(body.clone()), &key).await;
    assert_ne!(his.body["id"], first.body["id"]);
    let key = [("idempotency-key", "k2")];
    let at_once = (0..8).map(|_| world.ask_with(Method::POST, "/api/playlists", Some(&ada), Some(body.clone()), &key));
    let mut ids = Vec::new();
    for answer in futures(at_once).await {
        assert_eq!(answer.status, 201, "{answer:?}");
        ids.push(answer.body["id"].as_str().unwrap().to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(world.all("/api/me/playlists", Some(&ada), 2).await.len(), 3);
    world.end().await;
}

/// All at the same time.
async fn futures<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    futures_util::future::join_all(futures).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_are_counted_exactly_and_told_of() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let id = channel(&world, &ada, "films").await;
    let mut people = Vec::new();
    for number in 0..20 {
        people.push(world.user(&format!("user{number}")).await);
    }
    let path = "/api/channels/films/subscription";
    let twice = people.iter().chain(&people);
    let all = twice.map(|who| world.ask(Method::PUT, path, Some(who), Some(json!({ "notify": "all" }))));
    for answer in futures(all).await {
        assert_eq!((answer.status.as_u16(), &answer.body["notify"]), (200, &json!("all")), "{answer:?}");
    }
    let read = world.ask(Method::GET, "/api/channels/films", Some(&people[0]), None).await;
    assert_eq!(read.body["subscribers"], 20);
    assert_eq!(read.body["me"], json!({ "owner": false, "subscription": { "notify": "all" } }));
    let quiet = world.ask(Method::PUT, path, Some(&people[0]), Some(json!({ "notify": "none" }))).await;
    assert_eq!(quiet.body["notify"], "none");
    for _ in 0..2 {
        assert_eq!(world.ask(Method::DELETE, path, Some(&people[1]), None).await.status, 204);
    }
    let last = async || {
        let events = world.events().await;
        events.iter().rev().find_map(|event| match event {
            ChannelEvent::ChannelChanged { channel } if channel.id == id => Some(channel.subscribers),
            _ => None,
        })
    };
    world.eventually(async || last().await == Some(19)).await;
    let events = world.events().await;
    let new = events.iter().filter(|event| matches!(event, ChannelEvent::Subscribed { new: true, .. })).count();
    let changed = events.iter().filter(|event| matches!(event, ChannelEvent::Subscribed { new: false, .. })).count();
    let ended = events.iter().filter(|event| matches!(event, ChannelEvent::Unsubscribed { .. })).count();
    assert_eq!((new, changed, ended), (20, 1, 1));

    let listed = world.all("/api/me/subscriptions", Some(&people[0]), 1).await;
    assert_eq!((listed.len(), &listed[0]["channel"]["handle"]), (1, &json!("films")));
    assert_eq!(listed[0]["channel"]["subscribers"], 19);

    // What hangs on a channel or an account goes with it.
    world.delete_user(people[2].user.unwrap()).await;
    world.eventually(async || last().await == Some(18)).await;
    assert_eq!(world.ask(Method::DELETE, "/api/channels/films", Some(&ada), None).await.status, 204);
    world.eventually(async || world.all("/api/me/subscriptions", Some(&people[0]), 1).await.is_empty()).await;
    let told = async || {
        let events = world.events().await;
        events.iter().filter(|event| matches!(event, ChannelEvent::Unsubscribed { .. })).count()
    };
    world.eventually(async || told().await == 20).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_merges_channels_newest_first_and_pages_stably() {
    let world = World::start().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let mut channels = Vec::new();
    for handle in ["one", "two", "three"] {
        channels.push(channel(&world, &ada, handle).await);
    }
    let owner = ada.user.unwrap();
    let mut videos = Vec::new();
    for time in 0..30 {
        videos.push(world.publish(owner, channels[time as usize % 3], time * 1_000).await);
    }
    for handle in ["one", "two"] {
        let path = format!("/api/channels/{handle}/subscription");
        assert_eq!(world.ask(Method::PUT, &path, Some(&bob), Some(json!({}))).await.status, 200);
    }
    let count = async |handle: &str| {
        let path = format!("/api/channels/{handle}");
        world.ask(Method::GET, &path, None, None).await.body["videos"].clone()
    };
    world.eventually(async || count("three").await == 10).await;
    let expected = |videos: &[proto::events::VideoProfile]| {
        let of_two = videos.iter().rev().filter(|video| video.channel != channels[2]);
        of_two.map(|video| video.title.clone()).collect::<Vec<_>>()
    };
    assert_eq!(titles(&world.all("/api/me/feed", Some(&bob), 7).await), expected(&videos));

    // Between two pages something new comes and something old goes.
    let first = world.ask(Method::GET, "/api/me/feed?limit=5", Some(&bob), None).await;
    let new = world.publish(owner, channels[0], 99_000).await;
    let mut hidden = videos[13].clone();
    hidden.privacy = Privacy::Private;
    world.change(hidden).await;
    world.eventually(async || count("one").await == 11 && count("two").await == 9).await;
    let token = first.body["nextPageToken"].as_str().unwrap();
    let rest = world.ask(Method::GET, &format!("/api/me/feed?limit=100&pageToken={token}"), Some(&bob), None).await;
    let seen =
        [titles(first.body["items"].as_array().unwrap()), titles(rest.body["items"].as_array().unwrap())].concat();
    videos.remove(13);
    assert_eq!(seen, expected(&videos));
    let top = world.ask(Method::GET, "/api/me/feed?limit=1", Some(&bob), None).await;
    assert_eq!(titles(top.body["items"].as_array().unwrap()), [new.title]);
    assert_eq!(world.ask(Method::GET, "/api/me/feed", None, None).await.status, 401);
    let bad = world.ask(Method::GET, "/api/me/feed?pageToken=nonsense", Some(&bob), None).await;
    assert_eq!(bad.code(), "invalid-page-token");
    world.end().await;
}

async fn add(world: &World, owner: &Caller, list: &str, video: proto::VideoId) -> String {
    let path = format!("/api/playlists/{list}/items");
    let added = world.ask(Method::POST, &path, Some(owner), Some(json!({ "videoId": video.to_string() }))).await;
    assert_eq!(added.status, 201, "{added:?}");
    added.body["id"].as_str().unwrap().to_owned()
}

async fn order(world: &World, owner: &Caller, list: &str, limit: usize) -> Vec<String> {
    let items = world.all(&format!("/api/playlists/{list}/items"), Some(owner), limit).await;
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn playlists_keep_their_order_through_moves_at_the_same_time() {
    let world = World::start().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let id = channel(&world, &ada, "films").await;
    let video = world.publish(ada.user.unwrap(), id, 1_000).await;
    let made = world.ask(Method::POST, "/api/playlists", Some(&ada), Some(json!({ "title": "Mine" }))).await;
    let list = made.body["id"].as_str().unwrap().to_owned();
    let hidden = format!("/api/playlists/{list}");
    assert_eq!(world.ask(Method::GET, &hidden, Some(&bob), None).await.status, 404);
    assert_eq!(world.ask(Method::DELETE, &hidden, Some(&bob), None).await.status, 404);

    let mut model = Vec::new();
    for _ in 0..12 {
        model.push(add(&world, &ada, &list, video.id).await);
    }
    assert_eq!(order(&world, &ada, &list, 5).await, model);
    for (from, to) in [(0_usize, 5_usize), (11, 0), (3, 3), (7, 99), (2, 1)] {
        let item = model.remove(from);
        let path = format!("/api/playlists/{list}/items/{item}");
        let moved = world.ask(Method::PATCH, &path, Some(&ada), Some(json!({ "position": to }))).await;
        assert_eq!(moved.status, 200, "{moved:?}");
        model.insert(to.min(model.len()), item);
        assert_eq!(order(&world, &ada, &list, 100).await, model);
    }
    // The same gap again and again uses its room up.
    for _ in 0..200 {
        let item = model.remove(11);
        let path = format!("/api/playlists/{list}/items/{item}");
        world.ask(Method::PATCH, &path, Some(&ada), Some(json!({ "position": 1 }))).await;
        model.insert(1, item);
    }
    assert_eq!(order(&world, &ada, &list, 100).await, model);

    let moves = model.iter().map(|item| {
        let path = format!("/api/playlists/{list}/items/{item}");
        let (world, ada) = (&world, &ada);
        async move { world.ask(Method::PATCH, &path, Some(ada), Some(json!({ "position": 0 }))).await.status }
    });
    assert!(futures(moves).await.iter().all(|status| *status == 200));
    let mut after = order(&world, &ada, &list, 4).await;
    after.sort();
    model.sort();
    assert_eq!(after, model);

    let note = json!({ "note": "here", "startSeconds": 3.5 });
    let path = format!("/api/playlists/{list}/items/{}", model[0]);
    assert_eq!(world.ask(Method::PATCH, &path, Some(&ada), Some(note)).await.body["startSeconds"], 3.5);
    let cleared = world.ask(Method::PATCH, &path, Some(&ada), Some(json!({ "startSeconds": null }))).await;
    assert_eq!((&cleared.body["startSeconds"], &cleared.body["note"]), (&Value::Null, &json!("here")));
    let wrong = json!({ "startSeconds": 5, "endSeconds": 4 });
    assert_eq!(world.ask(Method::PATCH, &path, Some(&ada), Some(wrong)).await.code(), "invalid-field");
    assert_eq!(world.ask(Method::DELETE, &path, Some(&ada), None).await.status, 204);
    assert_eq!(world.ask(Method::DELETE, &path, Some(&ada), None).await.status, 404);
    let read = world.ask(Method::GET, &hidden, Some(&ada), None).await;
    assert_eq!((&read.body["items"], &read.body["thumbnailUrl"]), (&json!(11), &json!("/media/poster.jpg")));

    let open = json!({ "privacy": "public", "title": "Ours" });
    assert_eq!(world.ask(Method::PATCH, &hidden, Some(&ada), Some(open)).await.body["title"], "Ours");
    assert_eq!(world.ask(Method::GET, &hidden, None, None).await.status, 200);
    assert_eq!(world.ask(Method::DELETE, &hidden, Some(&bob), None).await.status, 403);
    assert_eq!(world.all("/api/channels/films/playlists", None, 10).await.len(), 1);
    let relations = format!("/internal/relations/{}/{id}/{}", ada.user.unwrap(), video.id);
    let related = world.ask(Method::GET, &relations, None, None).await;
    assert_eq!(related.body, json!({ "subscribed": false, "playlists": [list] }));
    assert_eq!(world.ask(Method::DELETE, &hidden, Some(&ada), None).await.status, 204);
    let related = world.ask(Method::GET, &relations, None, None).await;
    assert_eq!(related.body["playlists"], json!([]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_later_is_there_before_its_first_use() {
    let world = World::start().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let id = channel(&world, &ada, "films").await;
    let video = world.publish(ada.user.unwrap(), id, 1_000).await;
    let first = world.all("/api/me/playlists", Some(&ada), 10).await;
    assert_eq!((first.len(), &first[0]["kind"]), (1, &json!("watch-later")));
    let list = first[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/playlists/{list}");
    assert_eq!(world.ask(Method::GET, &path, Some(&ada), None).await.body, first[0]);
    assert_eq!(world.ask(Method::GET, &path, Some(&bob), None).await.status, 404);
    add(&world, &ada, &list, video.id).await;
    add(&world, &ada, &list, video.id).await;
    let second = world.all("/api/me/playlists", Some(&ada), 1).await;
    assert_eq!((second.len(), &second[0]["items"], &second[0]["id"]), (1, &json!(2), &json!(list)));
    let renamed = world.ask(Method::PATCH, &path, Some(&ada), Some(json!({ "title": "A" }))).await;
    assert_eq!((renamed.status.as_u16(), renamed.code()), (403, "forbidden"));
    assert_eq!(world.ask(Method::DELETE, &path, Some(&ada), None).await.status, 403);

    // What one may not see is not told, and cannot be added.
    let mut hidden = video.clone();
    hidden.privacy = Privacy::Private;
    world.change(hidden.clone()).await;
    add(&world, &ada, &list, video.id).await;
    let watch_later_of_bob = world.all("/api/me/playlists", Some(&bob), 10).await[0]["id"].as_str().unwrap().to_owned();
    let items = format!("/api/playlists/{watch_later_of_bob}/items");
    world
        .eventually(async || {
            let body = json!({ "videoId": video.id.to_string() });
            world.ask(Method::POST, &items, Some(&bob), Some(body)).await.status == 422
        })
        .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_public_route_is_there() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let mut routes = 0;
    for route in proto::routes::ROUTES.iter().filter(|route| route.service == proto::routes::Service::Channel) {
        let id = proto::Id::generate().to_string();
        let named = |segment: &str| match segment {
            "{handle}" => "nobody".to_owned(),
            segment if segment.starts_with('{') => id.clone(),
            segment => segment.to_owned(),
        };
        let path = route.pattern.split('/').map(named).collect::<Vec<_>>().join("/");
        let method = Method::from_bytes(route.method.name().as_bytes()).unwrap();
        let body = (method != Method::GET && method != Method::DELETE).then(|| json!({}));
        let answer = world.ask(method, &path, Some(&ada), body.clone()).await;
        assert_ne!(answer.code(), "method-not-allowed", "{route:?}");
        assert_ne!(answer.body["detail"], "There is nothing at this address.", "{route:?}");
        assert!(answer.status.as_u16() < 500, "{route:?}: {answer:?}");
        if route.least > proto::api::account::Role::Guest {
            let method = Method::from_bytes(route.method.name().as_bytes()).unwrap();
            let guest = world.ask(method, &path, None, body).await;
            assert!(matches!(guest.status.as_u16(), 401 | 404 | 422), "{route:?}: {guest:?}");
        }
        routes += 1;
    }
    assert!(routes > 10);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_playlist_is_paged_and_moved_in() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let id = channel(&world, &ada, "films").await;
    let video = world.publish(ada.user.unwrap(), id, 1_000).await;
    let list = world.all("/api/me/playlists", Some(&ada), 10).await[0]["id"].as_str().unwrap().to_owned();
    let mut model = Vec::new();
    for _ in 0..60 {
        let added = (0..20).map(|_| add(&world, &ada, &list, video.id));
        model.extend(futures(added).await);
    }
    let mut listed = order(&world, &ada, &list, 100).await;
    assert_eq!(listed.len(), 1_200);
    let last = listed.pop().unwrap();
    let path = format!("/api/playlists/{list}/items/{last}");
    assert_eq!(world.ask(Method::PATCH, &path, Some(&ada), Some(json!({ "position": 600 }))).await.status, 200);
    listed.insert(600, last);
    assert_eq!(order(&world, &ada, &list, 97).await, listed);
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    assert_eq!(sorted(listed), sorted(model));
    world.end().await;
}
