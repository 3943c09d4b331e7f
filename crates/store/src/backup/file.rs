//! The bytes of a backup.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{FORMAT, Summary};
use crate::error::BackupError;
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::overlay::Entry;

const MAGIC: &[u8; 8] = b"DjSStore";
const HEADER_BYTES: usize = 40;
const END: u32 = u32::MAX;
/// `END`, the number of entries, the SHA-256.
const FOOTER_BYTES: u64 = 4 + 8 + 32;
const BUFFER_BYTES: usize = 1 << 18;
/// No record is larger, with what stands around it in a job or an event.
const VALUE_MAX: usize = VALUE_BYTES_MAX * 4;
const KEY_MAX: usize = KEY_BYTES_MAX * 2;

/// Writes a file and hashes it on the way.
pub(super) struct Writer {
    out: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
    entries: u64,
    head: Summary,
}

impl Writer {
    pub(super) fn create(path: &Path, lineage: u64, epoch: u64, sequence: u64) -> io::Result<Self> {
        let head = Summary { format: FORMAT, lineage, epoch, sequence, entries: 0, bytes: 0, sha256: [0; 32] };
        let file = File::options().create(true).truncate(true).write(true).open(path)?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, file);
        let mut writer = Self { out, hash: Sha256::new(), bytes: 0, entries: 0, head };
        writer.write(MAGIC)?;
        writer.write(&FORMAT.to_le_bytes())?;
        writer.write(&[0; 4])?;
        for number in [lineage, epoch, sequence] {
            writer.write(&number.to_le_bytes())?;
        }
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    pub(super) fn entry(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        // Keys and values have limits far below these types'.
        self.write(&(key.len() as u32).to_le_bytes())?;
        self.write(&(value.len() as u32).to_le_bytes())?;
        self.write(key)?;
        self.write(value)?;
        self.entries += 1;
        Ok(())
    }

    /// Ends the file, durably.
    pub(super) fn finish(mut self) -> io::Result<Summary> {
        self.write(&END.to_le_bytes())?;
        let entries = self.entries;
        self.write(&entries.to_le_bytes())?;
        let sha256: [u8; 32] = self.hash.finalize_reset().into();
        self.out.write_all(&sha256)?;
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        Ok(Summary { entries, sha256, bytes: self.bytes + 32, ..self.head })
    }
}

/// Reads the entries of a file. Whoever reads to the end has it checked.
pub(super) struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    hash: Sha256,
    read: u64,
    summary: Summary,
    last_key: Option<Vec<u8>>,
    ended: bool,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, BackupError> {
        let failed = |source| BackupError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let mut header = [0; HEADER_BYTES];
        let has_header = file.read_exact(&mut header).is_ok();
        if !has_header || !header.starts_with(MAGIC) {
            return Err(BackupError::Foreign { path: path.to_owned() });
        }
        let format = u32_at(&header, 8);
        if format != FORMAT {
            let path = path.to_owned();
            return match format > FORMAT {
                true => Err(BackupError::Newer { path, found: format, known: FORMAT }),
                false => Err(BackupError::Foreign { path }),
            };
        }
        let damaged = |reason: &str| BackupError::Damaged { path: path.to_owned(), reason: reason.to_owned() };
        let mut footer = [0; FOOTER_BYTES as usize];
        if bytes < HEADER_BYTES as u64 + FOOTER_BYTES {
            return Err(damaged("it is cut off"));
        }
        file.seek(SeekFrom::Start(bytes - FOOTER_BYTES)).map_err(failed)?;
        file.read_exact(&mut footer).map_err(failed)?;
        if u32_at(&footer, 0) != END {
            return Err(damaged("it is cut off"));
        }
        let (lineage, epoch, sequence) = (u64_at(&header, 16), u64_at(&header, 24), u64_at(&header, 32));
        let (entries, sha256) = (u64_at(&footer, 4), std::array::from_fn(|at| footer[12 + at]));
        let summary = Summary { format, lineage, epoch, sequence, entries, bytes, sha256 };
        file.seek(SeekFrom::Start(HEADER_BYTES as u64)).map_err(failed)?;
        let mut hash = Sha256::new();
        hash.update(header);
        let input = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(Self { path: path.to_owned(), input, hash, read: 0, summary, last_key: None, ended: false })
    }

    pub(super) fn summary(&self) -> &Summary {
        &self.summary
    }

    fn damaged(&self, reason: &str) -> BackupError {
        BackupError::Damaged { path: self.path.clone(), reason: reason.to_owned() }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, BackupError> {
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged("it is cut off"),
            _ => BackupError::Io { path: self.path.clone(), source },
        })?;
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u32, BackupError> {
        Ok(u32_at(&self.take(4)?, 0))
    }

    fn entry(&mut self) -> Result<Option<Entry>, BackupError> {
        let key_bytes = self.number()?;
        if key_bytes == END {
            self.take(8)?;
            let whole = self.read == self.summary.entries && self.hash.clone().finalize()[..] == self.summary.sha256;
            return if whole { Ok(None) } else { Err(self.damaged("its checksum is wrong")) };
        }
        let value_bytes = self.number()? as usize;
        if key_bytes as usize > KEY_MAX || value_bytes > VALUE_MAX {
            return Err(self.damaged("an entry is larger than any can be"));
        }
        let entry = (self.take(key_bytes as usize)?, self.take(value_bytes)?);
        if self.last_key.replace(entry.0.clone()).is_some_and(|last| last >= entry.0) {
            return Err(self.damaged("its entries are out of order"));
        }
        self.read += 1;
        Ok(Some(entry))
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, BackupError>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let entry = self.entry().transpose();
        self.ended = !matches!(entry, Some(Ok(_)));
        entry
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
