//! The only place that asks the system what time it is. The domain gets the time as a parameter.

use std::time::{SystemTime, UNIX_EPOCH};

use proto::Timestamp;

/// The time now, in UTC.
pub fn now() -> Timestamp {
    let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    Timestamp::from_ms(ms)
}
