//! The web app's files, embedded into the program, with what was compressed when they were built.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use kit::http::Body;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
struct Dist;

/// Files below this folder have the hash of their content in their names.
const HASHED: &str = "assets/";

/// One file in the forms in which it can be sent.
#[derive(Debug)]
struct Asset {
    content_type: HeaderValue,
    etag: HeaderValue,
    plain: Bytes,
    gzip: Option<Bytes>,
    brotli: Option<Bytes>,
}

/// All files. They are looked up by their names, so there is no path to climb.
#[derive(Debug)]
pub(super) struct Files {
    assets: HashMap<String, Asset>,
}

impl Files {
    /// Whatever was embedded.
    pub(super) fn embedded() -> Self {
        Self::of(Dist::iter().filter_map(|name| {
            let file = Dist::get(&name)?;
            Some((name.into_owned(), bytes_of(file.data), file.metadata.sha256_hash()))
        }))
    }

    fn of(files: impl Iterator<Item = (String, Bytes, [u8; 32])>) -> Self {
        let mut all: HashMap<String, (Bytes, [u8; 32])> =
            files.map(|(name, bytes, hash)| (name, (bytes, hash))).collect();
        let names: Vec<String> =
            all.keys().filter(|name| !name.ends_with(".br") && !name.ends_with(".gz")).cloned().collect();
        let mut assets = HashMap::new();
        for name in names {
            let gzip = all.remove(&format!("{name}.gz")).map(|(bytes, _)| bytes);
            let brotli = all.remove(&format!("{name}.br")).map(|(bytes, _)| bytes);
            if let Some((plain, hash)) = all.remove(&name) {
                let content_type = content_type(&name);
                assets.insert(name, Asset { content_type, etag: etag(&hash), plain, gzip, brotli });
            }
        }
        Self { assets }
    }

    /// A file's text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(&self.assets.get(name)?.plain).ok()
    }

    /// The answer with the file at `path`, if there is one.
    pub(super) fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
        let name = path.strip_prefix('/')?;
        // The page itself is never sent as it lies there.
        let asset = self.assets.get(name).filter(|_| name != "index.html")?;
        let mut response = Response::new(Body::empty());
        let out = response.headers_mut();
        out.insert(header::ETAG, asset.etag.clone());
        out.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        let caching = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "public, no-cache" };
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        // Embeds run in frames without an origin, and fetch their scripts from here.
        out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        if is_known(headers, &asset.etag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Some(response);
        }
        let (bytes, encoding) = asset.in_form(headers);
        out.insert(header::CONTENT_TYPE, asset.content_type.clone());
        out.insert(header::CONTENT_LENGTH, bytes.len().into());
        if let Some(encoding) = encoding {
            out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        if method != Method::HEAD {
            *response.body_mut() = Body::full(bytes);
        }
        Some(response)
    }
}

impl Asset {
    /// The smallest form that the client reads.
    fn in_form(&self, headers: &HeaderMap) -> (Bytes, Option<&'static str>) {
        match (&self.brotli, &self.gzip) {
            (Some(bytes), _) if accepts(headers, "br") => (bytes.clone(), Some("br")),
            (_, Some(bytes)) if accepts(headers, "gzip") => (bytes.clone(), Some("gzip")),
            _ => (self.plain.clone(), None),
        }
    }
}

fn bytes_of(data: Cow<'static, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    }
}

fn content_type(name: &str) -> HeaderValue {
    let mime = mime_guess::from_path(name).first_or_octet_stream();
    let text = mime.type_() == "text" || mime.subtype() == "javascript" || mime.subtype() == "json";
    let full = if text { format!("{}; charset=utf-8", mime.essence_str()) } else { mime.essence_str().to_owned() };
    HeaderValue::from_maybe_shared(full).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

fn etag(hash: &[u8; 32]) -> HeaderValue {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&hash[..12]);
    // Weak: the forms of one file have the same tag.
    HeaderValue::from_maybe_shared(format!("W/\"{text}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let etag = etag.to_str().unwrap_or_default();
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim() == etag || tag.trim() == "*")
}

/// Whether a client reads a coding (RFC 9110 §12.5.3).
fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| {
            let (name, weight) = part.split_once(';').unwrap_or((part, ""));
            let refused = weight.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok()) == Some(0.0);
            name.trim().eq_ignore_ascii_case(coding) && !refused
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn files() -> Files {
        let file = |name: &str, text: &'static str| (name.to_owned(), Bytes::from_static(text.as_bytes()), [7; 32]);
        Files::of(
            [
                file("index.html", "page"),
                file("assets/a-1.js", "plain"),
                file("assets/a-1.js.br", "brotli"),
                file("assets/a-1.js.gz", "gzip"),
                file("favicon.svg", "<svg/>"),
            ]
            .into_iter(),
        )
    }

    fn ask(path: &str, pairs: &[(&'static str, &'static str)]) -> Option<Response<Body>> {
        let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        files().answer(&Method::GET, path, &headers)
    }

    #[tokio::test]
    async fn the_smallest_form_that_the_client_reads_is_sent() {
        for (accepted, text) in [
            ("br, gzip", "brotli"),
            ("gzip;q=1.0, br;q=0", "gzip"),
            ("deflate, gzip", "gzip"),
            ("identity", "plain"),
            ("brotli", "plain"),
        ] {
            let response = ask("/assets/a-1.js", &[("accept-encoding", accepted)]).unwrap();
            assert!(response.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
            assert_eq!(response.into_body().read(100).await.unwrap(), text, "{accepted}");
        }
    }

    #[test]
    fn what_is_no_file_is_none() {
        let paths =
            ["/", "/index.html", "/assets/a-1.js.br", "/../Cargo.toml", "/assets/../favicon.svg", "//favicon.svg"];
        for path in paths {
            assert!(ask(path, &[]).is_none(), "{path}");
        }
    }

    #[test]
    fn a_known_file_is_not_sent_again() {
        let etag = ask("/favicon.svg", &[]).unwrap().headers()[header::ETAG].to_str().unwrap().to_owned();
        let etag: &'static str = etag.leak();
        assert_eq!(ask("/favicon.svg", &[("if-none-match", etag)]).unwrap().status(), StatusCode::NOT_MODIFIED);
    }
}
