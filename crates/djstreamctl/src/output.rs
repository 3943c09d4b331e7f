//! How answers are printed: for people as a table, for programs as JSON.

use clap::ValueEnum;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use crate::client::CallError;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line, for lists.
    Jsonl,
}

/// Prints a list; `row` gives the cells under `header` for one item.
#[allow(clippy::print_stdout)]
pub(crate) fn list<T: Serialize, const N: usize>(
    format: Format,
    items: &[T],
    header: [&str; N],
    row: impl Fn(&T) -> [String; N],
) -> Result<(), CallError> {
    match format {
        Format::Table => {
            let mut table = Table::new();
            table.load_style(NOTHING).set_header(header);
            table.add_rows(items.iter().map(row));
            println!("{table}");
        }
        Format::Json => println!("{}", text(&items)?),
        Format::Jsonl => {
            for item in items {
                println!("{}", text(item)?);
            }
        }
    }
    Ok(())
}

/// Prints one thing: `sentence` for people, else JSON.
#[allow(clippy::print_stdout)]
pub(crate) fn one<T: Serialize>(format: Format, item: &T, sentence: &str) -> Result<(), CallError> {
    match format {
        Format::Table => println!("{sentence}"),
        Format::Json | Format::Jsonl => println!("{}", text(item)?),
    }
    Ok(())
}

fn text(item: &impl Serialize) -> Result<String, CallError> {
    serde_json::to_string(item).map_err(|error| CallError::Broken(error.to_string()))
}

/// The kebab-case word that the API uses for a state, a role, a kind.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}
