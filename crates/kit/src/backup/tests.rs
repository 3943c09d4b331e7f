//! A whole backup of five real stores and some films, from the first scan to the restored folder.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proto::Timestamp;
use proto::routes::Service;
use store::{Batch, Options, Store, Table};
use tokio_util::sync::CancellationToken;

use super::manifest::MANIFEST;
use super::protocol::{Phase, StoreAsk, StorePart};
use super::restore::{MARKER, restore};
use super::*;
use crate::DataFolder;

const ROWS: Table<u32, String> = Table::new("rows");

fn now() -> Timestamp {
    Timestamp::from_ms(1_795_000_000_123)
}

/// A data folder with five stores of `rows` rows each, and films.
struct Instance {
    data: PathBuf,
    folder: Folder,
    stores: Vec<(&'static str, Store)>,
    _scratch: tempfile::TempDir,
}

impl Instance {
    async fn new(rows: u32) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let data = scratch.path().join("data");
        drop(DataFolder::open(&data).unwrap());
        let open =
            |service: Service| (service.name(), Store::open(&data.join(service.name()), Options::default()).unwrap());
        let stores: Vec<_> = Service::ALL.into_iter().map(open).collect();
        for (service, store) in &stores {
            for row in 0..rows {
                store.write(Batch::new().put(ROWS, &row, &format!("{service} {row}"))).await.unwrap();
            }
        }
        fs::create_dir(data.join("media/v1")).unwrap();
        fs::write(data.join("media/v1/film"), "a film").unwrap();
        fs::write(data.join("media/v1/upload"), "half").unwrap();
        Self { folder: Folder::at(&data.join("backups")), data, stores, _scratch: scratch }
    }

    async fn close(&mut self) {
        for (_, store) in self.stores.drain(..) {
            store.close().await;
        }
    }

    /// As the gateway does it; `between` runs between the scan and the hold.
    async fn back_up(&self, between: impl AsyncFnOnce(&Self)) -> PathBuf {
        let unfinished = self.folder.begin(now()).unwrap();
        let id = unfinished.id().to_owned();
        let parts: Vec<Part> = self.stores.iter().map(|(name, store)| Part::new(name, store.clone())).collect();
        for part in &parts {
            let folder = unfinished.path().to_owned();
            ask(part, StoreAsk::Scan { id: id.clone(), folder }, Phase::Ready).await;
        }
        between(self).await;
        let mut sequences = Vec::new();
        for part in &parts {
            let held = ask(part, StoreAsk::Hold { id: id.clone(), timeout_ms: 5_000 }, Phase::Ready).await;
            sequences.push(held.held_at.unwrap());
        }
        for part in &parts {
            assert!(ask(part, StoreAsk::Release { id: id.clone() }, Phase::Ready).await.held);
        }
        let mut stores = Vec::new();
        for (part, sequence) in parts.iter().zip(sequences) {
            let done = ask(part, StoreAsk::Finish { id: id.clone(), sequence }, Phase::Done).await;
            stores.push(done.store.unwrap());
        }
        let plan = media::Plan {
            media: self.data.join("media"),
            backup: unfinished.path().to_owned(),
            earlier: None,
            growing: BTreeSet::from(["v1/upload".to_owned()]),
            since: SystemTime::now() + Duration::from_secs(60),
            is_work: |_| false,
        };
        let media = plan.hold().unwrap().settle(&CancellationToken::new()).unwrap();
        let mut manifest = Manifest {
            format: FORMAT,
            id,
            version: "0.1.0".to_owned(),
            created_at: now(),
            verified_at: Some(now()),
            damage: None,
            stores,
            media,
            checksum: String::new(),
        };
        check(unfinished.path(), &manifest, &unfinished.path().join("scratch"), Depth::Sizes, &stop()).unwrap();
        unfinished.complete(&mut manifest).unwrap()
    }
}

async fn ask(part: &Part, ask: StoreAsk, phase: Phase) -> StorePart {
    part.ask(ask).await.unwrap();
    let state = part.state(Duration::from_secs(10)).await;
    assert_eq!((state.phase, &state.error), (phase, &None));
    state
}

fn stop() -> CancellationToken {
    CancellationToken::new()
}

fn rows(data: &Path, service: &str) -> Vec<String> {
    let store = Store::open(&data.join(service), Options::default()).unwrap();
    let rows = store.scan(ROWS, store::Scan::all()).map(|row| row.unwrap().1).collect();
    drop(store);
    rows
}

fn restored(data: &Path, folder: &Folder, backup: &Path) -> Result<restore::Restored, Error> {
    restore(data, folder, backup.to_str().unwrap(), now(), &mut |_| {})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_before_the_hold_is_in_it_and_what_came_later_is_not() {
    let mut instance = Instance::new(50).await;
    let backup = instance
        .back_up(async |instance| {
            for (service, store) in &instance.stores {
                store.write(Batch::new().put(ROWS, &50, &format!("{service} 50")).delete(ROWS, &0)).await.unwrap();
            }
        })
        .await;
    for (_, store) in &instance.stores {
        store.write(Batch::new().put(ROWS, &51, &"too late".to_owned())).await.unwrap();
    }
    fs::write(instance.data.join("media/v1/upload"), "half and more").unwrap();
    instance.close().await;

    let empty = tempfile::tempdir().unwrap();
    let data = empty.path().join("data");
    let done = restored(&data, &instance.folder, &backup).unwrap();
    assert_eq!(done.replaced, None, "there was nothing");
    for service in Service::ALL {
        let rows = rows(&data, service.name());
        assert_eq!(rows.len(), 50);
        assert_eq!(rows.last().unwrap(), &format!("{} 50", service.name()));
    }
    assert_eq!(fs::read(data.join("media/v1/film")).unwrap(), b"a film");
    assert_eq!(fs::read(data.join("media/v1/upload")).unwrap(), b"half", "as it was, and not the same file");
    fs::write(data.join("media/v1/upload"), "other").unwrap();
    assert_eq!(fs::read(backup.join("media/v1/upload")).unwrap(), b"half and more", "growing, but the backup's own");
    let left: BTreeSet<String> =
        fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let wanted = ["channel", "gateway", "interaction", "media", "notification", "run", "video"];
    assert_eq!(left, wanted.map(str::to_owned).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restore_replaces_is_kept() {
    let mut instance = Instance::new(3).await;
    let backup = instance.back_up(async |_| {}).await;
    let (service, store) = &instance.stores[2];
    assert_eq!(*service, "video");
    store.write(Batch::new().put(ROWS, &9, &"since".to_owned())).await.unwrap();
    fs::write(instance.data.join("media/v1/since"), "since").unwrap();
    fs::write(instance.data.join("setup-token"), "token").unwrap();
    let error = {
        let _running = DataFolder::open(&instance.data).unwrap();
        restored(&instance.data, &instance.folder, &backup).unwrap_err()
    };
    assert!(matches!(error, Error::Running { .. }), "{error}");
    instance.close().await;
    let done = restored(&instance.data, &instance.folder, &backup).unwrap();
    let replaced = done.replaced.unwrap();
    assert_eq!(rows(&instance.data, "video").len(), 3);
    assert!(!instance.data.join("media/v1/since").exists());
    assert_eq!(rows(&replaced, "video").len(), 4);
    assert_eq!(fs::read(replaced.join("media/v1/since")).unwrap(), b"since");
    assert_eq!(fs::read(instance.data.join("setup-token")).unwrap(), b"token");
    assert_eq!(instance.folder.list().unwrap().len(), 1);
    assert!(!instance.data.join(MARKER).exists());
}

/// Every file of the backup, with a bit flipped at its beginning, middle and end, cut short, and away.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_refused_by_name_and_nothing_is_changed() {
    let mut instance = Instance::new(20).await;
    let backup = instance.back_up(async |_| {}).await;
    instance.close().await;
    let before = rows(&instance.data, "gateway");
    // The films of the backup are the films themselves: hurt copies.
    for film in ["film", "upload"] {
        let path = backup.join("media/v1").join(film);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    let manifest = Manifest::read(&backup).unwrap();
    let mut files: Vec<PathBuf> = manifest.stores.iter().map(|store| store.path(&backup)).collect();
    files.extend([MANIFEST, "media.jsonl", "media/v1/film", "media/v1/upload"].map(|name| backup.join(name)));
    for path in files {
        let whole = fs::read(&path).unwrap();
        let mut harmed: Vec<(String, Option<Vec<u8>>)> = vec![("missing".to_owned(), None)];
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut bent = whole.clone();
            bent[at] ^= 0x10;
            harmed.push((format!("a bit of byte {at}"), Some(bent)));
            harmed.push((format!("cut at {at}"), Some(whole[..at].to_vec())));
        }
        for (how, bytes) in harmed {
            fs::remove_file(&path).unwrap();
            if let Some(bytes) = bytes {
                fs::write(&path, bytes).unwrap();
            }
            let scratch = instance.folder.scratch(now()).unwrap();
            let checked = Manifest::read(&backup)
                .and_then(|manifest| check(&backup, &manifest, scratch.path(), Depth::Bytes, &stop()));
            let error = checked.unwrap_err();
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(error.is_damage() && error.to_string().contains(name), "{}, {how}: {error}", path.display());
            let error = restored(&instance.data, &instance.folder, &backup).unwrap_err();
            assert!(error.is_damage() && error.to_string().contains(name), "{}, {how}: {error}", path.display());
            fs::write(&path, &whole).unwrap();
        }
    }
    assert_eq!(rows(&instance.data, "gateway"), before);
    assert!(!fs::read_dir(&instance.data).unwrap().any(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.starts_with("restore-") || name.starts_with("replaced-")
    }));
    restored(&instance.data, &instance.folder, &backup).expect("whole again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_backup_or_a_later_one_or_another_ones_part_is_refused() {
    let mut instance = Instance::new(3).await;
    let first = instance.back_up(async |_| {}).await;
    instance.stores[0].1.write(Batch::new().put(ROWS, &77, &"more".to_owned())).await.unwrap();
    let second = instance.back_up(async |_| {}).await;
    instance.close().await;
    let refused = |backup: &Path| restored(&instance.data, &instance.folder, backup).unwrap_err();
    let error = refused(&instance.data.join("media"));
    assert!(matches!(error, Error::NotABackup { .. }) && error.to_string().contains("data/media is not a backup"));
    let error = refused(Path::new("/nowhere/at/all"));
    assert!(matches!(error, Error::NoSuchBackup { .. }), "{error}");
    fs::copy(first.join("stores/gateway.store"), second.join("stores/gateway.store")).unwrap();
    let error = refused(&second);
    assert!(error.is_damage() && error.to_string().contains("gateway.store"), "{error}");
    let text = fs::read_to_string(first.join(MANIFEST)).unwrap();
    fs::write(first.join(MANIFEST), text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    let error = refused(&first);
    assert!(matches!(error, Error::NewerFormat { format: 2, .. }), "{error}");
}

/// A kill in the middle of the swap: no service starts, the same command finishes, another one is refused.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_swap_keeps_services_away_until_it_is_finished() {
    let mut instance = Instance::new(3).await;
    let backup = instance.back_up(async |_| {}).await;
    let id = backup.file_name().unwrap().to_str().unwrap().to_owned();
    instance.close().await;
    // What is in the way of the third rename stops it as a full disk or a kill would.
    let marker = restore::tests_only_interrupt(&instance.data, &backup, now(), 3);
    assert!(marker.to_string().contains("interrupted"), "{marker}");
    let error = DataFolder::open(&instance.data).unwrap_err().to_string();
    assert!(error.contains(&format!("djstreamctl backup restore {id} --yes")), "{error}");
    let error = restore(&instance.data, &instance.folder, "20200101T000000Z-000000", now(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    let done = restore(&instance.data, &instance.folder, &id, now(), &mut |_| {}).unwrap();
    assert_eq!(rows(&instance.data, "notification").len(), 3);
    assert_eq!(rows(&done.replaced.unwrap(), "notification").len(), 3);
    DataFolder::open(&instance.data).unwrap();
}

/// Nobody asks any more, or another backup was begun: the part is nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_serves_one_backup_at_a_time() {
    let instance = Instance::new(3).await;
    let part = Part::new("video", instance.stores[2].1.clone());
    let unfinished = instance.folder.begin(now()).unwrap();
    let scan = |id: &str| StoreAsk::Scan { id: id.to_owned(), folder: unfinished.path().to_owned() };
    ask(&part, scan("one"), Phase::Ready).await;
    ask(&part, scan("two"), Phase::Ready).await;
    let late = part.ask(StoreAsk::Finish { id: "one".to_owned(), sequence: 1 }).await.unwrap_err();
    assert!(late.detail.contains("knows nothing of the backup one"), "{late}");
    part.ask(StoreAsk::Hold { id: "two".to_owned(), timeout_ms: 50 }).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let state = part.ask(StoreAsk::Release { id: "two".to_owned() }).await.unwrap();
    assert!(!state.held, "it had run out");
    part.ask(StoreAsk::Drop { id: "two".to_owned() }).await.unwrap();
    assert_eq!(part.state(Duration::ZERO).await.phase, Phase::Idle);
}
