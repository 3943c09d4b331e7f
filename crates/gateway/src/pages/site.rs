//! What other sites and their robots ask: `/oembed`, `/sitemap.xml`, `/robots.txt`.

use std::fmt::Write;

use http::header::HeaderValue;
use http::{Method, Response, StatusCode};
use kit::http::Body;
use kit::{Caller, Peer};
use proto::api::Page;
use proto::api::video::{Video, VideoCard};
use proto::{Problem, VideoId, codes};
use serde_json::json;

use super::shell::escape;
use super::video_tags::absolute;
use crate::error::GatewayError;
use crate::headers;
use crate::limits::SITEMAP_VIDEOS_MAX;

/// The size of an embedded player, if nobody asks for a smaller one.
const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;

/// The video that an address of ours is about.
pub(super) fn video_of(address: &str, own: impl Fn(&str) -> bool) -> Option<VideoId> {
    let uri: http::Uri = address.parse().ok()?;
    let origin = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
    let id = uri.path().strip_prefix("/watch/").or_else(|| uri.path().strip_prefix("/embed/"))?;
    if own(&origin) { id.trim_end_matches('/').parse().ok() } else { None }
}

/// How to embed a video (oEmbed 1.0 §2.3.4.2).
pub(super) fn oembed(video: &Video, site: &str, origin: &str, max: (Option<u32>, Option<u32>)) -> Response<Body> {
    let width = max.0.unwrap_or(WIDTH).min(max.1.map_or(WIDTH, |height| height.saturating_mul(16) / 9)).clamp(1, WIDTH);
    let height = (width * 9 / 16).clamp(1, HEIGHT);
    let source = format!("{origin}/embed/{}", video.id);
    let html = format!(
        "<iframe src=\"{}\" width=\"{width}\" height=\"{height}\" title=\"{}\" \
         allow=\"fullscreen; picture-in-picture\" allowfullscreen></iframe>",
        escape(&source),
        escape(&video.title)
    );
    let mut answer = json!({
        "version": "1.0",
        "type": "video",
        "title": video.title,
        "author_name": video.channel.name,
        "author_url": format!("{origin}/@{}", video.channel.handle),
        "provider_name": site,
        "provider_url": origin,
        "html": html,
        "width": width,
        "height": height,
    });
    if let Some(poster) = &video.thumbnail_url {
        answer["thumbnail_url"] = absolute(origin, poster).into();
        answer["thumbnail_width"] = WIDTH.into();
        answer["thumbnail_height"] = HEIGHT.into();
    }
    let mut response = text(HeaderValue::from_static("application/json"), answer.to_string());
    headers::everybody(response.headers_mut());
    response
}

/// The newest public videos, for search engines.
pub(super) async fn sitemap(video: &Peer, caller: &Caller) -> Result<String, Problem> {
    let origin = &caller.origin;
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\" \
         xmlns:video=\"http://www.google.com/schemas/sitemap-video/1.1\">\n",
    );
    let (mut token, mut count) = (None::<String>, 0);
    while count < SITEMAP_VIDEOS_MAX {
        let more = token.map_or_else(String::new, |token| format!("&pageToken={}", kit::peer::segment(&token)));
        let path = format!("/api/videos?sort=new&limit=100{more}");
        let page: Page<VideoCard> = video.call(Method::GET, &path, Some(caller), None::<&()>).await?;
        count += page.items.len().max(1);
        page.items.iter().for_each(|card| entry(&mut out, card, origin));
        token = page.next_page_token;
        if token.is_none() {
            break;
        }
    }
    out.push_str("</urlset>\n");
    Ok(out)
}

fn entry(out: &mut String, card: &VideoCard, origin: &str) {
    let id = card.id;
    let _ = write!(out, "<url><loc>{}/watch/{id}</loc>", escape(origin));
    if let Some(thumbnail) = &card.thumbnail_url {
        let title = escape(&card.title);
        let _ = write!(
            out,
            "<video:video><video:thumbnail_loc>{}</video:thumbnail_loc><video:title>{title}</video:title>\
             <video:description>{title}</video:description><video:player_loc>{}/embed/{id}</video:player_loc>\
             <video:duration>{:.0}</video:duration></video:video>",
            escape(&absolute(origin, thumbnail)),
            escape(origin),
            card.duration
        );
    }
    out.push_str("</url>\n");
}

/// What robots may look at.
pub(super) fn robots(origin: &str) -> Response<Body> {
    let rules = format!("User-agent: *\nDisallow: /api/\nDisallow: /media/\nSitemap: {origin}/sitemap.xml\n");
    text(HeaderValue::from_static("text/plain; charset=utf-8"), rules)
}

/// A text of some type.
pub(super) fn text(content_type: HeaderValue, text: String) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(http::header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    response
}

/// What `/oembed` is asked.
#[derive(Debug, Default)]
pub(super) struct OembedQuery {
    pub(super) url: String,
    pub(super) size_max: (Option<u32>, Option<u32>),
}

impl OembedQuery {
    /// The query, if it is one that can be answered.
    pub(super) fn read(query: &str) -> Result<Self, Problem> {
        let mut found = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "url" => found.url = value.into_owned(),
                "maxwidth" => found.size_max.0 = value.parse().ok(),
                "maxheight" => found.size_max.1 = value.parse().ok(),
                "format" if value != "json" => {
                    return Err(Problem::new(codes::NOT_AVAILABLE_YET, "oEmbed is answered as JSON only."));
                }
                _ => {}
            }
        }
        if found.url.is_empty() {
            return Err(GatewayError::field("url", "The address of a video is needed.").into());
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_addresses_of_our_own_videos_count() {
        let id = VideoId::generate();
        let own = |origin: &str| origin == "https://video.example.org";
        let of = |address: String| video_of(&address, own);
        assert_eq!(of(format!("https://video.example.org/watch/{id}?t=5")), Some(id));
        assert_eq!(of(format!("https://video.example.org/embed/{id}")), Some(id));
        for address in [
            format!("https://evil.example/watch/{id}"),
            format!("/watch/{id}"),
            format!("https://video.example.org/media/{id}"),
            "https://video.example.org/watch/nonsense".to_owned(),
            "nonsense".to_owned(),
        ] {
            assert_eq!(video_of(&address, own), None, "{address}");
        }
    }
}
