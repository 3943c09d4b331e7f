//! The gateway's own domain: accounts, sessions, tokens. It knows no HTTP, and the time comes in.

pub(crate) mod accounts;
pub(crate) mod deletion;
pub(crate) mod fields;
pub(crate) mod identity;
pub(crate) mod instance;
pub(crate) mod passwords;
pub(crate) mod sessions;
pub(crate) mod setup;
pub(crate) mod sign_in;
pub(crate) mod throttle;
pub(crate) mod tickets;
pub(crate) mod tokens;

use std::sync::Arc;

use kit::Context;
use kit::config::Config;
use proto::Timestamp;
use store::Store;

use crate::error::GatewayError;
use accounts::Accounts;
use passwords::Hasher;
use sessions::Sessions;
use setup::Setup;
use throttle::Throttle;
use tickets::Tickets;
use tokens::Tokens;

/// Everything that the gateway knows and can do by itself.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) accounts: Accounts,
    pub(crate) sessions: Sessions,
    pub(crate) tokens: Tokens,
    pub(crate) tickets: Tickets,
    pub(crate) throttle: Throttle,
    /// Wakes the one who looks after deletions.
    pub(crate) deletions: tokio::sync::Notify,
    hasher: Hasher,
    setup: Setup,
}

impl Service {
    /// The service over its store, and the set-up token if there is no admin yet.
    pub(crate) async fn open(
        context: &Context,
        store: Store,
        now: Timestamp,
    ) -> Result<(Self, Option<String>), GatewayError> {
        let config = context.config.clone();
        let auth = &config.auth;
        let (setup, token) = Setup::open(&store, context.data.setup_token()).await?;
        let service = Self {
            accounts: Accounts::new(&store),
            sessions: Sessions::open(&store, auth.refresh_token_ttl_s, context.shutdown.token(), now)?,
            tokens: Tokens::open(&store, &config.http.public_url, auth.access_token_ttl_s, now).await?,
            tickets: Tickets::default(),
            deletions: tokio::sync::Notify::new(),
            throttle: Throttle::new(&config.limits),
            hasher: Hasher::new(auth.argon2_memory_kib, auth.argon2_iterations, auth.argon2_parallel)?,
            setup,
            store,
            config,
        };
        Ok((service, token))
    }
}
