//! Which renditions a film gets, and which of them can be had without encoding. Pure.

use serde::{Deserialize, Serialize};

use super::probe::{AudioStream, Probe, VideoStream};
use super::sniff::Demuxer;

/// Longest time between two pictures at which a player can start, in seconds. With more, a seek
/// waits too long, and such a film is encoded anew.
pub const KEYFRAME_SPACING_SECONDS_MAX: f64 = 10.0;

/// Pictures a second that an encoded rendition has at most.
pub const ENCODED_FRAMES_PER_SECOND_MAX: f64 = 60.0;

/// The renditions that the instance makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    /// Short sides made beside the first rendition, in ascending order.
    pub heights: Vec<u32>,
    /// Largest short side that is encoded.
    pub encoded_max: u32,
}

impl Default for Ladder {
    fn default() -> Self {
        Self { heights: vec![480], encoded_max: 1080 }
    }
}

/// Whether a stream is taken as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// Repackaged.
    Copy,
    /// Decoded and encoded anew.
    Encode,
}

/// One rendition to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionPlan {
    /// Its name: the short side in pixels.
    pub height: u32,
    /// Size as shown, in pixels.
    pub size: (u32, u32),
    /// What happens to the picture.
    pub video: Treatment,
    /// What happens to the sound; absent without sound.
    pub audio: Option<Treatment>,
}

impl RenditionPlan {
    /// The picture is repackaged, so this takes seconds.
    #[must_use]
    pub fn is_quick(&self) -> bool {
        self.video == Treatment::Copy
    }
}

/// Everything to make, in order: the video is published after the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What makes it playable.
    pub first: RenditionPlan,
    /// What makes it better.
    pub later: Vec<RenditionPlan>,
}

/// The plan for a film. `copy_allowed` is false once repackaging it was tried and was no good.
#[must_use]
pub fn plan(probe: &Probe, ladder: &Ladder, copy_allowed: bool) -> Plan {
    let source = &probe.video;
    let audio = probe.audio.as_ref();
    let encode = |height: u32| RenditionPlan {
        height: height.min(even(source.short_side())),
        size: scaled(source, height),
        video: Treatment::Encode,
        audio: audio.map(|_| Treatment::Encode),
    };
    let lower = ladder.heights.iter().copied().filter(|height| *height < source.short_side());
    if copy_allowed && can_copy_video(probe) {
        let first = RenditionPlan {
            height: source.short_side(),
            size: (source.width, source.height),
            video: Treatment::Copy,
            audio: audio.map(|stream| if can_copy_audio(stream) { Treatment::Copy } else { Treatment::Encode }),
        };
        return Plan { first, later: lower.map(encode).collect() };
    }
    let top = source.short_side().min(ladder.encoded_max);
    let mut heights: Vec<u32> = lower.filter(|height| *height < top).chain([top]).collect();
    let first = encode(heights.remove(0));
    Plan { first, later: heights.into_iter().map(encode).collect() }
}

/// What browsers decode, in a container whose time stamps can be trusted.
fn can_copy_video(probe: &Probe) -> bool {
    let container = matches!(probe.demuxer, Demuxer::Mov | Demuxer::Matroska | Demuxer::Flv | Demuxer::MpegTs);
    let codec = match probe.video.codec.as_str() {
        "h264" => matches!(probe.video.pixel_format.as_str(), "yuv420p" | "yuvj420p"),
        "vp9" => probe.video.pixel_format == "yuv420p",
        "av1" => matches!(probe.video.pixel_format.as_str(), "yuv420p" | "yuv420p10le"),
        _ => false,
    };
    container && codec && probe.video.progressive
}

fn can_copy_audio(stream: &AudioStream) -> bool {
    match stream.codec.as_str() {
        "aac" => matches!(stream.profile.as_deref(), None | Some("LC" | "HE-AAC" | "HE-AACv2")),
        "opus" => true,
        _ => false,
    }
}

/// The size whose short side is `height`, never larger than the source, even on both sides.
fn scaled(source: &VideoStream, height: u32) -> (u32, u32) {
    let short = source.short_side();
    let height = height.min(short);
    let long = u64::from(source.width.max(source.height)) * u64::from(height) / u64::from(short.max(1));
    let (short, long) = (even(height), even(u32::try_from(long).unwrap_or(u32::MAX)));
    if source.width >= source.height { (long, short) } else { (short, long) }
}

fn even(pixels: u32) -> u32 {
    (pixels & !1).max(2)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn film(codec: &str, width: u32, height: u32) -> Probe {
        Probe {
            demuxer: Demuxer::Mov,
            duration_seconds: 60.0,
            video: VideoStream {
                index: 0,
                codec: codec.into(),
                pixel_format: "yuv420p".into(),
                width,
                height,
                frames_per_second: 25.0,
                progressive: true,
            },
            audio: Some(AudioStream { index: 1, codec: "aac".into(), profile: Some("LC".into()), channels: 2 }),
        }
    }

    fn heights(plan: &Plan) -> Vec<(u32, bool)> {
        std::iter::once(&plan.first).chain(&plan.later).map(|one| (one.height, one.is_quick())).collect()
    }

    #[test]
    fn what_a_browser_plays_is_copied_and_gets_a_smaller_sibling() {
        let plan = plan(&film("h264", 1280, 720), &Ladder::default(), true);
        assert_eq!(heights(&plan), [(720, true), (480, false)]);
        assert_eq!(plan.later[0].size, (852, 480));
        assert_eq!(plan.first.audio, Some(Treatment::Copy));
    }

    #[test]
    fn nothing_is_made_larger_than_it_was() {
        for height in [240, 480] {
            let plan = plan(&film("h264", height * 4 / 3, height), &Ladder::default(), true);
            assert_eq!(heights(&plan), [(height, true)]);
        }
        assert_eq!(heights(&plan(&film("hevc", 426, 240), &Ladder::default(), true)), [(240, false)]);
    }

    #[test]
    fn everything_else_is_published_after_its_smallest() {
        let plan = plan(&film("hevc", 3840, 2160), &Ladder::default(), true);
        assert_eq!(heights(&plan), [(480, false), (1080, false)]);
        assert_eq!(plan.later[0].size, (1920, 1080));
    }

    #[test]
    fn a_copy_that_was_no_good_is_encoded() {
        let plan = plan(&film("h264", 1280, 720), &Ladder::default(), false);
        assert_eq!(heights(&plan), [(480, false), (720, false)]);
    }

    #[test]
    fn pictures_that_browsers_do_not_decode_are_encoded() {
        let mut deep = film("h264", 640, 360);
        deep.video.pixel_format = "yuv420p10le".into();
        let mut interlaced = film("h264", 640, 360);
        interlaced.video.progressive = false;
        let mut old_container = film("h264", 640, 360);
        old_container.demuxer = Demuxer::Avi;
        for probe in [deep, interlaced, old_container] {
            assert!(!plan(&probe, &Ladder::default(), true).first.is_quick());
        }
    }

    #[test]
    fn foreign_sound_is_encoded_beside_a_copied_picture() {
        let mut probe = film("h264", 640, 360);
        probe.audio.as_mut().unwrap().codec = "ac3".into();
        let plan = plan(&probe, &Ladder::default(), true);
        assert_eq!((plan.first.video, plan.first.audio), (Treatment::Copy, Some(Treatment::Encode)));
    }

    #[test]
    fn portrait_and_odd_sizes_stay_even() {
        let plan = plan(&film("hevc", 1081, 1921), &Ladder::default(), true);
        assert_eq!(plan.first.size, (480, 852));
        let odd = super::plan(&film("hevc", 333, 201), &Ladder::default(), true);
        assert_eq!((odd.first.size, odd.first.height), ((332, 200), 200));
    }
}
