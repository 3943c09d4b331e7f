//! The commands: one table, one file a group.

mod client;
mod connection;
mod info;
mod publish;
mod pubsub;
mod subscribe;

use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::frame::{Frame, Protocol};
use crate::server::Session;

/// Whether the connection goes on after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    /// Ends when all replies are written.
    Close,
}

/// What a command answers with: replies are queued by itself, an error by [`execute`].
type Answer = Result<Flow, Frame>;

struct Command {
    name: &'static str,
    /// Arguments after the name, at least and at most.
    arguments: (usize, usize),
    /// Works before `AUTH`.
    before_authentication: bool,
    /// Works in RESP2 while subscribed, when replies could be taken for messages.
    while_subscribed: bool,
    run: fn(&mut Session, &[Bytes]) -> Answer,
}

const MANY: usize = usize::MAX;

#[rustfmt::skip]
static COMMANDS: &[Command] = &[
    Command { name: "HELLO", arguments: (0, MANY), before_authentication: true, while_subscribed: false, run: connection::hello },
    Command { name: "AUTH", arguments: (1, 2), before_authentication: true, while_subscribed: false, run: connection::auth },
    Command { name: "PING", arguments: (0, 1), before_authentication: false, while_subscribed: true, run: connection::ping },
    Command { name: "QUIT", arguments: (0, MANY), before_authentication: true, while_subscribed: true, run: connection::quit },
    Command { name: "RESET", arguments: (0, 0), before_authentication: true, while_subscribed: true, run: connection::reset },
    Command { name: "SUBSCRIBE", arguments: (1, MANY), before_authentication: false, while_subscribed: true, run: subscribe::subscribe },
    Command { name: "UNSUBSCRIBE", arguments: (0, MANY), before_authentication: false, while_subscribed: true, run: subscribe::unsubscribe },
    Command { name: "PSUBSCRIBE", arguments: (1, MANY), before_authentication: false, while_subscribed: true, run: subscribe::psubscribe },
    Command { name: "PUNSUBSCRIBE", arguments: (0, MANY), before_authentication: false, while_subscribed: true, run: subscribe::punsubscribe },
    Command { name: "PUBLISH", arguments: (2, 2), before_authentication: false, while_subscribed: false, run: publish::publish },
    Command { name: "PUBSUB", arguments: (1, MANY), before_authentication: false, while_subscribed: false, run: pubsub::pubsub },
    Command { name: "CLIENT", arguments: (1, MANY), before_authentication: false, while_subscribed: false, run: client::client },
    Command { name: "COMMAND", arguments: (0, MANY), before_authentication: false, while_subscribed: false, run: info::command },
    Command { name: "INFO", arguments: (0, MANY), before_authentication: false, while_subscribed: false, run: info::info },
];

/// Runs one command: its name and arguments, at least the name.
pub(crate) fn execute(session: &mut Session, command: &[Bytes]) -> Flow {
    session.shared.commands.fetch_add(1, Ordering::Relaxed);
    let (name, arguments) = (&command[0], &command[1..]);
    match find(session, name, arguments.len()).and_then(|found| (found.run)(session, arguments)) {
        Ok(flow) => flow,
        Err(error) => {
            session.reply(&error);
            Flow::Continue
        }
    }
}

fn find(session: &Session, name: &[u8], given: usize) -> Result<&'static Command, Frame> {
    let found = COMMANDS.iter().find(|command| name.eq_ignore_ascii_case(command.name.as_bytes()));
    let Some(command) = found else {
        return Err(Frame::error(format!("ERR unknown command '{}'", printable(name))));
    };
    let lower = || command.name.to_ascii_lowercase();
    if !session.authenticated && !command.before_authentication {
        return Err(Frame::error("NOAUTH Authentication required."));
    }
    if given < command.arguments.0 || given > command.arguments.1 {
        let text = format!("ERR wrong number of arguments for '{}' command", lower());
        return Err(Frame::error(text));
    }
    let confined = session.protocol() == Protocol::Resp2 && session.subscriptions() > 0;
    if confined && !command.while_subscribed {
        let text = format!(
            "ERR Can't execute '{}': only (P)SUBSCRIBE / (P)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            lower()
        );
        return Err(Frame::error(text));
    }
    Ok(command)
}

/// What a peer sent, short and harmless enough to be shown in an error.
fn printable(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(64)].escape_ascii().to_string()
}

fn wrong_subcommand(group: &str, name: &[u8]) -> Frame {
    Frame::error(format!("ERR unknown subcommand or wrong number of arguments for '{}' of {group}", printable(name)))
}
