//! How often one person may do something. In memory: a limit is no data.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use proto::{Timestamp, UserId};

use crate::error::{Error, Result};

const MINUTE_MS: i64 = 60_000;

/// Persons that are remembered before those who may do everything again are forgotten.
const PERSONS_MAX: usize = 10_000;

/// So many a minute, all at once if need be.
#[derive(Debug)]
pub(super) struct Limiter {
    what: &'static str,
    per_minute: u32,
    /// By person: when what they did so far is made up for.
    free_at: Mutex<HashMap<UserId, Timestamp>>,
}

impl Limiter {
    pub(super) fn new(what: &'static str, per_minute: u32) -> Self {
        Self { what, per_minute, free_at: Mutex::default() }
    }

    /// Counts one, or says that it is one too many.
    pub(super) fn check(&self, user: UserId, now: Timestamp) -> Result<()> {
        let cost_ms = MINUTE_MS / i64::from(self.per_minute.max(1));
        let mut persons = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        if persons.len() >= PERSONS_MAX {
            persons.retain(|_, free_at| *free_at > now);
        }
        let free_at = persons.entry(user).or_insert(now);
        let after = (*free_at).max(now).plus_ms(cost_ms);
        let beyond_ms = after.since(now) - MINUTE_MS;
        if beyond_ms > 0 {
            let retry_after_s = u32::try_from(beyond_ms / 1000 + 1).unwrap_or(60);
            return Err(Error::TooFast { what: self.what, limit: self.per_minute, retry_after_s });
        }
        *free_at = after;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_fine_and_the_next_one_waits_its_turn() {
        let limiter = Limiter::new("comments", 10);
        let (user, other) = (UserId::generate(), UserId::generate());
        let now = Timestamp::from_ms(1_000_000);
        assert!((0..10).all(|_| limiter.check(user, now).is_ok()));
        let refused = limiter.check(user, now);
        assert!(matches!(refused, Err(Error::TooFast { retry_after_s: 7, .. })), "{refused:?}");
        assert!(limiter.check(other, now).is_ok());
        assert!(limiter.check(user, now.plus_ms(6_000)).is_ok());
        assert!(limiter.check(user, now.plus_ms(6_000)).is_err());
        assert!((0..10).all(|_| limiter.check(user, now.plus_ms(120_000)).is_ok()));
    }
}
