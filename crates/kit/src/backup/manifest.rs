//! What a backup says of itself: `manifest.json`, and `media.jsonl` with a line for each media file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use proto::Timestamp;
use serde::{Deserialize, Serialize};
use store::backup::Summary;

use super::error::Error;
use super::file::{self, Digest};

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// The manifest's file.
pub(super) const MANIFEST: &str = "manifest.json";
/// The list of media files.
pub(super) const LIST: &str = "media.jsonl";
/// The folder of the media files.
pub(super) const MEDIA: &str = "media";
/// The folder of the stores.
pub(super) const STORES: &str = "stores";
/// A manifest is a few kilobytes.
const MANIFEST_MAX_BYTES: u64 = 1 << 20;

/// `manifest.json`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Which format.
    pub format: u32,
    /// The backup's name.
    pub id: String,
    /// The version that made it.
    pub version: String,
    /// When it was begun. Everything acknowledged before is in it.
    pub created_at: Timestamp,
    /// When it was last restored into a scratch folder and compared; absent when that failed.
    pub verified_at: Option<Timestamp>,
    /// What the last verification found wrong.
    pub damage: Option<String>,
    /// The stores.
    pub stores: Vec<StoreFile>,
    /// The media.
    pub media: MediaSummary,
    /// SHA-256 of this manifest with this field empty: a bit flipped in here is noticed too.
    pub checksum: String,
}

/// One store in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreFile {
    /// Whose.
    pub service: String,
    /// The size of its file.
    pub file_bytes: u64,
    /// The format of its file.
    pub format: u32,
    /// The store's lineage: a restored store has a new one, and sequences of two lineages say nothing of each other.
    pub lineage: u64,
    /// The store's epoch.
    pub epoch: u64,
    /// The last write that is in it.
    pub sequence: u64,
    /// Records.
    pub entries: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// What the file's footer says.
    pub sha256: Digest,
}

/// All media files of a backup together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MediaSummary {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that were copied for this backup; the others are hard links, to the media themselves or an earlier backup.
    pub copied_bytes: u64,
    /// The size of the list.
    pub list_bytes: u64,
    /// Of the list; absent before it is written.
    pub list_sha256: Option<Digest>,
}

/// How a media file came into a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taken {
    /// A hard link to the file itself.
    Linked,
    /// A copy.
    Copied,
    /// A hard link to the copy in an earlier backup.
    Carried,
}

/// One line of `media.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MediaFile {
    /// Relative to the media folder.
    pub path: String,
    /// Its size when the backup was made.
    pub bytes: u64,
    /// When it was last changed, in nanoseconds since 1970.
    pub modified_ns: u64,
    /// How it was taken.
    pub taken: Taken,
    /// An upload goes on with it: the file may have grown since, and a restore copies it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub growing: bool,
    /// Of its first `bytes` bytes.
    pub sha256: Digest,
}

impl StoreFile {
    /// What `summary` says, and the size of the file.
    pub fn new(service: &str, file_bytes: u64, summary: &Summary) -> Self {
        Self {
            service: service.to_owned(),
            file_bytes,
            format: summary.format,
            lineage: summary.lineage,
            epoch: summary.epoch,
            sequence: summary.sequence,
            entries: summary.entries,
            bytes: summary.bytes,
            sha256: Digest(summary.sha256),
        }
    }

    /// Whether a file with this summary is the one that is meant.
    pub(super) fn is(&self, summary: &Summary) -> bool {
        *self == Self::new(&self.service, self.file_bytes, summary)
    }

    /// Its file in the backup `root`.
    pub fn path(&self, root: &Path) -> PathBuf {
        store_path(root, &self.service)
    }
}

/// Where a service's store is in the backup `root`.
pub(super) fn store_path(root: &Path, service: &str) -> PathBuf {
    root.join(STORES).join(format!("{service}.store"))
}

impl Manifest {
    /// Reads the manifest of the backup `root`.
    ///
    /// # Errors
    /// When it is none of ours, of a later version, or damaged.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let path = root.join(MANIFEST);
        let none = |reason: &str| Error::NotABackup { path: root.to_owned(), reason: reason.to_owned() };
        let found = match fs::metadata(&path) {
            Ok(found) if found.is_file() => found,
            Ok(_) => return Err(none("its manifest.json is no file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory => {
                return Err(none("there is no manifest.json in it"));
            }
            Err(error) => return Err(Error::io("cannot read", &path)(error)),
        };
        if found.len() > MANIFEST_MAX_BYTES {
            return Err(Error::damaged(&path, format!("it has {} bytes", found.len())));
        }
        let bytes = fs::read(&path).map_err(Error::io("cannot read", &path))?;
        Self::parse(&path, &bytes)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|error| Error::damaged(path, error.to_string()))?;
        if head.format > FORMAT {
            return Err(Error::NewerFormat { path: path.to_owned(), format: head.format, known: FORMAT });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| Error::damaged(path, error.to_string()))?;
        // A time may be written in several ways, and white space says nothing: it has to be what we wrote.
        let as_written = serde_json::to_vec_pretty(&manifest).is_ok_and(|text| text == bytes);
        if manifest.checksum != manifest.sum() || !as_written {
            return Err(Error::damaged(path, "its checksum does not fit"));
        }
        Ok(manifest)
    }

    fn sum(&self) -> String {
        let bare = Self { checksum: String::new(), ..self.clone() };
        serde_json::to_vec(&bare).map(|bytes| Digest::of(&bytes).to_string()).unwrap_or_default()
    }

    /// Writes it into the backup `root`, with its checksum, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, root: &Path) -> Result<(), Error> {
        self.checksum = self.sum();
        let path = root.join(MANIFEST);
        let text = serde_json::to_vec_pretty(self).map_err(|error| Error::damaged(&path, error.to_string()))?;
        file::replace(&path, &text)
    }

    /// Whether it was restored and compared, and nothing was found since.
    pub fn is_verified(&self) -> bool {
        self.verified_at.is_some() && self.damage.is_none()
    }

    /// The store of a service.
    pub fn store(&self, service: &str) -> Option<&StoreFile> {
        self.stores.iter().find(|store| store.service == service)
    }
}

/// Writes `media.jsonl` into the backup `root` and counts.
pub(super) fn write_list(root: &Path, files: &[MediaFile]) -> Result<MediaSummary, Error> {
    let path = root.join(LIST);
    let mut text = Vec::with_capacity(files.len() * 256);
    for one in files {
        serde_json::to_writer(&mut text, one).map_err(|error| Error::damaged(&path, error.to_string()))?;
        text.push(b'\n');
    }
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&text)?;
        file.sync_all()
    };
    write().map_err(Error::io("cannot write", &path))?;
    Ok(MediaSummary {
        files: files.len() as u64,
        bytes: files.iter().map(|one| one.bytes).sum(),
        copied_bytes: files.iter().filter(|one| one.taken == Taken::Copied).map(|one| one.bytes).sum(),
        list_bytes: text.len() as u64,
        list_sha256: Some(Digest::of(&text)),
    })
}

/// Reads the list of media files of the backup `root` and holds it against its manifest.
///
/// # Errors
/// When it is missing or not what the manifest says.
pub fn read_list(root: &Path, summary: &MediaSummary) -> Result<Vec<MediaFile>, Error> {
    let path = root.join(LIST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::damaged(&path, "it is missing")),
        Err(error) => return Err(Error::io("cannot read", &path)(error)),
    };
    if text.len() as u64 != summary.list_bytes || Some(Digest::of(&text)) != summary.list_sha256 {
        return Err(Error::damaged(&path, "its checksum does not fit"));
    }
    let files = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let files: Vec<MediaFile> = files
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::damaged(&path, error.to_string()))?;
    match files.iter().find(|one| !is_inside(&one.path)) {
        Some(one) => Err(Error::damaged(&path, format!("the path {:?} leads out of the media folder", one.path))),
        None => Ok(files),
    }
}

/// Whether a path stays below the folder that it is relative to.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// The files of a list by their paths.
pub(super) fn by_path(files: Vec<MediaFile>) -> BTreeMap<String, MediaFile> {
    files.into_iter().map(|one| (one.path.clone(), one)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(crate) fn manifest(id: &str) -> Manifest {
        Manifest {
            format: FORMAT,
            id: id.to_owned(),
            version: "0.1.0".to_owned(),
            created_at: Timestamp::from_ms(1_795_000_000_000),
            verified_at: Some(Timestamp::from_ms(1_795_000_001_000)),
            damage: None,
            stores: Vec::new(),
            media: MediaSummary::default(),
            checksum: String::new(),
        }
    }

    #[test]
    fn any_flipped_bit_of_a_manifest_is_noticed() {
        let scratch = tempfile::tempdir().unwrap();
        let mut written = manifest("20261124T173200Z-1f3a9c");
        written.write(scratch.path()).unwrap();
        assert_eq!(Manifest::read(scratch.path()).unwrap(), written);
        let path = scratch.path().join(MANIFEST);
        let whole = fs::read(&path).unwrap();
        for index in 0..whole.len() {
            for bit in 0..8 {
                let mut bent = whole.clone();
                bent[index] ^= 1 << bit;
                assert!(Manifest::parse(&path, &bent).is_err(), "bit {bit} of byte {index}");
            }
        }
    }

    #[test]
    fn what_is_no_manifest_is_told_from_a_later_one() {
        let scratch = tempfile::tempdir().unwrap();
        let shown = |error: Error| error.to_string();
        assert!(shown(Manifest::read(scratch.path()).unwrap_err()).contains("is not a backup"));
        assert!(shown(Manifest::read(&scratch.path().join("none")).unwrap_err()).contains("is not a backup"));
        let path = scratch.path().join(MANIFEST);
        fs::write(&path, r#"{"format":2,"planet":"Mars"}"#).unwrap();
        let error = Manifest::read(scratch.path()).unwrap_err();
        assert!(matches!(error, Error::NewerFormat { format: 2, known: 1, .. }), "{error}");
        fs::write(&path, r#"{"format":1"#).unwrap();
        assert!(shown(Manifest::read(scratch.path()).unwrap_err()).contains("manifest.json is damaged"));
    }

    #[test]
    fn a_list_that_leads_elsewhere_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let file = |path: &str| MediaFile {
            path: path.to_owned(),
            bytes: 1,
            modified_ns: 1,
            taken: Taken::Copied,
            growing: false,
            sha256: Digest::of(b"x"),
        };
        let summary = write_list(scratch.path(), &[file("a/b"), file("../a")]).unwrap();
        assert_eq!((summary.files, summary.bytes, summary.copied_bytes), (2, 2, 2));
        let error = read_list(scratch.path(), &summary).unwrap_err();
        assert!(error.to_string().contains("leads out of the media folder"), "{error}");
        for path in ["/etc/passwd", "", "a/../../b", "."] {
            assert!(!is_inside(path), "{path:?}");
        }
    }
}
