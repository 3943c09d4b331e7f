//! Films as files: looking at them, repackaging and transcoding them, and describing the result.
//!
//! Everything here works on paths that the caller made, starts ffmpeg only inside the cage of
//! [`sandbox`], and knows nothing of videos, users or stores. A run is cancelled by dropping its
//! future: the child dies with it.

pub mod codecs;
pub mod output;
pub mod plan;
pub mod playlist;
pub mod poster;
pub mod probe;
pub mod remux;
pub mod sandbox;
pub mod sniff;
pub mod tool;
pub mod transcode;

use std::path::PathBuf;
use std::time::Duration;

pub use output::Rendition;
pub use plan::{Ladder, Plan, RenditionPlan, Treatment};
pub use probe::Probe;
pub use sniff::Demuxer;
pub use tool::{Progress, Tools};

/// What a file may be at most. Everything beyond is refused before any decoding starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Pixels of one picture (the default is 8192 × 4320).
    pub pixels_max: u64,
    /// Pictures a second.
    pub frames_per_second_max: f64,
    /// Length of a film.
    pub duration_max: Duration,
    /// Streams of any kind in one file.
    pub streams_max: usize,
    /// Time for one look at a file.
    pub probe_timeout: Duration,
    /// Threads of one transcode.
    pub transcode_threads: usize,
    /// CPU time of one run, in seconds, whatever it is for.
    pub run_cpu_seconds_max: u64,
    /// Time of one run, whatever it is for.
    pub run_timeout_max: Duration,
    /// Address space of one run.
    pub run_memory_bytes_max: u64,
    /// Largest file that one run may write, whatever it is for.
    pub run_file_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pixels_max: 8192 * 4320,
            frames_per_second_max: 240.0,
            duration_max: Duration::from_secs(12 * 3600),
            streams_max: 64,
            probe_timeout: Duration::from_secs(60),
            transcode_threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            run_cpu_seconds_max: 12 * 3600,
            run_timeout_max: Duration::from_secs(24 * 3600),
            // Enough to transcode 4K.
            run_memory_bytes_max: 4 << 30,
            run_file_bytes_max: 128 << 30,
        }
    }
}

/// A file that cannot become a video here: the file's fault, so trying again is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Refusal {
    /// Stable, kebab-case.
    pub code: &'static str,
    /// For the person who uploaded it.
    pub sentence: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into() }
    }
}

/// Why media work ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The file is not acceptable; see the sentence.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The kernel cannot confine ffmpeg.
    #[error(
        "this kernel offers no Landlock, so media files are refused; set [media] sandbox = \"weak\" to accept the risk"
    )]
    NoSandbox,
    /// The tool is missing or the cage could not be built.
    #[error("failed to start {tool}: {reason}")]
    Start {
        /// ffmpeg or ffprobe.
        tool: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The tool took longer than it may.
    #[error("{tool} took more than {} seconds", .limit.as_secs())]
    TimedOut {
        /// ffmpeg or ffprobe.
        tool: &'static str,
        /// Wall time allowed.
        limit: Duration,
    },
    /// The tool ended with an error of its own.
    #[error("{tool} failed ({status}): {stderr_tail}")]
    Failed {
        /// ffmpeg or ffprobe.
        tool: &'static str,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        stderr_tail: String,
    },
    /// The tool succeeded and left something unusable.
    #[error("{tool} left something unusable: {reason}")]
    Unusable {
        /// ffmpeg or ffprobe.
        tool: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file could not be read, written or renamed.
    #[error("failed to {action} {}: {source}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl MediaError {
    pub(crate) fn file(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { action, path, source }
    }

    /// What to tell the person who uploaded the file, once no further attempt will be made.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.sentence.clone(),
            Self::NoSandbox | Self::Start { .. } => {
                "This server cannot process films at the moment; its administrator has to look at it.".into()
            }
            Self::TimedOut { .. } => "Processing this file took too long and was stopped.".into(),
            Self::Failed { .. } | Self::Unusable { .. } => {
                "This file could not be converted: it seems to be damaged or of an unusual kind.".into()
            }
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                "The server has no room left for this film.".into()
            }
            Self::File { .. } => "The server could not read or write a file while processing this film.".into(),
        }
    }

    /// Stable, kebab-case.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::NoSandbox => "media-sandbox-missing",
            Self::Start { .. } => "media-tool-missing",
            Self::TimedOut { .. } => "media-timed-out",
            Self::Failed { .. } | Self::Unusable { .. } => "media-damaged",
            Self::File { .. } => "media-file-error",
        }
    }

    /// Whether the file itself is at fault, so that another attempt cannot help.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}
