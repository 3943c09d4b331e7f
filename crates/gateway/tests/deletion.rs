//! The end of an account, as the account, the admin and the other services meet it.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use kit::http::Body;
use serde_json::{Value, json};
use support::{Ask, Gateway, PASSWORD, Tokens, Upstream, json_response};

/// The processes that the gateway asks, with what they say at present.
struct Followers {
    said: Arc<Mutex<Value>>,
    retried: Arc<Mutex<usize>>,
    _running: Vec<Upstream>,
}

const FOLLOWERS: [(&str, &str); 4] =
    [("channel", "channel"), ("video", "video"), ("interaction", "interaction"), ("notification", "notification-0")];

impl Followers {
    async fn start(gateway: &Gateway) -> Self {
        let said = Arc::new(Mutex::new(json!({"open": 1, "stuck": [], "logs": []})));
        let retried = Arc::new(Mutex::new(0));
        let mut running = Vec::new();
        for (_, process) in FOLLOWERS {
            let (said, retried) = (said.clone(), retried.clone());
            let answer = move |request: Request<Body>| {
                if request.method() == "POST" {
                    *retried.lock().unwrap() += 1;
                    let mut response = Response::new(Body::empty());
                    *response.status_mut() = StatusCode::NO_CONTENT;
                    return std::future::ready(response);
                }
                std::future::ready(json_response(StatusCode::OK, &said.lock().unwrap()))
            };
            running.push(gateway.upstream(process, answer).await);
        }
        Self { said, retried, _running: running }
    }

    fn say(&self, open: u64, stuck: &[(&str, &str)], head: u64, read: u64) {
        let stuck: Vec<_> = stuck.iter().map(|(what, reason)| json!({"what": what, "reason": reason})).collect();
        let logs = json!([{"log": "events", "head": head, "read": read}]);
        *self.said.lock().unwrap() = json!({"open": open, "stuck": stuck, "logs": logs});
    }
}

async fn deletions(gateway: &Gateway, admin: &Tokens) -> Vec<Value> {
    let answer = gateway.send(Ask::new("GET", "/api/admin/deletions").by(admin)).await;
    answer.json()["items"].as_array().unwrap().clone()
}

async fn delete_me(gateway: &Gateway, who: &Tokens, password: &str) -> support::Answer {
    gateway.send(Ask::new("DELETE", "/api/me").by(who).json(&json!({"password": password}))).await
}

/// Reads the gateway's log as a follower does, to its end; what it says last.
async fn follow(gateway: &Gateway, consumer: &str) -> Value {
    let (mut after, mut last) = (0, Value::Null);
    loop {
        let path = format!("/internal/logs/events?consumer={consumer}&after={after}&wait=0");
        let page = gateway.local(Ask::new("GET", &path)).await.json();
        let Some(event) = page["events"].as_array().unwrap().last() else { return last };
        (after, last) = (event["sequence"].as_u64().unwrap(), event["event"].clone());
    }
}

async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never came: {what}");
}

#[tokio::test]
async fn an_account_ends_at_once_and_its_name_is_nobody_elses() {
    let gateway = Gateway::start().await;
    gateway.admin().await;
    let alice = gateway.user("alice").await;
    let wrong = delete_me(&gateway, &alice, "not the password at all").await;
    assert_eq!(wrong.code(), "invalid-field");
    assert_eq!(wrong.json()["errors"][0]["field"], "password");
    assert_eq!(gateway.send(Ask::new("GET", "/api/me").by(&alice)).await.status, 200);

    let ended = delete_me(&gateway, &alice, PASSWORD).await;
    assert_eq!(ended.status, 204, "{}", ended.text());
    assert!(!ended.cookies().is_empty(), "the cookies are cleared");
    assert_eq!(gateway.send(Ask::new("GET", "/api/me").by(&alice)).await.status, 401);
    let login = json!({"login": "alice", "password": PASSWORD});
    assert_eq!(gateway.post("/api/auth/login", &login).await.code(), "login-failed");
    let refresh = json!({"refreshToken": alice.refresh});
    assert_eq!(gateway.post("/api/auth/refresh", &refresh).await.code(), "refresh-invalid");
    assert_eq!(gateway.local(Ask::new("GET", &format!("/internal/users/{}", alice.id))).await.status, 404);

    let again = |name: &str| json!({"username": name, "email": "alice@example.org", "password": PASSWORD});
    assert_eq!(gateway.post("/api/auth/register", &again("alice")).await.code(), "username-taken");
    assert_eq!(gateway.post("/api/auth/register", &again("alison")).await.status, 201);
    // Also after a restart.
    let gateway = gateway.restart().await;
    let third = json!({"username": "alice", "email": "third@example.org", "password": PASSWORD});
    assert_eq!(gateway.post("/api/auth/register", &third).await.code(), "username-taken");
}

#[tokio::test]
async fn the_last_admin_stays() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin().await;
    let alice = gateway.user("alice").await;
    let last = delete_me(&gateway, &admin, PASSWORD).await;
    assert_eq!((last.status, last.code().as_str()), (409, "conflict"));
    let path = format!("/api/admin/users/{}", admin.id);
    assert_eq!(gateway.send(Ask::new("DELETE", &path).by(&admin)).await.status, 409);
    assert_eq!(gateway.send(Ask::new("DELETE", &path).by(&alice)).await.code(), "forbidden");
    let promote = Ask::new("PATCH", &format!("/api/admin/users/{}", alice.id)).by(&admin);
    assert_eq!(gateway.send(promote.json(&json!({"role": "admin"}))).await.status, 200);
    assert_eq!(delete_me(&gateway, &admin, PASSWORD).await.status, 204);
    assert_eq!(delete_me(&gateway, &alice, PASSWORD).await.status, 409, "now she is the last one");
}

#[tokio::test]
async fn a_deletion_is_done_when_everybody_has_read_it_and_removed_everything() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin().await;
    let alice = gateway.user("alice").await;
    let followers = Followers::start(&gateway).await;
    let path = format!("/api/admin/users/{}", alice.id);
    assert_eq!(gateway.send(Ask::new("DELETE", &path).by(&admin)).await.status, 204);

    // Nobody has read the event yet.
    followers.say(0, &[], 7, 7);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let on_its_way = deletions(&gateway, &admin).await;
    assert_eq!(on_its_way[0]["username"], "alice");
    assert_eq!(on_its_way[0]["waitingFor"], json!(["channel", "video", "interaction", "notification"]));

    // All but one have.
    for (consumer, _) in &FOLLOWERS[..3] {
        let last = follow(&gateway, consumer).await;
        assert_eq!(last, json!({"event": "user-deleted", "id": alice.id}));
    }
    until("one is left", async || deletions(&gateway, &admin).await[0]["waitingFor"] == json!(["notification"])).await;

    // It has, but cannot remove something.
    follow(&gateway, "notification").await;
    followers.say(0, &[("jobs 3", "no room")], 7, 7);
    until("it is stuck", async || deletions(&gateway, &admin).await[0]["stuck"][0]["reason"] == "no room").await;
    assert_eq!(deletions(&gateway, &admin).await[0]["waitingFor"], json!(["notification"]));
    let retry = format!("/api/admin/deletions/{}/retry", alice.id);
    assert_eq!(gateway.send(Ask::new("POST", &retry).by(&admin)).await.status, 204);
    assert_eq!(*followers.retried.lock().unwrap(), 4);
    let other = format!("/api/admin/deletions/{}/retry", admin.id);
    assert_eq!(gateway.send(Ask::new("POST", &other).by(&admin)).await.status, 404);

    // It can now; but what was told meanwhile has not been read by everybody, also after a restart.
    followers.say(0, &[], 9, 7);
    until("all have confirmed", async || deletions(&gateway, &admin).await[0]["waitingFor"] == json!([])).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(deletions(&gateway, &admin).await.len(), 1);
    let gateway = gateway.restart().await;
    let body = json!({"login": "admin", "password": PASSWORD, "returnRefreshToken": true});
    let admin = Tokens::of(&gateway.post("/api/auth/login", &body).await);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(deletions(&gateway, &admin).await.len(), 1);
    followers.say(0, &[], 9, 9);
    until("it is done", async || deletions(&gateway, &admin).await.is_empty()).await;
}
