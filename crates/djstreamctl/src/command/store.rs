//! `djstreamctl store …`: looks into the databases of an instance that does not run.

use std::path::Path;

use clap::Subcommand;
use proto::Id;
use serde::Serialize;
use store::{Key, Options, ReadError, Store};

use crate::client::CallError;
use crate::output::{self, Format};

/// The services, as their folders are called.
const SERVICES: [&str; 5] = ["gateway", "channel", "video", "interaction", "notification"];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find ids, names or any other texts in the live records of all databases. The instance must not run.
    /// Journals, backups and databases that were set aside may hold what is long gone; they are not looked at.
    Find {
        /// An id of 22 characters, or any text.
        #[arg(required = true, value_name = "TEXT")]
        texts: Vec<String>,
    },
}

/// Where something was found.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    /// What was looked for.
    text: String,
    service: &'static str,
    /// The kind of record and its table, counter, log or queue.
    table: String,
    /// `key` or `value`.
    place: &'static str,
    /// The record's key, in hexadecimal.
    key: String,
}

pub(crate) fn run(command: Command, data: &Path, format: Format) -> Result<(), CallError> {
    let Command::Find { texts } = command;
    let wanted = texts.into_iter().map(Wanted::new).collect::<Result<Vec<_>, _>>()?;
    let mut found = Vec::new();
    for service in SERVICES {
        let folder = data.join(service);
        if folder.exists() {
            let store = Store::open(&folder, Options::default())
                .map_err(|error| CallError::Broken(format!("{service}: {error}. The instance must not run.")))?;
            look(service, &store, &wanted, &mut found)
                .map_err(|error| CallError::Broken(format!("{service}: {error}")))?;
        }
    }
    output::list(format, &found, ["TEXT", "SERVICE", "TABLE", "IN", "KEY"], |found| {
        [found.text.clone(), found.service.to_owned(), found.table.clone(), found.place.to_owned(), found.key.clone()]
    })
}

/// A text with the forms that it has in databases.
struct Wanted {
    text: String,
    needles: Vec<Vec<u8>>,
}

impl Wanted {
    fn new(text: String) -> Result<Self, CallError> {
        Ok(Self { needles: needles(&text)?, text })
    }

    fn is_in(&self, hay: &[u8]) -> bool {
        self.needles.iter().any(|needle| hay.windows(needle.len()).any(|part| part == needle))
    }
}

/// The forms in which databases have a text. An id is kept as its sixteen bytes, in some keys with each bit turned
/// round (so that the newest comes first), in others with zeros escaped; and in JSON as its text.
fn needles(text: &str) -> Result<Vec<Vec<u8>>, CallError> {
    if text.len() < 3 {
        return Err(CallError::Usage("give at least three characters".to_owned()));
    }
    let mut needles = vec![text.as_bytes().to_vec()];
    if let Ok(id) = text.parse::<Id>() {
        let bytes = id.bytes().to_vec();
        let mut escaped = Vec::new();
        bytes.encode(&mut escaped);
        escaped.truncate(escaped.len() - 2);
        needles.push(bytes.iter().map(|byte| !byte).collect());
        needles.extend((escaped != bytes).then_some(escaped));
        needles.push(bytes);
    }
    Ok(needles)
}

fn look(service: &'static str, store: &Store, wanted: &[Wanted], found: &mut Vec<Found>) -> Result<(), ReadError> {
    for entry in store.raw() {
        let (key, value) = entry?;
        for (place, hay) in [("key", &key), ("value", &value)] {
            for wanted in wanted.iter().filter(|wanted| wanted.is_in(hay)) {
                let text = wanted.text.clone();
                found.push(Found { text, service, table: table(&key), place, key: hex(&key) });
            }
        }
    }
    Ok(())
}

/// What a record belongs to: a letter for its kind, a name, a zero.
fn table(key: &[u8]) -> String {
    let (kind, rest) = key.split_first().unwrap_or((&b'?', &[]));
    let name = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    let kind = match kind {
        b't' => "table",
        b'c' => "counter",
        b'l' => "log",
        b'q' => "queue",
        b'm' => "meta",
        _ => "other",
    };
    format!("{kind} {}", String::from_utf8_lossy(name))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use store::{Batch, Desc, Table};

    use super::*;

    const BY_ID: Table<[u8; 16], u32> = Table::new("by-id");
    const NEWEST: Table<(u8, Desc<[u8; 16]>), u32> = Table::new("newest");
    const VIEWERS: Table<Vec<u8>, u32> = Table::new("viewers");
    const VALUES: Table<u8, (String, Id)> = Table::new("values");

    #[tokio::test]
    async fn an_id_is_found_in_every_form_and_another_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let id = Id::from_bytes([1, 2, 0, 4, 5, 6, 0x77, 8, 0x89, 10, 0, 12, 13, 14, 15, 16]);
        let viewer = [b"u".as_slice(), &id.bytes()].concat();
        let batch = Batch::new()
            .put(BY_ID, &id.bytes(), &1)
            .put(NEWEST, &(7, Desc(id.bytes())), &1)
            .put(VIEWERS, &viewer, &1)
            .put(VALUES, &1, &(String::new(), id))
            .put(VALUES, &2, &(format!("{{\"id\":\"{id}\"}}"), Id::from_bytes([9; 16])));
        store.write(batch).await.unwrap();
        let find = |text: &str| {
            let mut found = Vec::new();
            look("gateway", &store, &[Wanted::new(text.to_owned()).unwrap()], &mut found).unwrap();
            found.into_iter().map(|found| (found.table, found.place)).collect::<Vec<_>>()
        };
        let wanted = [
            ("table by-id", "key"),
            ("table newest", "key"),
            ("table values", "value"),
            ("table values", "value"),
            ("table viewers", "key"),
        ];
        assert_eq!(find(&id.to_string()), wanted.map(|(table, place)| (table.to_owned(), place)));
        assert_eq!(find(&Id::generate().to_string()), []);
        assert!(needles("ab").is_err());
    }
}
