//! The one thread that writes.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flume::RecvTimeoutError;
use tokio::sync::oneshot;

use crate::backup::Pin;
use crate::batch::Batch;
use crate::damage;
use crate::engine::{Change, EngineError};
use crate::error::WriteError;
use crate::journal::{AppendError, Journal, Keep, is_full};
use crate::limits::{GROUP_BYTES, GROUP_OPERATIONS};
use crate::recovery::{SyncError, applied_key, sync_engine};
use crate::resolve::{Effects, Given, Group};
use crate::room::Admission;
use crate::space;
use crate::state::State;
use crate::store::{Hold, Shared, Written, system_time_ms};

/// The exit code after a failed write or sync (`EX_SOFTWARE` of sysexits): nobody knows what is on the disk.
pub const EXIT_CODE_UNSAFE: i32 = 70;

/// The exit code after the engine was caught with damage (`EX_OSERR`): the next opening repairs the store.
pub const EXIT_CODE_DAMAGED: i32 = 71;

/// The exit code when the engine met a full disk (`EX_TEMPFAIL`): nothing is lost, the next opening makes room.
pub const EXIT_CODE_FULL: i32 = 75;

/// How often an idle writer asks the engine how it is.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

type Reply = oneshot::Sender<Result<Written, WriteError>>;

/// What the writer is asked for.
pub(crate) enum Command {
    Write {
        batch: Batch,
        reply: Reply,
    },
    Close {
        reply: oneshot::Sender<()>,
    },
    /// Stand still.
    Hold {
        timeout: Duration,
        reply: oneshot::Sender<Hold>,
    },
    /// Keep the journal from here on.
    Pin {
        reply: oneshot::Sender<Pin>,
    },
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
    /// What is to be done at the boundary after the group.
    then: Option<Command>,
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
            match self.commit(waiting) {
                Some(Command::Close { reply }) => {
                    self.close();
                    closed = true;
                    let _ = reply.send(());
                }
                Some(Command::Hold { timeout, reply }) => self.hold(timeout, reply),
                Some(Command::Pin { reply }) => self.pin(reply),
                Some(Command::Write { .. }) | None => {}
            }
        }
        if !closed {
            self.close();
        }
    }

    /// What can be done while nobody writes.
    fn probe(&mut self) {
        // The engine syncs in threads of its own, and says only when asked that it failed.
        if let Err(error) = self.shared.engine.get(&applied_key()) {
            self.engine_failed(&error);
        }
        self.shared.room.admission();
    }

    /// Before the last answers of a writer that will rest: a kill leaves the mark. A busy writer's next group is as good.
    fn mark(&mut self) {
        match self.journal.mark() {
            // Without room for it there is none: it is only for damage.
            Err(error) if !is_full(&error) => self.stop("the journal cannot be marked", &error),
            _ => {}
        }
    }

    /// Syncs everything, and notes that nothing is in the journal only.
    fn close(&mut self) {
        self.sync();
        let mut state = self.shared.lock_state();
        let clean = State { clean: true, ..state.state() };
        if let Err(error) = state.set(clean) {
            drop(state);
            self.state_failed(&error);
        }
    }

    /// Stands still until it is released, or the time is over.
    fn hold(&self, timeout: Duration, reply: oneshot::Sender<Hold>) {
        let (release, released) = flume::bounded::<oneshot::Sender<()>>(1);
        if reply.send(Hold { sequence: self.journal.last_sequence(), release }).is_err() {
            return;
        }
        if let Ok(reply) = released.recv_timeout(timeout) {
            let _ = reply.send(());
        }
    }

    fn pin(&self, reply: oneshot::Sender<Pin>) {
        let after = self.journal.last_sequence();
        self.shared.pinned.store(after, Ordering::Relaxed);
        let _ = reply.send(Pin::new(Arc::clone(&self.shared.pinned), after));
    }

    /// Takes what is waiting, up to the size of a group.
    fn collect(&self, first: Command) -> Waiting {
        let mut waiting = Waiting::default();
        let admission = self.shared.room.admission();
        let mut next = Some(first);
        let mut bytes = 0;
        while let Some(command) = next {
            match command {
                Command::Write { batch, reply } if !is_admitted(&batch, admission) => {
                    waiting.refused.push((reply, WriteError::Full));
                }
                Command::Write { batch, reply } => {
                    bytes += batch.bytes();
                    let Shared { engine, signals, .. } = &*self.shared;
                    match waiting.group.add(engine, signals, batch, system_time_ms()) {
                        Ok(given) => waiting.replies.push((reply, given)),
                        // A write of the engine's own threads that failed shows here first.
                        Err(WriteError::Engine(reason)) => self.engine_failed(&EngineError::Io(reason)),
                        Err(error) => waiting.refused.push((reply, error)),
                    }
                }
                other => {
                    waiting.then = Some(other);
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
    fn commit(&mut self, waiting: Waiting) -> Option<Command> {
        let Waiting { group, replies, refused, then } = waiting;
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
                return then;
            }
        };
        if !changes.is_empty() {
            // Who finds a job or an event while the group is applied finds the records that it is about.
            changes.sort_by_key(|(key, _)| space::leads_to_records(key));
            changes.push((applied_key(), Some(sequence.to_be_bytes().to_vec())));
            if let Err(error) = self.shared.engine.apply(&changes) {
                self.engine_failed(&error);
            }
        }
        if self.commands.is_empty() {
            self.mark();
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
        then
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
            Err(AppendError::Stuck(error)) => self.full(&error),
            Err(AppendError::Io(error)) => self.stop("the journal cannot be written", &error),
        }
    }

    /// Starts a new segment; then the engine is synced, and the segments before are not needed any more.
    fn roll(&mut self, changes: &[Change]) -> Result<(), WriteError> {
        match self.journal.roll(changes) {
            Ok(()) => {}
            Err(AppendError::Full) => return Err(WriteError::Full),
            Err(AppendError::Stuck(error)) => self.full(&error),
            Err(AppendError::Io(error)) => self.stop("the journal cannot be continued", &error),
        }
        self.sync();
        Ok(())
    }

    fn sync(&mut self) {
        let last = self.journal.last_sequence();
        let synced = sync_engine(&self.shared.engine, &mut self.shared.lock_state(), last, self.journal.segment());
        match synced {
            Ok(()) => {}
            Err(SyncError::Engine(error)) => self.engine_failed(&error),
            Err(SyncError::State(error)) => self.state_failed(&error),
        }
        let pinned = self.shared.pinned.load(Ordering::Relaxed);
        let keep = Keep {
            covered: self.shared.covered.load(Ordering::Relaxed),
            bytes: self.shared.journal_keep_bytes,
            pinned: (pinned != u64::MAX).then_some(pinned),
        };
        if let Err(error) = self.journal.remove_before(last, keep) {
            self.stop("old segments cannot be removed", &error);
        }
        self.shared.journal_bytes.store(self.journal.bytes(), Ordering::Relaxed);
    }

    fn signal(&self, effects: &Effects) {
        for (log, sequence) in &effects.heads {
            self.shared.signals.appended(log, *sequence);
        }
        for (queue, ended) in &effects.queues {
            self.shared.signals.queue(queue).applied(ended);
        }
    }

    /// The engine has less than the journal: the process cannot go on with it.
    fn engine_failed(&self, error: &EngineError) -> ! {
        match error {
            EngineError::Full(_) => self.full(error),
            EngineError::Io(_) => self.stop("the engine has failed", error),
            EngineError::Damaged(reason) => {
                damage::note_and_stop(&self.shared.folder, &mut self.shared.lock_state(), reason)
            }
        }
    }

    fn state_failed(&self, error: &io::Error) -> ! {
        if is_full(error) {
            self.full(error);
        }
        self.stop("the state cannot be written", error)
    }

    /// The next opening has the ballast's room to set things right.
    fn full(&self, error: &dyn std::fmt::Display) -> ! {
        self.shared.room.give_up();
        damage::stop(&self.shared.folder, "the disk is full", error, EXIT_CODE_FULL)
    }

    /// After a failed write or sync nobody knows what is on the disk: nothing is acknowledged any more.
    fn stop(&self, what: &str, error: &dyn std::fmt::Display) -> ! {
        damage::stop(&self.shared.folder, what, error, EXIT_CODE_UNSAFE)
    }
}

/// Whether a batch may be written, as the disk is.
fn is_admitted(batch: &Batch, admission: Admission) -> bool {
    let needed = if batch.is_essential { Admission::Essential } else { Admission::Everybody };
    admission >= needed
}

/// Answers who comes after the end. (A channel without receiver would keep what is in it, unanswered.)
fn refuse(command: Command) {
    match command {
        Command::Write { reply, .. } => drop(reply.send(Err(WriteError::Closed))),
        Command::Close { reply } => drop(reply.send(())),
        // Their callers see that nobody answers.
        Command::Hold { .. } | Command::Pin { .. } => {}
    }
}
