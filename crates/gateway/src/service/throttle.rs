//! How often one network and one account may try. Nobody is locked out for good: a bucket refills all the time.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use kit::config::LimitsSection;
use sha2::{Digest, Sha256};

use crate::error::GatewayError;

/// All buckets, in memory.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// `None`: limits per address are switched off.
    per_network: Option<PerNetwork>,
    logins_of_account: Buckets<[u8; 16]>,
}

#[derive(Debug)]
struct PerNetwork {
    requests: Buckets<IpAddr>,
    logins: Buckets<IpAddr>,
    registrations: Buckets<IpAddr>,
}

impl Throttle {
    /// As `[limits]` says.
    pub(crate) fn new(limits: &LimitsSection) -> Self {
        let minute = Duration::from_secs(60);
        let per_network = limits.per_address.then(|| PerNetwork {
            requests: Buckets::new(
                Quota::per_second(at_least_one(limits.per_address_requests_per_s))
                    .allow_burst(at_least_one(limits.per_address_requests_burst)),
            ),
            logins: Buckets::new(per(minute, limits.per_address_logins_per_minute)),
            registrations: Buckets::new(per(60 * minute, limits.per_address_registrations_per_hour)),
        });
        let logins_of_account = Buckets::new(per(minute, limits.per_account_logins_per_minute));
        Self { per_network, logins_of_account }
    }

    /// A request of any kind.
    pub(crate) fn request(&self, address: IpAddr) -> Result<(), GatewayError> {
        self.per_network.as_ref().map_or(Ok(()), |limits| limits.requests.take(&network(address)))
    }

    /// An attempt to log in to an account, before its password is looked at.
    pub(crate) fn login(&self, address: IpAddr, account: &str) -> Result<(), GatewayError> {
        if let Some(limits) = &self.per_network {
            limits.logins.take(&network(address))?;
        }
        self.logins_of_account.take(&short(account))
    }

    /// An attempt to register.
    pub(crate) fn registration(&self, address: IpAddr) -> Result<(), GatewayError> {
        self.per_network.as_ref().map_or(Ok(()), |limits| limits.registrations.take(&network(address)))
    }

    /// Forgets the buckets that are full again.
    pub(crate) fn sweep(&self) {
        if let Some(limits) = &self.per_network {
            limits.requests.sweep();
            limits.logins.sweep();
            limits.registrations.sweep();
        }
        self.logins_of_account.sweep();
    }
}

/// Buckets of one kind.
struct Buckets<K: Clone + Hash + Eq> {
    limiter: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
}

/// Buckets of one kind before those that are full are forgotten, whatever the time.
const BUCKETS_MAX: usize = 200_000;

impl<K: Clone + Hash + Eq> Buckets<K> {
    fn new(quota: Quota) -> Self {
        Self { limiter: DefaultKeyedRateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    fn take(&self, key: &K) -> Result<(), GatewayError> {
        self.limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
            GatewayError::TooManyAttempts { retry_after_s: seconds.max(1) }
        })?;
        if self.limiter.len() > BUCKETS_MAX {
            self.sweep();
        }
        Ok(())
    }

    fn sweep(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

impl<K: Clone + Hash + Eq> std::fmt::Debug for Buckets<K> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Buckets").finish_non_exhaustive()
    }
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

/// So many in a time, all at once if one likes.
fn per(time: Duration, number: u32) -> Quota {
    let number = at_least_one(number);
    match Quota::with_period(time / number.get()) {
        Some(quota) => quota.allow_burst(number),
        None => Quota::per_second(number),
    }
}

/// Whom an address stands for: whoever has one IPv6 address has at least 2⁶⁴ of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

/// A key of fixed length for a name of any length.
fn short(account: &str) -> [u8; 16] {
    let hash = Sha256::digest(account);
    std::array::from_fn(|index| hash[index])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn limits() -> LimitsSection {
        LimitsSection {
            per_address_logins_per_minute: 5,
            per_account_logins_per_minute: 3,
            per_address_registrations_per_hour: 2,
            per_address_requests_per_s: 1,
            per_address_requests_burst: 4,
            ..LimitsSection::default()
        }
    }

    #[test]
    fn attempts_are_counted_by_network_and_by_account() {
        let throttle = Throttle::new(&limits());
        let (here, there) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!((0..9).filter(|_| throttle.login(here, "alice").is_ok()).count(), 3);
        assert!(throttle.login(there, "alice").is_err(), "an account is tried from many networks");
        assert!(throttle.login(there, "bob").is_ok(), "and others are not concerned");
        assert!(throttle.login(here, "carol").is_err(), "a network tries many accounts");
    }

    #[test]
    fn waiting_is_told_in_seconds() {
        let throttle = Throttle::new(&limits());
        let here = "2001:db8::1".parse().unwrap();
        let neighbour = "2001:db8::ffff".parse().unwrap();
        assert!(throttle.registration(here).is_ok() && throttle.registration(neighbour).is_ok());
        let Err(GatewayError::TooManyAttempts { retry_after_s }) = throttle.registration(here) else { panic!() };
        assert!((1_700..=1_800).contains(&retry_after_s), "{retry_after_s}");
    }

    #[test]
    fn limits_per_address_can_be_switched_off_but_not_those_per_account() {
        let throttle = Throttle::new(&LimitsSection { per_address: false, ..limits() });
        let here = "192.0.2.1".parse().unwrap();
        assert!((0..100).all(|_| throttle.request(here).is_ok() && throttle.registration(here).is_ok()));
        assert!((0..10).all(|index| throttle.login(here, &format!("user{index}")).is_ok()));
        assert_eq!((0..9).filter(|_| throttle.login(here, "alice").is_ok()).count(), 3);
    }
}
