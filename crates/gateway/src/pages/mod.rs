//! The web app: its files, and its one page with what the server knows already put into it.

mod files;
mod shell;
mod site;
mod video_tags;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use kit::http::Body;
use kit::{Caller, Peer};
use moka::sync::Cache;
use proto::api::instance::Instance;
use proto::api::video::Video;
use proto::{Problem, VideoId, codes};

use crate::edge::Edge;
use crate::error::GatewayError;
use crate::headers::{self, Frames};
use crate::limits::{PAGE_TTL, PAGES_CACHED};
use crate::source::Source;
use files::Files;
use shell::{Content, Head, Shell};
use site::OembedQuery;

/// The largest document of a video that is put into a page, in bytes.
const VIDEO_BYTES_MAX: usize = 1 << 20;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const XML: HeaderValue = HeaderValue::from_static("application/xml; charset=utf-8");

/// Said when the program was built without the web app.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>DjStream</title>\
    <h1>The web app was not built</h1><p>This DjStream was built without its pages: run <code>./install.sh</code>, or \
    <code>npm ci && npm run build</code> in <code>web/</code>, and build again. The API works all the same.</p></html>";

/// A page as it is sent.
#[derive(Debug, Clone)]
struct Rendered {
    status: StatusCode,
    html: Bytes,
}

/// Answers for everything that is neither the API nor a media file.
#[derive(Debug)]
pub(crate) struct Pages {
    files: Files,
    shell: Option<Shell>,
    video: Peer,
    /// Watch pages as guests see them, for a second.
    watch: Cache<(VideoId, String), Arc<Rendered>>,
    sitemaps: Cache<String, Arc<str>>,
}

impl Pages {
    /// The embedded web app.
    pub(crate) fn new(video: Peer) -> Self {
        let files = Files::embedded();
        let shell = files.text("index.html").and_then(Shell::parse);
        if shell.is_none() {
            tracing::warn!("the web app was not built into this program; its pages say so");
        }
        Self {
            files,
            shell,
            video,
            watch: Cache::builder().max_capacity(PAGES_CACHED).time_to_live(PAGE_TTL).build(),
            sitemaps: Cache::builder().max_capacity(4).time_to_live(Duration::from_secs(60)).build(),
        }
    }

    /// A file, a page, or 404.
    pub(crate) async fn answer(
        &self,
        edge: &Edge,
        request: &Request<Body>,
        source: &Source,
    ) -> Result<Response<Body>, Problem> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Problem::new(codes::METHOD_NOT_ALLOWED, "Pages can be read only."));
        }
        let path = request.uri().path();
        if let Some(response) = self.files.answer(request.method(), path, request.headers()) {
            return Ok(response);
        }
        edge.service.throttle.request(source.address)?;
        match path {
            "/robots.txt" => Ok(site::robots(&source.origin)),
            "/sitemap.xml" => self.sitemap(edge, source).await,
            "/oembed" => self.oembed(edge, request.uri().query().unwrap_or_default(), source).await,
            _ if looks_like_a_file(path) => Err(Problem::new(codes::NOT_FOUND, "There is no such file.")),
            _ => self.page(edge, path, source).await,
        }
    }

    async fn page(&self, edge: &Edge, path: &str, source: &Source) -> Result<Response<Body>, Problem> {
        let embedded = path.starts_with("/embed/");
        let rendered = match path.strip_prefix("/watch/").or_else(|| path.strip_prefix("/embed/")) {
            Some(id) => self.video_page(edge, id.trim_end_matches('/'), source).await?,
            None => Arc::new(self.render(StatusCode::OK, &edge.service.instance()?, &Content::default(), source)),
        };
        let mut response = Response::new(Body::full(rendered.html.clone()));
        *response.status_mut() = rendered.status;
        let out = response.headers_mut();
        out.insert(header::CONTENT_TYPE, HTML);
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if rendered.status == StatusCode::SERVICE_UNAVAILABLE {
            out.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        headers::page(out, if embedded { Frames::All } else { Frames::Own }, source.is_secure());
        Ok(response)
    }

    /// The page of a video, always as guests see it.
    async fn video_page(&self, edge: &Edge, id: &str, source: &Source) -> Result<Arc<Rendered>, Problem> {
        let instance = edge.service.instance()?;
        let Ok(id) = id.parse::<VideoId>() else {
            return Ok(Arc::new(self.render(StatusCode::NOT_FOUND, &instance, &Content::default(), source)));
        };
        let key = (id, source.origin.clone());
        if let Some(rendered) = self.watch.get(&key) {
            return Ok(rendered);
        }
        let rendered = match self.document(id, &edge.caller(None, source)).await {
            Ok((video, document)) => {
                let content = Content {
                    head: video_tags::head(&video, &instance.name, &source.origin),
                    body: video_tags::body(&video),
                    video: Some(document),
                };
                self.render(StatusCode::OK, &instance, &content, source)
            }
            // The app itself knows who is signed in, and what is there for them; and it tries again.
            Err(problem) => {
                let status =
                    if problem.status == 503 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NOT_FOUND };
                return Ok(Arc::new(self.render(status, &instance, &Content::default(), source)));
            }
        };
        let rendered = Arc::new(rendered);
        self.watch.insert(key, rendered.clone());
        Ok(rendered)
    }

    /// A video as a guest sees it, read and as it came.
    async fn document(&self, id: VideoId, guest: &Caller) -> Result<(Video, String), Problem> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = format!("/api/videos/{id}").parse().unwrap_or_default();
        guest.write(request.headers_mut());
        let response = self.video.send(request).await?;
        if response.status() != StatusCode::OK {
            let code = if response.status().is_server_error() { codes::SERVICE_UNAVAILABLE } else { codes::NOT_FOUND };
            return Err(Problem::new(code, "The video cannot be shown."));
        }
        let unreadable = || GatewayError::Internal("a video's document cannot be read");
        let bytes = response.into_body().read(VIDEO_BYTES_MAX).await.map_err(|_| unreadable())?;
        let video = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
        let document = String::from_utf8(bytes.into()).map_err(|_| unreadable())?;
        Ok((video, document))
    }

    fn render(&self, status: StatusCode, instance: &Instance, content: &Content, source: &Source) -> Rendered {
        let Some(shell) = &self.shell else {
            return Rendered {
                status: StatusCode::SERVICE_UNAVAILABLE,
                html: Bytes::from_static(NOT_BUILT.as_bytes()),
            };
        };
        let html = if content.head.is_empty() {
            shell.render(instance, &Content { head: plain_head(instance, source), ..Content::default() })
        } else {
            shell.render(instance, content)
        };
        Rendered { status, html: html.into() }
    }

    async fn oembed(&self, edge: &Edge, query: &str, source: &Source) -> Result<Response<Body>, Problem> {
        let query = OembedQuery::read(query)?;
        let id = site::video_of(&query.url, |origin| source.is_own(origin)).ok_or(GatewayError::NotFound)?;
        let (video, _) = self.document(id, &edge.caller(None, source)).await?;
        Ok(site::oembed(&video, &edge.service.config.instance.name, &source.origin, query.size_max))
    }

    async fn sitemap(&self, edge: &Edge, source: &Source) -> Result<Response<Body>, Problem> {
        if let Some(text) = self.sitemaps.get(&source.origin) {
            return Ok(site::text(XML, text.to_string()));
        }
        let text = site::sitemap(&self.video, &edge.caller(None, source)).await?;
        self.sitemaps.insert(source.origin.clone(), text.as_str().into());
        Ok(site::text(XML, text))
    }
}

/// The head of pages that are about no video.
fn plain_head(instance: &Instance, source: &Source) -> String {
    let mut head = Head::default();
    head.title(&instance.name);
    head.named("description", &instance.description);
    head.property("og:type", "website");
    head.property("og:site_name", &instance.name);
    head.property("og:title", &instance.name);
    head.property("og:description", &instance.description);
    head.property("og:url", &source.origin);
    head.finish()
}

/// Whether a path names a file rather than a page of the app, whose names may have dots too (`/channel/j.doe`).
fn looks_like_a_file(path: &str) -> bool {
    let single = path.strip_prefix('/').filter(|name| !name.contains('/'));
    path.starts_with("/assets/") || single.is_some_and(|name| name.contains('.') && !name.starts_with('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_pages_are_told_apart() {
        for path in ["/assets/gone.js", "/favicon.ico", "/.env", "/wp-login.php", "/.git"] {
            assert!(looks_like_a_file(path), "{path}");
        }
        for path in ["/", "/watch/abc", "/channel/j.doe", "/@j.doe", "/search", "/channel/movie.mp4"] {
            assert!(!looks_like_a_file(path), "{path}");
        }
    }
}
