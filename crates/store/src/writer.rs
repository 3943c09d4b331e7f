//! The one thread that writes.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use flume::RecvTimeoutError;
use tokio::sync::oneshot;

use crate::batch::Batch;
use crate::engine::Change;
use crate::error::WriteError;
use crate::journal::{AppendError, Journal};
use crate::limits::{GROUP_BYTES, GROUP_OPERATIONS};
use crate::recovery::{applied_key, sync_engine};
use crate::resolve::{Effects, Given, Group};
use crate::store::{Shared, Written, system_time_ms};

/// The exit code after a failed write or sync (`EX_SOFTWARE` of sysexits): the supervisor starts anew.
pub const EXIT_CODE_UNSAFE: i32 = 70;

/// How often an idle writer asks the engine how it is.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

type Reply = oneshot::Sender<Result<Written, WriteError>>;

/// What the writer is asked for.
pub(crate) enum Command {
    Write { batch: Batch, reply: Reply },
    Close { reply: oneshot::Sender<()> },
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    journal: Journal,
    commands: flume::Receiver<Command>,
}

/// Batches that wait for the sync of their group.
#[derive(Default)]
struct Waiting {
    group: Group,
    replies: Vec<(Reply, Given)>,
    refused: Vec<(Reply, WriteError)>,
    close: Option<oneshot::Sender<()>>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, journal: Journal, commands: flume::Receiver<Command>) -> Self {
        Self { shared, journal, commands }
    }

    /// Works until the store is closed or dropped.
    pub(crate) fn run(mut self) {
        // Half a group may be in memory or in the engine: nobody may go on from there.
        if catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            self.stop("the writer panicked", &"see above");
        }
    }

    fn work(&mut self) {
        let mut closed = false;
        loop {
            let first = match self.commands.recv_timeout(PROBE_INTERVAL) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.probe();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if closed {
                refuse(first);
                continue;
            }
            let waiting = self.collect(first);
            if let Some(reply) = self.commit(waiting) {
                self.sync();
                closed = true;
                let _ = reply.send(());
            }
        }
        if !closed {
            self.sync();
        }
    }

    /// The engine syncs in threads of its own, and says only when asked that it failed.
    fn probe(&self) {
        if let Err(error) = self.shared.engine.get(&applied_key()) {
            self.stop("the engine has failed", &error);
        }
    }

    /// Takes what is waiting, up to the size of a group.
    fn collect(&self, first: Command) -> Waiting {
        let mut waiting = Waiting::default();
        let mut next = Some(first);
        let mut bytes = 0;
        while let Some(command) = next {
            match command {
                Command::Write { batch, reply } => {
                    bytes += batch.bytes();
                    let Shared { engine, signals, .. } = &*self.shared;
                    match waiting.group.add(engine, signals, batch, system_time_ms()) {
                        Ok(given) => waiting.replies.push((reply, given)),
                        // A write of the engine's own threads that failed shows here first.
                        Err(WriteError::Engine(reason)) => self.stop("the engine has failed", &reason),
                        Err(error) => waiting.refused.push((reply, error)),
                    }
                }
                Command::Close { reply } => {
                    waiting.close = Some(reply);
                    break;
                }
            }
            if waiting.group.changes.len() >= GROUP_OPERATIONS || bytes >= GROUP_BYTES {
                break;
            }
            next = self.commands.try_recv().ok();
        }
        waiting
    }

    /// Makes a group durable, applies it, and answers everyone in it.
    fn commit(&mut self, waiting: Waiting) -> Option<oneshot::Sender<()>> {
        let Waiting { group, replies, refused, close } = waiting;
        let mut changes: Vec<Change> = group.changes.into_iter().collect();
        let sequence = match self.append(&changes) {
            Ok(sequence) => sequence,
            Err(error) => {
                for (reply, _) in replies {
                    let _ = reply.send(Err(error.clone()));
                }
                // They may have been judged by what has just been thrown away.
                for (reply, _) in refused {
                    let _ = reply.send(Err(error.clone()));
                }
                return close;
            }
        };
        if !changes.is_empty() {
            changes.push((applied_key(), Some(sequence.to_be_bytes().to_vec())));
            if let Err(error) = self.shared.engine.apply(&changes) {
                self.stop("the engine cannot be written", &error);
            }
        }
        self.signal(&group.effects);
        for (reply, Given { events, jobs }) in replies {
            // Who no longer waits for the answer does not need it.
            let _ = reply.send(Ok(Written { sequence, events, jobs }));
        }
        // Only now: whoever reads again after a refusal has to see what it was refused for.
        for (reply, error) in refused {
            let _ = reply.send(Err(error));
        }
        close
    }

    /// Appends to the journal and syncs. A group without changes needs neither.
    fn append(&mut self, changes: &[Change]) -> Result<u64, WriteError> {
        if changes.is_empty() {
            return Ok(self.journal.last_sequence());
        }
        if !self.journal.has_room_for(changes) {
            self.roll(changes)?;
        }
        match self.journal.append(changes) {
            Ok(sequence) => Ok(sequence),
            Err(AppendError::Full) => Err(WriteError::Full),
            Err(AppendError::Io(error)) => self.stop("the journal cannot be written", &error),
        }
    }

    /// Starts a new segment; then the engine is synced, and the segments before are not needed any more.
    fn roll(&mut self, changes: &[Change]) -> Result<(), WriteError> {
        match self.journal.roll(changes) {
            Ok(()) => {}
            Err(AppendError::Full) => return Err(WriteError::Full),
            Err(AppendError::Io(error)) => self.stop("the journal cannot be continued", &error),
        }
        self.sync();
        Ok(())
    }

    fn sync(&mut self) {
        let last = self.journal.last_sequence();
        if let Err(error) = sync_engine(&self.shared.engine, last) {
            self.stop("the engine cannot be synced", &error);
        }
        if let Err(error) = self.journal.remove_before(last) {
            self.stop("old segments cannot be removed", &error);
        }
    }

    fn signal(&self, effects: &Effects) {
        for (log, sequence) in &effects.heads {
            self.shared.signals.appended(log, *sequence);
        }
        for (queue, ended) in &effects.queues {
            self.shared.signals.queue(queue).applied(ended);
        }
    }

    /// After a failed write or sync nobody knows what is on the disk: nothing is acknowledged any more.
    fn stop(&self, what: &str, error: &dyn std::fmt::Display) -> ! {
        let folder = self.shared.folder.display();
        tracing::error!(%folder, %error, "{what}: stopping, so that nothing is acknowledged that may be lost");
        if !tracing::dispatcher::has_been_set() {
            let _ = writeln!(io::stderr(), "store {folder}: {what}: {error}");
        }
        std::process::exit(EXIT_CODE_UNSAFE)
    }
}

/// Answers who comes after the end. (A channel without receiver would keep what is in it, unanswered.)
fn refuse(command: Command) {
    match command {
        Command::Write { reply, .. } => drop(reply.send(Err(WriteError::Closed))),
        Command::Close { reply } => drop(reply.send(())),
    }
}
