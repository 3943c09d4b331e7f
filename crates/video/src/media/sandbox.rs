//! The child side of the cage that every ffmpeg and ffprobe runs in.
//!
//! The program re-executes itself (`djstream media-helper …`), takes every right away from the new
//! process that decoding a film does not need, and becomes ffmpeg. What is taken away:
//!
//! - files: Landlock lets it read one file, write one folder, and read what the dynamic loader needs;
//! - the network and other processes: Landlock alone would leave Unix sockets open, so a seccomp
//!   filter refuses sockets, signals, new processes, tracing, mounts, keys and the like;
//! - resources: memory, CPU time, file size and descriptors are limited by the kernel;
//! - life: it dies with the service that started it.
//!
//! The confinement is written down in [`Confinement`], which travels as arguments; nothing is taken
//! from the environment.

mod calls;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
    path_beneath_rules,
};
use rustix::process::{Pid, Resource, Rlimit, Signal, setrlimit};

/// The subcommand of the program that leads to [`helper_main`].
pub const SUBCOMMAND: &str = "media-helper";

/// Exit status when this kernel offers no Landlock and the admin has not allowed to go without.
pub const EXIT_NO_LANDLOCK: i32 = 121;
/// Exit status when another part of the cage could not be built, or ffmpeg could not be started.
pub const EXIT_HELPER_FAILED: i32 = 122;

/// Open files of one ffmpeg.
const OPEN_FILES_MAX: u64 = 256;
/// Seconds between the polite SIGXCPU and the kill.
const CPU_GRACE_SECONDS: u64 = 5;
/// How much nicer a background transcode is.
const BACKGROUND_NICENESS: i32 = 15;

/// Folders that the dynamic loader reads libraries from.
const LIBRARY_FOLDERS: [&str; 7] =
    ["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib"];
/// Single files and folders that ffmpeg and its libraries look at: the loader's cache, and how many
/// processors and memory nodes there are.
const SYSTEM_FILES: [&str; 7] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/dev/urandom",
    "/dev/zero",
    "/proc/cpuinfo",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
];

/// What one run may do. Built by the parent, passed to the helper as arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// The executable to become: ffmpeg or ffprobe.
    pub tool: PathBuf,
    /// The one file that may be read.
    pub read: Option<PathBuf>,
    /// The one folder that may be written.
    pub write: Option<PathBuf>,
    /// CPU seconds before it is ended.
    pub cpu_seconds: u64,
    /// Largest file it may write, in bytes.
    pub file_bytes_max: u64,
    /// Address space, in bytes.
    pub memory_bytes_max: u64,
    /// Runs nice and with idle input/output priority.
    pub background: bool,
    /// Goes on without Landlock where the kernel has none (`[media] sandbox = "weak"`).
    pub weak: bool,
    /// Process id of the service; the helper leaves if that is no longer its parent.
    pub parent: i32,
}

impl Confinement {
    /// The arguments that say this to the helper, up to and including `--`.
    #[must_use]
    pub fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec!["--tool".into(), self.tool.clone().into()];
        for (flag, path) in [("--read", &self.read), ("--write", &self.write)] {
            if let Some(path) = path {
                args.extend([flag.into(), path.clone().into_os_string()]);
            }
        }
        for (flag, number) in [
            ("--cpu-seconds", self.cpu_seconds),
            ("--file-bytes", self.file_bytes_max),
            ("--memory-bytes", self.memory_bytes_max),
        ] {
            args.extend([flag.into(), number.to_string().into()]);
        }
        args.extend(["--parent".into(), self.parent.to_string().into()]);
        for (flag, on) in [("--background", self.background), ("--weak", self.weak)] {
            if on {
                args.push(flag.into());
            }
        }
        args.push("--".into());
        args
    }

    /// The opposite of [`to_args`](Self::to_args): the confinement and what comes after `--`.
    ///
    /// # Errors
    /// Names the argument that is unknown or lacks its value.
    pub fn from_args(args: Vec<OsString>) -> Result<(Self, Vec<OsString>), String> {
        let mut confinement = Self {
            tool: PathBuf::new(),
            read: None,
            write: None,
            cpu_seconds: 0,
            file_bytes_max: 0,
            memory_bytes_max: 0,
            background: false,
            weak: false,
            parent: 0,
        };
        let mut args = args.into_iter();
        while let Some(flag) = args.next() {
            let flag = flag.to_string_lossy().into_owned();
            let mut value = || args.next().ok_or_else(|| format!("{flag} lacks its value"));
            match flag.as_str() {
                "--tool" => confinement.tool = value()?.into(),
                "--read" => confinement.read = Some(value()?.into()),
                "--write" => confinement.write = Some(value()?.into()),
                "--cpu-seconds" => confinement.cpu_seconds = number(&flag, &value()?)?,
                "--file-bytes" => confinement.file_bytes_max = number(&flag, &value()?)?,
                "--memory-bytes" => confinement.memory_bytes_max = number(&flag, &value()?)?,
                "--parent" => confinement.parent = number(&flag, &value()?)?,
                "--background" => confinement.background = true,
                "--weak" => confinement.weak = true,
                "--" => return Ok((confinement, args.collect())),
                _ => return Err(format!("unknown argument {flag}")),
            }
        }
        Err("no -- before the tool's own arguments".into())
    }
}

fn number<N: std::str::FromStr>(flag: &str, value: &OsStr) -> Result<N, String> {
    value.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| format!("{flag} wants a number"))
}

/// Why the cage could not be built.
enum Failure {
    NoLandlock,
    Other(String),
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Other(message)
    }
}

/// Entry of the hidden subcommand: confines this process and becomes the tool. Never returns.
///
/// `args` are those after `media-helper`. Must run before any thread is started.
pub fn helper_main(args: Vec<OsString>) -> ! {
    let (message, status) = match enter(args) {
        Failure::NoLandlock => ("this kernel offers no Landlock".to_owned(), EXIT_NO_LANDLOCK),
        Failure::Other(message) => (message, EXIT_HELPER_FAILED),
    };
    // The parent reads standard error; there is no logger in here.
    let _ = writeln!(std::io::stderr(), "media helper: {message}");
    std::process::exit(status)
}

/// Returns only when something failed.
fn enter(args: Vec<OsString>) -> Failure {
    let (confinement, tool_args) = match Confinement::from_args(args) {
        Ok(parsed) => parsed,
        Err(message) => return message.into(),
    };
    if let Err(failure) = confine(&confinement) {
        return failure;
    }
    let mut command = Command::new(&confinement.tool);
    command.args(tool_args).env_clear().env("LC_ALL", "C").env("AV_LOG_FORCE_NOCOLOR", "1");
    if let Some(folder) = &confinement.write {
        command.current_dir(folder);
    }
    format!("failed to start {}: {}", confinement.tool.display(), command.exec()).into()
}

fn confine(confinement: &Confinement) -> Result<(), Failure> {
    die_with_parent(confinement.parent)?;
    close_inherited_descriptors();
    limit_resources(confinement)?;
    if confinement.background {
        step_back()?;
    }
    let landlock = restrict_files(confinement);
    match landlock {
        Err(Failure::NoLandlock) if confinement.weak => {}
        other => other?,
    }
    Ok(calls::restrict()?)
}

/// The kernel ends this process when the service ends, however that ends.
fn die_with_parent(parent: i32) -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("failed to tie the helper to its parent: {error}"))?;
    // The parent may have died before the line above.
    if rustix::process::getppid() != Pid::from_raw(parent) {
        return Err("the parent is gone".to_owned().into());
    }
    Ok(())
}

/// Marks everything above standard error to be closed when ffmpeg starts.
fn close_inherited_descriptors() {
    // SAFETY: close_range with CLOEXEC touches no memory and closes nothing in this process.
    // A kernel without it answers ENOSYS; every descriptor of ours is close-on-exec anyway.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

fn limit_resources(confinement: &Confinement) -> Result<(), Failure> {
    let cpu_seconds = confinement.cpu_seconds.max(1);
    let limits = [
        (Resource::As, confinement.memory_bytes_max, confinement.memory_bytes_max),
        (Resource::Cpu, cpu_seconds, cpu_seconds + CPU_GRACE_SECONDS),
        (Resource::Fsize, confinement.file_bytes_max, confinement.file_bytes_max),
        (Resource::Nofile, OPEN_FILES_MAX, OPEN_FILES_MAX),
        (Resource::Core, 0, 0),
    ];
    for (resource, soft, hard) in limits {
        setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })
            .map_err(|error| format!("failed to limit {resource:?}: {error}"))?;
    }
    Ok(())
}

/// A transcode takes only what nobody else wants.
fn step_back() -> Result<(), Failure> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    const IOPRIO_IDLE: libc::c_int = 3 << 13;
    rustix::process::nice(BACKGROUND_NICENESS).map_err(|error| format!("failed to be nice: {error}"))?;
    // SAFETY: a plain call on integers. Not every kernel has it, and none needs it.
    unsafe {
        libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
    }
    Ok(())
}

fn restrict_files(confinement: &Confinement) -> Result<(), Failure> {
    let status = file_rules(confinement)
        .and_then(|rules| rules.restrict_self())
        .map_err(|error| Failure::Other(format!("failed to restrict files: {error}")))?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(Failure::NoLandlock),
        _ => Ok(()),
    }
}

/// The newest rights are asked for; an older kernel enforces those that it knows.
fn file_rules(confinement: &Confinement) -> Result<landlock::RulesetCreated, landlock::RulesetError> {
    const NEWEST: ABI = ABI::V6;
    let load = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
    let look = AccessFs::ReadFile | AccessFs::ReadDir;
    let run = AccessFs::ReadFile | AccessFs::Execute;
    let work: BitFlags<AccessFs> =
        look | AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::Truncate;
    let mut input: BitFlags<AccessFs> = BitFlags::EMPTY;
    input |= AccessFs::ReadFile;

    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(LIBRARY_FOLDERS, load))?
        .add_rules(path_beneath_rules(SYSTEM_FILES, look))?
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules([&confinement.tool], run))?
        .add_rules(path_beneath_rules(confinement.read.iter(), input))?
        .add_rules(path_beneath_rules(confinement.write.iter(), work))
}

/// The path under which this very executable can be started again, even after an upgrade replaced it.
#[must_use]
pub fn own_executable() -> &'static Path {
    Path::new("/proc/self/exe")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn confinement() -> Confinement {
        Confinement {
            tool: "/usr/bin/ffmpeg".into(),
            read: Some("/data/media/a film, with: signs".into()),
            write: None,
            cpu_seconds: 60,
            file_bytes_max: 1 << 30,
            memory_bytes_max: 4 << 30,
            background: true,
            weak: false,
            parent: 42,
        }
    }

    #[test]
    fn arguments_say_the_confinement_and_keep_the_tools_own() {
        let mut args = confinement().to_args();
        args.extend(["-v".into(), "--weak".into()]);
        let (parsed, rest) = Confinement::from_args(args).unwrap();
        assert_eq!(parsed, confinement());
        assert_eq!(rest, ["-v", "--weak"]);
    }

    #[test]
    fn an_unknown_argument_is_refused() {
        let refusal = Confinement::from_args(vec!["--root".into(), "--".into()]).unwrap_err();
        assert_eq!(refusal, "unknown argument --root");
    }

    #[test]
    fn arguments_without_an_end_are_refused() {
        assert!(Confinement::from_args(vec!["--weak".into()]).is_err());
        assert!(Confinement::from_args(vec!["--cpu-seconds".into(), "many".into(), "--".into()]).is_err());
    }
}
