//! The instance as a whole.

use kit::config::{Config, RegistrationPolicy as Policy};
use proto::api::instance::{Instance, RegistrationPolicy};

use super::Service;
use crate::error::GatewayError;
use crate::limits::PASSWORD_CHARS_MIN;

impl Service {
    /// What everybody may know of this instance.
    pub(crate) fn instance(&self) -> Result<Instance, GatewayError> {
        Ok(instance(&self.config, self.needs_setup()?))
    }
}

fn instance(config: &Config, needs_setup: bool) -> Instance {
    Instance {
        name: config.instance.name.clone(),
        description: config.instance.description.clone(),
        accent: config.instance.accent.clone(),
        registration: match config.registration.policy {
            Policy::Open => RegistrationPolicy::Open,
            Policy::Invite => RegistrationPolicy::Invite,
            Policy::Approval => RegistrationPolicy::Approval,
            Policy::Closed => RegistrationPolicy::Closed,
        },
        needs_setup,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        upload_max_bytes: config.media.upload_max_bytes,
        password_length_min: u32::try_from(PASSWORD_CHARS_MIN).unwrap_or(u32::MAX),
    }
}
