//! Accounts and sessions, as clients meet them.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use kit::config::RegistrationPolicy;
use serde_json::json;
use support::{Ask, Gateway, PASSWORD, Tokens, config};

fn registration(username: &str) -> serde_json::Value {
    json!({"username": username, "email": format!("{username}@example.org"), "password": PASSWORD})
}

#[tokio::test]
async fn the_first_account_needs_the_setup_token_and_is_the_admin() {
    let gateway = Gateway::start().await;
    assert_eq!(gateway.get("/api/instance").await.json()["needsSetup"], true);
    assert_eq!(gateway.post("/api/auth/register", &registration("eve")).await.code(), "setup-required");
    let mut wrong = registration("eve");
    wrong["setupToken"] = "wrong".into();
    assert_eq!(gateway.post("/api/auth/register", &wrong).await.code(), "setup-token-invalid");

    let token = gateway.setup_token();
    let admin = gateway.admin().await;
    assert!(!gateway.context.data.setup_token().exists());
    assert_eq!(gateway.get("/api/instance").await.json()["needsSetup"], false);
    assert_eq!(gateway.send(Ask::new("GET", "/api/me").by(&admin)).await.json()["role"], "admin");
    let mut again = registration("eve");
    again["setupToken"] = token.into();
    assert_eq!(gateway.post("/api/auth/register", &again).await.code(), "setup-token-invalid");
}

#[tokio::test]
async fn faults_of_a_registration_are_named_by_field() {
    let gateway = Gateway::start().await;
    gateway.admin().await;
    let answer = gateway
        .post("/api/auth/register", &json!({"username": "A b", "email": "nonsense", "password": PASSWORD}))
        .await;
    assert_eq!(answer.code(), "invalid-field");
    let fields: Vec<_> = answer.json()["errors"].as_array().unwrap().iter().map(|e| e["field"].clone()).collect();
    assert_eq!(fields, ["username", "email"]);
    for (password, code) in [("short", "password-too-weak"), ("passwordpassword", "password-too-weak")] {
        let mut body = registration("alice");
        body["password"] = password.into();
        assert_eq!(gateway.post("/api/auth/register", &body).await.code(), code);
    }
    let mut body = registration("alice");
    body["admin"] = true.into();
    assert_eq!(gateway.post("/api/auth/register", &body).await.code(), "unknown-field");
    gateway.user("alice").await;
    assert_eq!(gateway.post("/api/auth/register", &registration("alice")).await.code(), "username-taken");
    let mut body = registration("bob");
    body["email"] = "ALICE@example.org".into();
    assert_eq!(gateway.post("/api/auth/register", &body).await.code(), "email-taken");
}

#[tokio::test]
async fn each_policy_lets_in_whom_it_says() {
    for (policy, status, code) in [
        (RegistrationPolicy::Invite, 501, "not-available-yet"),
        (RegistrationPolicy::Closed, 403, "registration-closed"),
        (RegistrationPolicy::Approval, 403, "approval-pending"),
    ] {
        let mut config = config();
        config.registration.policy = policy;
        let gateway = Gateway::start_with(config).await;
        gateway.admin().await;
        let answer = gateway.post("/api/auth/register", &registration("alice")).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
    }
}

#[tokio::test]
async fn an_account_that_waits_hears_so_after_the_right_password_only() {
    let mut config = config();
    config.registration.policy = RegistrationPolicy::Approval;
    let gateway = Gateway::start_with(config).await;
    let admin = gateway.admin().await;
    let mut body = registration("alice");
    body["reason"] = "I make films.".into();
    assert_eq!(gateway.post("/api/auth/register", &body).await.code(), "approval-pending");
    let login = |password: &str| json!({"login": "alice", "password": password});
    assert_eq!(gateway.post("/api/auth/login", &login("something else")).await.code(), "login-failed");
    assert_eq!(gateway.post("/api/auth/login", &login(PASSWORD)).await.code(), "approval-pending");

    let users = gateway.send(Ask::new("GET", "/api/admin/users?limit=100").by(&admin)).await.json();
    let alice = users["items"].as_array().unwrap().iter().find(|user| user["username"] == "alice").unwrap().clone();
    assert_eq!((alice["state"].as_str(), alice["reason"].as_str()), (Some("pending"), Some("I make films.")));
    let path = format!("/api/admin/users/{}", alice["id"].as_str().unwrap());
    let approved = gateway.send(Ask::new("PATCH", &path).by(&admin).json(&json!({"state": "active"}))).await;
    assert_eq!(approved.json()["state"], "active");
    assert_eq!(gateway.post("/api/auth/login", &login(PASSWORD)).await.status, 200);
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_look_the_same() {
    let gateway = Gateway::start().await;
    gateway.admin().await;
    gateway.user("alice").await;
    let unknown = gateway.post("/api/auth/login", &json!({"login": "nobody", "password": PASSWORD})).await;
    let wrong = gateway.post("/api/auth/login", &json!({"login": "alice", "password": "wrong password here"})).await;
    assert_eq!((unknown.status, wrong.status), (401, 401));
    assert_eq!(unknown.body, wrong.body);
    let right = gateway.post("/api/auth/login", &json!({"login": "Alice@Example.ORG ", "password": PASSWORD})).await;
    assert_eq!(right.status, 200);
    assert_eq!(right.json()["expiresIn"], 600);
    assert!(right.json().get("refreshToken").is_none());
}

#[tokio::test]
async fn browsers_keep_cookies_and_only_our_own_pages_may_use_them() {
    let gateway = Gateway::start().await;
    gateway.admin().await;
    gateway.user("alice").await;
    let login = json!({"login": "alice", "password": PASSWORD});
    let answer = gateway.post("/api/auth/login", &login).await;
    let cookies = answer.cookies();
    for (name, path) in [("djstream-refresh", "Path=/;"), ("djstream-media", "Path=/media;")] {
        let cookie = &cookies[name];
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains(path), "{cookie}");
    }
    let cookie = cookies["djstream-refresh"].split(';').next().unwrap().to_owned();
    let refresh = |headers: &[(&str, &str)]| {
        let ask = Ask::new("POST", "/api/auth/refresh").header("Cookie", &cookie);
        headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value))
    };
    for foreign in [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")] {
        assert_eq!(gateway.send(refresh(&[foreign])).await.code(), "cross-site", "{foreign:?}");
    }
    let evil = Ask::new("POST", "/api/auth/login").header("Origin", "https://evil.example").json(&login);
    assert_eq!(gateway.send(evil).await.code(), "cross-site");
    let own = gateway.send(refresh(&[("Origin", "http://gateway.test"), ("Sec-Fetch-Site", "same-origin")])).await;
    assert_eq!(own.status, 200, "{}", own.text());
    assert_ne!(own.cookies()["djstream-refresh"].split(';').next().unwrap(), cookie);
    assert!(own.json().get("refreshToken").is_none());
}

#[tokio::test]
async fn over_tls_the_cookies_are_bound_to_the_host() {
    let mut config = config();
    config.http.public_url = "https://video.example.org".to_owned();
    let gateway = Gateway::start_with(config).await;
    let mut body = registration("admin");
    body["setupToken"] = gateway.setup_token().into();
    let answer = gateway.post("/api/auth/register", &body).await;
    let cookies = answer.cookies();
    assert!(cookies["__Host-djstream-refresh"].contains("; Secure"));
    assert!(cookies["__Secure-djstream-media"].contains("; Secure"));
    assert!(answer.header("strict-transport-security").is_some());
}

#[tokio::test]
async fn a_refresh_token_used_again_ends_the_family() {
    let gateway = Gateway::start().await;
    gateway.admin().await;
    let first = gateway.user("alice").await;
    let renew = |token: &str| Ask::new("POST", "/api/auth/refresh").json(&json!({"refreshToken": token}));
    let second = Tokens::of(&gateway.send(renew(&first.refresh)).await);
    let third = Tokens::of(&gateway.send(renew(&second.refresh)).await);
    assert_eq!(gateway.send(Ask::new("GET", "/api/me").by(&third)).await.status, 200);
    // Two generations old: no grace.
    assert_eq!(gateway.send(renew(&first.refresh)).await.code(), "refresh-invalid");
    assert_eq!(gateway.send(renew(&third.refresh)).await.code(), "refresh-invalid");
    let answer = gateway.send(Ask::new("GET", "/api/me").by(&third)).await;
    assert_eq!(answer.code(), "token-invalid", "the access token ends with the session, at once");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn sessions_are_listed_ended_and_survive_a_restart() {
    let gateway = Gateway::start().await;
    gateway.admin().await;
    let first = gateway.user("alice").await;
    let login = json!({"login": "alice", "password": PASSWORD, "returnRefreshToken": true});
    let second = Tokens::of(
        &gateway.send(Ask::new("POST", "/api/auth/login").header("User-Agent", "Phone/1").json(&login)).await,
    );
    let gateway = gateway.restart().await;
    let list = gateway.send(Ask::new("GET", "/api/auth/sessions").by(&second)).await.json();
    let sessions = list["items"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let current = sessions.iter().find(|session| session["current"] == true).unwrap();
    assert_eq!(current["client"], "Phone/1");
    let other = sessions.iter().find(|session| session["current"] == false).unwrap()["id"].as_str().unwrap();
    let end = Ask::new("DELETE", &format!("/api/auth/sessions/{other}"));
    let bob = gateway.user("bob").await;
    assert_eq!(gateway.send(end.clone().by(&bob)).await.code(), "not-found");
    assert_eq!(gateway.send(end.by(&second)).await.status, 204);
    assert_eq!(gateway.send(Ask::new("GET", "/api/me").by(&first)).await.status, 401);
    let out = Ask::new("POST", "/api/auth/logout").json(&json!({"refreshToken": second.refresh}));
    assert_eq!(gateway.send(out).await.status, 204);
    assert_eq!(gateway.send(Ask::new("GET", "/api/me").by(&second)).await.status, 401);
}

#[tokio::test]
async fn whoever_has_only_an_access_token_can_log_out_too() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin().await;
    assert_eq!(gateway.send(Ask::new("POST", "/api/auth/logout").by(&admin)).await.status, 204);
    assert_eq!(gateway.send(Ask::new("GET", "/api/me").by(&admin)).await.code(), "token-invalid");
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let gateway = Gateway::start().await;
    gateway.admin().await;
    let first = gateway.user("alice").await;
    let login = |password: &str| json!({"login": "alice", "password": password, "returnRefreshToken": true});
    let second = Tokens::of(&gateway.post("/api/auth/login", &login(PASSWORD)).await);
    let change = |current: &str, new: &str| {
        let body = json!({"currentPassword": current, "newPassword": new});
        Ask::new("PUT", "/api/me/password").by(&first).json(&body)
    };
    let wrong = gateway.send(change("not this one at all", "a completely other phrase")).await;
    assert_eq!(
        (wrong.code().as_str(), wrong.json()["errors"][0]["field"].as_str()),
        ("invalid-field", Some("currentPassword"))
    );
    let weak = gateway.send(change(PASSWORD, "too short")).await;
    assert_eq!(
        (weak.code().as_str(), weak.json()["errors"][0]["field"].as_str()),
        ("password-too-weak", Some("newPassword"))
    );
    assert_eq!(gateway.send(change(PASSWORD, "a completely other phrase")).await.status, 204);
    assert_eq!(gateway.send(Ask::new("GET", "/api/me").by(&first)).await.status, 200);
    assert_eq!(gateway.send(Ask::new("GET", "/api/me").by(&second)).await.status, 401);
    assert_eq!(gateway.post("/api/auth/login", &login(PASSWORD)).await.status, 401);
    assert_eq!(gateway.post("/api/auth/login", &login("a completely other phrase")).await.status, 200);
}

#[tokio::test]
async fn a_suspended_account_is_out_at_once() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin().await;
    let alice = gateway.user("alice").await;
    let patch = |id: &str, body: serde_json::Value| Ask::new("PATCH", &format!("/api/admin/users/{id}")).json(&body);
    assert_eq!(gateway.send(patch(&alice.id, json!({"role": "admin"})).by(&alice)).await.code(), "forbidden");
    assert_eq!(gateway.send(patch(&admin.id, json!({"role": "user"})).by(&admin)).await.code(), "conflict");
    assert_eq!(gateway.send(patch(&alice.id, json!({"state": "suspended"})).by(&admin)).await.status, 200);
    assert_eq!(gateway.send(Ask::new("GET", "/api/me").by(&alice)).await.code(), "token-invalid");
    let login = json!({"login": "alice", "password": PASSWORD});
    assert_eq!(gateway.post("/api/auth/login", &login).await.code(), "suspended");
}

#[tokio::test]
async fn logins_are_throttled_and_go_on_later() {
    let mut config = config();
    config.limits.per_account_logins_per_minute = 60;
    let gateway = Gateway::start_with(config).await;
    gateway.admin().await;
    let wrong = json!({"login": "alice", "password": "wrong password here"});
    let mut statuses = Vec::new();
    for _ in 0..70 {
        let answer = gateway.post("/api/auth/login", &wrong).await;
        statuses.push(answer.status);
        if answer.status == 429 {
            assert_eq!(answer.code(), "rate-limited");
            assert_eq!(answer.header("retry-after"), Some("1"));
            break;
        }
    }
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(gateway.post("/api/auth/login", &wrong).await.status, 401);
}

#[tokio::test]
async fn forged_and_expired_tokens_are_refused() {
    let mut config = config();
    config.auth.access_token_ttl_s = 1;
    let gateway = Gateway::start_with(config).await;
    let admin = gateway.admin().await;
    let me = |token: &str| Ask::new("GET", "/api/me").header("Authorization", token);
    let parts: Vec<&str> = admin.access.split('.').collect();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    for forged in [
        format!("Bearer {none}.{}.", parts[1]),
        format!("Bearer {none}.{}.{}", parts[1], parts[2]),
        format!("Bearer {}.{}.{}", parts[0], parts[1], "A".repeat(86)),
        format!("Bearer {}.{}x.{}", parts[0], parts[1], parts[2]),
        format!("Bearer {}", admin.refresh),
        "Bearer".to_owned(),
        "Basic YWRtaW46YWRtaW4=".to_owned(),
    ] {
        let answer = gateway.send(me(&forged)).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token-invalid"), "{forged}");
    }
    let twice = me(&format!("Bearer {}", admin.access)).header("Authorization", "Bearer x");
    assert_eq!(gateway.send(twice).await.code(), "token-invalid");
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(gateway.send(Ask::new("GET", "/api/me").by(&admin)).await.code(), "token-expired");
    // A guest's route does not take a bad token for a guest; those that make tokens do not look at it.
    assert_eq!(gateway.send(Ask::new("GET", "/api/instance").by(&admin)).await.code(), "token-expired");
    let renew = Ask::new("POST", "/api/auth/refresh").by(&admin).json(&json!({"refreshToken": admin.refresh}));
    assert_eq!(gateway.send(renew).await.status, 200);
}

#[tokio::test]
async fn the_key_set_is_public_and_stays_over_a_restart() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin().await;
    let before = gateway.get("/.well-known/jwks.json").await.json();
    assert_eq!(
        (before["keys"][0]["alg"].as_str(), before["keys"][0]["crv"].as_str()),
        (Some("EdDSA"), Some("Ed25519"))
    );
    let gateway = gateway.restart().await;
    assert_eq!(gateway.get("/.well-known/jwks.json").await.json(), before);
    assert_eq!(gateway.send(Ask::new("GET", "/api/me").by(&admin)).await.status, 200);
}

#[tokio::test]
async fn who_reaches_the_own_socket_is_the_local_admin() {
    let gateway = Gateway::start().await;
    let body = json!({"username": "root", "email": "root@example.org", "password": PASSWORD, "role": "admin"});
    assert_eq!(gateway.post("/api/admin/users", &body).await.code(), "not-signed-in");
    let made = gateway.local(Ask::new("POST", "/api/admin/users").json(&body)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(!gateway.context.data.setup_token().exists(), "there is an admin now");
    let id = made.json()["id"].as_str().unwrap().to_owned();
    for path in [format!("/internal/users/{id}"), "/internal/users/by-name/root".to_owned()] {
        assert_eq!(gateway.local(Ask::new("GET", &path)).await.json()["username"], "root", "{path}");
        assert_eq!(gateway.get(&path).await.code(), "not-found", "never from outside");
    }
    let log = "/internal/logs/events?consumer=video&after=0&wait=0";
    assert_eq!(gateway.local(Ask::new("GET", log)).await.json()["events"][0]["event"]["user"]["username"], "root");
    assert_eq!(gateway.local(Ask::new("GET", "/internal/health")).await.status, 200);
    assert_eq!(gateway.get("/internal/health").await.code(), "not-found");
    let health = gateway.local(Ask::new("GET", "/api/health")).await.json();
    assert_eq!(health["status"], "degraded");
    let names: Vec<_> = health["services"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["gateway", "channel", "video", "interaction", "notification-0", "notification-1"]);
}
