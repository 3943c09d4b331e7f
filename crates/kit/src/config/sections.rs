//! The sections of `djstream.toml`: every key with its meaning, type, default and limits.
//!
//! `djstream.toml` at the root of the project is made from this file; a test holds them together.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use super::read::Reader;
use super::value::{Anything, Each, Limits, Network, Program, Text, Value, choice};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const DAY_S: u64 = 24 * 3600;

choice! {
    /// Who may register.
    RegistrationPolicy {
        /// Everybody, at once.
        Open = "open",
        /// Whoever has an invitation.
        Invite = "invite",
        /// Everybody may ask; an admin decides.
        Approval = "approval",
        /// Nobody.
        Closed = "closed",
    }
}

choice! {
    /// How closely ffmpeg is confined.
    Sandbox {
        /// Landlock, seccomp and limits; media is refused where the system offers no Landlock.
        Strict = "strict",
        /// What the system offers; with limits in any case.
        Weak = "weak",
    }
}

choice! {
    /// The form of log lines.
    LogFormat {
        /// For people.
        Text = "text",
        /// For programs: one JSON object a line.
        Json = "json",
    }
}

/// What is known about one key, for `djstream.toml` and for messages.
#[derive(Debug, Clone)]
pub struct Key {
    /// The section's name.
    pub section: &'static str,
    /// The key's name.
    pub name: &'static str,
    /// What it means.
    pub documentation: String,
    /// The default as it would stand in the file.
    pub default: String,
    /// What is expected, with its limits.
    pub expected: String,
    /// The variable that overrides it.
    pub variable: String,
}

/// The variable that overrides `[section] key`.
pub(super) fn variable(section: &str, key: &str) -> String {
    format!("DJSTREAM_{section}_{key}").to_uppercase()
}

/// What is expected of a value of type `T` within `limits`.
pub(super) fn expected<T: Value>(limits: &impl Limits<T>) -> String {
    format!("{} {}", T::expected(), limits.describe()).trim_end().to_owned()
}

macro_rules! limits_or_any {
    () => {
        Anything
    };
    ($limits:expr) => {
        $limits
    };
}

macro_rules! sections {
    ($(
        $(#[doc = $section_doc:literal])+
        [$section:ident] $name:ident {
            $($(#[doc = $doc:literal])+ $key:ident: $kind:ty = $default:expr $(, $limits:expr)?;)+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Debug, Clone, PartialEq)]
            pub struct $name { $($(#[doc = $doc])+ pub $key: $kind,)+ }

            impl Default for $name {
                fn default() -> Self {
                    Self { $($key: $default,)+ }
                }
            }
        )+

        /// The whole configuration; one field a section of `djstream.toml`.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct Config { $($(#[doc = $section_doc])+ pub $section: $name,)+ }

        impl Config {
            /// Takes every key from `reader` that it has.
            pub(super) fn fill(&mut self, reader: &mut Reader<'_>) {
                $($(
                    reader.key(stringify!($section), stringify!($key), &mut self.$section.$key,
                        &limits_or_any!($($limits)?));
                )+)+
            }
        }

        /// Every section with its meaning, in the order of the file.
        pub(super) fn sections() -> Vec<(&'static str, String)> {
            vec![$((stringify!($section), [$($section_doc),+].join("\n"))),+]
        }

        /// Every key, in the order of the file.
        pub fn keys() -> Vec<Key> {
            let defaults = Config::default();
            vec![$($(
                Key {
                    section: stringify!($section),
                    name: stringify!($key),
                    documentation: [$($doc),+].join("\n"),
                    default: defaults.$section.$key.to_toml(),
                    expected: expected::<$kind>(&limits_or_any!($($limits)?)),
                    variable: variable(stringify!($section), stringify!($key)),
                },
            )+)+]
        }
    };
}

fn is_colour(text: &str) -> bool {
    text.len() == 7 && text.starts_with('#') && text[1..].bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_origin(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some()
            && uri.path() == "/"
            && uri.query().is_none()
            && !text.ends_with('/')
    })
}

fn is_redis(text: &str) -> bool {
    text.is_empty() || text.starts_with("redis://") || text.starts_with("unix://")
}

fn is_level(text: &str) -> bool {
    !text.is_empty() && tracing_subscriber::EnvFilter::try_new(text).is_ok()
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= 80 && !text.contains(char::is_control)
}

fn is_folder(text: &str) -> bool {
    text.is_empty() || text.starts_with('/')
}

fn is_paragraph(text: &str) -> bool {
    text.chars().count() <= 2_000
}

sections! {
    /// What visitors see of this site before anything else.
    [instance] Instance {
        /// The name in the title, in mails and in feeds.
        name: String = "DjStream".to_owned(), Text(is_line, "of 1 to 80 characters");
        /// A few sentences about this site.
        description: String = "Videos of our own.".to_owned(), Text(is_paragraph, "of at most 2000 characters");
        /// The accent colour of the pages.
        accent: String = "#e5484d".to_owned(), Text(is_colour, "such as \"#e5484d\"");
    }

    /// The front door: where the gateway listens and what it takes.
    [http] Http {
        /// Address and port to listen on.
        listen: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));
        /// The address that people type, such as "https://video.example.org". It is put into feeds, embeds
        /// and mails. Empty: taken from each request, and mails are not sent.
        public_url: String = String::new(), Text(is_origin, "that is empty or an http(s) address without a path");
        /// Proxies in front whose X-Forwarded-For and X-Forwarded-Proto are believed.
        trusted_proxies: Vec<Network> = Vec::new();
        /// How long a client may take to send the head of a request.
        header_timeout_ms: u64 = 10_000, 100..=120_000;
        /// How long a connection may stay open between two requests.
        idle_timeout_ms: u64 = 60_000, 1_000..=600_000;
        /// How long a client may refuse to read an answer before the connection is cut.
        write_timeout_ms: u64 = 300_000, 1_000..=3_600_000;
        /// A body that arrives slower than this, measured over body_rate_window_ms of waiting, is cut.
        body_rate_min_bytes_per_s: u64 = 512, 1..=MIB;
        /// Over how much waiting the rate of a body is measured.
        body_rate_window_ms: u64 = 30_000, 1_000..=600_000;
        /// Connections open at once, websockets included; the next one gets 503.
        connections_max: usize = 16_384, 16..=1_000_000;
        /// The largest JSON body.
        json_body_max_bytes: usize = 256 * 1024, 1_024..=16_777_216;
        /// The largest picture (avatar, banner, thumbnail) or caption file.
        picture_body_max_bytes: u64 = 8 * MIB, 64 * KIB..=64 * MIB;
        /// Origins besides our own whose pages may use the API with credentials.
        cors_origins: Vec<String> = Vec::new();
    }

    /// How people get an account.
    [registration] Registration {
        /// Who may register.
        policy: RegistrationPolicy = RegistrationPolicy::Approval;
        /// Whether the page has to solve a small puzzle first, against robots.
        proof_of_work: bool = true;
    }

    /// Sessions and passwords.
    [auth] Auth {
        /// How long an access token is valid.
        access_token_ttl_s: u64 = 600, 30..=600;
        /// How long a device stays signed in without being used.
        refresh_token_ttl_s: u64 = 30 * DAY_S, 3_600..=365 * DAY_S;
        /// Memory for one password hash (Argon2id).
        argon2_memory_kib: u32 = 47_104, 19_456..=1_048_576;
        /// Passes over that memory.
        argon2_iterations: u32 = 1, 1..=16;
        /// Password hashes computed at once; the others wait.
        argon2_parallel: usize = 2, 1..=64;
    }

    /// What one address and one person may do.
    [limits] LimitsSection {
        /// Whether the limits per address apply. Switch off only for load tests and for clients that stand for
        /// many people.
        per_address: bool = true;
        /// Requests a second from one address, on average.
        per_address_requests_per_s: u32 = 50, 1..=100_000;
        /// Requests from one address in a burst.
        per_address_requests_burst: u32 = 500, 1..=1_000_000;
        /// Attempts to log in from one address in a minute.
        per_address_logins_per_minute: u32 = 20, 1..=10_000;
        /// Registrations from one address in an hour.
        per_address_registrations_per_hour: u32 = 10, 1..=10_000;
        /// Attempts to log in to one account in a minute.
        per_account_logins_per_minute: u32 = 10, 1..=10_000;
        /// Bytes that one person may store.
        quota_bytes: u64 = 100 * GIB, 0..=1_024 * TIB;
        /// Uploads that one person may have open.
        uploads_open: u32 = 10, 1..=1_000;
        /// Unfinished uploads are removed after this long without progress.
        upload_expires_s: u64 = 7 * DAY_S, 3_600..=3_650 * DAY_S;
        /// Channels of one person.
        channels: u32 = 20, 1..=1_000;
        /// Playlists of one person.
        playlists: u32 = 500, 1..=10_000;
        /// Entries of one playlist.
        playlist_items: u32 = 5_000, 1..=10_000;
        /// Comments of one person in a minute.
        comments_per_minute: u32 = 10, 1..=10_000;
        /// Ratings, views and other interactions of one person in a minute.
        interactions_per_minute: u32 = 600, 1..=1_000_000;
        /// Requests of one person that are answered at once; the next gets 429.
        calls_at_once: u32 = 64, 1..=10_000;
        /// Websockets of one person.
        sockets: u32 = 20, 1..=10_000;
    }

    /// Work that waits inside the services. What does not fit any more is answered with 503 and `Retry-After`, and
    /// nothing of it is kept; removals always fit.
    [queues] Queues {
        /// Ratings, comments and views that wait to be counted.
        interactions: u64 = 1_000_000, 1..=10_000_000;
        /// Changes of channels and subscriptions that wait to be told to the other services.
        channel: u64 = 100_000, 1..=10_000_000;
        /// Steps of processing: more uploads are not begun.
        processing: u64 = 100_000, 1..=10_000_000;
        /// New videos whose subscribers wait to be told: more events are left in the logs that they come from.
        notification: u64 = 100_000, 1..=10_000_000;
    }

    /// Uploads, ffmpeg and what it may take.
    [media] Media {
        /// The largest file that may be uploaded.
        upload_max_bytes: u64 = 64 * GIB, MIB..=1_024 * TIB;
        /// The ffmpeg program.
        ffmpeg: PathBuf = PathBuf::from("ffmpeg"), Program;
        /// The ffprobe program.
        ffprobe: PathBuf = PathBuf::from("ffprobe"), Program;
        /// How closely ffmpeg is confined: "weak" for systems without Landlock.
        sandbox: Sandbox = Sandbox::Strict;
        /// Transcodes at once; quick steps such as probing do not count.
        transcode_jobs: usize = 1, 1..=64;
        /// Threads of one transcode; 0 = as many as there are cores.
        transcode_threads: usize = 0, 0..=256;
        /// Renditions to make, by height in pixels; never higher than the original.
        rendition_heights: Vec<u32> = vec![480], Each(144..=4_320, 8);
        /// CPU time of one job.
        job_cpu_s: u64 = 12 * 3_600, 10..=30 * DAY_S;
        /// Wall-clock time of one job.
        job_wall_s: u64 = 24 * 3_600, 10..=30 * DAY_S;
        /// Address space of one job.
        job_memory_bytes: u64 = 4 * GIB, 256 * MIB..=TIB;
        /// The largest file that one job may write.
        job_output_max_bytes: u64 = 128 * GIB, MIB..=1_024 * TIB;
        /// Attempts of a job before it counts as failed.
        job_attempts: u32 = 3, 1..=20;
        /// The longest video.
        duration_max_s: u64 = DAY_S, 1..=30 * DAY_S;
        /// The largest picture of a video, in pixels (width × height).
        pixels_max: u64 = 8_192 * 4_320, 65_536..=268_435_456;
    }

    /// The inbox and the websockets.
    [notification] Notification {
        /// Processes: the first keeps the inboxes, all of them hold websockets.
        processes: usize = 2, 1..=16;
        /// Inbox entries kept for one person; the oldest go first.
        inbox_entries: u32 = 1_000, 10..=100_000;
        /// What may wait for one slow websocket before it is cut.
        socket_buffer_bytes: usize = 256 * 1024, 4_096..=16_777_216;
        /// How often an idle websocket is pinged.
        ping_interval_ms: u64 = 30_000, 1_000..=300_000;
    }

    /// How live notifications travel between the notification processes.
    [fanout] Fanout {
        /// Empty: the built-in one. Otherwise a Redis or Valkey such as "redis://127.0.0.1:6379".
        url: String = String::new(), Text(is_redis, "that is empty or starts with \"redis://\"");
        /// A TCP address where the built-in one listens too; empty: its Unix socket only.
        listen: Option<SocketAddr> = None;
    }

    /// The search index.
    [search] Search {
        /// Memory of the index writer.
        writer_memory_bytes: usize = 33_554_432, 15_728_640..=4_294_967_296;
        /// Changes become findable after at most this long.
        commit_interval_ms: u64 = 1_000, 50..=60_000;
    }

    /// The databases and the disk.
    [storage] Storage {
        /// Uploads are refused (507) when less than this is free.
        reserve_bytes: u64 = GIB, 0..=1_024 * TIB;
        /// Cache of each service's database.
        cache_bytes: u64 = 16 * MIB, MIB..=TIB;
        /// A file that each database keeps for when the disk is nearly full: given up then, so that people can
        /// still log in and delete. Likes and comments are refused (507) from half of it on. 0 = none.
        ballast_bytes: u64 = 64 * MIB, 0..=GIB;
    }

    /// Backups: consistent copies of everything, made and verified while it runs.
    [backup] Backup {
        /// The folder of the backups, best on another disk. Empty: backups in the data folder, which keeps from
        /// mistakes but not from a broken disk. Under systemd another folder needs a ReadWritePaths= line.
        folder: String = String::new(), Text(is_folder, "that is empty or an absolute path");
        /// A backup is made so often; 0 = only by hand.
        interval_hours: u64 = 24, 0..=8_760;
        /// Verified backups that are kept; fewer when less than [storage] reserve_bytes is free, but always one.
        keep: usize = 3, 1..=1_000;
        /// A database's journal that takes more starts a backup early: what two backups have may be forgotten.
        journal_max_bytes: u64 = GIB, 8 * MIB..=TIB;
    }

    /// The log, on stderr.
    [log] Log {
        /// "text" for people, "json" for programs.
        format: LogFormat = LogFormat::Text;
        /// error, warn, info, debug or trace; also by module: "info,video=debug".
        level: String = "info".to_owned(), Text(is_level, "such as \"info\" or \"info,video=debug\"");
    }

    /// The processes themselves.
    [runtime] Runtime {
        /// Threads that answer requests, in each service.
        worker_threads: usize = 2, 1..=256;
        /// How long requests may still run when a service is told to end.
        drain_timeout_ms: u64 = 5_000, 0..=600_000;
    }
}
