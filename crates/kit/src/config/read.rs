//! Reads keys out of the file and the variables, and collects everything that is wrong.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Fault;
use super::sections::{self, expected};
use super::value::{Limits, Value};

/// The file and the variables, and the faults found so far.
pub(super) struct Reader<'a> {
    table: &'a DeTable<'a>,
    variables: &'a BTreeMap<String, String>,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(table: &'a DeTable<'a>, variables: &'a BTreeMap<String, String>) -> Self {
        Self { table, variables, faults: Vec::new() }
    }

    /// Reads `[section] key` into `target` if it is given; a variable wins over the file.
    pub(super) fn key<T: Value>(&mut self, section: &str, key: &str, target: &mut T, limits: &impl Limits<T>) {
        if let Some(value) = self.lookup(section, key) {
            let read = T::from_toml(value.get_ref()).filter(|read| limits.allows(read));
            match read {
                Some(read) => *target = read,
                None => self.faults.push(Fault::in_file(
                    value.span(),
                    format!("[{section}] {key}: expected {}", expected::<T>(limits)),
                    format!("this is {}", shown(value.get_ref())),
                )),
            }
        }
        let variable = sections::variable(section, key);
        if let Some(text) = self.variables.get(&variable) {
            match T::from_text(text).filter(|read| limits.allows(read)) {
                Some(read) => *target = read,
                None => self.faults.push(Fault::in_variable(
                    &variable,
                    format!("expected {}, found \"{}\"", expected::<T>(limits), text.escape_debug()),
                )),
            }
        }
    }

    fn lookup(&self, section: &str, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        let section = self.table.iter().find(|(name, _)| name.get_ref() == section)?.1;
        let table = section.get_ref().as_table()?;
        Some(table.iter().find(|(name, _)| name.get_ref() == key)?.1)
    }

    /// All faults, with those of keys, sections and variables that do not exist.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        let known = Known::new();
        self.unknown_in_file(&known);
        for variable in self.variables.keys() {
            if known.is_misspelt(variable) {
                self.faults.push(Fault::in_variable(variable, "there is no such key".to_owned()));
            }
        }
        self.faults
    }

    fn unknown_in_file(&mut self, known: &Known) {
        for (name, section) in self.table.iter() {
            let Some(keys) = known.0.get(name.get_ref().as_ref()) else {
                let sections: Vec<&str> = known.0.keys().copied().collect();
                self.unknown(name.span(), format!("[{}]", name.get_ref()), "section", &sections);
                continue;
            };
            let Some(table) = section.get_ref().as_table() else {
                self.faults.push(Fault::in_file(
                    section.span(),
                    format!("{} is a section", name.get_ref()),
                    format!("write [{}] and its keys below", name.get_ref()),
                ));
                continue;
            };
            for key in table.keys().filter(|key| !keys.contains(&key.get_ref().as_ref())) {
                self.unknown(key.span(), format!("[{}] {}", name.get_ref(), key.get_ref()), "key", keys);
            }
        }
    }

    fn unknown(&mut self, span: Range<usize>, name: String, kind: &str, known: &[&str]) {
        let label = format!("expected one of {}", known.join(", "));
        self.faults.push(Fault::in_file(span, format!("{name}: there is no such {kind}"), label));
    }
}

/// The names that exist: keys by section.
struct Known(BTreeMap<&'static str, Vec<&'static str>>);

impl Known {
    fn new() -> Self {
        let mut sections = BTreeMap::<_, Vec<_>>::new();
        for key in sections::keys() {
            sections.entry(key.section).or_default().push(key.name);
        }
        Self(sections)
    }

    /// Whether a variable names a section of ours, but no key in it.
    fn is_misspelt(&self, variable: &str) -> bool {
        let Some(rest) = variable.strip_prefix("DJSTREAM_") else { return false };
        let rest = rest.to_lowercase();
        self.0.iter().any(|(section, keys)| {
            let key = rest.strip_prefix(section).and_then(|key| key.strip_prefix('_'));
            key.is_some_and(|key| !keys.contains(&key))
        })
    }
}

/// A value as people call it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{}\"", text.escape_debug()),
        DeValue::Integer(number) => format!("the number {number}"),
        other => format!("a value of the type {}", other.type_str()),
    }
}
