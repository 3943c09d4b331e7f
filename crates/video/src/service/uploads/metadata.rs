//! `Upload-Metadata` (tus 1.0.0, creation): pairs of a key and a base64 value, separated by commas.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proto::api::video::Privacy;

use super::super::videos::{TITLE_CHARACTERS_MAX, checked_description, checked_privacy, checked_tags, checked_title};
use crate::error::{Error, Result, UploadError};

/// Longest value of the header, in bytes.
const HEADER_BYTES_MAX: usize = 24 * 1024;
/// Longest name of a file that is kept, in characters.
const FILE_NAME_CHARACTERS_MAX: usize = 200;

/// What the client says of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub file_name: String,
    pub title: String,
    pub description: String,
    pub channel: Option<String>,
    pub privacy: Privacy,
    pub tags: Vec<String>,
    pub sha256: Option<[u8; 32]>,
}

impl Metadata {
    /// Reads the header; keys that are not ours are left alone.
    ///
    /// # Errors
    /// The header when it is not of the form, or the field whose value is not allowed.
    pub(super) fn read(header: &str) -> Result<Self> {
        let mut values = pairs(header)?;
        let mut take = |key: &str| values.remove(key).filter(|value| !value.trim().is_empty());
        let file_name = take("filename").or_else(|| take("name")).map(|name| short_name(&name)).unwrap_or_default();
        let title = match take("title") {
            Some(title) => checked_title(title)?,
            None => title_from(&file_name),
        };
        Ok(Self {
            title,
            description: checked_description(take("description").unwrap_or_default())?,
            channel: take("channel").map(|handle| handle.trim().to_lowercase()),
            privacy: take("privacy").map_or(Ok(Privacy::default()), |text| privacy(&text))?,
            tags: checked_tags(take("tags").unwrap_or_default().split(',').map(str::to_owned).collect())?,
            sha256: take("sha256").map(|text| digest(&text)).transpose()?,
            file_name,
        })
    }
}

fn pairs(header: &str) -> Result<HashMap<String, String>, UploadError> {
    let malformed = |detail| UploadError::Header { header: "Upload-Metadata", detail };
    if header.len() > HEADER_BYTES_MAX {
        return Err(malformed("it is too long"));
    }
    let mut values = HashMap::new();
    for pair in header.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let bytes = STANDARD.decode(value.trim()).map_err(|_| malformed("each value has to be base64"))?;
        let text = String::from_utf8(bytes).map_err(|_| malformed("each value has to be UTF-8"))?;
        values.insert(key.to_ascii_lowercase(), text);
    }
    Ok(values)
}

fn privacy(text: &str) -> Result<Privacy> {
    let parsed = serde_json::from_value(serde_json::Value::String(text.trim().to_owned()));
    let privacy =
        parsed.map_err(|_| Error::invalid("privacy", "public, unlisted, private or internal is expected."))?;
    checked_privacy(privacy)
}

fn digest(text: &str) -> Result<[u8; 32]> {
    let text = text.trim();
    let wrong = || Error::invalid("sha256", "64 hexadecimal digits are expected.");
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    let mut digest = [0; 32];
    for (byte, index) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[index..index + 2], 16).map_err(|_| wrong())?;
    }
    Ok(digest)
}

/// Without the folders that some clients send along.
fn short_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).take(FILE_NAME_CHARACTERS_MAX).collect::<String>().trim().to_owned()
}

/// The name of the file as people would say it.
fn title_from(file_name: &str) -> String {
    let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    let words = stem.replace(['_', '.'], " ");
    let title: String = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let title: String = title.chars().take(TITLE_CHARACTERS_MAX).collect();
    if title.trim().is_empty() { "Untitled".to_owned() } else { title.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn header(pairs: &[(&str, &str)]) -> String {
        let encoded: Vec<String> =
            pairs.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value))).collect();
        encoded.join(",")
    }

    #[test]
    fn everything_that_a_client_may_say() {
        let digest = "ab".repeat(32);
        let metadata = Metadata::read(&header(&[
            ("filename", "C:\\films\\rabbit.mp4"),
            ("title", "Rabbit in the meadow"),
            ("channel", "Meadow"),
            ("description", "Wiese – hügelig"),
            ("privacy", "unlisted"),
            ("tags", "rabbit, meadow"),
            ("sha256", &digest),
            ("relativePath", "null"),
        ]))
        .unwrap();
        assert_eq!(metadata.file_name, "rabbit.mp4");
        assert_eq!(metadata.title, "Rabbit in the meadow");
        assert_eq!(metadata.description, "Wiese – hügelig");
        assert_eq!(metadata.channel.as_deref(), Some("meadow"));
        assert_eq!((metadata.privacy, metadata.tags.len()), (Privacy::Unlisted, 2));
        assert_eq!(metadata.sha256, Some([0xAB; 32]));
    }

    #[test]
    fn a_title_comes_from_the_file_when_none_is_given() {
        for (file_name, title) in
            [("my_summer.holiday_2026.MP4", "my summer holiday 2026"), ("", "Untitled"), (".mp4", "Untitled")]
        {
            assert_eq!(Metadata::read(&header(&[("filename", file_name)])).unwrap().title, title);
        }
        assert_eq!(Metadata::read("").unwrap().title, "Untitled");
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        for (key, value) in [("privacy", "secret"), ("sha256", "abc"), ("title", "a\nb")] {
            let error = Metadata::read(&header(&[(key, value)])).unwrap_err();
            assert!(matches!(error, Error::Invalid { field, .. } if field == key), "{error}");
        }
        assert!(matches!(Metadata::read(&header(&[("privacy", "password")])), Err(Error::NotYet(_))));
        assert!(matches!(Metadata::read("title ???"), Err(Error::Upload(UploadError::Header { .. }))));
    }
}
