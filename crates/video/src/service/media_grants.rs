//! Who may have which file of a video. The gateway asks, and sends the bytes itself.

use kit::Caller;
use proto::VideoId;
use proto::api::video::{Privacy, VideoState};
use proto::internal::{MediaFile, MediaGrant};

use super::Service;
use super::known::Known;
use crate::error::Result;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const MP4: &str = "video/mp4";
const JPEG: &str = "image/jpeg";
const VTT: &str = "text/vtt; charset=utf-8";

impl Service {
    /// What this caller may have; 404 for those who may not know of the video.
    pub(crate) fn media_grant(&self, caller: &Caller, id: VideoId) -> Result<MediaGrant> {
        let known = self.visible(id, caller)?;
        let record = &known.record;
        let everybody = matches!(record.privacy, Privacy::Public | Privacy::Unlisted);
        Ok(MediaGrant {
            public: everybody && record.state == VideoState::Published,
            files: files(id, &known, record.download || caller.is(record.owner)),
        })
    }
}

fn files(id: VideoId, known: &Known, downloads: bool) -> Vec<MediaFile> {
    let record = &known.record;
    let file = |name: String, file: &str, content_type: &str, changes: bool| MediaFile {
        name,
        path: format!("{id}/{file}"),
        content_type: content_type.to_owned(),
        changes,
        download_name: None,
    };
    let mut files = Vec::new();
    if let Some(master) = &record.master {
        files.push(file("master.m3u8".into(), master, PLAYLIST, true));
    }
    for one in &record.renditions {
        files.push(file(format!("{}.m3u8", one.height), &one.playlist, PLAYLIST, false));
        files.push(MediaFile {
            download_name: downloads.then(|| file_name(&record.title, &format!("{}p.mp4", one.height))),
            ..file(format!("{}.mp4", one.height), &one.file, MP4, false)
        });
    }
    if let Some(poster) = &record.poster {
        files.push(file("poster.jpg".into(), &poster.large, JPEG, true));
        files.push(file("thumbnail.jpg".into(), &poster.small, JPEG, true));
    }
    for caption in &record.captions {
        files.push(file(format!("captions/{}.vtt", caption.language), &caption.file, VTT, true));
    }
    if downloads && record.original.sha256.is_some() {
        files.push(MediaFile {
            download_name: Some(record.original.name.clone()).filter(|name| !name.is_empty()),
            ..file("original".into(), &record.original.file, "application/octet-stream", false)
        });
    }
    files
}

/// A title as the name of a file: what file systems dislike becomes a dash.
fn file_name(title: &str, end: &str) -> String {
    let safe: String =
        title
            .chars()
            .map(|c| {
                if c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') {
                    '-'
                } else {
                    c
                }
            })
            .collect();
    format!("{} {end}", safe.trim_matches(['.', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_become_names_of_files() {
        assert_eq!(file_name("A/B: \"C\"?", "480p.mp4"), "A-B- -C-- 480p.mp4");
        assert_eq!(file_name("..", "480p.mp4"), " 480p.mp4");
    }
}
