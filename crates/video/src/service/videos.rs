//! One video: read, edit, delete.

use std::collections::HashSet;
use std::sync::Arc;

use kit::Caller;
use proto::api::video::{Chapter, PatchVideo, Privacy, Video};
use proto::events::VideoProfile;
use proto::{ChannelId, Timestamp, VideoId};
use store::Batch;

use super::Service;
use super::change::Change;
use super::known::Known;
use crate::data::{About, VideoRecord};
use crate::error::{Error, Result};

/// Characters of a title.
pub(super) const TITLE_CHARACTERS_MAX: usize = 120;
/// Characters of a description.
pub(super) const DESCRIPTION_CHARACTERS_MAX: usize = 5_000;
/// Tags of a video, and characters of one.
const TAGS_MAX: usize = 30;
const TAG_CHARACTERS_MAX: usize = 50;
/// Characters of a category, a language and a licence.
const LABEL_CHARACTERS_MAX: usize = 60;
/// Chapters of a video, and characters of one's title.
const CHAPTERS_MAX: usize = 100;
const CHAPTER_CHARACTERS_MAX: usize = 100;

/// A video with the version that its editors compare.
pub(crate) struct Versioned {
    pub video: Video,
    pub version: u64,
}

impl Service {
    /// A video, as this caller sees it.
    pub(crate) fn video(&self, caller: &Caller, id: VideoId) -> Result<Versioned> {
        let known = self.visible(id, caller)?;
        Ok(Versioned { video: self.document(id, &known, caller)?, version: known.record.version })
    }

    /// A video, as the other services know it.
    pub(crate) fn profile(&self, id: VideoId) -> Result<VideoProfile> {
        let known = self.known(id)?.ok_or(Error::NotFound("video"))?;
        Ok(known.profile.clone())
    }

    /// Edits a video. `accepts` says of its version whether it is the one that the caller has read.
    pub(crate) async fn patch_video(
        &self,
        caller: &Caller,
        id: VideoId,
        patch: PatchVideo,
        accepts: impl Fn(u64) -> bool + Send + Sync,
        now: Timestamp,
    ) -> Result<Versioned> {
        self.own(id, caller)?;
        let patch = checked(patch)?;
        let channel = match &patch.channel {
            Some(handle) => Some(self.channel_for(caller, Some(handle)).await?),
            None => None,
        };
        let also = || match &channel {
            Some(channel) => self.remember_channel(channel, Batch::new()),
            None => Ok(Batch::new()),
        };
        let known = self
            .change(id, now, |old| {
                if !accepts(old.record.version) {
                    return Err(Error::PreconditionFailed);
                }
                let mut change = patched(old, &patch, channel.as_ref().map(|channel| channel.id));
                change.also = also()?;
                Ok(change)
            })
            .await?;
        Ok(Versioned { video: self.document(id, &known, caller)?, version: known.record.version })
    }

    /// Replaces the chapters.
    pub(crate) async fn put_chapters(
        &self,
        caller: &Caller,
        id: VideoId,
        chapters: Vec<Chapter>,
        now: Timestamp,
    ) -> Result<Vec<Chapter>> {
        self.own(id, caller)?;
        let chapters = checked_chapters(chapters)?;
        let known = self
            .change(id, now, |old| {
                let mut record = old.record.clone();
                record.version += 1;
                Ok(Change { chapters: Some(chapters.clone()), tell: true, ..Change::to(record) })
            })
            .await?;
        Ok(Arc::unwrap_or_clone(known).chapters)
    }
}

fn patched(old: &Known, patch: &PatchVideo, channel: Option<ChannelId>) -> Change {
    let mut record: VideoRecord = old.record.clone();
    let set = |target: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            target.clone_from(value);
        }
    };
    set(&mut record.title, &patch.title);
    set(&mut record.category, &patch.category);
    set(&mut record.language, &patch.language);
    set(&mut record.license, &patch.license);
    record.channel = channel.unwrap_or(record.channel);
    record.privacy = patch.privacy.unwrap_or(record.privacy);
    record.sensitive = patch.sensitive.unwrap_or(record.sensitive);
    record.download = patch.download.unwrap_or(record.download);
    record.comment_policy = patch.comment_policy.unwrap_or(record.comment_policy);
    record.version += 1;
    let about = (patch.description.is_some() || patch.tags.is_some()).then(|| About {
        description: patch.description.clone().unwrap_or_else(|| old.about.description.clone()),
        tags: patch.tags.clone().unwrap_or_else(|| old.about.tags.clone()),
    });
    Change { about, tell: true, ..Change::to(record) }
}

fn checked(mut patch: PatchVideo) -> Result<PatchVideo> {
    patch.title = patch.title.map(checked_title).transpose()?;
    patch.description = patch.description.map(checked_description).transpose()?;
    patch.tags = patch.tags.map(checked_tags).transpose()?;
    for (field, value) in
        [("category", &mut patch.category), ("language", &mut patch.language), ("license", &mut patch.license)]
    {
        if let Some(text) = value {
            *text = checked_line(field, text, LABEL_CHARACTERS_MAX)?;
        }
    }
    patch.privacy.map(checked_privacy).transpose()?;
    Ok(patch)
}

/// A privacy that this version can keep.
pub(super) fn checked_privacy(privacy: Privacy) -> Result<Privacy> {
    match privacy {
        Privacy::Password => Err(Error::NotYet("videos with a password come with a later version")),
        other => Ok(other),
    }
}

pub(super) fn checked_title(title: String) -> Result<String> {
    let title = checked_line("title", &title, TITLE_CHARACTERS_MAX)?;
    if title.is_empty() {
        return Err(Error::invalid("title", format!("1 to {TITLE_CHARACTERS_MAX} characters are expected.")));
    }
    Ok(title)
}

pub(super) fn checked_description(text: String) -> Result<String> {
    let text = text.trim().replace('\0', "");
    if text.chars().count() > DESCRIPTION_CHARACTERS_MAX {
        let detail = format!("At most {DESCRIPTION_CHARACTERS_MAX} characters are taken.");
        return Err(Error::invalid("description", detail));
    }
    Ok(text)
}

/// Without repeats, whatever their case.
pub(super) fn checked_tags(tags: Vec<String>) -> Result<Vec<String>> {
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for tag in tags {
        let tag = checked_line("tags", &tag, TAG_CHARACTERS_MAX)?;
        if !tag.is_empty() && seen.insert(tag.to_lowercase()) {
            kept.push(tag);
        }
    }
    if kept.len() > TAGS_MAX {
        return Err(Error::invalid("tags", format!("At most {TAGS_MAX} tags are taken.")));
    }
    Ok(kept)
}

fn checked_chapters(mut chapters: Vec<Chapter>) -> Result<Vec<Chapter>> {
    if chapters.len() > CHAPTERS_MAX {
        return Err(Error::invalid("chapters", format!("At most {CHAPTERS_MAX} chapters are taken.")));
    }
    for chapter in &mut chapters {
        chapter.title = checked_line("title", &chapter.title, CHAPTER_CHARACTERS_MAX)?;
        if chapter.title.is_empty() || !chapter.start_seconds.is_finite() || chapter.start_seconds < 0.0 {
            return Err(Error::invalid("startSeconds", "Each chapter has a start of at least 0 and a title."));
        }
    }
    chapters.sort_by(|left, right| left.start_seconds.total_cmp(&right.start_seconds));
    Ok(chapters)
}

/// One line without control characters, trimmed.
fn checked_line(field: &'static str, text: &str, characters_max: usize) -> Result<String> {
    let line = text.trim();
    if line.chars().count() > characters_max || line.contains(char::is_control) {
        return Err(Error::invalid(field, format!("One line of at most {characters_max} characters is expected.")));
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tags_lose_repeats_and_blanks() {
        let tags = ["Meadow", " meadow ", "", "rabbit"].map(str::to_owned).to_vec();
        assert_eq!(checked_tags(tags).unwrap(), ["Meadow", "rabbit"]);
        assert!(checked_tags((0..31).map(|number| number.to_string()).collect()).is_err());
        assert!(checked_tags(vec!["x".repeat(51)]).is_err());
    }

    #[test]
    fn titles_are_one_line() {
        assert_eq!(checked_title("  Rabbit in the meadow ".into()).unwrap(), "Rabbit in the meadow");
        for title in ["", "   ", "two\nlines", &"ä".repeat(121)] {
            assert!(checked_title(title.to_owned()).is_err(), "{title}");
        }
        assert!(checked_title("ä".repeat(120)).is_ok());
    }

    #[test]
    fn chapters_come_in_order() {
        let chapter = |start_seconds, title: &str| Chapter { start_seconds, title: title.into() };
        let sorted = checked_chapters(vec![chapter(30.0, "b"), chapter(0.0, "a")]).unwrap();
        assert_eq!(sorted[0].title, "a");
        assert!(checked_chapters(vec![chapter(f64::NAN, "a")]).is_err());
        assert!(checked_chapters(vec![chapter(1.0, " ")]).is_err());
    }
}
