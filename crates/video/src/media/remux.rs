//! Repackaging: the picture stays as it is, so a film of an hour takes seconds.

use std::path::Path;
use std::time::Duration;

use super::output::{self, Rendition};
use super::plan::{KEYFRAME_SPACING_SECONDS_MAX, RenditionPlan, Treatment};
use super::probe::{Probe, input_args};
use super::tool::{OnProgress, Program, Run, Tools};
use super::{MediaError, playlist::Measure, transcode};

/// Slack on top of the largest keyframe spacing, in seconds: segments end at whole pictures.
const SPACING_SLACK_SECONDS: f64 = 0.5;

/// What came of repackaging.
#[derive(Debug)]
pub enum Remuxed {
    /// The rendition is in its place.
    Ready(Rendition),
    /// It can be repackaged, but not be seeked in or trusted: encode it. Says why.
    Unfit(String),
}

/// Repackages the file at `input` as planned into `folder`.
///
/// # Errors
/// When ffmpeg could not be started, or the disk failed. What ffmpeg itself cannot repackage is
/// [`Remuxed::Unfit`].
pub async fn remux(
    tools: &Tools,
    input: &Path,
    folder: &Path,
    probe: &Probe,
    plan: &RenditionPlan,
    on_progress: OnProgress,
) -> Result<Remuxed, MediaError> {
    let input_bytes = transcode::file_bytes(input)?;
    let mut run = Run::new(Program::Ffmpeg, timeout(probe));
    run.read = Some(input.to_path_buf());
    run.cpu_seconds = timeout(probe).as_secs();
    run.file_bytes_max = input_bytes + input_bytes / 4 + (64 << 20);
    run.on_progress = Some(on_progress);
    let run = run.args(input_args(probe.demuxer, input)).args(stream_args(probe, plan)).args(output::hls_args());
    let made = match output::run_in_work_folder(tools, folder, run).await {
        Ok(work) => {
            let length = probe.duration_seconds;
            output::collect(work, folder, plan, probe.video.frames_per_second, move |measure| check(measure, length))
                .await
        }
        Err(error) => Err(error),
    };
    match made {
        Ok(rendition) => Ok(Remuxed::Ready(rendition)),
        Err(error @ (MediaError::Failed { .. } | MediaError::Unusable { .. })) => Ok(Remuxed::Unfit(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Reading is all it takes, but a disk may be slow and its sound may have to be encoded.
fn timeout(probe: &Probe) -> Duration {
    Duration::from_secs(120) + Duration::from_secs_f64(probe.duration_seconds / 2.0)
}

fn stream_args(probe: &Probe, plan: &RenditionPlan) -> Vec<String> {
    let mut args = vec!["-map".into(), format!("0:{}", probe.video.index), "-c:v".into(), "copy".into()];
    if let (Some(audio), Some(treatment)) = (&probe.audio, plan.audio) {
        args.extend(["-map".into(), format!("0:{}", audio.index)]);
        match treatment {
            Treatment::Copy if audio.codec == "aac" => {
                // Broadcast streams repeat the AAC header in each packet; MP4 has it once.
                args.extend(["-c:a", "copy", "-bsf:a", "aac_adtstoasc"].map(Into::into));
            }
            Treatment::Copy => args.extend(["-c:a", "copy"].map(Into::into)),
            Treatment::Encode => args.extend(transcode::audio_args()),
        }
    }
    args
}

fn check(measure: &Measure, expected_seconds: f64) -> Result<(), MediaError> {
    if measure.segment_seconds_max > KEYFRAME_SPACING_SECONDS_MAX + SPACING_SLACK_SECONDS {
        return Err(output::unusable(format!("{:.1} seconds between keyframes", measure.segment_seconds_max)));
    }
    if measure.duration_seconds < expected_seconds * 0.9 - 2.0 {
        return Err(output::unusable(format!(
            "{:.1} of {expected_seconds:.1} seconds came out",
            measure.duration_seconds
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(duration_seconds: f64, segment_seconds_max: f64) -> Measure {
        Measure { duration_seconds, segment_seconds_max, bandwidth: 1, average_bandwidth: 1, init_bytes: 1 }
    }

    #[test]
    fn sparse_keyframes_and_lost_film_are_unfit() {
        assert!(check(&measured(60.0, 10.0), 60.0).is_ok());
        assert!(check(&measured(60.0, 12.0), 60.0).is_err());
        assert!(check(&measured(20.0, 4.0), 60.0).is_err());
    }
}
