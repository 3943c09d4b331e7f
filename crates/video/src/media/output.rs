//! The way of a rendition from ffmpeg's working folder to its place: checked, synced, renamed.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::tool::{Program, Run, Tools};
use super::{MediaError, RenditionPlan, codecs, playlist};

/// Prefix of working folders inside a video's folder.
const WORK_PREFIX: &str = "work-";
/// ffmpeg's names inside its working folder.
const WORK_FILE: &str = "out.mp4";
const WORK_PLAYLIST: &str = "out.m3u8";
/// Length of a segment that ffmpeg aims at, in seconds.
pub(super) const SEGMENT_SECONDS: u32 = 4;
/// Largest initialisation section that is read, in bytes.
const INIT_BYTES_MAX: u64 = 1 << 20;
/// Largest playlist that is read, in bytes: 12 hours of segments of one second.
const PLAYLIST_BYTES_MAX: u64 = 8 << 20;

/// A rendition in its place: two files in the video's folder, and what a player is told about them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rendition {
    /// Its public name: the short side in pixels.
    pub height: u32,
    /// Size as shown, in pixels.
    pub size: (u32, u32),
    /// Length of the film file.
    pub bytes: u64,
    /// Highest rate of a segment, in bits a second.
    pub bandwidth: u64,
    /// Rate of the whole, in bits a second.
    pub average_bandwidth: u64,
    /// RFC 6381.
    pub codecs: String,
    /// Pictures a second.
    pub frames_per_second: f64,
    /// Length in seconds.
    pub duration_seconds: f64,
    /// The picture was encoded here, not taken over.
    pub encoded: bool,
    /// Name of the fragmented MP4 in the video's folder.
    pub file: String,
    /// Name of its media playlist in the video's folder.
    pub playlist: String,
    /// Length of the media playlist.
    pub playlist_bytes: u64,
}

/// Whether a folder of this name is one that ffmpeg writes, and nobody needs afterwards.
pub(crate) fn is_work_folder(name: &str) -> bool {
    name.starts_with(WORK_PREFIX)
}

/// A folder that ffmpeg may write, removed when dropped.
#[derive(Debug)]
pub struct WorkFolder {
    path: PathBuf,
}

impl WorkFolder {
    /// Makes one inside `folder`, which is made too.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub fn make(folder: &Path) -> Result<Self, MediaError> {
        let path = folder.join(format!("{WORK_PREFIX}{}", random_name()));
        std::fs::create_dir_all(&path).map_err(MediaError::file("make", &path))?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A name that says nothing and was never used before.
#[must_use]
pub fn random_name() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The end of every command that makes a rendition: one fragmented MP4 with byte ranges.
pub(super) fn hls_args() -> Vec<std::ffi::OsString> {
    [
        "-map_metadata",
        "-1",
        "-map_chapters",
        "-1",
        "-sn",
        "-dn",
        "-max_muxing_queue_size",
        "4096",
        "-f",
        "hls",
        "-hls_time",
        &SEGMENT_SECONDS.to_string(),
        "-hls_list_size",
        "0",
        "-hls_playlist_type",
        "vod",
        "-hls_segment_type",
        "fmp4",
        "-hls_flags",
        "single_file+independent_segments",
        "-hls_segment_filename",
        WORK_FILE,
        WORK_PLAYLIST,
    ]
    .into_iter()
    .map(Into::into)
    .collect()
}

/// Runs ffmpeg in a working folder inside `folder`; what it made is there when this returns.
pub(super) async fn run_in_work_folder(tools: &Tools, folder: &Path, run: Run) -> Result<WorkFolder, MediaError> {
    let place = folder.to_path_buf();
    let work = blocking(move || WorkFolder::make(&place)).await?;
    let mut run = run;
    run.write = Some(work.path().to_path_buf());
    let run = Run {
        args: [
            vec![
                "-nostdin".into(),
                "-hide_banner".into(),
                "-v".into(),
                "error".into(),
                "-progress".into(),
                "pipe:1".into(),
                "-stats_period".into(),
                "0.5".into(),
            ],
            run.args,
        ]
        .concat(),
        ..run
    };
    tools.run(run).await?;
    Ok(work)
}

/// Checks what ffmpeg left in `work`, and moves it into `folder` under random names.
pub(super) async fn collect(
    work: WorkFolder,
    folder: &Path,
    plan: &RenditionPlan,
    frames_per_second: f64,
    accept: impl FnOnce(&playlist::Measure) -> Result<(), MediaError> + Send + 'static,
) -> Result<Rendition, MediaError> {
    let folder = folder.to_path_buf();
    let plan = plan.clone();
    blocking(move || {
        let media = read_playlist(&work.path().join(WORK_PLAYLIST))?;
        let measure = playlist::measure(&media).map_err(unusable)?;
        accept(&measure)?;
        let source = work.path().join(WORK_FILE);
        let codecs = codecs::codec_strings(&read_init(&source, measure.init_bytes)?).map_err(unusable)?;
        let text = playlist::media_text(media, &format!("{}.mp4", plan.height));
        let name = random_name();
        let (file, playlist) = (format!("{name}.mp4"), format!("{name}.m3u8"));
        let bytes = move_into_place(&source, &folder.join(&file))?;
        write_new(&folder.join(&playlist), text.as_bytes())?;
        sync_folder(&folder)?;
        Ok(Rendition {
            height: plan.height,
            size: plan.size,
            bytes,
            bandwidth: measure.bandwidth,
            average_bandwidth: measure.average_bandwidth,
            codecs,
            frames_per_second,
            duration_seconds: measure.duration_seconds,
            encoded: !plan.is_quick(),
            file,
            playlist,
            playlist_bytes: text.len() as u64,
        })
    })
    .await
}

/// Writes `bytes` to a file that takes the place of `path` whole or not at all, durably. Blocking.
///
/// # Errors
/// When it cannot be written, synced or renamed.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), MediaError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let beside = folder.join(format!("{}.new", random_name()));
    write_new(&beside, bytes)?;
    std::fs::rename(&beside, path).map_err(MediaError::file("rename", &beside))?;
    sync_folder(folder)
}

/// Syncs `from` and renames it to `to`, which is not synced yet. Blocking.
pub(super) fn move_into_place(from: &Path, to: &Path) -> Result<u64, MediaError> {
    let file = File::open(from).map_err(MediaError::file("open", from))?;
    file.sync_all().map_err(MediaError::file("sync", from))?;
    let bytes = file.metadata().map_err(MediaError::file("look at", from))?.len();
    std::fs::rename(from, to).map_err(MediaError::file("rename", from))?;
    Ok(bytes)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), MediaError> {
    let mut file = File::create_new(path).map_err(MediaError::file("make", path))?;
    file.write_all(bytes).map_err(MediaError::file("write", path))?;
    file.sync_all().map_err(MediaError::file("sync", path))
}

/// Makes the names in `folder` durable. Blocking.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), MediaError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(MediaError::file("sync", folder))
}

fn read_playlist(path: &Path) -> Result<m3u8_rs::MediaPlaylist, MediaError> {
    let text = read_at_most(path, PLAYLIST_BYTES_MAX)?;
    playlist::parse_media(&text).map_err(unusable)
}

fn read_init(path: &Path, length: u64) -> Result<Vec<u8>, MediaError> {
    if length > INIT_BYTES_MAX {
        return Err(unusable("an initialisation section of unlikely length".into()));
    }
    read_at_most(path, length)
}

fn read_at_most(path: &Path, length: u64) -> Result<Vec<u8>, MediaError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(MediaError::file("open", path))?;
    file.take(length).read_to_end(&mut bytes).map_err(MediaError::file("read", path))?;
    Ok(bytes)
}

pub(super) fn unusable(reason: String) -> MediaError {
    MediaError::Unusable { tool: Program::Ffmpeg.name(), reason }
}

/// Runs file work where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MediaError> + Send + 'static,
) -> Result<T, MediaError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(unusable(error.to_string())),
    }
}
