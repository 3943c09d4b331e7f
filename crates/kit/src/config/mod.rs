//! The configuration: `djstream.toml`, overridden by variables (`[http] listen` ↔ `DJSTREAM_HTTP_LISTEN`).
//!
//! Every key has a default, so an absent file is a good configuration. A key that does not exist is an error,
//! as is a variable that names a section but no key of it. All errors are reported at once.

mod error;
mod read;
mod sections;
mod template;
mod value;

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::DeTable;

pub use error::{ConfigError, Fault};
pub use sections::{
    Auth, Backup, Config, Fanout, Http, Instance, Key, LimitsSection, Log, LogFormat, Media, Notification,
    Registration, RegistrationPolicy, Runtime, Sandbox, Search, Storage, keys,
};
pub use template::template;
pub use value::Network;

/// Reads `file` and the variables of this process.
///
/// Without a file the defaults hold, with the variables. A file that is named must exist.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| name.starts_with("DJSTREAM_"))
        .collect();
    let Some(path) = file else { return parse("djstream.toml", "", &variables) };
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&name, &text, &variables),
        Err(error) => Err(ConfigError::new(&name, "", vec![Fault::whole(format!("cannot be read: {error}"))])),
    }
}

/// Reads `text`, which came from the file `name`, with `variables` over it.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn parse(name: &str, text: &str, variables: &BTreeMap<String, String>) -> Result<Config, ConfigError> {
    let (table, broken) = DeTable::parse_recoverable(text);
    let mut faults: Vec<Fault> = broken.iter().map(syntax).collect();
    let mut config = Config::default();
    let mut reader = read::Reader::new(table.get_ref(), variables);
    config.fill(&mut reader);
    faults.extend(reader.finish());
    if faults.is_empty() { Ok(config) } else { Err(ConfigError::new(name, text, faults)) }
}

impl Config {
    /// What is set in a way that suits load tests, not visitors: worth a warning at start.
    pub fn relaxed(&self) -> Vec<&'static str> {
        let registration = &self.registration;
        let open = registration.policy == RegistrationPolicy::Open;
        [
            (!self.limits.per_address, "[limits] per_address = false: one address may do anything"),
            (open && !registration.proof_of_work, "[registration] is open without proof of work: robots may register"),
            (self.media.sandbox == Sandbox::Weak, "[media] sandbox = \"weak\": ffmpeg is confined less"),
        ]
        .into_iter()
        .filter_map(|(applies, warning)| applies.then_some(warning))
        .collect()
    }
}

fn syntax(error: &toml::de::Error) -> Fault {
    Fault::in_file(error.span().unwrap_or(0..0), error.message().to_owned(), "this is not TOML".to_owned())
}

#[cfg(test)]
mod tests;
