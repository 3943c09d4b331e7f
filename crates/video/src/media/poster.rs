//! The picture that stands for a film: a representative one from its first part, in two sizes.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::MediaError;
use super::output::{self, blocking, move_into_place, random_name, sync_folder};
use super::probe::{Probe, input_args};
use super::tool::{Program, Run, Tools};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Pictures among which the most typical one is chosen.
const CANDIDATES: u32 = 24;
/// Longer side of the large and the small poster, in pixels.
const SIDES: [u32; 2] = [1280, 480];
/// How far into the film the picture is looked for, in seconds at most.
const POSITION_SECONDS_MAX: f64 = 60.0;
const WORK_FILES: [&str; 2] = ["large.jpg", "small.jpg"];

/// Two JPEG files in the video's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poster {
    /// File for the page and for other sites.
    pub large: String,
    /// Its length.
    pub large_bytes: u64,
    /// File for lists.
    pub small: String,
    /// Its length.
    pub small_bytes: u64,
}

/// Makes the poster of the file at `input` in `folder`.
///
/// # Errors
/// See [`MediaError`].
pub async fn poster(tools: &Tools, input: &Path, folder: &Path, probe: &Probe) -> Result<Poster, MediaError> {
    let position = (probe.duration_seconds * 0.1).min(POSITION_SECONDS_MAX);
    match at(tools, input, folder, probe, position).await {
        // Some files cannot be seeked in, and give nothing from the middle.
        Err(MediaError::Failed { .. } | MediaError::File { .. }) if position > 0.0 => {
            at(tools, input, folder, probe, 0.0).await
        }
        other => other,
    }
}

async fn at(tools: &Tools, input: &Path, folder: &Path, probe: &Probe, position: f64) -> Result<Poster, MediaError> {
    let mut run = Run::new(Program::Ffmpeg, TIMEOUT);
    run.read = Some(input.to_path_buf());
    run.on_progress = Some(std::sync::Arc::new(|_| ()));
    let run = run
        .args(["-threads", "2", "-ss", &format!("{position:.3}")])
        .args(input_args(probe.demuxer, input))
        .args(picture_args(probe));
    let work = output::run_in_work_folder(tools, folder, run).await?;
    let folder = folder.to_path_buf();
    blocking(move || {
        let [large, small] = [(); 2].map(|()| format!("{}.jpg", random_name()));
        let poster = Poster {
            large_bytes: move_into_place(&work.path().join(WORK_FILES[0]), &folder.join(&large))?,
            small_bytes: move_into_place(&work.path().join(WORK_FILES[1]), &folder.join(&small))?,
            large,
            small,
        };
        sync_folder(&folder)?;
        Ok(poster)
    })
    .await
}

fn picture_args(probe: &Probe) -> Vec<String> {
    let deinterlace = if probe.video.progressive { "" } else { "bwdif," };
    let [large, small] = SIDES.map(|side| {
        let (width, height) = fitted(probe, side);
        format!("scale={width}:{height}:flags=lanczos,setsar=1,format=yuvj420p")
    });
    let graph = format!(
        "[0:{}]{deinterlace}thumbnail=n={CANDIDATES},split[a][b];[a]{large}[large];[b]{small}[small]",
        probe.video.index
    );
    let mut args = vec!["-filter_complex".into(), graph];
    for (label, file) in ["[large]", "[small]"].into_iter().zip(WORK_FILES) {
        args.extend(["-map", label, "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "4"].map(Into::into));
        args.extend(["-f", "image2", "-update", "1", file].map(Into::into));
    }
    args
}

/// The film's size with its longer side at most `side`, even.
fn fitted(probe: &Probe, side: u32) -> (u32, u32) {
    let (width, height) = (probe.video.width, probe.video.height);
    let longer = u64::from(width.max(height).max(1));
    let scale = |pixels: u32| {
        let scaled = u64::from(pixels) * u64::from(side).min(longer) / longer;
        u32::try_from(scaled & !1).unwrap_or(side).max(2)
    };
    (scale(width), scale(height))
}
