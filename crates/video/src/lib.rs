//! DjStream's video service.
//!
//! Owns: videos, their files and uploads, processing, subtitles; the search index and the recommender. Its
//! database is `data/video/`, its files are in `data/media/`. Its routes are those of [`proto::routes`] for
//! `Service::Video` and the calls of [`proto::internal`]. Its queue is `processing`: the steps that make a video of
//! an upload, in two lanes, and removals. Its event log is read by channel, interaction, notification and its own
//! search index. It keeps projections of channels (from channel) and of counts (from interaction).
//!
//! Deliberately absent: sending media bytes (the gateway does, after asking who may have them), ratings, comments and
//! views themselves, accounts, and any decoding of films in this process ([`media`] starts ffmpeg in a cage).

mod data;
mod discovery;
mod error;
pub mod media;
mod peers;
mod recommend;
mod refill;
mod routes;
mod search;
mod service;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kit::config::{Config, Sandbox};
use kit::http::SocketError;
use kit::logs::Projections;
use kit::queues::Queues;
use kit::{Context, clock};
use store::{OpenError, ReadError};

use crate::discovery::Discovery;
use crate::media::tool::{ToolSettings, find_in_path};
use crate::media::{MediaError, Tools, sandbox};
use crate::peers::Peers;
pub use crate::search::SearchError;
use crate::service::{Limits, Service};

/// Why the service cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its database cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Its database cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The search index cannot be opened.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The thread that starts ffmpeg cannot be started.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Its socket cannot be opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// Runs the service until shutdown. The executable has to lead its subcommand [`sandbox::SUBCOMMAND`] to
/// [`sandbox::helper_main`].
///
/// # Errors
/// If its database or its socket cannot be opened.
pub async fn run(context: Context) -> Result<(), RunError> {
    run_with_helper(context, sandbox::own_executable().into()).await
}

/// [`run`], with another executable that has the subcommand.
///
/// # Errors
/// As [`run`].
pub async fn run_with_helper(context: Context, helper: PathBuf) -> Result<(), RunError> {
    let tools = Tools::new(tool_settings(&context.config, helper))?;
    let (peers, limits, media) = (Peers::new(&context), Limits::of(&context.config), context.data.media());
    let folder = context.data.service("video");
    let writer_memory_bytes = context.config.search.writer_memory_bytes;
    let store = kit::storage::open(&context, "video").await?;
    let opened = tokio::task::spawn_blocking(move || {
        let service = Service::open(store.clone(), tools, peers, limits, media)?;
        let index = folder.join("search");
        let discovery = Discovery::open(Arc::clone(&service), &index, writer_memory_bytes, clock::now())?;
        Ok::<_, RunError>((store, service, discovery))
    });
    let (store, service, discovery) =
        opened.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    let projections = Projections::new("video", &store);
    projections.add(Arc::new(discovery.clone()));
    worker::start(&context, &service, &discovery, &projections).await;
    let queues = Queues::new("video", &store).with(service.intake());
    let routes = queues.beside(projections.beside(routes::routes(&context, &service, &discovery)));
    kit::run_service(&context, "video", Some(store), routes).await?;
    Ok(())
}

fn tool_settings(config: &Config, helper: PathBuf) -> ToolSettings {
    let media = &config.media;
    let defaults = media::Limits::default();
    ToolSettings {
        helper,
        ffmpeg: find_in_path(&media.ffmpeg),
        ffprobe: find_in_path(&media.ffprobe),
        weak: media.sandbox == Sandbox::Weak,
        limits: media::Limits {
            pixels_max: media.pixels_max,
            duration_max: Duration::from_secs(media.duration_max_s),
            transcode_threads: match media.transcode_threads {
                0 => defaults.transcode_threads,
                threads => threads,
            },
            run_cpu_seconds_max: media.job_cpu_s,
            run_timeout_max: Duration::from_secs(media.job_wall_s),
            run_memory_bytes_max: media.job_memory_bytes,
            run_file_bytes_max: media.job_output_max_bytes,
            ..defaults
        },
    }
}
