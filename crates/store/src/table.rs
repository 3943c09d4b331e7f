//! The names of tables and counters, with the types of what they hold.

use std::fmt;
use std::marker::PhantomData;

use crate::space::check_name;

/// A table: records of type `V` (MessagePack maps with named fields) in the order of their keys `K`.
pub struct Table<K, V> {
    pub(crate) name: &'static str,
    marker: PhantomData<fn() -> (K, V)>,
}

/// A whole number for each key. What was never added to is 0, and 0 takes no room.
pub struct Counter<K> {
    pub(crate) name: &'static str,
    marker: PhantomData<fn() -> K>,
}

impl<K, V> Table<K, V> {
    /// Names a table. The name is part of every stored key: it never changes.
    pub const fn new(name: &'static str) -> Self {
        Self { name: check_name(name), marker: PhantomData }
    }

    /// The table's name.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

impl<K> Counter<K> {
    /// Names a counter. The name is part of every stored key: it never changes.
    pub const fn new(name: &'static str) -> Self {
        Self { name: check_name(name), marker: PhantomData }
    }

    /// The counter's name.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for Table<K, V> {}
impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({})", self.name)
    }
}

impl<K> Clone for Counter<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Counter<K> {}
impl<K> fmt::Debug for Counter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counter({})", self.name)
    }
}
