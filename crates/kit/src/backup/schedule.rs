//! When the next backup is due and which old ones go.

use std::time::Duration;

use proto::Timestamp;

use super::folder::Entry;
use crate::config::Backup;

/// A start is busy enough: the first backup of the timer comes no earlier than this after it.
pub const AFTER_START: Duration = Duration::from_secs(600);
/// After a backup that did not work the next is tried so much later, and so far apart are those that a long journal
/// starts.
pub const AFTER_ATTEMPT: Duration = Duration::from_secs(900);

/// What decides when the next backup is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// When the process that makes them started.
    pub started_at: Timestamp,
    /// When the newest verified backup was made.
    pub newest_at: Option<Timestamp>,
    /// When the last attempt was begun in this process, whether it worked or not.
    pub attempt_at: Option<Timestamp>,
}

/// When the next backup is due by the clock; `None` for never.
pub fn next(config: &Backup, known: Known) -> Option<Timestamp> {
    if config.interval_hours == 0 {
        return None;
    }
    let interval_ms = i64::try_from(config.interval_hours.saturating_mul(3_600_000)).unwrap_or(i64::MAX);
    let by_interval = known.newest_at.map_or(known.started_at, |at| at.plus_ms(interval_ms));
    let after_start = plus(known.started_at, AFTER_START);
    let after_attempt = known.attempt_at.map_or(by_interval, |at| plus(at, AFTER_ATTEMPT));
    Some(by_interval.max(after_start).max(after_attempt))
}

/// Whether a backup is to be begun now: by the clock, or because a store's journal takes `journal_bytes`.
pub fn is_due(config: &Backup, known: Known, journal_bytes: u64, now: Timestamp) -> bool {
    let by_clock = next(config, known).is_some_and(|at| at <= now);
    let rested = known.attempt_at.is_none_or(|at| plus(at, AFTER_ATTEMPT) <= now);
    by_clock || (rested && journal_bytes > config.journal_max_bytes)
}

fn plus(at: Timestamp, span: Duration) -> Timestamp {
    at.plus_ms(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

/// The backups that are not kept, the oldest first; `entries` come the newest first. With `short_of_room` one more
/// than `keep` says goes, but never the newest verified one. A bad one goes when there are enough newer good ones.
pub fn superfluous(entries: &[Entry], keep: usize, short_of_room: bool) -> Vec<&Entry> {
    let good = entries.iter().filter(|entry| entry.is_verified()).count();
    let kept = if short_of_room { keep.min(good.saturating_sub(1)) } else { keep }.max(1);
    let mut newer = 0;
    let mut gone: Vec<&Entry> = entries
        .iter()
        .filter(|entry| {
            let goes = newer >= kept;
            newer += usize::from(entry.is_verified());
            goes
        })
        .collect();
    gone.reverse();
    gone
}

/// What two verified backups have of a store with this lineage: the sequence of the second newest.
pub fn covered(entries: &[Entry], service: &str, lineage: u64) -> Option<u64> {
    let manifests = entries.iter().filter(|entry| entry.is_verified()).filter_map(|entry| entry.manifest.as_ref().ok());
    let stores = manifests.filter_map(|manifest| manifest.store(service)).filter(|store| store.lineage == lineage);
    stores.map(|store| store.sequence).nth(1)
}

#[cfg(test)]
mod tests {
    use super::super::file::Digest;
    use super::super::manifest::{StoreFile, tests::manifest};
    use super::*;
    use std::path::PathBuf;

    const HOUR_MS: i64 = 3_600_000;

    fn config() -> Backup {
        Backup { interval_hours: 24, keep: 2, journal_max_bytes: 1_000, ..Backup::default() }
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_ms(hours * HOUR_MS)
    }

    fn entry(id: &str, good: bool, sequence: u64, lineage: u64) -> Entry {
        let mut manifest = manifest(id);
        manifest.damage = (!good).then(|| "a hole".to_owned());
        let sha256 = Digest::of(b"");
        let (service, epoch) = ("video".to_owned(), 1);
        manifest.stores = vec![StoreFile {
            service,
            file_bytes: 1,
            format: 1,
            lineage,
            epoch,
            sequence,
            entries: 1,
            bytes: 1,
            sha256,
        }];
        Entry { id: id.to_owned(), path: PathBuf::new(), manifest: Ok(manifest) }
    }

    #[test]
    fn the_clock_counts_from_the_newest_backup_and_lets_a_start_settle() {
        let known = Known { started_at: at(100), newest_at: Some(at(90)), attempt_at: None };
        assert_eq!(next(&config(), known), Some(at(114)));
        let overdue = Known { newest_at: Some(at(1)), ..known };
        assert_eq!(next(&config(), overdue), Some(at(100).plus_ms(600_000)));
        let first = Known { newest_at: None, ..known };
        assert_eq!(next(&config(), first), Some(at(100).plus_ms(600_000)));
        let never = Backup { interval_hours: 0, ..config() };
        assert_eq!(next(&never, first), None);
    }

    #[test]
    fn one_that_did_not_work_is_tried_again_later() {
        let known = Known { started_at: at(0), newest_at: None, attempt_at: Some(at(1)) };
        assert!(!is_due(&config(), known, 0, at(1).plus_ms(899_999)));
        assert!(is_due(&config(), known, 0, at(1).plus_ms(900_000)));
    }

    #[test]
    fn a_long_journal_starts_one_early_but_not_again_and_again() {
        let known = Known { started_at: at(100), newest_at: Some(at(100)), attempt_at: None };
        assert!(!is_due(&config(), known, 1_000, at(100)));
        assert!(is_due(&config(), known, 1_001, at(100)));
        let just = Known { attempt_at: Some(at(100)), ..known };
        assert!(!is_due(&config(), just, 1_001, at(100).plus_ms(899_999)));
        let never = Backup { interval_hours: 0, ..config() };
        assert!(is_due(&never, known, 1_001, at(100)), "even without a timer: the disk must not fill");
    }

    #[test]
    fn the_newest_good_ones_stay() {
        let ids = |gone: Vec<&Entry>| gone.iter().map(|entry| entry.id.clone()).collect::<Vec<_>>();
        let all = [
            entry("5", false, 5, 1),
            entry("4", true, 4, 1),
            entry("3", true, 3, 1),
            entry("2", false, 2, 1),
            entry("1", true, 1, 1),
        ];
        assert_eq!(ids(superfluous(&all, 2, false)), ["1", "2"]);
        assert_eq!(ids(superfluous(&all, 5, false)), Vec::<String>::new());
        assert_eq!(ids(superfluous(&all, 5, true)), ["1", "2"]);
        assert_eq!(ids(superfluous(&all[..3], 5, true)), ["3"]);
        assert_eq!(ids(superfluous(&all[..2], 5, true)), Vec::<String>::new(), "never the newest");
        assert_eq!(ids(superfluous(&all[..2], 0, true)), Vec::<String>::new(), "never the newest");
    }

    #[test]
    fn a_journal_may_forget_what_two_good_backups_of_its_own_history_have() {
        let all = [entry("4", true, 40, 7), entry("3", false, 30, 7), entry("2", true, 20, 7), entry("1", true, 99, 6)];
        assert_eq!(covered(&all, "video", 7), Some(20));
        assert_eq!(covered(&all[..2], "video", 7), None);
        assert_eq!(covered(&all, "video", 6), None);
        assert_eq!(covered(&all, "channel", 7), None);
    }
}
