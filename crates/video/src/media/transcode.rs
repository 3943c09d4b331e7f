//! Encoding: H.264 and AAC, which every browser plays.

use std::path::Path;
use std::time::Duration;

use super::MediaError;
use super::output::{self, Rendition, SEGMENT_SECONDS};
use super::plan::{ENCODED_FRAMES_PER_SECOND_MAX, RenditionPlan};
use super::probe::{Probe, input_args};
use super::tool::{OnProgress, Program, Run, Tools};

/// Wall time allowed for each second of film.
const SECONDS_PER_FILM_SECOND: f64 = 60.0;

/// Encodes the file at `input` as planned into `folder`. Nice by default; `foreground` when somebody
/// waits for it because there is nothing to play yet.
///
/// # Errors
/// See [`MediaError`].
pub async fn transcode(
    tools: &Tools,
    input: &Path,
    folder: &Path,
    probe: &Probe,
    plan: &RenditionPlan,
    foreground: bool,
    on_progress: OnProgress,
) -> Result<Rendition, MediaError> {
    let frames_per_second = probe.video.frames_per_second.min(ENCODED_FRAMES_PER_SECOND_MAX);
    let timeout = timeout(probe);
    let mut run = Run::new(Program::Ffmpeg, timeout);
    run.read = Some(input.to_path_buf());
    run.cpu_seconds = timeout.as_secs() * tools.limits().transcode_threads as u64;
    run.file_bytes_max = bytes_max(probe, plan);
    run.background = !foreground;
    run.on_progress = Some(on_progress);
    let threads = tools.limits().transcode_threads.to_string();
    let run = run
        .args(["-threads", &threads, "-filter_threads", "1"])
        .args(input_args(probe.demuxer, input))
        .args(video_args(probe, plan, &threads))
        .args(sound_args(probe))
        .args(output::hls_args());
    let work = output::run_in_work_folder(tools, folder, run).await?;
    output::collect(work, folder, plan, frames_per_second, |_| Ok(())).await
}

fn timeout(probe: &Probe) -> Duration {
    Duration::from_secs(300) + Duration::from_secs_f64(probe.duration_seconds * SECONDS_PER_FILM_SECOND)
}

/// Rate that a rendition may reach, in kbit/s: what its size needs, in steps that people know.
fn rate_kilobits_max(short_side: u32) -> u64 {
    match short_side {
        0..=240 => 500,
        241..=360 => 900,
        361..=480 => 1_600,
        481..=720 => 3_500,
        721..=1080 => 6_500,
        1081..=1440 => 12_000,
        _ => 24_000,
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn bytes_max(probe: &Probe, plan: &RenditionPlan) -> u64 {
    let seconds = probe.duration_seconds.ceil() as u64 + 60;
    seconds * (rate_kilobits_max(plan.height) + 200) * 1000 / 8 * 2 + (64 << 20)
}

fn video_args(probe: &Probe, plan: &RenditionPlan, threads: &str) -> Vec<String> {
    let (width, height) = plan.size;
    let deinterlace = if probe.video.progressive { "" } else { "bwdif=mode=send_frame," };
    let filter = format!("{deinterlace}scale={width}:{height}:flags=bicubic,setsar=1,format=yuv420p");
    let rate = rate_kilobits_max(plan.height);
    let mut args: Vec<String> = vec!["-map".into(), format!("0:{}", probe.video.index), "-vf".into(), filter];
    args.extend(["-fpsmax".into(), ENCODED_FRAMES_PER_SECOND_MAX.to_string(), "-threads".into(), threads.into()]);
    args.extend(["-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-crf", "23"].map(Into::into));
    args.extend(["-maxrate".into(), format!("{rate}k"), "-bufsize".into(), format!("{}k", rate * 2)]);
    // A keyframe where each segment begins, and nowhere else.
    args.extend(["-sc_threshold".into(), "0".into(), "-force_key_frames".into()]);
    args.push(format!("expr:gte(t,n_forced*{SEGMENT_SECONDS})"));
    args
}

fn sound_args(probe: &Probe) -> Vec<String> {
    let Some(audio) = &probe.audio else { return Vec::new() };
    let mut args = vec!["-map".into(), format!("0:{}", audio.index)];
    args.extend(audio_args());
    args
}

/// Stereo AAC; gaps in the source become silence, so that it stays with the picture.
pub(super) fn audio_args() -> Vec<String> {
    ["-c:a", "aac", "-b:a", "128k", "-ac", "2", "-ar", "48000", "-af", "aresample=async=1"].map(Into::into).into()
}

pub(super) fn file_bytes(path: &Path) -> Result<u64, MediaError> {
    Ok(std::fs::metadata(path).map_err(MediaError::file("look at", path))?.len())
}
