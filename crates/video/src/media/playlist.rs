//! The HLS playlists (RFC 8216): reading the media playlist that ffmpeg wrote, naming things in it as
//! the public does, and the master playlist, which is ours alone.

use m3u8_rs::{MasterPlaylist, MediaPlaylist, Resolution, VariantStream};

use super::Rendition;

/// What a media playlist says about its rendition.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// Length in seconds.
    pub duration_seconds: f64,
    /// Longest segment in seconds: no keyframe lies between its ends.
    pub segment_seconds_max: f64,
    /// Highest rate of a segment, in bits a second.
    pub bandwidth: u64,
    /// Rate of the whole, in bits a second.
    pub average_bandwidth: u64,
    /// Length of the initialisation section at the front of the file, in bytes.
    pub init_bytes: u64,
}

/// Reads a media playlist.
///
/// # Errors
/// What is wrong with it.
pub fn parse_media(text: &[u8]) -> Result<MediaPlaylist, String> {
    match m3u8_rs::parse_media_playlist_res(text) {
        Ok(playlist) if playlist.segments.is_empty() => Err("a playlist without segments".into()),
        Ok(playlist) => Ok(playlist),
        Err(_) => Err("an unreadable playlist".into()),
    }
}

/// Measures a media playlist of one file with byte ranges.
///
/// # Errors
/// When a segment has no byte range or there is no initialisation section.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn measure(playlist: &MediaPlaylist) -> Result<Measure, String> {
    let init_bytes = playlist
        .segments
        .first()
        .and_then(|segment| segment.map.as_ref()?.byte_range.as_ref())
        .map(|range| range.length)
        .ok_or("a playlist without an initialisation section")?;
    let (mut seconds, mut bytes, mut longest, mut peak) = (0.0_f64, 0_u64, 0.0_f64, 0.0_f64);
    for segment in &playlist.segments {
        let length = segment.byte_range.as_ref().ok_or("a segment without a byte range")?.length;
        let duration = f64::from(segment.duration).max(0.001);
        seconds += duration;
        bytes += length;
        longest = longest.max(duration);
        // The last segment may be a few pictures long; its rate says nothing.
        if duration >= 1.0 || playlist.segments.len() == 1 {
            peak = peak.max(length as f64 * 8.0 / duration);
        }
    }
    let average = bytes as f64 * 8.0 / seconds;
    Ok(Measure {
        duration_seconds: seconds,
        segment_seconds_max: longest,
        bandwidth: peak.max(average).ceil() as u64,
        average_bandwidth: average.ceil() as u64,
        init_bytes,
    })
}

/// The media playlist with `file` as the name of the one file it is about.
#[must_use]
pub fn media_text(mut playlist: MediaPlaylist, file: &str) -> String {
    for segment in &mut playlist.segments {
        segment.uri = file.to_owned();
        if let Some(map) = &mut segment.map {
            map.uri = file.to_owned();
        }
    }
    playlist.independent_segments = true;
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = playlist.write_to(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The master playlist: every rendition that is ready, lowest first.
#[must_use]
pub fn master_text(renditions: &[Rendition]) -> String {
    let mut sorted: Vec<&Rendition> = renditions.iter().collect();
    sorted.sort_by_key(|rendition| rendition.height);
    let master = MasterPlaylist {
        version: Some(7),
        independent_segments: true,
        variants: sorted.into_iter().map(variant).collect(),
        ..MasterPlaylist::default()
    };
    let mut text = Vec::new();
    let _ = master.write_to(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn variant(rendition: &Rendition) -> VariantStream {
    VariantStream {
        uri: format!("{}.m3u8", rendition.height),
        bandwidth: rendition.bandwidth,
        average_bandwidth: Some(rendition.average_bandwidth),
        codecs: Some(rendition.codecs.clone()),
        resolution: Some(Resolution { width: u64::from(rendition.size.0), height: u64::from(rendition.size.1) }),
        frame_rate: Some((rendition.frames_per_second * 1000.0).round() / 1000.0),
        ..VariantStream::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MEDIA: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:5\n#EXT-X-MEDIA-SEQUENCE:0\n\
        #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"work.mp4\",BYTERANGE=\"1339@0\"\n\
        #EXTINF:4.0,\n#EXT-X-BYTERANGE:1000000@1339\nwork.mp4\n#EXTINF:0.04,\n#EXT-X-BYTERANGE:90000@1001339\nwork.mp4\n\
        #EXT-X-ENDLIST\n";

    #[test]
    fn a_media_playlist_is_measured() {
        let measure = measure(&parse_media(MEDIA.as_bytes()).unwrap()).unwrap();
        assert_eq!(measure.init_bytes, 1339);
        assert_eq!(measure.bandwidth, 2_158_416);
        assert!((measure.segment_seconds_max - 4.0).abs() < 0.001);
        assert!((measure.duration_seconds - 4.04).abs() < 0.001);
    }

    #[test]
    fn names_are_replaced_and_ranges_kept() {
        let text = media_text(parse_media(MEDIA.as_bytes()).unwrap(), "720.mp4");
        assert!(!text.contains("work.mp4"));
        assert!(text.contains("#EXT-X-MAP:URI=\"720.mp4\",BYTERANGE=\"1339@0\""), "{text}");
        assert!(text.contains("#EXT-X-BYTERANGE:90000@1001339\n#EXTINF:0.04,\n720.mp4"), "{text}");
        assert!(text.contains("#EXT-X-INDEPENDENT-SEGMENTS"));
        assert!(text.trim_end().ends_with("#EXT-X-ENDLIST"));
    }

    #[test]
    fn playlists_without_ranges_or_segments_are_errors() {
        assert!(parse_media(b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-ENDLIST\n").is_err());
        let plain = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:4.0,\na.mp4\n#EXT-X-ENDLIST\n";
        assert!(measure(&parse_media(plain.as_bytes()).unwrap()).is_err());
    }

    #[test]
    fn the_master_lists_the_lowest_first_with_what_a_player_needs() {
        let rendition = |height: u32, bandwidth| Rendition {
            height,
            size: (height * 16 / 9, height),
            bytes: 1,
            bandwidth,
            average_bandwidth: bandwidth / 2,
            codecs: "avc1.4d401f,mp4a.40.2".into(),
            frames_per_second: 29.970_029,
            duration_seconds: 5.0,
            encoded: false,
            file: "a.mp4".into(),
            playlist: "a.m3u8".into(),
            playlist_bytes: 1,
        };
        let text = master_text(&[rendition(720, 2_000_000), rendition(480, 900_000)]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.contains(&"#EXT-X-INDEPENDENT-SEGMENTS"));
        let low = lines.iter().position(|line| *line == "480.m3u8").unwrap();
        let high = lines.iter().position(|line| *line == "720.m3u8").unwrap();
        assert!(low < high);
        for part in [
            "BANDWIDTH=900000",
            "AVERAGE-BANDWIDTH=450000",
            "CODECS=\"avc1.4d401f,mp4a.40.2\"",
            "RESOLUTION=853x480",
            "FRAME-RATE=29.97",
        ] {
            assert!(lines[low - 1].contains(part), "{} lacks {part}", lines[low - 1]);
        }
    }
}
