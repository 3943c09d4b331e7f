//! Pages: the web app with what is known put into it, and what robots ask.
#![allow(clippy::unwrap_used)]

mod support;

use http::{Request, Response, StatusCode};
use kit::http::Body;
use proto::VideoId;
use serde_json::{Value, json};
use support::{Ask, Gateway, json_response};

/// Whether this test was built with the web app.
fn is_built() -> bool {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/dist/index.html").exists()
}

fn document(id: &str) -> Value {
    json!({
        "id": id, "title": "Rabbits </title><script>alert(1)</script>", "description": "A \"meadow\" & more",
        "channel": {"id": id, "handle": "meadow", "name": "Meadow <TV>", "subscribers": 3},
        "privacy": "public", "state": "published", "duration": 65.2, "createdAt": "2026-11-24T10:00:00Z",
        "publishedAt": "2026-11-24T10:00:05Z", "tags": ["rabbit"], "category": "", "language": "en", "license": "",
        "sensitive": false, "download": true, "commentPolicy": "open", "views": 41, "likes": 7, "dislikes": 0,
        "comments": 2, "thumbnailUrl": format!("/media/{id}/poster.jpg"), "captions": [],
        "chapters": [{"startSeconds": 0.0, "title": "One"}, {"startSeconds": 30.0, "title": "Two"}],
        "renditions": [{"height": 480, "width": 854, "fps": 25.0, "bytes": 9, "codecs": "avc1.64001f"}],
        "playback": {"hls": format!("/media/{id}/master.m3u8"),
            "files": [{"height": 480, "url": format!("/media/{id}/480.mp4"), "bytes": 9}]}
    })
}

/// A video service with one video.
fn with_one(id: VideoId) -> impl Fn(Request<Body>) -> std::future::Ready<Response<Body>> + Clone {
    move |request: Request<Body>| {
        let id = id.to_string();
        std::future::ready(match request.uri().path() {
            path if path == format!("/api/videos/{id}") => json_response(StatusCode::OK, &document(&id)),
            "/api/videos" => json_response(StatusCode::OK, &json!({"items": [document(&id)]})),
            _ => kit::http::reply::problem_body(&proto::Problem::new(proto::codes::NOT_FOUND, "no")),
        })
    }
}

/// What stands in a script element of the page.
fn data(page: &str, start: &str) -> Value {
    let rest = page.split_once(start).unwrap().1;
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[tokio::test]
async fn a_watch_page_says_what_it_shows_without_any_script() {
    let gateway = Gateway::start().await;
    let id = VideoId::generate();
    let _video = gateway.upstream("video", with_one(id)).await;
    let answer = gateway.get(&format!("/watch/{id}")).await;
    let page = answer.text();
    if !is_built() {
        assert!(answer.status == 503 && page.contains("The web app was not built"), "{page}");
        return;
    }
    assert_eq!(answer.status, 200);
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(
        page.contains("<title>Rabbits &lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt; – DjStream</title>"),
        "{page}"
    );
    assert!(page.contains(&format!("content=\"http://gateway.test/media/{id}/480.mp4\"")));
    let embedded = data(&page, "<script type=\"application/json\" id=\"djstream-data\">");
    assert_eq!((&embedded["video"], &embedded["instance"]["name"]), (&document(&id.to_string()), &json!("DjStream")));
    let linked = data(&page, "<script type=\"application/ld+json\">");
    assert_eq!(linked["@type"], "VideoObject");
    assert_eq!(linked["duration"], "PT1M5S");
    assert_eq!(linked["contentUrl"], format!("http://gateway.test/media/{id}/master.m3u8"));
    assert_eq!(linked["embedUrl"], format!("http://gateway.test/embed/{id}"));
    assert_eq!(linked["thumbnailUrl"], json!([format!("http://gateway.test/media/{id}/poster.jpg")]));
    assert_eq!(linked["interactionStatistic"][0]["userInteractionCount"], 41);
    assert_eq!(
        (&linked["hasPart"][1]["startOffset"], &linked["hasPart"][1]["endOffset"]),
        (&json!(30.0), &json!(65.2))
    );
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'self'"), "{policy}");
    let embed = gateway.get(&format!("/embed/{id}")).await;
    assert!(embed.header("content-security-policy").unwrap().contains("frame-ancestors *"));
}

#[tokio::test]
async fn a_video_that_one_may_not_know_of_is_404_with_the_app() {
    let gateway = Gateway::start().await;
    let away = gateway.get(&format!("/watch/{}", VideoId::generate())).await;
    assert_eq!(away.status, 503, "the video service is away");
    let _video = gateway.upstream("video", with_one(VideoId::generate())).await;
    for path in [format!("/watch/{}", VideoId::generate()), "/watch/nonsense".to_owned()] {
        let answer = gateway.get(&path).await;
        assert_eq!(answer.status, if is_built() { 404 } else { 503 }, "{path}");
        assert!(answer.header("content-type").unwrap().starts_with("text/html"));
    }
}

#[tokio::test]
async fn paths_of_the_app_get_its_page_and_files_that_are_not_there_do_not() {
    let gateway = Gateway::start().await;
    for path in ["/", "/search?q=x", "/channel/j.doe", "/setup?token=x", "/watch"] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, if is_built() { 200 } else { 503 }, "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    for path in
        ["/assets/gone.js", "/assets/../index.html", "/.env", "/index.html", "/index.html.br", "/%2e%2e/Cargo.toml.x"]
    {
        let answer = gateway.get(path).await;
        assert!(answer.status == 404 || !answer.text().contains("[package]"), "{path}: {}", answer.status);
    }
    assert_eq!(gateway.get("/assets/gone.js").await.code(), "not-found");
    assert_eq!(gateway.get("/../../Cargo.toml").await.text().find("[package]"), None);
}

#[tokio::test]
async fn hashed_files_are_kept_for_ever_and_come_compressed() {
    if !is_built() {
        return;
    }
    let gateway = Gateway::start().await;
    let page = gateway.get("/").await.text();
    let start = page.find("/assets/").unwrap();
    let script = page[start..].split('"').next().unwrap().to_owned();
    let plain = gateway.get(&script).await;
    assert_eq!(plain.header("cache-control"), Some("public, max-age=31536000, immutable"));
    let packed = gateway.send(Ask::new("GET", &script).header("Accept-Encoding", "gzip, deflate, br")).await;
    if plain.body.len() > 512 {
        assert_eq!(packed.header("content-encoding"), Some("br"));
        assert!(packed.body.len() < plain.body.len());
    }
    let etag = plain.header("etag").unwrap();
    assert_eq!(gateway.send(Ask::new("GET", &script).header("If-None-Match", etag)).await.status, 304);
}

#[tokio::test]
async fn other_sites_and_robots_get_their_answers() {
    let gateway = Gateway::start().await;
    let id = VideoId::generate();
    let _video = gateway.upstream("video", with_one(id)).await;
    let oembed = |url: &str| format!("/oembed?maxwidth=640&url={}", kit::peer::segment(url));
    let answer = gateway.get(&oembed(&format!("http://gateway.test/watch/{id}"))).await;
    let body = answer.json();
    assert_eq!(
        (body["type"].as_str(), body["width"].as_u64(), body["height"].as_u64()),
        (Some("video"), Some(640), Some(360))
    );
    assert!(body["html"].as_str().unwrap().contains(&format!("src=\"http://gateway.test/embed/{id}\"")));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(gateway.get(&oembed(&format!("https://evil.example/watch/{id}"))).await.code(), "not-found");
    assert_eq!(gateway.get("/oembed").await.code(), "invalid-field");
    let sitemap = gateway.get("/sitemap.xml").await.text();
    assert!(sitemap.contains(&format!("<loc>http://gateway.test/watch/{id}</loc>")), "{sitemap}");
    assert!(!sitemap.contains("<script>"));
    assert!(gateway.get("/robots.txt").await.text().contains("Sitemap: http://gateway.test/sitemap.xml"));
}
