//! What has to be done from time to time.

use std::sync::Arc;

use proto::Timestamp;

use crate::error::GatewayError;
use crate::limits::SWEEP_INTERVAL;
use crate::service::Service;

/// Sweeps away what has run out, until shutdown.
pub(crate) async fn sweep(service: Arc<Service>, shutdown: kit::Shutdown) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.requested() => return,
        }
        if let Err(error) = sweep_once(&service, kit::clock::now()).await {
            tracing::warn!(%error, "what has run out could not be swept");
        }
    }
}

async fn sweep_once(service: &Arc<Service>, now: Timestamp) -> Result<(), GatewayError> {
    service.tickets.sweep(now);
    service.throttle.sweep();
    let reader = service.clone();
    let expired = tokio::task::spawn_blocking(move || reader.sessions.expired(now)).await;
    let expired = expired.map_err(|_| GatewayError::Internal("the sweep was interrupted"))??;
    service.sessions.remove(&expired).await
}
