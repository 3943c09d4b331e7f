//! Passwords: which are good enough, and how they are kept (Argon2id, RFC 9106).

use std::collections::HashSet;
use std::sync::LazyLock;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::sync::{Semaphore, SemaphorePermit};
use unicode_normalization::UnicodeNormalization;

use crate::error::GatewayError;
use crate::limits::{PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, PASSWORD_QUEUE_MAX, USERNAME_IN_PASSWORD_CHARS_MIN};

static COMMON: LazyLock<HashSet<String>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().map(str::to_lowercase).collect());

/// A password that is good enough, in the form in which it is hashed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct GoodPassword(String);

/// The form in which passwords are hashed: however a keyboard composes its letters, it is the same password.
fn normal(password: &str) -> String {
    password.nfkc().collect()
}

/// Takes a new password, if it is hard enough to guess.
pub(crate) fn check(password: &str, username: &str) -> Result<GoodPassword, GatewayError> {
    let password = normal(password);
    let length = password.chars().count();
    if length < PASSWORD_CHARS_MIN {
        return Err(GatewayError::WeakPassword("A password has at least 15 characters; a few words will do."));
    }
    if length > PASSWORD_CHARS_MAX {
        return Err(GatewayError::WeakPassword("A password has at most 256 characters."));
    }
    let lower = password.to_lowercase();
    if username.len() >= USERNAME_IN_PASSWORD_CHARS_MIN && lower.contains(username) {
        return Err(GatewayError::WeakPassword("The password may not contain the username."));
    }
    if is_common(&lower) || repeats(&lower) {
        return Err(GatewayError::WeakPassword("This password is too easy to guess."));
    }
    Ok(GoodPassword(password))
}

/// Whether it is a common one, with or without digits and signs behind it.
fn is_common(lower: &str) -> bool {
    let stem = lower.trim_end_matches(|c: char| c.is_ascii_digit() || c.is_ascii_punctuation());
    COMMON.contains(lower) || (!stem.is_empty() && COMMON.contains(stem))
}

/// Whether it is a short piece again and again: `aaaa…`, `abcabc…`.
fn repeats(lower: &str) -> bool {
    let chars: Vec<char> = lower.chars().collect();
    (1..=5).any(|period| chars.iter().zip(chars.iter().skip(period)).all(|(one, other)| one == other))
}

/// Hashes and checks passwords: a bounded number at once, a bounded number waiting.
#[derive(Debug)]
pub(crate) struct Hasher {
    argon2: Argon2<'static>,
    /// What every hash made with today's parameters starts with.
    current: String,
    /// A hash of nothing, to spend the same time on names that nobody has.
    decoy: String,
    at_once: Semaphore,
    waiting: Semaphore,
}

impl Hasher {
    /// A hasher with these costs (RFC 9106 §3.1: m, t; p = 1).
    pub(crate) fn new(memory_kib: u32, iterations: u32, at_once: usize) -> Result<Self, GatewayError> {
        let params = Params::new(memory_kib, iterations, 1, None)
            .map_err(|_| GatewayError::Internal("the Argon2 parameters are not possible"))?;
        let current = format!("$argon2id$v=19$m={memory_kib},t={iterations},p=1$");
        let salt = STANDARD_NO_PAD.encode(rand::random::<[u8; 16]>());
        let decoy = format!("{current}{salt}${}", STANDARD_NO_PAD.encode(rand::random::<[u8; 32]>()));
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            current,
            decoy,
            at_once: Semaphore::new(at_once),
            waiting: Semaphore::new(at_once + PASSWORD_QUEUE_MAX),
        })
    }

    /// The PHC string to keep for a password.
    pub(crate) async fn hash(&self, password: GoodPassword) -> Result<String, GatewayError> {
        let _turn = self.turn().await?;
        let argon2 = self.argon2.clone();
        let hash = move || argon2.hash_password(password.0.as_bytes()).map(|hash| hash.to_string());
        match tokio::task::spawn_blocking(hash).await {
            Ok(Ok(hash)) => Ok(hash),
            _ => Err(GatewayError::Internal("a password could not be hashed")),
        }
    }

    /// Whether this is the password of `stored`. Takes the same time if there is none.
    pub(crate) async fn verify(&self, stored: Option<&str>, password: &str) -> Result<bool, GatewayError> {
        let _turn = self.turn().await?;
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.decoy).to_owned();
        // Longer than any password can be: cut, so that nobody pays for its normal form.
        let password = normal(&password.chars().take(PASSWORD_CHARS_MAX + 1).collect::<String>());
        let argon2 = self.argon2.clone();
        let verify = move || argon2.verify_password(password.as_bytes(), stored.as_str()).is_ok();
        match tokio::task::spawn_blocking(verify).await {
            Ok(right) => Ok(right && known),
            Err(_) => Err(GatewayError::Internal("a password could not be checked")),
        }
    }

    /// Whether a hash was made with other costs than today's.
    pub(crate) fn is_outdated(&self, stored: &str) -> bool {
        !stored.starts_with(&self.current)
    }

    /// Waits for a turn; refuses at once if too many wait.
    async fn turn(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), GatewayError> {
        let place = self.waiting.try_acquire().map_err(|_| GatewayError::Overloaded)?;
        let turn = self.at_once.acquire().await.map_err(|_| GatewayError::Overloaded)?;
        Ok((place, turn))
    }
}

/// For a password that was accepted before the rules of today: rehashing it asks nothing of it.
pub(crate) fn as_it_is(password: &str) -> GoodPassword {
    GoodPassword(normal(password))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The least that Argon2 takes, so that the tests are quick.
    fn quick() -> Hasher {
        Hasher::new(8, 1, 2).unwrap()
    }

    #[test]
    fn short_long_common_and_repeating_passwords_are_refused() {
        let cases = [
            "fourteen chars",
            &"x1".repeat(129),
            "passwordpassword",
            "PasswordPassword",
            "passwordpassword2026!",
            "123456789012345",
            "aaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabc",
            "i am alice in chains",
        ];
        for bad in cases {
            assert!(matches!(check(bad, "alice"), Err(GatewayError::WeakPassword(_))), "{bad}");
        }
    }

    #[test]
    fn long_passphrases_in_any_script_are_taken() {
        for good in
            ["mild rivers carry boats", "zwölf Boxkämpfer jagen", "пароль из семи слов", &"a1b2c3d4e5".repeat(7)]
        {
            assert!(check(good, "alice").is_ok(), "{good}");
        }
    }

    #[tokio::test]
    async fn a_hash_knows_its_password_however_it_is_composed() {
        let hasher = quick();
        let hash = hasher.hash(check("caf\u{e9} au lait demain", "al").unwrap()).await.unwrap();
        assert!(hasher.verify(Some(&hash), "cafe\u{301} au lait demain").await.unwrap());
        assert!(!hasher.verify(Some(&hash), "cafe au lait demain").await.unwrap());
        assert!(!hasher.verify(None, "cafe au lait demain").await.unwrap());
        assert!(!hasher.is_outdated(&hash));
        assert!(Hasher::new(16, 1, 1).unwrap().is_outdated(&hash));
    }

    #[tokio::test]
    async fn too_many_waiting_are_refused_at_once() {
        let hasher = quick();
        let places = hasher.waiting.acquire_many(u32::try_from(2 + PASSWORD_QUEUE_MAX).unwrap()).await.unwrap();
        assert!(matches!(hasher.verify(None, "x").await, Err(GatewayError::Overloaded)));
        drop(places);
        assert!(hasher.verify(None, "x").await.is_ok());
    }
}
