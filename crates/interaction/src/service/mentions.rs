//! `@username` in a text.

/// Names that one comment can tell; further ones are text.
pub(super) const MENTIONS_MAX: usize = 10;

/// What is named with an `@` in front, each once, in order. A name may end with a dot or dash, or these end the
/// sentence: both readings are given, the longer one first.
pub(super) fn mentions(text: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut before = None;
    for (at, character) in text.char_indices() {
        let starts = character == '@' && !before.is_some_and(|c: char| c.is_alphanumeric() || c == '@' || c == '.');
        before = Some(character);
        if !starts {
            continue;
        }
        let name: String = text[at + 1..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
            .map(|c| c.to_ascii_lowercase())
            .collect();
        let readings = readings(&name);
        if !readings.is_empty() && !found.contains(&readings) && found.len() < MENTIONS_MAX {
            found.push(readings);
        }
    }
    found
}

fn readings(name: &str) -> Vec<String> {
    let fits = |name: &str| {
        (2..=30).contains(&name.len()) && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
    };
    let plain = name.trim_end_matches(['.', '-', '_']);
    let mut readings: Vec<String> = [name, plain].into_iter().filter(|it| fits(it)).map(str::to_owned).collect();
    readings.dedup();
    readings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_mail_addresses_are_not() {
        let found = mentions("@Ada, see mail me@bob.org and (@b.ob-9). @ada again @@x @ä @a");
        assert_eq!(found, [vec!["ada".to_owned()], vec!["b.ob-9".to_owned()]]);
        assert_eq!(mentions("thanks @ada."), [vec!["ada.".to_owned(), "ada".to_owned()]]);
        let many: String = (10..40).map(|number| format!("@user{number} ")).collect();
        assert_eq!(mentions(&many).len(), MENTIONS_MAX);
    }
}
