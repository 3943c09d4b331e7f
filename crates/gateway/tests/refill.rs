//! The gateway's snapshot says what its events said, and the admin's routes reach the services' projections.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;

use http::{Method, Response, StatusCode};
use kit::Peer;
use kit::http::Body;
use kit::logs::{LogPage, SnapshotPage};
use proto::UserId;
use proto::events::{GatewayEvent, UserProfile};
use serde_json::{Value, json};
use support::{Ask, Gateway};

fn read(mut users: BTreeMap<UserId, UserProfile>, event: GatewayEvent) -> BTreeMap<UserId, UserProfile> {
    match event {
        GatewayEvent::UserChanged { user } => drop(users.insert(user.id, user)),
        GatewayEvent::UserDeleted { id } => drop(users.remove(&id)),
    }
    users
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_snapshot_says_what_the_events_said() {
    let gateway = Gateway::start().await;
    gateway.admin().await;
    let ada = gateway.user("ada").await;
    let bob = gateway.user("bob").await;
    let named = Ask::new("PATCH", "/api/me").by(&ada).json(&json!({ "displayName": "Ada L." }));
    assert_eq!(gateway.send(named).await.status, 200);
    let gone = Ask::new("DELETE", &format!("/api/admin/users/{}", bob.id));
    let gone = gateway.local(gone).await;
    assert!((200..300).contains(&gone.status), "{}", gone.text());
    let peer = Peer::new(&gateway.context, "gateway");
    for consumer in ["channel", "video", "interaction", "notification"] {
        let path = format!("/internal/logs/events?consumer={consumer}&after=0");
        let page: LogPage<GatewayEvent> = peer.get(&path).await.unwrap();
        let told = page.events.into_iter().fold(BTreeMap::new(), |users, event| read(users, event.event));
        let path = format!("/internal/logs/events/snapshot?consumer={consumer}");
        let page: SnapshotPage<GatewayEvent> = peer.get(&path).await.unwrap();
        assert_eq!((page.sequence, page.next), (5, None));
        let said = page.events.into_iter().fold(BTreeMap::new(), read);
        assert_eq!((said.len(), said.values().filter(|user| user.display_name == "Ada L.").count()), (2, 1));
        assert_eq!(said, told);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_reaches_the_projections_of_every_service() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin().await;
    let user = gateway.user("ada").await;
    let answer = |body: Value| {
        let mut response = Response::new(Body::full(body.to_string()));
        response.headers_mut().insert("content-type", "application/json".parse().unwrap());
        response
    };
    let one = json!({ "service": "video", "owner": "channel", "log": "events", "consumer": "video", "cursor": 7,
        "behind": 0, "dead": 1, "state": "following" });
    let letter = json!({ "service": "video", "owner": "channel", "sequence": 3, "event": "{}", "reason": "no",
        "time": "2026-11-24T18:00:00Z" });
    let _video = gateway
        .upstream("video", move |request| {
            let (one, letter) = (one.clone(), letter.clone());
            async move {
                match (request.method().clone(), request.uri().path()) {
                    (Method::GET, "/internal/projections") => answer(json!([one])),
                    (Method::POST, "/internal/projections/rebuild") => answer(json!([one])),
                    (Method::GET, "/internal/projections/dead") => answer(json!([letter])),
                    (Method::POST, "/internal/projections/dead/retry" | "/internal/projections/dead/drop") => {
                        answer(Value::Null)
                    }
                    _ => {
                        let mut response = Response::new(Body::empty());
                        *response.status_mut() = StatusCode::NOT_FOUND;
                        response
                    }
                }
            }
        })
        .await;
    let list = gateway.send(Ask::new("GET", "/api/admin/projections").by(&admin)).await;
    assert_eq!((list.status, list.json()["items"][0]["cursor"].clone()), (200, json!(7)), "{}", list.text());
    let rebuild = "/api/admin/projections/video/rebuild";
    let body = json!({ "owner": "channel" });
    let asked = gateway.send(Ask::new("POST", rebuild).by(&admin).json(&body)).await;
    assert_eq!((asked.status, asked.json()[0]["owner"].clone()), (200, json!("channel")));
    let dead = gateway.send(Ask::new("GET", "/api/admin/projections/video/dead").by(&admin)).await;
    assert_eq!(dead.json()["items"][0]["sequence"], 3);
    for action in ["retry", "drop"] {
        let path = format!("/api/admin/projections/video/dead/{action}");
        let body = json!({ "owner": "channel", "sequence": 3 });
        let done = gateway.send(Ask::new("POST", &path).by(&admin).json(&body)).await;
        assert!((200..300).contains(&done.status), "{}", done.text());
    }
    // Nobody else may, and what is not there is not found.
    assert_eq!(gateway.send(Ask::new("GET", "/api/admin/projections").by(&user)).await.status, 403);
    assert_eq!(gateway.send(Ask::new("POST", rebuild).by(&user).json(&body)).await.status, 403);
    for service in ["gateway", "nobody"] {
        let path = format!("/api/admin/projections/{service}/dead");
        assert_eq!(gateway.send(Ask::new("GET", &path).by(&admin)).await.status, 404, "{service}");
    }
    let wrong = Ask::new("POST", rebuild).by(&admin).json(&json!({ "wrong": 1 }));
    assert_eq!(gateway.send(wrong).await.status, 422);
    // A service that is away says so.
    let away = Ask::new("GET", "/api/admin/projections/channel/dead").by(&admin);
    assert_eq!(gateway.send(away).await.status, 503);
}
