//! The parent side of a run of ffmpeg or ffprobe: start it confined, read what it says within
//! bounds, end it in time.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::sandbox::{self, Confinement};
use super::{Limits, MediaError};

/// Most that ffprobe may say about a file, in bytes.
const REPORT_BYTES_MAX: u64 = 1 << 20;
/// How much of the end of standard error is kept, in bytes.
const STDERR_TAIL_BYTES: usize = 2048;
/// Largest file that a run without a bound of its own may write, in bytes.
const SMALL_FILE_BYTES_MAX: u64 = 64 << 20;
/// Time for `-version`.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Which executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Converts.
    Ffmpeg,
    /// Describes.
    Ffprobe,
}

impl Program {
    /// Its name, as in messages and in `PATH`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ffmpeg => "ffmpeg",
            Self::Ffprobe => "ffprobe",
        }
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Position in the film, in seconds.
    pub seconds: f64,
}

/// Receives [`Progress`] about twice a second.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// One run: what it reads and writes, and what it may take.
pub struct Run {
    /// Which executable.
    pub program: Program,
    /// The one file it may read.
    pub read: Option<PathBuf>,
    /// The one folder it may write; also its working folder.
    pub write: Option<PathBuf>,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Wall time.
    pub timeout: Duration,
    /// CPU seconds, of all threads together.
    pub cpu_seconds: u64,
    /// Largest file it may write, in bytes.
    pub file_bytes_max: u64,
    /// Nice, and idle input/output.
    pub background: bool,
    /// Whom to tell how far it is.
    pub on_progress: Option<OnProgress>,
}

impl Run {
    /// A run in the foreground that reads `read` and writes little.
    #[must_use]
    pub fn new(program: Program, timeout: Duration) -> Self {
        Self {
            program,
            read: None,
            write: None,
            args: Vec::new(),
            timeout,
            cpu_seconds: timeout.as_secs().max(1),
            file_bytes_max: SMALL_FILE_BYTES_MAX,
            background: false,
            on_progress: None,
        }
    }

    pub(crate) fn args<I, S>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<OsString>,
    {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
}

/// Where the tools are and how they are confined.
#[derive(Debug, Clone)]
pub struct ToolSettings {
    /// The executable with the hidden subcommand; [`sandbox::own_executable`] outside of tests.
    pub helper: PathBuf,
    /// Absolute path of ffmpeg.
    pub ffmpeg: PathBuf,
    /// Absolute path of ffprobe.
    pub ffprobe: PathBuf,
    /// Go on without Landlock where there is none.
    pub weak: bool,
    /// What files may be.
    pub limits: Limits,
}

impl ToolSettings {
    /// ffmpeg and ffprobe from `PATH`, started through this very executable.
    #[must_use]
    pub fn from_path() -> Self {
        Self {
            helper: sandbox::own_executable().into(),
            ffmpeg: find_in_path(Path::new(Program::Ffmpeg.name())),
            ffprobe: find_in_path(Path::new(Program::Ffprobe.name())),
            weak: false,
            limits: Limits::default(),
        }
    }
}

/// The program as an absolute path: a bare name is looked for in `PATH`.
#[must_use]
pub fn find_in_path(program: &Path) -> PathBuf {
    if program.components().count() > 1 {
        return std::path::absolute(program).unwrap_or_else(|_| program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| Path::new("/usr/bin").join(program))
}

/// Starts ffmpeg and ffprobe. Cheap to clone.
#[derive(Clone)]
pub struct Tools {
    settings: Arc<ToolSettings>,
    spawner: Spawner,
}

impl Tools {
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the thread that starts children cannot be started.
    pub fn new(settings: ToolSettings) -> Result<Self, MediaError> {
        let spawner =
            Spawner::start().map_err(|error| MediaError::Start { tool: "ffmpeg", reason: error.to_string() })?;
        Ok(Self { settings: Arc::new(settings), spawner })
    }

    /// What files may be.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// Version of ffmpeg, asked from inside the cage: so it also says whether the cage works.
    ///
    /// # Errors
    /// [`MediaError::NoSandbox`], or what else keeps ffmpeg from starting.
    pub async fn version(&self) -> Result<String, MediaError> {
        let run = Run::new(Program::Ffmpeg, VERSION_TIMEOUT).args(["-version"]);
        let report = self.run(run).await?;
        let first = report.lines().next().unwrap_or_default();
        Ok(first.split_whitespace().nth(2).unwrap_or("unknown").to_owned())
    }

    /// Runs to the end and returns what it wrote to standard output (nothing, when progress was read).
    ///
    /// # Errors
    /// See [`MediaError`]. Dropping the future ends the child.
    pub async fn run(&self, run: Run) -> Result<String, MediaError> {
        let tool = run.program.name();
        let command = self.command(&run);
        let mut child =
            self.spawner.spawn(command).await.map_err(|error| MediaError::Start { tool, reason: error.to_string() })?;
        let mut guard = GroupGuard::new(&child);
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let work = async {
            let (out, err, status) =
                tokio::join!(read_stdout(stdout, run.on_progress.as_ref()), read_tail(stderr), child.wait());
            (out, err, status)
        };
        let limit = run.timeout.min(self.settings.limits.run_timeout_max);
        let (out, stderr_tail, status) =
            tokio::time::timeout(limit, work).await.map_err(|_| MediaError::TimedOut { tool, limit })?;
        let status = status.map_err(|error| MediaError::Start { tool, reason: error.to_string() })?;
        guard.disarm();
        judge(tool, status, stderr_tail)?;
        out.map_err(|reason| MediaError::Unusable { tool, reason })
    }

    fn command(&self, run: &Run) -> Command {
        let settings = &self.settings;
        let confinement = Confinement {
            tool: match run.program {
                Program::Ffmpeg => settings.ffmpeg.clone(),
                Program::Ffprobe => settings.ffprobe.clone(),
            },
            read: run.read.clone(),
            write: run.write.clone(),
            cpu_seconds: run.cpu_seconds.min(settings.limits.run_cpu_seconds_max),
            file_bytes_max: run.file_bytes_max.min(settings.limits.run_file_bytes_max),
            memory_bytes_max: settings.limits.run_memory_bytes_max,
            background: run.background,
            weak: settings.weak,
            parent: i32::try_from(std::process::id()).unwrap_or_default(),
        };
        let mut command = Command::new(&settings.helper);
        command
            .arg(sandbox::SUBCOMMAND)
            .args(confinement.to_args())
            .args(&run.args)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

fn judge(tool: &'static str, status: ExitStatus, stderr_tail: String) -> Result<(), MediaError> {
    match status.code() {
        Some(0) => Ok(()),
        Some(sandbox::EXIT_NO_LANDLOCK) => Err(MediaError::NoSandbox),
        Some(sandbox::EXIT_HELPER_FAILED) => Err(MediaError::Start { tool, reason: stderr_tail }),
        _ => Err(MediaError::Failed { tool, status: status.to_string(), stderr_tail }),
    }
}

/// The whole report, or the stream of `-progress` when somebody listens to it.
async fn read_stdout(
    stdout: Option<impl AsyncRead + Unpin>,
    on_progress: Option<&OnProgress>,
) -> Result<String, String> {
    let Some(stdout) = stdout else { return Ok(String::new()) };
    if let Some(on_progress) = on_progress {
        read_progress(stdout, on_progress).await;
        return Ok(String::new());
    }
    let mut report = Vec::new();
    let mut bounded = stdout.take(REPORT_BYTES_MAX + 1);
    bounded.read_to_end(&mut report).await.map_err(|error| format!("its report broke off: {error}"))?;
    if report.len() as u64 > REPORT_BYTES_MAX {
        // What does not fit is read away, so that the tool does not hang on a full pipe.
        let _ = tokio::io::copy(bounded.get_mut(), &mut tokio::io::sink()).await;
        return Err(format!("its report is longer than {REPORT_BYTES_MAX} bytes"));
    }
    Ok(String::from_utf8_lossy(&report).into_owned())
}

async fn read_progress(stdout: impl AsyncRead + Unpin, on_progress: &OnProgress) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(progress) = parse_progress(&line) {
            on_progress(progress);
        }
    }
}

/// `out_time_us` is in microseconds and `N/A` before the first packet.
fn parse_progress(line: &str) -> Option<Progress> {
    let micros: i64 = line.strip_prefix("out_time_us=")?.trim().parse().ok()?;
    #[allow(clippy::cast_precision_loss)]
    let seconds = micros.max(0) as f64 / 1e6;
    Some(Progress { seconds })
}

async fn read_tail(stderr: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stderr) = stderr else { return String::new() };
    let mut tail: Vec<u8> = Vec::with_capacity(2 * STDERR_TAIL_BYTES);
    let mut chunk = [0_u8; 1024];
    while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
        tail.extend_from_slice(&chunk[..length]);
        if tail.len() > 2 * STDERR_TAIL_BYTES {
            tail.drain(..tail.len() - STDERR_TAIL_BYTES);
        }
    }
    let from = tail.len().saturating_sub(STDERR_TAIL_BYTES);
    String::from_utf8_lossy(&tail[from..]).trim().to_owned()
}

/// Ends the child's whole process group, unless it was seen to end by itself.
struct GroupGuard(Option<Pid>);

impl GroupGuard {
    fn new(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for GroupGuard {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

/// One thread that starts every child. The kernel's 'die with your parent' means the *thread* that
/// started the child, and threads of a runtime come and go.
#[derive(Clone)]
struct Spawner {
    requests: flume::Sender<SpawnRequest>,
}

type SpawnRequest = (Command, tokio::sync::oneshot::Sender<std::io::Result<Child>>);

impl Spawner {
    fn start() -> std::io::Result<Self> {
        let (requests, inbox) = flume::bounded::<SpawnRequest>(16);
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new().name("media-spawner".into()).spawn(move || {
            let _inside = runtime.enter();
            while let Ok((mut command, answer)) = inbox.recv() {
                let _ = answer.send(command.spawn());
            }
        })?;
        Ok(Self { requests })
    }

    async fn spawn(&self, command: Command) -> std::io::Result<Child> {
        let (answer, result) = tokio::sync::oneshot::channel();
        let gone = |_| std::io::Error::other("the thread that starts children is gone");
        self.requests.send_async((command, answer)).await.map_err(|_| gone(()))?;
        result.await.map_err(|_| gone(()))?
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn progress_is_read_from_microseconds() {
        assert_eq!(parse_progress("out_time_us=2500000"), Some(Progress { seconds: 2.5 }));
        assert_eq!(parse_progress("out_time_us=N/A"), None);
        assert_eq!(parse_progress("frame=12"), None);
    }

    #[tokio::test]
    async fn only_the_end_of_what_a_tool_says_is_kept() {
        let mut said = vec![b'x'; 100_000];
        said.extend_from_slice(b" the end\n");
        let tail = read_tail(Some(said.as_slice())).await;
        assert!(tail.len() <= STDERR_TAIL_BYTES);
        assert!(tail.ends_with("the end"));
    }

    #[tokio::test]
    async fn an_endless_report_is_an_error() {
        let endless = tokio::io::repeat(b'x').take(4 * REPORT_BYTES_MAX);
        assert!(read_stdout(Some(endless), None).await.is_err());
    }
}
