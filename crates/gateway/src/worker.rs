//! What has to be done from time to time.

use std::collections::HashMap;
use std::sync::Arc;

use proto::Timestamp;

use crate::error::GatewayError;
use crate::limits::{DELETIONS_INTERVAL, SWEEP_INTERVAL};
use crate::routes::App;
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

/// Looks after deletions until shutdown.
pub(crate) async fn look_after_deletions(app: App, shutdown: kit::Shutdown) {
    let mut trails = HashMap::new();
    loop {
        let pause = match app.look_after(&mut trails).await {
            Ok(0) => SWEEP_INTERVAL,
            Ok(_) => DELETIONS_INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "deletions wait");
                SWEEP_INTERVAL
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = app.service.deletions.notified() => {}
            () = shutdown.requested() => return,
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
