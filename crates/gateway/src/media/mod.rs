//! `/media/{videoId}/{name}`: the files of videos, to those who may have them.
//!
//! The video service says once who may have what, and where it lies; the bytes never cross a hop between two
//! processes. While they are sent, the right to them is asked for again.

mod body;
mod conditional;
mod grants;
mod range;

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use kit::http::Body;
use kit::{Caller, Peer};
use proto::internal::MediaFile;
use proto::{Problem, VideoId, codes};

use crate::error::GatewayError;
use crate::headers;
use crate::limits::GRANT_RENEW_AFTER;
use crate::service::Service;
use body::{FileBody, MayGoOn, Pool};
use conditional::{Verdict, Version};
use grants::Grants;
use range::Wanted;

/// Sends media files.
#[derive(Debug)]
pub(crate) struct Media {
    folder: Arc<Path>,
    grants: Arc<Grants>,
    service: Arc<Service>,
    pool: Arc<Pool>,
}

/// A file that may be sent, and how.
struct Found {
    file: File,
    length: u64,
    version: Version,
    entry: MediaFile,
    /// Whether everybody may have it.
    public: bool,
    as_download: bool,
}

impl Media {
    /// The media files in `folder`.
    pub(crate) fn new(folder: PathBuf, video: Peer, service: Arc<Service>) -> Self {
        Self { folder: folder.into(), grants: Arc::new(Grants::new(video)), service, pool: Arc::default() }
    }

    /// Answers a request for a file.
    pub(crate) async fn answer(&self, request: &Request<Body>, caller: Caller) -> Result<Response<Body>, Problem> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Problem::new(codes::METHOD_NOT_ALLOWED, "Files can be read only."));
        }
        let (video, name) = address(request.uri().path()).ok_or(GatewayError::NotFound)?;
        let (mut entry, mut public) = self.grants.file(video, &name, &caller).await?;
        let mut opened = self.open(&entry).await;
        if opened.as_ref().is_err_and(|problem| problem.is(codes::NOT_FOUND)) {
            // It was replaced since we asked.
            self.grants.of(video, &caller, Duration::ZERO).await?;
            (entry, public) = self.grants.file(video, &name, &caller).await?;
            opened = self.open(&entry).await;
        }
        let (file, length, version) = opened?;
        let as_download = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "download=1"));
        let found = Found { file, length, version, entry, public, as_download };
        let signed_in = caller.user.is_some();
        Ok(respond(request, found, signed_in, self.pool.clone(), self.still_allowed(video, name, caller)))
    }

    /// Opens a file below the media folder, and nothing else.
    async fn open(&self, entry: &MediaFile) -> Result<(File, u64, Version), Problem> {
        let relative = Path::new(&entry.path);
        if relative.components().any(|part| !matches!(part, Component::Normal(_))) {
            tracing::error!(path = entry.path, "a media file outside of its folder was refused");
            return Err(GatewayError::NotFound.into());
        }
        let path = self.folder.join(relative);
        let opened = tokio::task::spawn_blocking(move || open_file(&path)).await;
        match opened {
            Ok(Ok(Some(opened))) => Ok(opened),
            Ok(Ok(None)) => Err(GatewayError::NotFound.into()),
            Ok(Err(source)) => Err(GatewayError::Io { what: "a media file cannot be opened", source }.into()),
            Err(_) => Err(GatewayError::Internal("opening a media file was interrupted").into()),
        }
    }

    /// Asks again whether the caller may have the file: the session first, then the video service.
    fn still_allowed(&self, video: VideoId, name: String, caller: Caller) -> MayGoOn {
        let (grants, service) = (self.grants.clone(), self.service.clone());
        let asked = Arc::new((name, caller));
        Box::new(move || {
            let (grants, service, asked) = (grants.clone(), service.clone(), asked.clone());
            Box::pin(async move {
                let (name, caller) = &*asked;
                if let (Some(user), Some(session)) = (caller.user, caller.session)
                    && service.of_session(user, session).is_err()
                {
                    return false;
                }
                let granted = grants.of(video, caller, GRANT_RENEW_AFTER).await;
                granted.is_ok_and(|granted| granted.files.contains_key(name))
            })
        })
    }
}

/// The video and the name of the file in `/media/{videoId}/{name}`. A name is looked up in a list and never made
/// into a path, so there is nothing to climb.
fn address(path: &str) -> Option<(VideoId, String)> {
    let (video, name) = path.strip_prefix("/media/")?.split_once('/')?;
    let name = percent_encoding::percent_decode_str(name).decode_utf8().ok()?;
    Some((video.parse().ok()?, name.into_owned()))
}

/// Opens a regular file, without following a link in its last part. `None`: there is none.
fn open_file(path: &Path) -> std::io::Result<Option<(File, u64, Version)>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let etag = format!("\"{:x}-{:x}\"", metadata.len(), since.as_nanos());
    let version = Version { etag, modified: UNIX_EPOCH + Duration::from_secs(since.as_secs()) };
    Ok(Some((file, metadata.len(), version)))
}

fn respond(
    request: &Request<Body>,
    found: Found,
    signed_in: bool,
    pool: Arc<Pool>,
    may_go_on: MayGoOn,
) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), &found, signed_in);
    match conditional::judge(request.method(), request.headers(), &found.version) {
        Verdict::Send => {}
        Verdict::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        Verdict::Failed => {
            let problem = Problem::new(codes::PRECONDITION_FAILED, "The file is another one now.");
            return kit::http::reply::problem_body(&problem);
        }
    }
    let wanted = match request.headers().get(header::RANGE).and_then(|value| value.to_str().ok()) {
        Some(text) if conditional::range_holds(request.headers(), &found.version) => range::parse(text, found.length),
        _ => Wanted::Whole,
    };
    let part = match wanted {
        Wanted::Whole => 0..found.length,
        Wanted::Part(part) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let text = format!("bytes {}-{}/{}", part.start, part.end - 1, found.length);
            put(response.headers_mut(), header::CONTENT_RANGE, text);
            part
        }
        Wanted::Nothing => return unsatisfiable(&found, response),
    };
    put(response.headers_mut(), header::CONTENT_TYPE, found.entry.content_type.clone());
    let length = part.end - part.start;
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    if request.method() != Method::HEAD {
        *response.body_mut() = Body::new(FileBody::new(found.file, part.start, length, pool, may_go_on));
    }
    response
}

fn unsatisfiable(found: &Found, described: Response<Body>) -> Response<Body> {
    let problem = Problem::new(codes::RANGE_NOT_SATISFIABLE, format!("The file has {} bytes.", found.length));
    let mut response = kit::http::reply::problem_body(&problem);
    for name in [header::ACCESS_CONTROL_ALLOW_ORIGIN, header::ACCEPT_RANGES] {
        if let Some(value) = described.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    put(response.headers_mut(), header::CONTENT_RANGE, format!("bytes */{}", found.length));
    response
}

/// What is said of a file whatever part of it is sent.
fn describe(headers: &mut HeaderMap, found: &Found, signed_in: bool) {
    headers::media(headers, found.public);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    put(headers, header::ETAG, found.version.etag.clone());
    put(headers, header::LAST_MODIFIED, http_date(found.version.modified));
    put(headers, header::CACHE_CONTROL, caching(found, signed_in).to_owned());
    if let Some(disposition) = disposition(found) {
        put(headers, header::CONTENT_DISPOSITION, disposition);
    }
}

/// Public files may be kept for a while, by everybody. A person may have more files of a public video than others
/// (the original): what was asked for with a token is never for shared caches.
const fn caching(found: &Found, signed_in: bool) -> &'static str {
    match (found.public, found.entry.changes, signed_in) {
        (false, _, _) => "private, no-store",
        (true, true, false) => "public, no-cache",
        (true, false, false) => "public, max-age=3600",
        (true, true, true) => "private, no-cache",
        (true, false, true) => "private, max-age=3600",
    }
}

/// As a download, when that is asked for, and when a browser could take the file for a page.
fn disposition(found: &Found) -> Option<String> {
    let kind = found.entry.content_type.as_str();
    let harmless = ["video/", "audio/", "image/jpeg", "image/png", "image/webp", "image/avif", "text/vtt"];
    let harmless = harmless.iter().any(|prefix| kind.starts_with(prefix)) || kind.contains("mpegurl");
    if !found.as_download && harmless {
        return None;
    }
    let name = found.entry.download_name.as_deref().unwrap_or(&found.entry.name);
    Some(format!("attachment; filename*=UTF-8''{}", kit::peer::segment(name)))
}

fn http_date(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: String) {
    match HeaderValue::from_maybe_shared(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => tracing::error!(%name, "a header's value cannot be sent"),
    }
}
