//! Sums that fade: each addition halves in a given time, without touching the sum again.
//!
//! All are kept relative to the moment when the model was made, so that sums of different moments can be
//! added; a value of now is a sum scaled by the time since. Ten years of running stay within an `f64`.

use proto::Timestamp;

/// The clock of a model's sums.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decay {
    origin: Timestamp,
    half_life_ms: f64,
}

impl Decay {
    /// Sums that halve in `half_life_ms`, in a model made at `origin`.
    pub(super) const fn new(origin: Timestamp, half_life_ms: f64) -> Self {
        Self { origin, half_life_ms }
    }

    /// What 1 at this time is added as.
    pub(super) fn weight(&self, at: Timestamp) -> f64 {
        // Clients' clocks do not come in, but a restored backup may be of the future.
        (at.since(self.origin) as f64 / self.half_life_ms).clamp(-500.0, 900.0).exp2()
    }

    /// What a sum is worth now.
    pub(super) fn value(&self, sum: f64, now: Timestamp) -> f64 {
        sum * self.factor(now)
    }

    /// What sums are multiplied with to be worth what they are now.
    pub(super) fn factor(&self, now: Timestamp) -> f64 {
        (-(now.since(self.origin) as f64 / self.half_life_ms).clamp(-500.0, 900.0)).exp2()
    }
}

/// What is left of 1 after the time from `at` to `now`.
pub(super) fn left(at: Timestamp, now: Timestamp, half_life_ms: f64) -> f32 {
    (-(now.since(at).max(0) as f64 / half_life_ms)).exp2() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_addition_halves_whenever_it_was_made() {
        let origin = Timestamp::from_ms(1_000_000);
        let decay = Decay::new(origin, 1_000.0);
        for at in [-50_000, 0, 50_000] {
            let at = origin.plus_ms(at);
            let sum = decay.weight(at);
            assert!((decay.value(sum, at) - 1.0).abs() < 1e-9);
            assert!((decay.value(sum, at.plus_ms(1_000)) - 0.5).abs() < 1e-9);
        }
        assert!((left(origin, origin.plus_ms(2_000), 1_000.0) - 0.25).abs() < 1e-6);
    }
}
