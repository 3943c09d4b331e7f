//! Subtitle tracks of a video.

use std::path::PathBuf;
use std::sync::Arc;

use kit::Caller;
use proto::api::video::Caption;
use proto::{Timestamp, VideoId};

use super::Service;
use super::change::Change;
use super::subtitles;
use crate::data::CaptionRecord;
use crate::error::{Error, Result};
use crate::media::output;

/// Largest file that is taken, in bytes.
pub(crate) const CAPTION_BYTES_MAX: usize = 2 << 20;
/// Tracks of one video.
const CAPTIONS_MAX: usize = 20;

impl Service {
    /// Adds or replaces the track of a language.
    pub(crate) async fn put_captions(
        self: &Arc<Self>,
        caller: &Caller,
        id: VideoId,
        language: &str,
        text: &[u8],
        now: Timestamp,
    ) -> Result<Caption> {
        self.own(id, caller)?;
        let language = checked_language(language)?;
        let text = std::str::from_utf8(text).map_err(|_| Error::invalid("captions", "UTF-8 is expected."))?;
        let cues = subtitles::parse(text).map_err(|detail| Error::invalid("captions", detail))?;
        let vtt = subtitles::to_vtt(&cues);
        let track = CaptionRecord {
            label: label(&language).to_owned(),
            file: format!("{}.vtt", output::random_name()),
            bytes: vtt.len() as u64,
            language,
        };
        let path = self.folder(id).join(&track.file);
        output::blocking(move || output::replace(&path, vtt.as_bytes())).await?;
        self.change_captions(id, &track.language, Some(&track), now).await?;
        Ok(Caption {
            url: format!("/media/{id}/captions/{}.vtt", track.language),
            language: track.language,
            label: track.label,
        })
    }

    /// Removes the track of a language.
    pub(crate) async fn delete_captions(
        self: &Arc<Self>,
        caller: &Caller,
        id: VideoId,
        language: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.own(id, caller)?;
        let language = checked_language(language)?;
        self.change_captions(id, &language, None, now).await
    }

    async fn change_captions(
        self: &Arc<Self>,
        id: VideoId,
        language: &str,
        track: Option<&CaptionRecord>,
        now: Timestamp,
    ) -> Result<()> {
        let replaced = std::sync::Mutex::new(None);
        self.change(id, now, |old| {
            let mut record = old.record.clone();
            let before = record.captions.iter().position(|one| one.language == language);
            if before.is_none() && track.is_none() {
                return Err(Error::NotFound("subtitle track"));
            }
            let removed = before.map(|index| record.captions.remove(index));
            record.captions.extend(track.cloned());
            if record.captions.len() > CAPTIONS_MAX {
                return Err(Error::invalid("captions", format!("At most {CAPTIONS_MAX} tracks are taken.")));
            }
            record.captions.sort_by(|left, right| left.language.cmp(&right.language));
            record.version += 1;
            if let Ok(mut replaced) = replaced.lock() {
                *replaced = removed.map(|one| one.file);
            }
            Ok(Change { tell: true, ..Change::to(record) })
        })
        .await?;
        if let Some(file) = replaced.into_inner().ok().flatten() {
            let path = self.folder(id).join(file);
            self.remove_file(path).await;
        }
        Ok(())
    }
}

impl Service {
    /// Removes a file that no record names any more; a little later when a backup takes the files just now.
    async fn remove_file(self: &Arc<Self>, path: PathBuf) {
        let remove = |service: Arc<Self>, path: PathBuf| async move {
            let _ = service.blocking(move |_| Ok(std::fs::remove_file(path).is_ok())).await;
        };
        if let Some(_pass) = self.backup.may_remove() {
            return remove(Arc::clone(self), path).await;
        }
        let service = Arc::clone(self);
        tokio::spawn(async move {
            let _pass = service.backup.soon().await;
            remove(Arc::clone(&service), path).await;
        });
    }
}

/// A BCP 47 tag of plain letters, digits and dashes: it becomes a part of addresses.
fn checked_language(language: &str) -> Result<String> {
    let fits = (2..=20).contains(&language.len())
        && language
            .split('-')
            .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if !fits {
        return Err(Error::invalid("language", "A language such as en or pt-BR is expected."));
    }
    Ok(language.to_owned())
}

/// The language's own name, where it is one that many speak; else its tag.
fn label(language: &str) -> &str {
    match language.split('-').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "en" => "English",
        "de" => "Deutsch",
        "fr" => "Français",
        "es" => "Español",
        "it" => "Italiano",
        "pt" => "Português",
        "nl" => "Nederlands",
        "pl" => "Polski",
        "sv" => "Svenska",
        "da" => "Dansk",
        "fi" => "Suomi",
        "cs" => "Čeština",
        "tr" => "Türkçe",
        "ru" => "Русский",
        "uk" => "Українська",
        "ja" => "日本語",
        "ko" => "한국어",
        "zh" => "中文",
        "ar" => "العربية",
        "hi" => "हिन्दी",
        _ => language,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_tags_and_nothing_else() {
        for language in ["en", "pt-BR", "zh-Hant-TW"] {
            assert!(checked_language(language).is_ok(), "{language}");
        }
        for language in ["", "e", "../etc", "en/de", "en-", "a.b", "english-is-a-fine-tongue"] {
            assert!(checked_language(language).is_err(), "{language}");
        }
    }
}
