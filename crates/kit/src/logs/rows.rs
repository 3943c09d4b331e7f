//! Rows of several tables as one list that is read in pieces: what a snapshot is made of, and what a projection has.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use store::{Key, ReadError, Scan, Store, Table};

/// Reads rows of one table behind a key; gives the key of the last one when there may be more.
type Section<T> = Arc<dyn Fn(&Store, Option<&[u8]>, &mut Piece<T>) -> Result<Option<Vec<u8>>, ReadError> + Send + Sync>;

/// What is made of the rows of some tables, one table after the other.
pub struct Rows<T> {
    sections: Vec<Section<T>>,
}

/// How far a list was read: which table, and the last key of it.
pub(super) type Place = (usize, Option<Vec<u8>>);

/// A part of the list.
struct Piece<T> {
    items: Vec<T>,
    rows_left: usize,
    items_max: usize,
}

impl<T> Piece<T> {
    fn is_full(&self) -> bool {
        self.rows_left == 0 || self.items.len() >= self.items_max
    }
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { sections: Vec::new() }
    }
}

impl<T> Clone for Rows<T> {
    fn clone(&self) -> Self {
        Self { sections: self.sections.clone() }
    }
}

impl<T> fmt::Debug for Rows<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Rows").field("tables", &self.sections.len()).finish()
    }
}

impl<T> Rows<T> {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// These, and what `make` makes of the rows of `table`, in the order of their keys; `None` leaves a row out.
    #[must_use]
    pub fn table<K, V>(
        self,
        table: Table<K, V>,
        make: impl Fn(&Store, K, V) -> Result<Option<T>, ReadError> + Send + Sync + 'static,
    ) -> Self
    where
        K: Key + 'static,
        V: DeserializeOwned + 'static,
    {
        self.section(move |store, after, piece| {
            let rows = store.scan(table, behind(table, after)?);
            read(rows, piece, |(key, value)| (encoded(&key), make(store, key, value)))
        })
    }

    /// The same, of the keys alone.
    #[must_use]
    pub fn keys<K, V>(
        self,
        table: Table<K, V>,
        make: impl Fn(&Store, K) -> Result<Option<T>, ReadError> + Send + Sync + 'static,
    ) -> Self
    where
        K: Key + 'static,
        V: 'static,
    {
        self.section(move |store, after, piece| {
            let rows = store.scan_keys(table, behind(table, after)?);
            read(rows, piece, |key| (encoded(&key), make(store, key)))
        })
    }

    fn section(
        mut self,
        section: impl Fn(&Store, Option<&[u8]>, &mut Piece<T>) -> Result<Option<Vec<u8>>, ReadError> + Send + Sync + 'static,
    ) -> Self {
        self.sections.push(Arc::new(section));
        self
    }

    /// The next part: at most `items_max` items, made of at most `rows_max` rows. And where the one after it begins,
    /// if there is one. A row that is there all the time is never missed, whatever is written meanwhile.
    pub(super) fn piece(
        &self,
        store: &Store,
        place: Option<&Place>,
        items_max: usize,
        rows_max: usize,
    ) -> Result<(Vec<T>, Option<Place>), ReadError> {
        let mut piece = Piece { items: Vec::new(), rows_left: rows_max, items_max };
        let (first, mut after) = place.map_or((0, None), |(section, after)| (*section, after.clone()));
        for (at, section) in self.sections.iter().enumerate().skip(first) {
            if piece.is_full() {
                return Ok((piece.items, Some((at, None))));
            }
            if let Some(last) = section(store, after.take().as_deref(), &mut piece)? {
                return Ok((piece.items, Some((at, Some(last)))));
            }
        }
        Ok((piece.items, None))
    }
}

fn encoded(key: &impl Key) -> Vec<u8> {
    let mut out = Vec::new();
    key.encode(&mut out);
    out
}

fn behind<K: Key, V>(table: Table<K, V>, after: Option<&[u8]>) -> Result<Scan, ReadError> {
    let Some(mut bytes) = after else { return Ok(Scan::all()) };
    let reason = || ReadError::Decode { table: table.name(), reason: "a place in it cannot be read".to_owned() };
    K::decode(&mut bytes).map(|key| Scan::all().after(&key)).ok_or_else(reason)
}

fn read<R, T>(
    rows: impl Iterator<Item = Result<R, ReadError>>,
    piece: &mut Piece<T>,
    make: impl Fn(R) -> (Vec<u8>, Result<Option<T>, ReadError>),
) -> Result<Option<Vec<u8>>, ReadError> {
    for row in rows {
        let (place, item) = make(row?);
        piece.items.extend(item?);
        piece.rows_left -= 1;
        if piece.is_full() {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use store::{Batch, Options};

    use super::*;

    const FIRST: Table<u32, u32> = Table::new("first");
    const SECOND: Table<String, ()> = Table::new("second");
    const THIRD: Table<(), u32> = Table::new("third");

    #[tokio::test]
    async fn all_rows_come_once_however_small_the_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let mut batch = Batch::new().put(THIRD, &(), &1_000);
        for number in 0..10 {
            batch = batch.put(FIRST, &number, &(number * 2)).put(SECOND, &number.to_string(), &());
        }
        store.write(batch).await.unwrap();
        let rows = Rows::new()
            .table(FIRST, |_, key, value| Ok((key % 2 == 0).then_some(value)))
            .keys(SECOND, |_, key| Ok(key.parse::<u32>().ok()))
            .table(THIRD, |_, (), value| Ok(Some(value)));
        let wanted: Vec<u32> = [0, 4, 8, 12, 16].into_iter().chain(0..10).chain([1_000]).collect();
        for (items_max, rows_max) in [(1, 100), (3, 2), (100, 1), (5, 10), (100, 100)] {
            let (mut all, mut place) = (Vec::new(), None);
            loop {
                let (items, next) = rows.piece(&store, place.as_ref(), items_max, rows_max).unwrap();
                assert!(items.len() <= items_max);
                all.extend(items);
                place = next;
                if place.is_none() {
                    break;
                }
            }
            assert_eq!(all, wanted, "{items_max} items, {rows_max} rows");
        }
        assert!(rows.piece(&store, Some(&(0, Some(vec![1]))), 1, 1).is_err());
    }
}
