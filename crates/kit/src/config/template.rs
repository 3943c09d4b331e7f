//! `djstream.toml` as text: every key with its meaning, default, limits and variable.

use std::fmt::Write;

use super::sections::{Key, keys, sections};

const HEAD: &str = "\
# DjStream's configuration. Every key stands here with its default; delete what you do not change.
# A variable wins over this file. Times, sizes and counts say their unit in their name.
";

/// The text of `djstream.toml` with all defaults.
pub fn template() -> String {
    let keys = keys();
    let mut out = HEAD.to_owned();
    for (section, documentation) in sections() {
        out.push('\n');
        comment(&mut out, &documentation);
        let _ = writeln!(out, "[{section}]");
        for key in keys.iter().filter(|key| key.section == section) {
            out.push('\n');
            entry(&mut out, key);
        }
    }
    out
}

fn entry(out: &mut String, key: &Key) {
    comment(out, &key.documentation);
    let _ = writeln!(out, "# {}. Default {}. Variable {}.", capitalised(&key.expected), key.default, key.variable);
    let _ = writeln!(out, "{} = {}", key.name, key.default);
}

fn comment(out: &mut String, text: &str) {
    for line in text.lines() {
        let _ = writeln!(out, "# {}", line.trim());
    }
}

fn capitalised(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}
