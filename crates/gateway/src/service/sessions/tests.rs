#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;

use proto::api::account::{AccountState, Role};

use super::*;
use crate::data::UserRecord;

const NOW: Timestamp = Timestamp::from_ms(1_795_000_000_000);
const HOUR_S: u64 = 3_600;

struct Fixture {
    sessions: Sessions,
    user: UserId,
    device: Device,
    _folder: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let _ = store::durable::install();
    let store = Store::open(&folder.path().join("store"), store::Options::default()).unwrap();
    Fixture {
        sessions: Sessions::open(&store, HOUR_S, CancellationToken::new(), NOW).unwrap(),
        user: UserId::generate(),
        device: Device::new("Browser/1", Ipv4Addr::LOCALHOST.into()),
        _folder: folder,
    }
}

/// Only who has an account can sign in.
fn account(id: UserId) -> UserRecord {
    UserRecord {
        id,
        username: "ada".to_owned(),
        display_name: "Ada".to_owned(),
        email: "ada@example.org".to_owned(),
        bio: String::new(),
        role: Role::User,
        state: AccountState::Active,
        password: String::new(),
        avatar_url: None,
        created_at: NOW,
        reason: None,
    }
}

impl Fixture {
    async fn begin(&self) -> Opened {
        let account = Batch::new().put(USERS, &self.user.bytes(), &account(self.user));
        self.sessions.begin(self.user, &self.device, NOW, account).await.unwrap()
    }
    async fn renew(&self, token: &RefreshToken, after_ms: i64) -> Result<Opened, GatewayError> {
        self.sessions.renew(&token.text(), &self.device, NOW.plus_ms(after_ms)).await
    }
}

#[tokio::test]
async fn tokens_rotate_and_an_old_one_ends_the_family() {
    let f = fixture();
    let first = f.begin().await;
    let second = f.renew(&first.token, 60_000).await.unwrap();
    let third = f.renew(&second.token, 120_000).await.unwrap();
    assert!(f.sessions.is_live(first.record.id, f.user));
    let ends = f.sessions.end_of(first.record.id).unwrap();
    // The very first one, two generations old.
    assert!(matches!(f.renew(&first.token, 121_000).await, Err(GatewayError::RefreshInvalid)));
    assert!(!f.sessions.is_live(first.record.id, f.user));
    assert!(ends.is_cancelled());
    assert!(matches!(f.renew(&third.token, 121_000).await, Err(GatewayError::RefreshInvalid)));
    assert!(f.sessions.list(f.user).unwrap().is_empty());
}

#[tokio::test]
async fn the_client_that_renewed_gets_the_same_token_again_for_ten_seconds() {
    let f = fixture();
    let first = f.begin().await;
    let second = f.renew(&first.token, 60_000).await.unwrap();
    let again = f.renew(&first.token, 69_000).await.unwrap();
    assert_eq!(again.token, second.token);
    let thief = Device::new("Other/1", Ipv4Addr::LOCALHOST.into());
    assert!(f.sessions.renew(&first.token.text(), &thief, NOW.plus_ms(69_500)).await.is_err());
    assert!(f.renew(&second.token, 70_000).await.is_err(), "the family has ended");
}

#[tokio::test]
async fn after_the_grace_the_token_before_ends_the_family_too() {
    let f = fixture();
    let first = f.begin().await;
    let second = f.renew(&first.token, 60_000).await.unwrap();
    assert!(f.renew(&first.token, 70_001).await.is_err());
    assert!(f.renew(&second.token, 70_002).await.is_err());
}

#[tokio::test]
async fn a_token_that_was_never_ours_ends_nothing() {
    let f = fixture();
    let first = f.begin().await;
    let guess = RefreshToken::new(first.record.id, rand::random());
    for text in [guess.text(), "nonsense".to_owned(), String::new(), "A".repeat(64)] {
        let result = f.sessions.renew(&text, &f.device, NOW).await;
        assert!(matches!(result, Err(GatewayError::RefreshInvalid)), "{text}");
    }
    assert!(f.renew(&first.token, 1_000).await.is_ok());
}

#[tokio::test]
async fn a_session_unused_for_too_long_has_ended() {
    let f = fixture();
    let first = f.begin().await;
    let second = f.renew(&first.token, 3_599_000).await.unwrap();
    assert!(f.renew(&second.token, 3_599_000 + 3_600_000).await.is_err());
    assert!(!f.sessions.is_live(first.record.id, f.user));
}

#[tokio::test]
async fn renewals_at_once_are_one() {
    let f = fixture();
    let first = f.begin().await;
    let renewals = (0..50).map(|_| f.renew(&first.token, 1_000));
    let results = futures_util::future::join_all(renewals).await;
    let tokens: Vec<String> = results.into_iter().map(|result| result.unwrap().token.text()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]));
}

#[tokio::test]
async fn others_are_ended_and_strangers_cannot_end_mine() {
    let f = fixture();
    let (mine, other) = (f.begin().await, f.begin().await);
    let stranger = UserId::generate();
    assert!(matches!(f.sessions.end_own(stranger, mine.record.id).await, Err(GatewayError::NotFound)));
    f.sessions.end_all(f.user, Some(mine.record.id), Batch::new()).await.unwrap();
    assert!(f.sessions.is_live(mine.record.id, f.user));
    assert!(!f.sessions.is_live(other.record.id, f.user));
    f.sessions.end_own(f.user, mine.record.id).await.unwrap();
    assert!(f.sessions.list(f.user).unwrap().is_empty());
}

#[tokio::test]
async fn the_session_unused_for_longest_makes_room() {
    let f = fixture();
    let first = f.begin().await;
    for index in 1..=SESSIONS_PER_USER_MAX {
        let later = NOW.plus_ms(i64::try_from(index).unwrap());
        f.sessions.begin(f.user, &f.device, later, Batch::new()).await.unwrap();
    }
    assert!(!f.sessions.is_live(first.record.id, f.user));
    assert_eq!(f.sessions.list(f.user).unwrap().len(), SESSIONS_PER_USER_MAX);
}

#[tokio::test]
async fn what_has_run_out_is_swept_and_the_rest_stays() {
    let f = fixture();
    let old = f.begin().await;
    let later = NOW.plus_ms(3_000_000);
    let young = f.sessions.begin(f.user, &f.device, later, Batch::new()).await.unwrap();
    let expired = f.sessions.expired(NOW.plus_ms(3_600_000)).unwrap();
    assert_eq!(expired, [(f.user, old.record.id)]);
    f.sessions.remove(&expired).await.unwrap();
    assert!(!f.sessions.is_live(old.record.id, f.user) && f.sessions.is_live(young.record.id, f.user));
    assert_eq!(f.sessions.list(f.user).unwrap().len(), 1);
}
