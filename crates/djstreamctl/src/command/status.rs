//! `djstreamctl status` and `djstreamctl version`.

use proto::api::instance::{Health, HealthStatus, Instance};
use serde::Serialize;

use crate::client::{CallError, Client};
use crate::output::{self, Format, word};

pub(crate) async fn status(client: &Client, format: Format) -> Result<(), CallError> {
    let health: Health = client.get("/api/health").await?;
    match format {
        Format::Json => output::one(format, &health, "")?,
        Format::Table | Format::Jsonl => {
            output::list(format, &health.services, ["SERVICE", "STATUS", "NOTES"], |service| {
                [service.name.clone(), word(&service.status), service.notes.join(" ")]
            })?;
        }
    }
    if health.status == HealthStatus::Ok { Ok(()) } else { Err(CallError::Degraded) }
}

/// What `version` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    djstreamctl: &'static str,
    /// Nothing when no instance answers.
    server: Option<String>,
}

pub(crate) async fn version(client: &Client, format: Format) -> Result<(), CallError> {
    let server = match client.get::<Instance>("/api/instance").await {
        Ok(instance) => Some(instance.version),
        Err(CallError::Unreachable { .. }) => None,
        Err(error) => return Err(error),
    };
    let versions = Versions { djstreamctl: env!("CARGO_PKG_VERSION"), server };
    let running = versions.server.as_deref().unwrap_or("not running");
    output::one(format, &versions, &format!("djstreamctl {}\nserver {running}", versions.djstreamctl))
}
