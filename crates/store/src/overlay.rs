//! The state as a batch sees it: the engine's, changed by the earlier batches of its group and by itself.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::engine::Engine;
use crate::error::ReadError;

/// Changes by key; `None` is a removal.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A key and its value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

pub(crate) struct Overlay<'a> {
    engine: &'a Engine,
    group: &'a Changes,
    own: Changes,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(engine: &'a Engine, group: &'a Changes) -> Self {
        Self { engine, group, own: Changes::new() }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        match self.own.get(key).or_else(|| self.group.get(key)) {
            Some(change) => Ok(change.clone()),
            None => Ok(self.engine.get(key)?.map(|value| value.to_vec())),
        }
    }

    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool, ReadError> {
        match self.own.get(key).or_else(|| self.group.get(key)) {
            Some(change) => Ok(change.is_some()),
            None => Ok(self.engine.get(key)?.is_some()),
        }
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.own.insert(key, Some(value));
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.own.insert(key, None);
    }

    /// A value that this group has written, to be changed further. `None`: the group has not written it.
    pub(crate) fn changed(&mut self, key: &[u8]) -> Option<&mut Vec<u8>> {
        if !self.own.contains_key(key) {
            let written = self.group.get(key)?.clone();
            self.own.insert(key.to_owned(), written);
        }
        self.own.get_mut(key)?.as_mut()
    }

    /// The first entry from `start` (inclusive) to `end` (exclusive).
    pub(crate) fn first(&self, start: Vec<u8>, end: &[u8]) -> Result<Option<Entry>, ReadError> {
        let mut start = Bound::Included(start);
        loop {
            let range = (start.clone(), Bound::Excluded(end.to_vec()));
            let changed = [self.group, &self.own]
                .into_iter()
                .filter_map(|changes| changes.range(range.clone()).next())
                .map(|(key, _)| key.clone())
                .min();
            let stored = self.engine.range(range, false).next().transpose()?;
            let stored = stored.map(|(key, _)| key.to_vec());
            let Some(key) = changed.into_iter().chain(stored).min() else { return Ok(None) };
            if let Some(value) = self.get(&key)? {
                return Ok(Some((key, value)));
            }
            start = Bound::Excluded(key);
        }
    }

    pub(crate) fn into_changes(self) -> Changes {
        self.own
    }
}
