//! What is inside a file: ffprobe's report as a value of ours, and the caps that it has to keep.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::tool::{Program, Run, Tools};
use super::{Demuxer, Limits, MediaError, Refusal, sniff};

/// A file that was looked at and found acceptable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The container.
    pub demuxer: Demuxer,
    /// Length in seconds.
    pub duration_seconds: f64,
    /// The picture that is shown.
    pub video: VideoStream,
    /// The sound that is played, if there is any.
    pub audio: Option<AudioStream>,
}

/// The picture of a film.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoStream {
    /// Number of the stream in the file.
    pub index: u32,
    /// ffmpeg's name of the codec.
    pub codec: String,
    /// ffmpeg's name of its pixel format.
    pub pixel_format: String,
    /// Width as shown, in square pixels.
    pub width: u32,
    /// Height as shown, in square pixels.
    pub height: u32,
    /// Pictures a second.
    pub frames_per_second: f64,
    /// Pictures are whole, not interlaced.
    pub progressive: bool,
}

impl VideoStream {
    /// The shorter side: what people call 480p or 1080p, for films in portrait as well.
    #[must_use]
    pub fn short_side(&self) -> u32 {
        self.width.min(self.height)
    }
}

/// The sound of a film.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioStream {
    /// Number of the stream in the file.
    pub index: u32,
    /// ffmpeg's name of the codec.
    pub codec: String,
    /// ffmpeg's name of the codec's profile, such as `LC`.
    pub profile: Option<String>,
    /// Channels.
    pub channels: u32,
}

/// Looks at the file at `path`.
///
/// # Errors
/// [`MediaError::Refused`] when it is no video or beyond a limit; others when ffprobe could not run.
pub async fn probe(tools: &Tools, path: &Path) -> Result<Probe, MediaError> {
    let file = path.to_path_buf();
    let demuxer = tokio::task::spawn_blocking(move || sniff::sniff_file(&file))
        .await
        .map_err(|error| MediaError::Start { tool: "ffprobe", reason: error.to_string() })??;
    let limits = tools.limits();
    let mut run = Run::new(Program::Ffprobe, limits.probe_timeout);
    run.read = Some(path.to_path_buf());
    let run = run
        .args(["-hide_banner", "-v", "error", "-of", "json", "-show_format", "-show_streams"])
        .args(input_args(demuxer, path))
        .args(["-max_streams", "256"]);
    let report = tools.run(run).await.map_err(unreadable)?;
    let report: Report = serde_json::from_str(&report)
        .map_err(|error| MediaError::Unusable { tool: "ffprobe", reason: error.to_string() })?;
    Ok(judge(demuxer, &report, limits)?)
}

/// A file that ffprobe gives up on is at fault itself.
fn unreadable(error: MediaError) -> MediaError {
    match error {
        MediaError::Failed { .. } => nothing_to_read().into(),
        other => other,
    }
}

fn nothing_to_read() -> Refusal {
    Refusal::new(
        "nothing-to-read",
        "This file has no picture or sound that can be read: it is damaged or cut off at the beginning.",
    )
}

/// How every run opens its input: one demuxer, local files only, no references to other files.
#[must_use]
pub fn input_args(demuxer: Demuxer, path: &Path) -> Vec<std::ffi::OsString> {
    let mut url = std::ffi::OsString::from("file:");
    url.push(path);
    vec!["-protocol_whitelist".into(), "file".into(), "-f".into(), demuxer.ffmpeg_name().into(), "-i".into(), url]
}

#[derive(Debug, Deserialize)]
struct Report {
    #[serde(default)]
    streams: Vec<ReportedStream>,
    #[serde(default)]
    format: ReportedFormat,
}

#[derive(Debug, Default, Deserialize)]
struct ReportedFormat {
    duration: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReportedStream {
    index: u32,
    codec_type: String,
    codec_name: Option<String>,
    profile: Option<String>,
    pix_fmt: Option<String>,
    width: u32,
    height: u32,
    sample_aspect_ratio: Option<String>,
    avg_frame_rate: Option<String>,
    r_frame_rate: Option<String>,
    field_order: Option<String>,
    channels: u32,
    duration: Option<String>,
    disposition: ReportedDisposition,
    side_data_list: Vec<ReportedSideData>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReportedDisposition {
    default: u8,
    attached_pic: u8,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReportedSideData {
    rotation: Option<f64>,
}

fn judge(demuxer: Demuxer, report: &Report, limits: &Limits) -> Result<Probe, Refusal> {
    if report.streams.len() > limits.streams_max {
        return Err(Refusal::new(
            "too-many-streams",
            format!("This file has {} tracks; at most {} are allowed.", report.streams.len(), limits.streams_max),
        ));
    }
    let audio = choose(&report.streams, "audio").and_then(audio_stream);
    let Some(stream) = choose(&report.streams, "video") else {
        return Err(match audio {
            Some(_) => {
                Refusal::new("no-picture", "This file has sound but no picture; only videos can be uploaded here.")
            }
            None => nothing_to_read(),
        });
    };
    let video = video_stream(stream, limits)?;
    let duration_seconds = duration(report, limits)?;
    Ok(Probe { demuxer, duration_seconds, video, audio })
}

/// The stream marked as the default, else the first; cover pictures and unknown codecs do not count.
fn choose<'a>(streams: &'a [ReportedStream], kind: &str) -> Option<&'a ReportedStream> {
    let usable = || {
        streams.iter().filter(|stream| {
            stream.codec_type == kind && stream.disposition.attached_pic == 0 && stream.codec_name.is_some()
        })
    };
    usable().find(|stream| stream.disposition.default == 1).or_else(|| usable().next())
}

fn audio_stream(stream: &ReportedStream) -> Option<AudioStream> {
    // Without channels there is nothing to decode: a damaged track must not spoil the picture.
    (stream.channels > 0).then(|| AudioStream {
        index: stream.index,
        codec: stream.codec_name.clone().unwrap_or_default(),
        profile: stream.profile.clone(),
        channels: stream.channels,
    })
}

fn video_stream(stream: &ReportedStream, limits: &Limits) -> Result<VideoStream, Refusal> {
    if stream.width == 0 || stream.height == 0 || stream.pix_fmt.is_none() {
        return Err(nothing_to_read());
    }
    let pixels = u64::from(stream.width) * u64::from(stream.height);
    if pixels > limits.pixels_max {
        return Err(Refusal::new(
            "picture-too-large",
            format!(
                "The picture is {} × {} pixels, which is more than this server takes.",
                stream.width, stream.height
            ),
        ));
    }
    let frames_per_second =
        rate(stream.avg_frame_rate.as_deref()).or_else(|| rate(stream.r_frame_rate.as_deref())).unwrap_or(25.0);
    if frames_per_second > limits.frames_per_second_max {
        return Err(Refusal::new(
            "too-many-pictures-a-second",
            format!("This film has {frames_per_second:.0} pictures a second, which is more than this server takes."),
        ));
    }
    let (width, height) = shown_size(stream);
    Ok(VideoStream {
        index: stream.index,
        codec: stream.codec_name.clone().unwrap_or_default(),
        pixel_format: stream.pix_fmt.clone().unwrap_or_default(),
        width,
        height,
        frames_per_second,
        progressive: matches!(stream.field_order.as_deref(), None | Some("progressive" | "unknown")),
    })
}

fn duration(report: &Report, limits: &Limits) -> Result<f64, Refusal> {
    let seconds = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<f64>().ok());
    let longest_stream = report.streams.iter().filter_map(|stream| seconds(&stream.duration)).fold(0.0, f64::max);
    let duration = seconds(&report.format.duration).unwrap_or(longest_stream);
    if !duration.is_finite() || duration < 0.0 {
        return Err(nothing_to_read());
    }
    if duration > limits.duration_max.as_secs_f64() {
        return Err(Refusal::new(
            "film-too-long",
            format!(
                "This film is longer than {} hours, which is more than this server takes.",
                limits.duration_max.as_secs() / 3600
            ),
        ));
    }
    Ok(duration)
}

/// A fraction such as `30000/1001`.
fn rate(text: Option<&str>) -> Option<f64> {
    ratio(text?, '/').filter(|rate| rate.is_finite() && *rate > 0.0)
}

fn ratio(text: &str, sign: char) -> Option<f64> {
    let (over, under) = text.split_once(sign)?;
    Some(over.parse::<f64>().ok()? / under.parse::<f64>().ok()?)
}

/// Turned by its rotation, and stretched to square pixels.
fn shown_size(stream: &ReportedStream) -> (u32, u32) {
    let aspect = stream
        .sample_aspect_ratio
        .as_deref()
        .and_then(|text| ratio(text, ':'))
        .filter(|aspect| aspect.is_finite() && (0.05..20.0).contains(aspect))
        .unwrap_or(1.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let width = (f64::from(stream.width) * aspect).round() as u32;
    let quarter_turn = stream
        .side_data_list
        .iter()
        .find_map(|data| data.rotation)
        .is_some_and(|degrees| (degrees.abs() % 180.0 - 90.0).abs() < 1.0);
    if quarter_turn { (stream.height, width) } else { (width, stream.height) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn report(json: &str) -> Result<Probe, Refusal> {
        judge(Demuxer::Mov, &serde_json::from_str(json).unwrap(), &Limits::default())
    }

    const PICTURE: &str = r#""codec_type":"video","codec_name":"h264","pix_fmt":"yuv420p","width":1920,"height":1080,
        "avg_frame_rate":"30000/1001","field_order":"progressive""#;

    #[test]
    fn an_ordinary_film() {
        let probe = report(&format!(
            r#"{{"streams":[{{"index":0,{PICTURE}}},{{"index":1,"codec_type":"audio","codec_name":"aac","profile":"LC",
            "channels":2}}],"format":{{"duration":"12.5"}}}}"#
        ))
        .unwrap();
        assert!((probe.duration_seconds - 12.5).abs() < f64::EPSILON);
        assert_eq!((probe.video.width, probe.video.height), (1920, 1080));
        assert!((probe.video.frames_per_second - 29.97).abs() < 0.01);
        assert_eq!(probe.audio.unwrap().channels, 2);
    }

    #[test]
    fn a_film_held_upright_is_tall() {
        let probe = report(&format!(
            r#"{{"streams":[{{{PICTURE},"side_data_list":[{{"rotation":-90}}]}}],"format":{{"duration":"1"}}}}"#
        ))
        .unwrap();
        assert_eq!((probe.video.width, probe.video.height), (1080, 1920));
        assert_eq!(probe.video.short_side(), 1080);
    }

    #[test]
    fn pixels_that_are_not_square_are_stretched() {
        let probe = report(
            r#"{"streams":[{"codec_type":"video","codec_name":"mpeg2video","pix_fmt":"yuv420p","width":720,"height":576,
            "sample_aspect_ratio":"64:45","field_order":"tt"}],"format":{"duration":"1"}}"#,
        )
        .unwrap();
        assert_eq!((probe.video.width, probe.video.height), (1024, 576));
        assert!(!probe.video.progressive);
    }

    #[test]
    fn a_cover_picture_is_no_film() {
        let refusal = report(&format!(
            r#"{{"streams":[{{{PICTURE},"disposition":{{"attached_pic":1}}}},
            {{"codec_type":"audio","codec_name":"mp3","channels":2}}],"format":{{"duration":"1"}}}}"#
        ))
        .unwrap_err();
        assert_eq!(refusal.code, "no-picture");
        assert_eq!(report(r#"{"streams":[],"format":{}}"#).unwrap_err().code, "nothing-to-read");
    }

    #[test]
    fn caps_are_kept() {
        let large = PICTURE.replace("1920", "16384").replace("1080", "16384");
        let fast = PICTURE.replace("30000/1001", "1000/1");
        let film = |picture: &str, duration: &str| {
            report(&format!(r#"{{"streams":[{{{picture}}}],"format":{{"duration":"{duration}"}}}}"#))
        };
        assert_eq!(film(&large, "1").unwrap_err().code, "picture-too-large");
        assert_eq!(film(&fast, "1").unwrap_err().code, "too-many-pictures-a-second");
        assert_eq!(film(PICTURE, "1000000").unwrap_err().code, "film-too-long");
        assert_eq!(film(PICTURE, "nan").unwrap_err().code, "nothing-to-read");
        let many = vec![format!("{{{PICTURE}}}"); 65].join(",");
        let refusal = report(&format!(r#"{{"streams":[{many}],"format":{{}}}}"#)).unwrap_err();
        assert_eq!(refusal.code, "too-many-streams");
    }
}
