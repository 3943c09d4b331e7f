//! Power cuts and kills at every write and sync: nothing acknowledged is lost, and what was not is there whole, in
//! order, or not at all. The journal and the engine both work on a file layer that drops what was not synced.
//!
//! `STORE_POWER_HISTORIES` sets how many histories (short by default), `STORE_POWER_SEED` repeats one, and
//! `STORE_POWER_TRACE=1` shows each write and sync on the way. The engine
//! writes in threads of its own, so a seed repeats the batches and the tearing, and almost always the moment: the
//! moment and the damaged folder are printed and kept as well.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod calls;
mod disk;
mod history;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rand::RngExt;
use rand::rngs::StdRng;
use store::Store;
use tempfile::TempDir;

use crate::calls::{take_turns, watch};
use crate::disk::{Cut, Disk, Image, random};
use crate::history::{Book, Shape, State};

/// Histories by default.
const HISTORIES: u64 = 200;
/// One history in so many is cut at each of its writes and syncs; of the others some moments are taken.
const EVERY_MOMENT: u64 = 50;
const MOMENTS: usize = 4;
/// Cuts in the recovery from a cut, and in the recovery from that.
const DEPTH: usize = 2;

#[derive(Default)]
struct Tally {
    cuts: u64,
    moments: u64,
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The store's folder in a watched one: its name is as little durable as any other.
fn folder(root: &Path) -> PathBuf {
    root.join("service").join("store")
}

/// Opens, and ends by being dropped or closed.
fn session(root: &Path, shape: Shape, work: impl AsyncFnOnce(&Store), close: bool) {
    block_on(async {
        let store = Store::open(&folder(root), shape.options()).unwrap();
        work(&store).await;
        if close {
            store.close().await;
        }
    });
}

fn history(seed: u64, tally: &mut Tally) {
    let mut dice = random(seed, 1);
    let shape = Shape::random(&mut dice);
    let root = TempDir::new().unwrap();
    let every = seed.is_multiple_of(EVERY_MOMENT);
    let (wanted, steps) = if every { (usize::MAX, shape.steps / 3) } else { (MOMENTS, shape.steps) };
    watch(Some(Disk::new(root.path(), random(seed, 2), wanted)));
    let mut book = Book { states: vec![State::default()] };
    for part in 0..2 {
        let work = async |store: &Store| history::run(store, shape, steps, &mut dice, &mut book).await;
        session(root.path(), shape, work, part == 0);
    }
    let mut disk = watch(None).unwrap();
    disk.check();
    let (images, moments) = disk.into_images();
    tally.moments += moments;
    for image in images {
        recover(&image, &book, shape, &mut dice, if every { 1 } else { DEPTH }, tally);
    }
}

/// Opens what a cut left, compares, goes on, and is cut again.
fn recover(image: &Image, book: &Book, shape: Shape, dice: &mut StdRng, depth: usize, tally: &mut Tally) {
    tally.cuts += 1;
    let root = TempDir::new().unwrap();
    let cut = if dice.random_bool(0.3) { Cut::Kill } else { Cut::Power };
    let tearing = dice.random();
    let disk = image.after(cut, root.path(), random(tearing, 3), usize::from(depth > 0));
    watch(Some(disk));
    calls::progress(image.answered, image.begun);
    let (mut after, mut opened) = (book.clone(), 0);
    let steps = dice.random_range(0..4);
    let close = dice.random();
    let work = async |store: &Store| {
        assert_eq!(store.health().notes, [""; 0], "a cut damages nothing");
        let found = State::read(store);
        let places = image.answered..=image.begun;
        // The last of those that are alike: what comes next follows from it.
        let place = places.rev().find(|place| book.states[*place] == found);
        let place = place.unwrap_or_else(|| panic!("{}", difference(&found, &book.states[image.answered])));
        after.states.truncate(place + 1);
        // What was read once stays.
        opened = calls::progress(place, place);
        history::run(store, shape, steps, dice, &mut after).await;
    };
    if std::env::var_os("STORE_POWER_TRACE").is_some() {
        eprintln!("{cut:?} before event {}, {}: opened after it, {depth} more", image.event, image.what);
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| session(root.path(), shape, work, close)));
    let disk = watch(None).unwrap();
    if let Err(panic) = outcome {
        let kept = TempDir::new().unwrap().keep();
        image.after(cut, &kept, random(tearing, 3), 0);
        println!("{cut:?} before event {}, {}; {shape:?}", image.event, image.what);
        println!("answered {}, begun {}; the folder is kept: {}", image.answered, image.begun, kept.display());
        std::panic::resume_unwind(panic);
    }
    for image in disk.into_images().0 {
        let book = if image.event > opened { &after } else { book };
        recover(&image, book, shape, dice, depth - 1, tally);
    }
}

fn difference(found: &State, expected: &State) -> String {
    format!("no state between those answered and those begun\nfound {found:?}\nanswered {expected:?}")
}

#[test]
fn nothing_acknowledged_is_lost_in_a_power_cut() {
    let _turn = take_turns();
    let (first, count) = match variable("STORE_POWER_SEED") {
        Some(seed) => (seed, 1),
        None => (rand::random_range(0..1 << 40), variable("STORE_POWER_HISTORIES").unwrap_or(HISTORIES)),
    };
    let mut tally = Tally::default();
    for seed in first..first + count {
        let outcome = catch_unwind(AssertUnwindSafe(|| history(seed, &mut tally)));
        if let Err(panic) = outcome {
            println!("to repeat: STORE_POWER_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
    println!("{count} histories, {} cuts of {} moments", tally.cuts, tally.moments);
}

/// The layer itself: what was not synced is lost, sooner or later, and what was is not.
#[test]
fn the_file_layer_drops_what_was_not_synced() {
    use std::fs::{self, File};
    use std::io::Write;
    let _turn = take_turns();
    let (mut torn, mut kept, mut nameless) = (0, 0, 0);
    for seed in 0..100 {
        let root = TempDir::new().unwrap();
        watch(Some(Disk::new(root.path(), random(seed, 1), usize::MAX)));
        let mut file = File::create(root.path().join("file")).unwrap();
        file.write_all(&[1; 2000]).unwrap();
        file.sync_data().unwrap();
        if seed % 2 == 0 {
            File::open(root.path()).unwrap().sync_all().unwrap();
        }
        file.write_all(&[2; 2000]).unwrap();
        file.sync_all().unwrap();
        let image = watch(None).unwrap().into_images().0.pop().unwrap();
        assert!(image.what.starts_with("fsync file"), "{}", image.what);
        let after = TempDir::new().unwrap();
        image.after(Cut::Power, after.path(), random(seed, 2), 0);
        let Ok(bytes) = fs::read(after.path().join("file")) else {
            assert_ne!(seed % 2, 0, "the name was synced");
            nameless += 1;
            continue;
        };
        assert_eq!(bytes[..2000], [1; 2000]);
        assert!(bytes.len() <= 4000 && bytes[2000..].iter().all(|byte| *byte == 0 || *byte == 2));
        let (all, some) = (bytes[2000..] == [2; 2000], bytes[2000..].contains(&2));
        torn += u32::from(some && !all);
        kept += u32::from(all);
        let after = TempDir::new().unwrap();
        image.after(Cut::Kill, after.path(), random(seed, 2), 0);
        assert_eq!(fs::read(after.path().join("file")).unwrap().len(), 4000);
    }
    assert!(torn > 5 && kept > 5 && nameless > 5, "{torn} {kept} {nameless}");
}
