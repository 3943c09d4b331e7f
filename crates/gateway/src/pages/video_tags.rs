//! What a watch page says of its video without any script: to people, to search engines, to other sites.

use proto::api::video::{Privacy, Video};
use serde_json::{Value, json};

use super::shell::{Head, escape};

/// The longest description in a head, in characters.
const DESCRIPTION_CHARS_MAX: usize = 300;

/// The tags of a video's page.
pub(super) fn head(video: &Video, site: &str, origin: &str) -> String {
    let watch = format!("{origin}/watch/{}", video.id);
    let embed = format!("{origin}/embed/{}", video.id);
    let description: String = video.description.chars().take(DESCRIPTION_CHARS_MAX).collect();
    let mut head = Head::default();
    head.title(&format!("{} – {site}", video.title));
    head.named("description", &description);
    if video.privacy != Privacy::Public {
        head.named("robots", "noindex");
    }
    head.link("canonical", "", &watch);
    let oembed = format!("{origin}/oembed?format=json&url={}", kit::peer::segment(&watch));
    head.link("alternate", " type=\"application/json+oembed\"", &oembed);
    open_graph(&mut head, video, site, &watch, &description, origin);
    head.named("twitter:card", "player");
    head.named("twitter:title", &video.title);
    head.named("twitter:player", &embed);
    head.named("twitter:player:width", "1280");
    head.named("twitter:player:height", "720");
    if let Some(poster) = &video.thumbnail_url {
        head.named("twitter:image", &absolute(origin, poster));
        head.link("preload", " as=\"image\" fetchpriority=\"high\"", poster);
    }
    head.data(&structured(video, &watch, &embed, origin));
    head.finish()
}

fn open_graph(head: &mut Head, video: &Video, site: &str, watch: &str, description: &str, origin: &str) {
    head.property("og:type", "video.other");
    head.property("og:site_name", site);
    head.property("og:title", &video.title);
    head.property("og:description", description);
    head.property("og:url", watch);
    if let Some(poster) = &video.thumbnail_url {
        head.property("og:image", &absolute(origin, poster));
    }
    if let Some(file) = video.playback.as_ref().and_then(|playback| playback.files.last()) {
        let address = absolute(origin, &file.url);
        head.property("og:video", &address);
        head.property("og:video:secure_url", &address);
        head.property("og:video:type", "video/mp4");
        if let Some(rendition) = video.renditions.iter().find(|rendition| rendition.height == file.height) {
            head.property("og:video:width", &rendition.width.to_string());
            head.property("og:video:height", &rendition.height.to_string());
        }
    }
    head.property("og:video:duration", &format!("{:.0}", video.duration));
    for tag in &video.tags {
        head.property("og:video:tag", tag);
    }
}

/// schema.org's `VideoObject`.
fn structured(video: &Video, watch: &str, embed: &str, origin: &str) -> Value {
    let description = if video.description.is_empty() { &video.title } else { &video.description };
    let mut object = json!({
        "@context": "https://schema.org",
        "@type": "VideoObject",
        "name": video.title,
        "description": description,
        "url": watch,
        "uploadDate": video.published_at.unwrap_or(video.created_at),
        "duration": iso_duration(video.duration),
        "embedUrl": embed,
        "isFamilyFriendly": !video.sensitive,
        "author": {
            "@type": "Person",
            "name": video.channel.name,
            "url": format!("{origin}/@{}", video.channel.handle),
        },
        "interactionStatistic": [
            counter("WatchAction", video.views),
            counter("LikeAction", video.likes),
            counter("CommentAction", video.comments),
        ],
    });
    if let Some(playback) = &video.playback {
        object["contentUrl"] = absolute(origin, &playback.hls).into();
    }
    if let Some(poster) = &video.thumbnail_url {
        object["thumbnailUrl"] = json!([absolute(origin, poster)]);
    }
    if !video.tags.is_empty() {
        object["keywords"] = video.tags.join(", ").into();
    }
    if !video.language.is_empty() {
        object["inLanguage"] = video.language.clone().into();
    }
    if !video.chapters.is_empty() {
        object["hasPart"] = chapters(video, watch);
    }
    object
}

fn counter(action: &str, count: u64) -> Value {
    json!({
        "@type": "InteractionCounter",
        "interactionType": { "@type": action },
        "userInteractionCount": count,
    })
}

fn chapters(video: &Video, watch: &str) -> Value {
    let ends = video.chapters.iter().skip(1).map(|next| next.start_seconds).chain([video.duration]);
    let clips = video.chapters.iter().zip(ends).map(|(chapter, end)| {
        json!({
            "@type": "Clip",
            "name": chapter.title,
            "startOffset": chapter.start_seconds,
            "endOffset": end,
            "url": format!("{watch}?t={:.0}", chapter.start_seconds),
        })
    });
    clips.collect()
}

/// What is seen before the app runs: poster and title.
pub(super) fn body(video: &Video) -> String {
    let poster = video.thumbnail_url.as_ref().map_or_else(String::new, |poster| {
        format!("<img src=\"{}\" alt=\"\" width=\"1280\" height=\"720\">", escape(poster))
    });
    let channel = escape(&video.channel.name);
    format!("<main class=\"djstream-first-paint\">{poster}<h1>{}</h1><p>{channel}</p></main>", escape(&video.title))
}

/// An address with scheme and host.
pub(super) fn absolute(origin: &str, address: &str) -> String {
    if address.starts_with('/') { format!("{origin}{address}") } else { address.to_owned() }
}

/// Seconds as ISO 8601 has them: `PT1H2M3S`.
fn iso_duration(seconds: f64) -> String {
    let whole = if seconds.is_finite() && seconds > 0.0 { seconds.round() as u64 } else { 0 };
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    let hours = if hours > 0 { format!("{hours}H") } else { String::new() };
    let minutes = if minutes > 0 { format!("{minutes}M") } else { String::new() };
    let rest = if rest > 0 || (hours.is_empty() && minutes.is_empty()) { format!("{rest}S") } else { String::new() };
    format!("PT{hours}{minutes}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_iso_8601() {
        for (seconds, text) in
            [(0.0, "PT0S"), (5.3, "PT5S"), (60.0, "PT1M"), (3_723.0, "PT1H2M3S"), (7_200.0, "PT2H"), (f64::NAN, "PT0S")]
        {
            assert_eq!(iso_duration(seconds), text);
        }
    }
}
