//! What is damaged is noticed; what a crash left half done is cut off.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use store::{Batch, OpenError, Options, Scan, Store, Table};
use tempfile::TempDir;

use common::copy;

const TABLE: Table<u64, String> = Table::new("table");
const GROUPS: u64 = 50;

/// What a `kill -9` would leave: a copy of the folder while the store is open, with all written and nothing closed.
async fn crashed() -> TempDir {
    let folder = TempDir::new().unwrap();
    let image = TempDir::new().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    for number in 0..GROUPS {
        store.write(Batch::new().put(TABLE, &number, &format!("text {number}"))).await.unwrap();
    }
    copy(folder.path(), image.path());
    image
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("journal")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn segment(folder: &Path) -> PathBuf {
    segments(folder).pop().unwrap()
}

/// Behind the last byte that is not zero.
fn end_of(segment: &[u8]) -> usize {
    segment.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

fn open(folder: &Path) -> Result<Store, OpenError> {
    Store::open(folder, Options::default())
}

fn count(store: &Store) -> u64 {
    let mut count = 0;
    for entry in store.scan(TABLE, Scan::all()) {
        assert_eq!(entry.unwrap(), (count, format!("text {count}")));
        count += 1;
    }
    count
}

fn is_damaged(result: &Result<Store, OpenError>) -> bool {
    matches!(result, Err(OpenError::Damaged { .. }))
}

#[tokio::test]
async fn after_a_crash_everything_is_there() {
    let image = crashed().await;
    assert_eq!(count(&open(image.path()).unwrap()), GROUPS);
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_and_writing_goes_on() {
    let image = crashed().await;
    let path = segment(image.path());
    let mut bytes = fs::read(&path).unwrap();
    // Without the mark, and with a last record that ends too early.
    let mark = bytes.windows(4).rposition(|window| window == b"DjSm").unwrap();
    bytes[mark..mark + 24].fill(0);
    let end = end_of(&bytes);
    bytes[end - 5..end].fill(0);
    fs::write(&path, &bytes).unwrap();
    let store = open(image.path()).unwrap();
    assert_eq!(count(&store), GROUPS - 1);
    store.write(Batch::new().put(TABLE, &(GROUPS - 1), &format!("text {}", GROUPS - 1))).await.unwrap();
    drop(store);
    assert_eq!(count(&open(image.path()).unwrap()), GROUPS);
}

#[tokio::test]
async fn what_was_half_written_behind_the_end_is_cut_off() {
    let image = crashed().await;
    let path = segment(image.path());
    let mut bytes = fs::read(&path).unwrap();
    let end = end_of(&bytes).next_multiple_of(8);
    bytes.copy_within(end - 200..end - 100, end);
    fs::write(&path, &bytes).unwrap();
    let store = open(image.path()).unwrap();
    assert_eq!(count(&store), GROUPS);
    let after = fs::read(&path).unwrap();
    assert!(after[end..].iter().all(|byte| *byte == 0), "nothing stale stays behind the end");
}

/// Either nothing acknowledged is missing, or the opening is refused and nothing was changed.
fn right_or_refused(image: &Path, path: &Path, bytes: &[u8], what: &str) -> bool {
    let folder = TempDir::new().unwrap();
    copy(image, folder.path());
    let path = folder.path().join(path.strip_prefix(image).unwrap());
    fs::write(&path, bytes).unwrap();
    match open(folder.path()) {
        Err(OpenError::Damaged { path: named, .. }) => {
            assert!(named == path || path.starts_with(&named), "{what}: {}", named.display());
            assert!(fs::read(&path).unwrap() == bytes, "{what}: changed");
            false
        }
        Ok(store) => {
            assert_eq!((count(&store), store.health().notes.len()), (GROUPS, 1), "{what}: {:?}", store.health());
            true
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

#[tokio::test]
async fn a_flipped_bit_in_what_was_acknowledged_is_noticed() {
    let image = crashed().await;
    let path = segment(image.path());
    let bytes = fs::read(&path).unwrap();
    let last_record = bytes.windows(4).rposition(|window| window == b"DjSr").unwrap();
    // Every byte of the header and the first record, then samples.
    let positions: Vec<_> = (0..130).step_by(3).chain((130..last_record).step_by(197)).collect();
    for &position in &positions {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1 << (position % 8);
        right_or_refused(image.path(), &path, &flipped, &format!("byte {position}"));
    }
    assert_eq!(count(&open(image.path()).unwrap()), GROUPS);
}

#[tokio::test]
async fn a_journal_damaged_after_a_clean_end_is_replaced() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    for number in 0..GROUPS {
        store.write(Batch::new().put(TABLE, &number, &format!("text {number}"))).await.unwrap();
    }
    store.close().await;
    drop(store);
    let path = segment(folder.path());
    let bytes = fs::read(&path).unwrap();
    for position in [3, 20, 50, 500] {
        let mut flipped = bytes.clone();
        flipped[position] ^= 4;
        assert!(right_or_refused(folder.path(), &path, &flipped, &format!("byte {position}")));
    }
    for length in [0, 10, 1000, bytes.len() - 1] {
        assert!(right_or_refused(folder.path(), &path, &bytes[..length], &format!("{length} bytes")));
    }
}

/// While nobody writes, the journal notes what was acknowledged: a last group that is unreadable is not taken for one
/// that a crash tore.
#[tokio::test]
async fn a_flipped_bit_in_the_very_last_group_is_noticed() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    for number in 0..GROUPS {
        store.write(Batch::new().put(TABLE, &number, &format!("text {number}"))).await.unwrap();
    }
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    let image = TempDir::new().unwrap();
    copy(folder.path(), image.path());
    assert_eq!(count(&open(image.path()).unwrap()), GROUPS);
    let path = segment(image.path());
    let bytes = fs::read(&path).unwrap();
    let last_record = bytes.windows(4).rposition(|window| window == b"DjSr").unwrap();
    let mut flipped = bytes.clone();
    flipped[last_record + 30] ^= 4;
    right_or_refused(image.path(), &path, &flipped, "the last group");
}

#[tokio::test]
async fn a_truncated_or_missing_journal_is_noticed() {
    let image = crashed().await;
    let path = segment(image.path());
    let bytes = fs::read(&path).unwrap();
    for length in [0, 10, 1000, bytes.len() - 1] {
        assert!(!right_or_refused(image.path(), &path, &bytes[..length], &format!("{length} bytes")));
    }
    fs::remove_file(&path).unwrap();
    let result = open(image.path());
    assert!(is_damaged(&result), "{result:?}");
    fs::write(&path, &bytes).unwrap();
    // A stranger among the segments is set aside with them: what it may have replaced is looked for.
    fs::write(path.with_file_name("stranger"), "x").unwrap();
    let store = open(image.path()).unwrap();
    assert_eq!((count(&store), store.health().notes.len()), (GROUPS, 1));
}

#[tokio::test]
async fn a_lost_engine_is_made_again_from_a_whole_journal_and_only_from_a_whole_one() {
    let image = crashed().await;
    fs::remove_dir_all(image.path().join("engine")).unwrap();
    assert_eq!(count(&open(image.path()).unwrap()), GROUPS);

    // Small segments: the engine is synced now and then, and what it has leaves the journal.
    let folder = TempDir::new().unwrap();
    let options = Options { segment_bytes: 2000, ..Options::default() };
    let store = Store::open(folder.path(), options).unwrap();
    for number in 0..GROUPS {
        store.write(Batch::new().put(TABLE, &number, &format!("text {number}"))).await.unwrap();
    }
    let image = TempDir::new().unwrap();
    copy(folder.path(), image.path());
    assert_eq!(segments(image.path()).len(), 1);
    assert_eq!(count(&open(image.path()).unwrap()), GROUPS);
    fs::remove_dir_all(image.path().join("engine")).unwrap();
    let result = open(image.path());
    assert!(is_damaged(&result), "{result:?}");
}

#[tokio::test]
async fn a_journal_of_an_older_time_is_noticed() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    store.write(Batch::new().put(TABLE, &0, &"text 0".to_owned())).await.unwrap();
    let older = fs::read(segment(folder.path())).unwrap();
    store.write(Batch::new().put(TABLE, &1, &"text 1".to_owned())).await.unwrap();
    let image = TempDir::new().unwrap();
    copy(folder.path(), image.path());
    fs::write(segment(image.path()), &older).unwrap();
    // Whether the engine has the second group is up to what it has written by now.
    if let Ok(store) = open(image.path()) {
        assert_eq!(count(&store), 1, "as after the first group: nothing says that there was a second");
    }
    // After an end in order the engine has everything, and says so.
    store.close().await;
    drop(store);
    fs::write(segment(folder.path()), older).unwrap();
    let store = open(folder.path()).unwrap();
    assert_eq!((count(&store), store.health().notes.len()), (2, 1));
}

#[tokio::test]
async fn leftovers_of_an_interrupted_opening_are_removed() {
    let image = crashed().await;
    fs::write(image.path().join("engine/snap.00000000000000AB.generating"), "half").unwrap();
    let unfinished = segment(image.path()).with_file_name("unfinished");
    fs::write(&unfinished, vec![0; 4096]).unwrap();
    assert_eq!(count(&open(image.path()).unwrap()), GROUPS);
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn a_folder_that_may_not_be_read_is_no_damage() {
    let image = crashed().await;
    let journal = image.path().join("journal");
    fs::rename(&journal, image.path().join("aside")).unwrap();
    fs::write(&journal, "a file where a folder should be").unwrap();
    let result = open(image.path());
    assert!(matches!(result, Err(OpenError::Io { .. })), "{result:?}");
}
