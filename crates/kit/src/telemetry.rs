//! Logs on stderr and metrics for Prometheus.
//!
//! stdout belongs to data and to the `ready` line, so nothing is logged there.

use std::io;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `[log] level` is not understood.
    #[error("[log] level: {0}")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// Something else set up the logs or the metrics of this process before.
    #[error("telemetry was set up twice: {0}")]
    Twice(String),
}

/// Sets up logs and metrics of this process; `service` is put on every metric.
///
/// # Errors
/// If the level is not understood or it is called twice.
pub fn init(service: &str, config: &Log) -> Result<(), TelemetryError> {
    let twice = |error: &dyn std::error::Error| TelemetryError::Twice(error.to_string());
    let filter = EnvFilter::try_new(&config.level)?;
    // Where a log line cannot be written (a reader that went, a full disk) it is lost. Saying so on the same stderr
    // would panic, and end the task that logged: the one that waits for SIGTERM, for example.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    match config.format {
        LogFormat::Text => builder.with_ansi(false).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    }
    .map_err(|error| twice(&error))?;
    let handle = PrometheusBuilder::new()
        .add_global_label("service", service)
        .install_recorder()
        .map_err(|error| twice(&error))?;
    let _ = METRICS.set(handle);
    Ok(())
}

/// The metrics of this process in Prometheus's text format; empty before [`init`].
pub fn metrics() -> String {
    METRICS.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Lets the metrics drop what is too old to be reported. Call it every few seconds.
pub fn upkeep() {
    if let Some(handle) = METRICS.get() {
        handle.run_upkeep();
    }
}
