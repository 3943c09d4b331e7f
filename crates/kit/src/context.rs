//! What every part of a process is given.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::shutdown::Shutdown;

/// Configuration, data folder and shutdown of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    /// The configuration.
    pub config: Arc<Config>,
    /// The data folder.
    pub data: DataFolder,
    /// How this process is told to end.
    pub shutdown: Shutdown,
}

impl Context {
    /// A context of these parts.
    pub fn new(config: Config, data: DataFolder, shutdown: Shutdown) -> Self {
        Self { config: Arc::new(config), data, shutdown }
    }

    /// Runs a worker until shutdown; it watches [`Shutdown::token`] itself. One that panics ends the process,
    /// so that it is started again with everything in order.
    pub fn spawn(&self, name: &'static str, worker: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.shutdown.tracker().spawn(async move {
            if AssertUnwindSafe(worker).catch_unwind().await.is_err() {
                tracing::error!(worker = name, "a worker panicked; the process ends");
                shutdown.request();
            }
        });
    }
}
