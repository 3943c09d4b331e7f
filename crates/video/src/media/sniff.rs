//! What kind of file this is, by its first bytes: decides which single demuxer ffmpeg is forced to use.
//!
//! ffmpeg's own guessing is never used: it would open playlists, scripts and pictures, which name
//! further files. What is not on the list is refused with a sentence.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{MediaError, Refusal};

/// How much of the beginning is looked at, in bytes.
const HEAD_BYTES: usize = 8192;

/// The containers that are accepted; each is one of ffmpeg's demuxers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demuxer {
    /// MP4, QuickTime, 3GP.
    Mov,
    /// Matroska and WebM.
    Matroska,
    /// AVI.
    Avi,
    /// Flash video.
    Flv,
    /// MPEG transport stream.
    MpegTs,
    /// MPEG program stream (MPG, VOB).
    MpegPs,
    /// Ogg.
    Ogg,
    /// Windows Media.
    Asf,
}

impl Demuxer {
    /// ffmpeg's name for it, for `-f`.
    #[must_use]
    pub fn ffmpeg_name(self) -> &'static str {
        match self {
            Self::Mov => "mov",
            Self::Matroska => "matroska",
            Self::Avi => "avi",
            Self::Flv => "flv",
            Self::MpegTs => "mpegts",
            Self::MpegPs => "mpeg",
            Self::Ogg => "ogg",
            Self::Asf => "asf",
        }
    }
}

/// Looks at the file at `path`. Blocking.
///
/// # Errors
/// [`MediaError::Refused`] with a sentence when it is no container that is accepted.
pub fn sniff_file(path: &Path) -> Result<Demuxer, MediaError> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let file = File::open(path).map_err(MediaError::file("open", path))?;
    file.take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(MediaError::file("read", path))?;
    Ok(sniff(&head)?)
}

/// Looks at the first bytes of a file.
///
/// # Errors
/// The sentence for the person who uploaded it.
pub fn sniff(head: &[u8]) -> Result<Demuxer, Refusal> {
    if head.is_empty() {
        return Err(Refusal::new("file-empty", "This file is empty."));
    }
    if let Some(demuxer) = container(head) {
        return Ok(demuxer);
    }
    Err(refusal(head))
}

fn container(head: &[u8]) -> Option<Demuxer> {
    if let Some(demuxer) = iso_media(head) {
        return demuxer;
    }
    let starts = |magic: &[u8]| head.starts_with(magic);
    if starts(&[0x1A, 0x45, 0xDF, 0xA3]) {
        Some(Demuxer::Matroska)
    } else if starts(b"RIFF") && head.get(8..12) == Some(b"AVI ") {
        Some(Demuxer::Avi)
    } else if starts(b"FLV\x01") {
        Some(Demuxer::Flv)
    } else if starts(b"OggS") {
        Some(Demuxer::Ogg)
    } else if starts(&[0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11]) {
        Some(Demuxer::Asf)
    } else if starts(&[0, 0, 1, 0xBA]) {
        Some(Demuxer::MpegPs)
    } else if is_transport_stream(head) {
        Some(Demuxer::MpegTs)
    } else {
        None
    }
}

/// `Some(None)`: a file of this family that holds pictures, not a film.
fn iso_media(head: &[u8]) -> Option<Option<Demuxer>> {
    const STILL_BRANDS: [&[u8; 4]; 9] =
        [b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif", b"crx ", b"jxl "];
    match head.get(4..8)? {
        b"ftyp" => {
            let brand = head.get(8..12)?;
            let still = STILL_BRANDS.iter().any(|known| brand == *known);
            Some((!still).then_some(Demuxer::Mov))
        }
        // QuickTime files from before there was a `ftyp`.
        b"moov" | b"mdat" | b"wide" | b"free" | b"skip" | b"pnot" => Some(Some(Demuxer::Mov)),
        _ => None,
    }
}

/// Packets of 188 bytes, or of 192 with a time stamp before each (M2TS).
fn is_transport_stream(head: &[u8]) -> bool {
    const SYNC: u8 = 0x47;
    const PACKETS_CHECKED: usize = 5;
    [(188, 0), (192, 4)]
        .into_iter()
        .any(|(packet, offset)| (0..PACKETS_CHECKED).all(|index| head.get(offset + index * packet) == Some(&SYNC)))
}

fn refusal(head: &[u8]) -> Refusal {
    if let Some((what, advice)) = text_kind(head) {
        return not_a_film(what, advice);
    }
    let kind = infer::get(head);
    match kind.map(|kind| (kind.matcher_type(), kind.mime_type())) {
        Some((_, "application/pdf")) => not_a_film("a document", ""),
        Some((_, "application/x-shockwave-flash")) => not_a_film("a Flash program", ""),
        Some((infer::MatcherType::Image, _)) => not_a_film("a picture", ""),
        Some((infer::MatcherType::Audio, _)) => {
            Refusal::new("no-picture", "This file has sound but no picture; only videos can be uploaded here.")
        }
        Some((infer::MatcherType::Archive, _)) => {
            not_a_film("an archive", "Unpack it and upload the video that is inside.")
        }
        Some((infer::MatcherType::Doc | infer::MatcherType::Book, _)) => not_a_film("a document", ""),
        Some((infer::MatcherType::App, _)) => not_a_film("a program", ""),
        Some((infer::MatcherType::Video, _)) => Refusal::new(
            "container-unsupported",
            "This kind of video file is not supported; MP4, MOV, MKV, WebM, AVI, FLV, MPEG, OGV and WMV are.",
        ),
        _ if head.get(4..8) == Some(b"ftyp") => not_a_film("a picture", ""),
        _ => Refusal::new(
            "not-a-video",
            "This file has no picture or sound that can be read: it does not begin like any kind of video.",
        ),
    }
}

fn not_a_film(what: &str, advice: &str) -> Refusal {
    let sentence = format!("This file is {what}, not a video. {advice}");
    Refusal::new("not-a-video", sentence.trim_end())
}

/// Text that ffmpeg would follow to other files, or take for something that it is not; and what to do instead.
fn text_kind(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let text = String::from_utf8_lossy(&head[..head.len().min(1024)]).to_ascii_lowercase();
    let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.starts_with(prefix));
    if starts(&["#extm3u", "[playlist]", "ffconcat", "[reference]"]) {
        Some(("a playlist", "Upload the video that it names."))
    } else if starts(&["file '", "file \"", "concat:"]) {
        Some(("a list of other files", "Upload the video itself."))
    } else if text.contains("<mpd") || text.contains("<smoothstreamingmedia") || text.contains("<asx") {
        Some(("a description of a stream", "Upload the video itself."))
    } else if starts(&["v=0\r", "v=0\n"]) {
        Some(("a description of a broadcast (SDP)", ""))
    } else if text.contains("<svg") {
        Some(("a picture (SVG)", ""))
    } else if text.starts_with("<!doctype html") || text.contains("<html") {
        Some(("a web page", ""))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ftyp(brand: &[u8; 4]) -> Vec<u8> {
        [&[0, 0, 0, 0x18], b"ftyp".as_slice(), brand, &[0; 12]].concat()
    }

    #[test]
    fn containers_are_told_by_their_first_bytes() {
        let mut stream = vec![0_u8; 188 * 6];
        stream.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
        let mut stamped = vec![0_u8; 192 * 6];
        stamped.iter_mut().skip(4).step_by(192).for_each(|byte| *byte = 0x47);
        let cases: [(Vec<u8>, Demuxer); 9] = [
            (ftyp(b"isom"), Demuxer::Mov),
            (ftyp(b"qt  "), Demuxer::Mov),
            (vec![0x1A, 0x45, 0xDF, 0xA3, 1], Demuxer::Matroska),
            (b"RIFF\0\0\0\0AVI LIST".to_vec(), Demuxer::Avi),
            (b"FLV\x01\x05".to_vec(), Demuxer::Flv),
            (b"OggS\0".to_vec(), Demuxer::Ogg),
            (vec![0, 0, 1, 0xBA, 0x44], Demuxer::MpegPs),
            (stream, Demuxer::MpegTs),
            (stamped, Demuxer::MpegTs),
        ];
        for (head, demuxer) in cases {
            assert_eq!(sniff(&head), Ok(demuxer));
        }
    }

    #[test]
    fn what_names_other_files_is_refused() {
        for text in [
            "#EXTM3U\n#EXT-X-VERSION:3\nfile:///etc/passwd",
            "\u{feff}  #EXTM3U",
            "ffconcat version 1.0\nfile '/etc/passwd'",
            "file '/etc/passwd'\n",
            "<?xml version=\"1.0\"?><MPD></MPD>",
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1",
            "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            "<!DOCTYPE html><title>hello</title>",
        ] {
            let refusal = sniff(text.as_bytes()).unwrap_err();
            assert_eq!(refusal.code, "not-a-video", "{text}");
            assert!(refusal.sentence.ends_with('.'));
        }
    }

    #[test]
    fn pictures_in_the_dress_of_a_film_are_refused() {
        for brand in [b"heic", b"avif", b"mif1"] {
            assert_eq!(sniff(&ftyp(brand)).unwrap_err().sentence, "This file is a picture, not a video.");
        }
        let png = [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A];
        assert_eq!(sniff(&png).unwrap_err().sentence, "This file is a picture, not a video.");
    }

    #[test]
    fn every_other_file_gets_a_sentence() {
        assert_eq!(sniff(b"").unwrap_err().code, "file-empty");
        assert_eq!(sniff(b"PK\x03\x04 and so on").unwrap_err().code, "not-a-video");
        assert_eq!(sniff(b"%PDF-1.7").unwrap_err().sentence, "This file is a document, not a video.");
        assert_eq!(sniff(b"ID3\x03\0\0\0\0\0\0").unwrap_err().code, "no-picture");
        assert_eq!(sniff(b"hello, I am a text").unwrap_err().code, "not-a-video");
    }
}
