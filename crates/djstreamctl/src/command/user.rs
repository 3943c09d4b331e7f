//! `djstreamctl user …`

use std::io::{IsTerminal, Read};

use clap::{Args, Subcommand, ValueEnum};
use proto::api::account::{AdminUser, CreateUser, Deletion, Password, Role};
use proto::{Problem, UserId, codes};

use crate::client::{CallError, Client};
use crate::output::{self, Format, word};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an account. The password is asked for, or read from standard input.
    Create(Create),
    /// List the accounts.
    List,
    /// Delete an account for good, with its channels, videos, comments and all else.
    Delete {
        /// The login name.
        username: String,
        /// Yes, delete it.
        #[arg(long)]
        yes: bool,
    },
    /// List deletions that have not reached everything yet.
    Deletions,
    /// Try again what a deletion could not remove.
    RetryDeletion {
        /// The account's id, from `user deletions`.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The login name.
    #[arg(value_name = "USERNAME")]
    username: String,
    /// The e-mail address.
    #[arg(long)]
    email: String,
    /// What the account may do.
    #[arg(long, value_enum, default_value_t = Rank::User)]
    role: Rank,
    /// The same as --role admin.
    #[arg(long, conflicts_with = "role")]
    admin: bool,
}

/// Roles that an account can have.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rank {
    User,
    Moderator,
    Admin,
}

impl From<Rank> for Role {
    fn from(rank: Rank) -> Self {
        match rank {
            Rank::User => Self::User,
            Rank::Moderator => Self::Moderator,
            Rank::Admin => Self::Admin,
        }
    }
}

pub(crate) async fn run(command: Command, client: &Client, format: Format) -> Result<(), CallError> {
    match command {
        Command::Create(create) => self::create(create, client, format).await,
        Command::List => list(client, format).await,
        Command::Delete { username, yes } => delete(&username, yes, client, format).await,
        Command::Deletions => deletions(client, format).await,
        Command::RetryDeletion { id } => {
            if id.parse::<UserId>().is_err() {
                return Err(CallError::Usage(format!("'{id}' is not an account's id")));
            }
            let path = format!("/api/admin/deletions/{id}/retry");
            let answer: serde_json::Value = client.post(&path, &serde_json::json!({})).await?;
            output::one(format, &answer, "it is tried again")
        }
    }
}

async fn create(create: Create, client: &Client, format: Format) -> Result<(), CallError> {
    let role = if create.admin { Role::Admin } else { create.role.into() };
    let password = read_password().map_err(|error| CallError::Usage(format!("no password: {error}")))?;
    let body = CreateUser { username: create.username, email: create.email, password, role };
    let user: AdminUser = client.post("/api/admin/users", &body).await?;
    output::one(format, &user, &format!("made {} ({})", user.username, word(&user.role)))
}

async fn list(client: &Client, format: Format) -> Result<(), CallError> {
    let users: Vec<AdminUser> = client.list("/api/admin/users").await?;
    output::list(format, &users, ["USERNAME", "ROLE", "STATE", "E-MAIL", "SINCE", "ID"], |user| {
        [
            user.username.clone(),
            word(&user.role),
            word(&user.state),
            user.email.clone(),
            user.created_at.to_string(),
            user.id.to_string(),
        ]
    })
}

async fn delete(username: &str, yes: bool, client: &Client, format: Format) -> Result<(), CallError> {
    if !yes {
        return Err(CallError::Usage("a deleted account does not come back; say --yes".to_owned()));
    }
    let users: Vec<AdminUser> = client.list("/api/admin/users").await?;
    let user = users.iter().find(|user| user.username == username);
    let user = user.ok_or_else(|| CallError::Refused(Box::new(no_such_account(username))))?;
    client.delete(&format!("/api/admin/users/{}", user.id)).await?;
    output::one(
        format,
        user,
        &format!("deleted {username}; `djstreamctl user deletions` shows what is still on its way"),
    )
}

fn no_such_account(username: &str) -> Problem {
    Problem::new(codes::NOT_FOUND, format!("There is no account '{username}'."))
}

async fn deletions(client: &Client, format: Format) -> Result<(), CallError> {
    let deletions: Vec<Deletion> = client.list("/api/admin/deletions").await?;
    output::list(format, &deletions, ["USERNAME", "SINCE", "WAITS FOR", "STUCK", "ID"], |deletion| {
        let stuck = deletion.stuck.iter().map(|it| format!("{}: {}: {}", it.service, it.what, it.reason));
        [
            deletion.username.clone(),
            deletion.deleted_at.to_string(),
            deletion.waiting_for.join(", "),
            stuck.collect::<Vec<_>>().join("; "),
            deletion.id.to_string(),
        ]
    })
}

/// From a person twice and hidden, from a script one line of standard input.
fn read_password() -> std::io::Result<Password> {
    if std::io::stdin().is_terminal() {
        return dialoguer::Password::new()
            .with_prompt("Password")
            .with_confirmation("Once more", "They differ.")
            .interact()
            .map(Password)
            .map_err(std::io::Error::other);
    }
    let mut text = String::new();
    std::io::stdin().take(4096).read_to_string(&mut text)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Password(line.to_owned())),
        _ => Err(std::io::Error::other("standard input is empty")),
    }
}
