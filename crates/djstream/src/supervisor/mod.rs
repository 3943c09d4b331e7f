//! The supervisor: starts every process at once, restarts one that dies, stops the gateway first.
//!
//! Children are told to leave by SIGTERM; should the supervisor itself be killed, the end of the pipe
//! that they inherited tells them.

mod child;
mod ready;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kit::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Options;
use crate::role::Role;
use child::{Launcher, Outcome};

/// How long a child may take to end before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(15);

/// `djstream up`
pub(crate) async fn up(context: Context, options: &Options) -> ExitCode {
    let mut behind = vec![Role::Channel, Role::Video, Role::Interaction];
    behind.extend(notification_roles(&context));
    let roles: Vec<Role> = behind.iter().copied().chain([Role::Gateway]).collect();
    let announce = {
        let context = context.clone();
        async move {
            ready::wait_for_all(&context, &roles).await;
            announce(&context);
        }
    };
    supervise(context, options, &behind, &[Role::Gateway], announce).await
}

/// `djstream notification` without an index: all of its processes.
pub(crate) async fn notification(context: Context, options: &Options) -> ExitCode {
    let roles = notification_roles(&context);
    supervise(context, options, &roles, &[], std::future::pending()).await
}

fn notification_roles(context: &Context) -> Vec<Role> {
    (0..context.config.notification.processes).map(Role::Notification).collect()
}

/// Says on stdout that everything answers, and on stderr what is left to do.
fn announce(context: &Context) {
    let address = context.config.http.listen;
    let mut out = std::io::stdout().lock();
    // Whoever closed our stdout does not want to know.
    let _ = writeln!(out, "ready http://{address}");
    let _ = out.flush();
    if let Ok(token) = std::fs::read_to_string(context.data.setup_token()) {
        eprintln!("Make the first account: http://{address}/setup?token={}", token.trim());
    }
}

/// Runs the children until the end is asked for or one cannot be started at all.
/// `front` is stopped before `behind`: what is under way can still be answered.
async fn supervise(
    context: Context,
    options: &Options,
    behind: &[Role],
    front: &[Role],
    announce: impl Future<Output = ()>,
) -> ExitCode {
    let launcher = match Launcher::new(options, &context.data) {
        Ok(launcher) => Arc::new(launcher),
        Err(error) => {
            tracing::error!(%error, "children cannot be started");
            return ExitCode::FAILURE;
        }
    };
    let mut groups = [Group::start(&launcher, front), Group::start(&launcher, behind)];
    let hopeless = {
        let [front, behind] = &mut groups;
        let announced = async {
            announce.await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = context.shutdown.requested() => false,
            () = announced => false,
            () = front.gives_up() => true,
            () = behind.gives_up() => true,
        }
    };
    for group in groups {
        group.stop().await;
    }
    if hopeless { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Children that are stopped together.
struct Group {
    stop: CancellationToken,
    keepers: JoinSet<Outcome>,
}

impl Group {
    fn start(launcher: &Arc<Launcher>, roles: &[Role]) -> Self {
        let stop = CancellationToken::new();
        let mut keepers = JoinSet::new();
        for role in roles {
            keepers.spawn(child::keep_running(Arc::clone(launcher), *role, stop.clone()));
        }
        Self { stop, keepers }
    }

    /// Ends when a child of this group cannot be kept running.
    async fn gives_up(&mut self) {
        while let Some(outcome) = self.keepers.join_next().await {
            if !matches!(outcome, Ok(Outcome::Stopped)) {
                return;
            }
        }
        std::future::pending().await
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while self.keepers.join_next().await.is_some() {}
    }
}
