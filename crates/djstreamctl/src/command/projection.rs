//! `djstreamctl projection …`

use clap::Subcommand;
use proto::api::projection::{DeadLetter, DeadLetterName, Projection, Rebuild};

use crate::client::{CallError, Client};
use crate::output::{self, Format, word};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what each service keeps of the others' data, and how far it is.
    List,
    /// Make it anew from its owner's data. What there is stays readable meanwhile.
    Rebuild {
        /// `video` for all that it keeps, `video/channel` for what it keeps of the channels, `video/video` for the
        /// search index.
        #[arg(value_name = "SERVICE[/LOG-OWNER]")]
        name: Name,
    },
    /// List the events that a service could not deal with.
    Dead {
        /// Which service.
        service: String,
    },
    /// Try such an event again; what is kept of its owner's data is made anew afterwards.
    Retry(Letter),
    /// Forget such an event.
    Drop(Letter),
}

/// A dead event.
#[derive(Debug, clap::Args)]
pub(crate) struct Letter {
    /// Who could not deal with it, and whose event it is.
    #[arg(value_name = "SERVICE/LOG-OWNER")]
    name: Name,
    /// Its number, from `projection dead`.
    sequence: u64,
}

/// `SERVICE[/LOG-OWNER]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    service: String,
    owner: Option<String>,
}

impl std::str::FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, owner) = match text.split_once('/') {
            Some((service, owner)) => (service, Some(owner)),
            None => (text, None),
        };
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        if !is_word(service) || !owner.is_none_or(is_word) {
            return Err("a name such as video or video/channel is expected".to_owned());
        }
        Ok(Self { service: service.to_owned(), owner: owner.map(str::to_owned) })
    }
}

pub(crate) async fn run(command: Command, client: &Client, format: Format) -> Result<(), CallError> {
    match command {
        Command::List => show(format, &client.list("/api/admin/projections").await?),
        Command::Rebuild { name: Name { service, owner } } => {
            let path = format!("/api/admin/projections/{service}/rebuild");
            let asked: Vec<Projection> = client.post(&path, &Rebuild { owner }).await?;
            show(format, &asked)
        }
        Command::Dead { service } => {
            let name: Name = service.parse().map_err(CallError::Usage)?;
            dead(format, &client.list(&format!("/api/admin/projections/{}/dead", name.service)).await?)
        }
        Command::Retry(letter) => act(letter, "retry", "will be tried again", client, format).await,
        Command::Drop(letter) => act(letter, "drop", "is forgotten", client, format).await,
    }
}

fn show(format: Format, projections: &[Projection]) -> Result<(), CallError> {
    let header = ["SERVICE/OWNER", "LOG", "CONSUMER", "CURSOR", "BEHIND", "DEAD", "STATE", "NOTE"];
    output::list(format, projections, header, |one| {
        [
            format!("{}/{}", one.service, one.owner),
            one.log.clone(),
            one.consumer.clone(),
            one.cursor.to_string(),
            one.behind.to_string(),
            one.dead.to_string(),
            word(&one.state),
            one.note.clone().unwrap_or_default(),
        ]
    })
}

fn dead(format: Format, letters: &[DeadLetter]) -> Result<(), CallError> {
    output::list(format, letters, ["SERVICE/OWNER", "SEQUENCE", "TIME", "REASON", "EVENT"], |letter| {
        [
            format!("{}/{}", letter.service, letter.owner),
            letter.sequence.to_string(),
            letter.time.to_string(),
            letter.reason.clone(),
            letter.event.clone(),
        ]
    })
}

async fn act(letter: Letter, action: &str, done: &str, client: &Client, format: Format) -> Result<(), CallError> {
    let Letter { name: Name { service, owner }, sequence } = letter;
    let Some(owner) = owner else {
        return Err(CallError::Usage(format!("whose event? {service}/LOG-OWNER is expected")));
    };
    let named = DeadLetterName { owner, sequence };
    let path = format!("/api/admin/projections/{service}/dead/{action}");
    let (): () = client.post(&path, &named).await?;
    output::one(format, &named, &format!("event {sequence} of {} {done}", named.owner))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_services_with_or_without_an_owner() {
        let name =
            |service: &str, owner: Option<&str>| Name { service: service.to_owned(), owner: owner.map(str::to_owned) };
        assert_eq!("video".parse(), Ok(name("video", None)));
        assert_eq!("video/channel".parse(), Ok(name("video", Some("channel"))));
        for wrong in ["", "/", "video/", "/channel", "video/a/b", "Video", "video?x"] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong}");
        }
    }
}
