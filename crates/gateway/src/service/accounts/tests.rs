#![allow(clippy::unwrap_used)]

use super::*;

const NOW: Timestamp = Timestamp::from_ms(1_795_000_000_000);

fn accounts() -> (Accounts, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let _ = store::durable::install();
    let store = Store::open(&folder.path().join("store"), store::Options::default()).unwrap();
    (Accounts::new(&store), folder)
}

fn new(username: &str, role: Role, state: AccountState) -> NewAccount {
    NewAccount {
        username: username.to_owned(),
        email: format!("{username}@example.org"),
        password: String::new(),
        role,
        state,
        reason: Some("because".to_owned()),
    }
}

async fn make(accounts: &Accounts, username: &str, role: Role) -> UserRecord {
    accounts.create(new(username, role, AccountState::Active), NOW, Batch::new()).await.unwrap()
}

#[tokio::test]
async fn an_account_is_found_by_either_name_in_any_spelling() {
    let (accounts, _folder) = accounts();
    let user = make(&accounts, "alice", Role::User).await;
    assert_eq!(user.display_name, "alice");
    for login in ["alice", " Alice ", "ALICE@example.org", "alice@EXAMPLE.org "] {
        assert_eq!(accounts.by_login(login).unwrap().unwrap().id, user.id, "{login}");
    }
    assert!(accounts.by_login("bob").unwrap().is_none());
}

#[tokio::test]
async fn names_are_taken_once_even_at_the_same_moment() {
    let (accounts, _folder) = accounts();
    let attempts = (0..8).map(|_| accounts.create(new("alice", Role::User, AccountState::Active), NOW, Batch::new()));
    let made = futures_util::future::join_all(attempts).await;
    assert_eq!(made.iter().filter(|result| result.is_ok()).count(), 1);
    let same_email =
        NewAccount { email: "Alice@Example.org".to_owned(), ..new("bob", Role::User, AccountState::Active) };
    assert!(matches!(accounts.create(same_email, NOW, Batch::new()).await, Err(GatewayError::EmailTaken)));
    assert!(matches!(accounts.check_free("alice", "x@y.z"), Err(GatewayError::UsernameTaken)));
}

#[tokio::test]
async fn changes_reach_the_event_log_and_the_indexes() {
    let (accounts, _folder) = accounts();
    let user = make(&accounts, "alice", Role::User).await;
    let patch = PatchMe { display_name: Some("Ann".to_owned()), email: Some("ann@example.org".to_owned()), bio: None };
    accounts.patch_me(user.id, &patch, NOW).await.unwrap();
    assert!(accounts.by_login("alice@example.org").unwrap().is_none());
    assert_eq!(accounts.by_login("ann@example.org").unwrap().unwrap().display_name, "Ann");
    let events = accounts.store.log(EVENTS).read(0, 10).unwrap();
    let names: Vec<_> = events
        .iter()
        .map(|(_, _, event)| match event {
            GatewayEvent::UserChanged { user } => user.display_name.clone(),
            GatewayEvent::UserDeleted { .. } => String::new(),
        })
        .collect();
    assert_eq!(names, ["alice", "Ann"]);
}

#[tokio::test]
async fn somebody_elses_address_cannot_be_taken() {
    let (accounts, _folder) = accounts();
    let alice = make(&accounts, "alice", Role::User).await;
    make(&accounts, "bob", Role::User).await;
    let patch = PatchMe { email: Some("BOB@example.org".to_owned()), ..PatchMe::default() };
    assert!(matches!(accounts.patch_me(alice.id, &patch, NOW).await, Err(GatewayError::EmailTaken)));
    let respelled = PatchMe { email: Some("Alice@example.org".to_owned()), ..PatchMe::default() };
    assert_eq!(accounts.patch_me(alice.id, &respelled, NOW).await.unwrap().email, "Alice@example.org");
}

#[tokio::test]
async fn the_last_admin_stays() {
    let (accounts, _folder) = accounts();
    let first = make(&accounts, "first", Role::Admin).await;
    let demote = PatchUser { role: Some(Role::User), state: None };
    let suspend = PatchUser { role: None, state: Some(AccountState::Suspended) };
    assert!(matches!(accounts.patch(first.id, &demote, NOW).await, Err(GatewayError::LastAdmin)));
    assert!(matches!(accounts.patch(first.id, &suspend, NOW).await, Err(GatewayError::LastAdmin)));
    let second = make(&accounts, "second", Role::Admin).await;
    accounts.patch(first.id, &suspend, NOW).await.unwrap();
    assert!(matches!(accounts.patch(second.id, &demote, NOW).await, Err(GatewayError::LastAdmin)));
    for bad in [
        PatchUser { role: Some(Role::Guest), state: None },
        PatchUser { role: None, state: Some(AccountState::Pending) },
    ] {
        assert!(matches!(accounts.patch(first.id, &bad, NOW).await, Err(GatewayError::Fields(_))));
    }
}

#[tokio::test]
async fn approval_forgets_the_reason() {
    let (accounts, _folder) = accounts();
    let user = accounts.create(new("alice", Role::User, AccountState::Pending), NOW, Batch::new()).await.unwrap();
    assert_eq!(user.reason.as_deref(), Some("because"));
    let approve = PatchUser { role: None, state: Some(AccountState::Active) };
    assert_eq!(accounts.patch(user.id, &approve, NOW).await.unwrap().reason, None);
}

#[tokio::test]
async fn pages_go_on_behind_the_last() {
    let (accounts, _folder) = accounts();
    for index in 0..5 {
        make(&accounts, &format!("user{index}"), Role::User).await;
    }
    let (first, more) = accounts.page(None, 3).unwrap();
    assert!(more && first.len() == 3);
    let (rest, more) = accounts.page(Some(first[2].id), 3).unwrap();
    assert!(!more && rest.len() == 2);
    assert_eq!(rest[1].username, "user4");
}
