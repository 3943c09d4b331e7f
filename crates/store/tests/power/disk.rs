//! What a disk has of the files below one folder: what was synced, and what was only written.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

/// What a disk writes at once, in bytes: nothing smaller is ever torn.
const SECTOR_BYTES: u64 = 512;

/// A file's identity on the watched disk, whatever its names are.
type FileId = u64;
type Listing = BTreeMap<OsString, Entry>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    File(FileId),
    Folder,
}

#[derive(Debug, Clone)]
enum Change {
    Write {
        at: u64,
        bytes: Arc<[u8]>,
    },
    /// The file ended there for a moment.
    Cut(u64),
}

#[derive(Debug, Clone, Default)]
struct Content {
    durable: Arc<Vec<u8>>,
    /// Since the last sync, in order.
    pending: Vec<Change>,
    /// The length that programs see.
    length: u64,
    /// Holds the inode, so that no other file gets its number.
    keeper: Option<Arc<File>>,
}

#[derive(Debug, Clone, Default)]
struct Folder {
    durable: Listing,
    /// Since the last sync, in order.
    since: Vec<Listing>,
}

/// How the machine went down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Only the process: what was written is there, and is no more durable than before.
    Kill,
    /// The power: what was not synced is there in part, or not at all.
    Power,
}

/// The files below a folder, at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    files: BTreeMap<FileId, Content>,
    folders: BTreeMap<PathBuf, Folder>,
    /// Which write or sync came next.
    pub(crate) event: u64,
    /// What it was.
    pub(crate) what: String,
    /// Batches that had been answered.
    pub(crate) answered: usize,
    /// Batches that had been handed over.
    pub(crate) begun: usize,
}

/// Watches the files below a folder.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    device: u64,
    inodes: BTreeMap<u64, FileId>,
    files: BTreeMap<FileId, Content>,
    folders: BTreeMap<PathBuf, Folder>,
    events: u64,
    answered: usize,
    begun: usize,
    /// How many images are kept, of moments chosen evenly from all.
    wanted: usize,
    images: Vec<Image>,
    random: StdRng,
    is_traced: bool,
}

/// What a descriptor stands for.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    File(FileId),
    Folder(PathBuf),
}

impl Disk {
    /// Watches an empty folder, whose own name is durable.
    pub(crate) fn new(root: &Path, random: StdRng, wanted: usize) -> Self {
        let root = fs::canonicalize(root).unwrap();
        let device = fs::metadata(&root).unwrap().dev();
        let folders = BTreeMap::from([(PathBuf::new(), Folder::default())]);
        let (inodes, files, images) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let (events, answered, begun) = (0, 0, 0);
        let is_traced = std::env::var_os("STORE_POWER_TRACE").is_some();
        Self { root, device, inodes, files, folders, events, answered, begun, wanted, images, random, is_traced }
    }

    /// Says how far the history is; answers how many writes and syncs there were.
    pub(crate) fn progress(&mut self, answered: usize, begun: usize) -> u64 {
        (self.answered, self.begun) = (answered, begun);
        self.events
    }

    /// The images made so far, and how many moments there were.
    pub(crate) fn into_images(self) -> (Vec<Image>, u64) {
        (self.images, self.events)
    }

    /// The watched file or folder that is open under a path of `/proc/self/fd`.
    pub(crate) fn target(&mut self, descriptor: &Path) -> Option<Target> {
        let metadata = fs::metadata(descriptor).ok()?;
        if metadata.dev() != self.device || !(metadata.is_file() || metadata.is_dir()) {
            return None;
        }
        if let Some(id) = self.inodes.get(&metadata.ino()).filter(|_| metadata.is_file()) {
            return Some(Target::File(*id));
        }
        let path = fs::read_link(descriptor).ok()?;
        let relative = path.strip_prefix(&self.root).ok()?.to_owned();
        Some(if metadata.is_dir() { Target::Folder(relative) } else { Target::File(self.learn(descriptor)) })
    }

    /// The watched folder that has this path, and its path below the root.
    pub(crate) fn folder_of(&self, path: &Path) -> Option<PathBuf> {
        Some(path.parent()?.strip_prefix(&self.root).ok()?.to_owned())
    }

    /// A file seen for the first time: nothing of it is durable.
    fn learn(&mut self, path: &Path) -> FileId {
        let keeper = File::open(path).unwrap();
        let inode = keeper.metadata().unwrap().ino();
        if let Some(id) = self.inodes.get(&inode) {
            return *id;
        }
        let id = self.files.len() as FileId;
        self.inodes.insert(inode, id);
        self.files.insert(id, Content { keeper: Some(Arc::new(keeper)), ..Content::default() });
        id
    }

    /// Something is about to be written or synced: perhaps an image is made.
    pub(crate) fn before(&mut self, what: &str, target: &Target) {
        self.events += 1;
        let place = match self.images.len() < self.wanted {
            true => self.images.len(),
            false => usize::try_from(self.random.random_range(0..self.events)).unwrap(),
        };
        let traced = self.is_traced;
        if place < self.wanted || traced {
            let name = match target {
                Target::File(id) => self.name_of(*id),
                Target::Folder(path) => path.display().to_string(),
            };
            if traced {
                eprintln!("{} {what} {name}, answered {}, begun {}", self.events, self.answered, self.begun);
            }
            if place < self.wanted {
                let image = self.image(format!("{what} {name}"));
                match self.images.get_mut(place) {
                    Some(old) => *old = image,
                    None => self.images.push(image),
                }
            }
        }
    }

    fn name_of(&self, id: FileId) -> String {
        let holder = self.inodes.iter().find(|(_, known)| **known == id).and_then(|_| self.files[&id].keeper.as_ref());
        let Some(keeper) = holder else { return "?".to_owned() };
        let path = fs::read_link(descriptor_path(&**keeper)).unwrap_or_default();
        path.strip_prefix(&self.root).unwrap_or(&path).display().to_string()
    }

    fn image(&mut self, what: String) -> Image {
        let paths: Vec<_> = self.folders.keys().cloned().collect();
        paths.iter().for_each(|path| self.list(path));
        for content in self.files.values_mut() {
            content.look();
        }
        let (files, folders) = (self.files.clone(), self.folders.clone());
        Image { files, folders, event: self.events, what, answered: self.answered, begun: self.begun }
    }

    /// Looks at the length before a write: another program's call may have changed it.
    pub(crate) fn look(&mut self, id: FileId) {
        self.files.get_mut(&id).unwrap().look();
    }

    /// Bytes were written.
    pub(crate) fn written(&mut self, id: FileId, at: u64, bytes: &[u8]) {
        let content = self.files.get_mut(&id).unwrap();
        content.pending.push(Change::Write { at, bytes: bytes.into() });
        content.length = content.length.max(at + bytes.len() as u64);
    }

    /// A file was synced: its content and length are durable, its name is not.
    pub(crate) fn synced(&mut self, target: &Target) {
        match target {
            Target::File(id) => {
                let content = self.files.get_mut(id).unwrap();
                content.look();
                content.make_durable();
            }
            Target::Folder(path) => {
                self.list(path);
                let folder = self.folders.get_mut(path).unwrap();
                if let Some(last) = folder.since.pop() {
                    *folder = Folder { durable: last, since: Vec::new() };
                }
            }
        }
    }

    /// Names in a folder may have changed.
    pub(crate) fn list(&mut self, path: &Path) {
        let Ok(entries) = fs::read_dir(self.root.join(path)) else { return };
        let mut listing = Listing::new();
        for entry in entries {
            let entry = entry.unwrap();
            let is_folder = entry.file_type().unwrap().is_dir();
            let below = path.join(entry.file_name());
            let kind = match is_folder {
                true => Entry::Folder,
                false => Entry::File(self.learn(&entry.path())),
            };
            listing.insert(entry.file_name(), kind);
            if is_folder && !self.folders.contains_key(&below) {
                self.folders.insert(below.clone(), Folder::default());
                self.list(&below);
            }
        }
        let folder = self.folders.entry(path.to_owned()).or_default();
        if *folder.since.last().unwrap_or(&folder.durable) != listing {
            folder.since.push(listing);
        }
    }
}

impl Content {
    fn look(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        let length = keeper.metadata().unwrap().len();
        if length < self.length {
            self.pending.push(Change::Cut(length));
        }
        self.length = length;
    }

    fn make_durable(&mut self) {
        let durable = Arc::make_mut(&mut self.durable);
        for change in self.pending.drain(..) {
            change.apply(durable, |_| true);
        }
        durable.resize(usize::try_from(self.length).unwrap(), 0);
    }

    /// As programs see it.
    fn whole(&self) -> Vec<u8> {
        let mut whole = self.clone();
        whole.make_durable();
        Arc::unwrap_or_clone(whole.durable)
    }

    /// As it is when the power is back: of each sector one of its states since the last sync.
    fn torn(&self, random: &mut StdRng) -> Vec<u8> {
        let (all, count) = (usize::MAX, self.pending.len());
        let way = random.random_range(0..5);
        let until = random.random_range(0..=count);
        let mut sectors: BTreeMap<u64, usize> = BTreeMap::new();
        let mut bytes = self.durable.to_vec();
        for (index, change) in self.pending.iter().enumerate() {
            change.apply(&mut bytes, |sector| {
                let reached = sectors.entry(sector).or_insert_with(|| match way {
                    0 => 0,
                    1 => all,
                    2 => until,
                    3 => *[0, all].choose(random).unwrap(),
                    _ => *[0, all, random.random_range(0..=count)].choose(random).unwrap(),
                });
                index < *reached
            });
        }
        let (old, new) = (self.durable.len() as u64, self.length);
        let length = match way {
            0 => old,
            1 => new,
            _ => *[old, new, random.random_range(old.min(new)..=old.max(new))].choose(random).unwrap(),
        };
        bytes.resize(usize::try_from(length).unwrap(), 0);
        bytes
    }
}

impl Change {
    /// Changes those sectors that have got so far.
    fn apply(&self, file: &mut Vec<u8>, mut has: impl FnMut(u64) -> bool) {
        match self {
            Self::Cut(length) => {
                // What follows comes back as zeros, if it comes back.
                let end = file.len() as u64;
                for sector in length / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
                    let from = (sector * SECTOR_BYTES).max(*length);
                    let to = ((sector + 1) * SECTOR_BYTES).min(end);
                    if from < to && has(sector) {
                        file[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()].fill(0);
                    }
                }
            }
            Self::Write { at, bytes } => {
                let end = at + bytes.len() as u64;
                let longer = usize::try_from(end).unwrap().max(file.len());
                file.resize(longer, 0);
                for sector in at / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
                    let from = (sector * SECTOR_BYTES).max(*at);
                    let to = ((sector + 1) * SECTOR_BYTES).min(end);
                    if has(sector) {
                        let part = usize::try_from(from - at).unwrap()..usize::try_from(to - at).unwrap();
                        file[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()]
                            .copy_from_slice(&bytes[part]);
                    }
                }
            }
        }
    }
}

impl Image {
    /// Lays the files out in an empty folder as they are after the cut, and watches them there.
    pub(crate) fn after(&self, cut: Cut, root: &Path, mut random: StdRng, wanted: usize) -> Disk {
        let mut files = self.files.clone();
        let mut folders = self.folders.clone();
        for content in files.values_mut() {
            content.keeper = None;
            if cut == Cut::Power {
                let torn = content.torn(&mut random);
                *content = Content { length: torn.len() as u64, durable: Arc::new(torn), ..Content::default() };
            }
        }
        for folder in folders.values_mut().filter(|_| cut == Cut::Power) {
            let reached = random.random_range(0..=folder.since.len());
            // The two ends are the likely ones.
            let reached = *[0, folder.since.len(), reached].choose(&mut random).unwrap();
            let durable = if reached == 0 { folder.durable.clone() } else { folder.since[reached - 1].clone() };
            *folder = Folder { durable, since: Vec::new() };
        }
        let mut disk = Disk { files, folders, ..Disk::new(root, random, wanted) };
        disk.lay_out(Path::new(""));
        let there: Vec<_> = disk.folders.keys().filter(|path| disk.root.join(path).is_dir()).cloned().collect();
        disk.folders.retain(|path, _| there.contains(path));
        disk
    }
}

impl Disk {
    fn lay_out(&mut self, path: &Path) {
        let Some(folder) = self.folders.get(path) else { return };
        let listing = folder.since.last().unwrap_or(&folder.durable).clone();
        for (name, entry) in listing {
            let below = path.join(&name);
            let full = self.root.join(&below);
            match entry {
                Entry::Folder => {
                    fs::create_dir(&full).unwrap();
                    self.lay_out(&below);
                }
                Entry::File(id) => {
                    let content = self.files.get_mut(&id).unwrap();
                    fs::write(&full, content.whole()).unwrap();
                    let keeper = File::open(&full).unwrap();
                    self.inodes.insert(keeper.metadata().unwrap().ino(), id);
                    content.keeper = Some(Arc::new(keeper));
                }
            }
        }
    }

    /// Whether what the calls told is what is there: else a call was missed, and nothing is proved.
    pub(crate) fn check(&mut self) {
        for content in self.files.values_mut().filter(|content| content.keeper.is_some()) {
            content.look();
            let mut there = Vec::new();
            let mut file = File::open(descriptor_path(&**content.keeper.as_ref().unwrap())).unwrap();
            file.read_to_end(&mut there).unwrap();
            assert!(there == content.whole(), "the file layer missed a call");
        }
    }
}

/// A path under which the same file can be opened again, with a position and locks of its own.
pub(crate) fn descriptor_path(file: &impl std::os::fd::AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// A number generator for one purpose of a history.
pub(crate) fn random(seed: u64, purpose: u64) -> StdRng {
    use rand::SeedableRng;
    let mut random = StdRng::seed_from_u64(seed ^ purpose.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let _ = random.next_u64();
    random
}
