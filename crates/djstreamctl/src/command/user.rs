//! `djstreamctl user …`

use std::io::{IsTerminal, Read};

use clap::{Args, Subcommand, ValueEnum};
use proto::api::account::{AdminUser, CreateUser, Password, Role};

use crate::client::{CallError, Client};
use crate::output::{self, Format, word};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an account. The password is asked for, or read from standard input.
    Create(Create),
    /// List the accounts.
    List,
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
