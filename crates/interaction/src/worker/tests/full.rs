//! A queue that is full: who comes too late is told so, and nothing of what was taken is lost.

use http::Method;
use kit::Peer;
use kit::http::{ServeOptions, UnixSocket, serve_unix, service};
use proto::{Problem, codes};
use serde_json::{Value, json};

use super::*;
use crate::routes;

const PLACES: u64 = 3;

/// The service's routes on a socket, without anybody who counts.
fn serve(bench: &Bench) -> Peer {
    let data = DataFolder::open(bench._folder.path()).unwrap();
    let context = Context::new(Config::default(), data, Shutdown::new());
    let socket = UnixSocket::bind(&context.data.socket("interaction")).unwrap();
    let handler = service(routes::routes(&context, &bench.service));
    let peer = Peer::new(&context, "interaction");
    tokio::spawn(async move {
        serve_unix(socket, handler, ServeOptions::service(&context.config), &context.shutdown).await
    });
    peer
}

fn assert_overloaded(problem: &Problem) {
    assert!(problem.is(codes::OVERLOADED) && problem.status == 503, "{problem}");
    assert_eq!(problem.retry_after_s, Some(kit::limits::QUEUE_RETRY_AFTER_S), "{problem}");
}

#[tokio::test]
async fn a_full_queue_answers_503_and_loses_nothing() {
    let mut config = Config::default();
    config.queues.interactions = PLACES;
    let bench = Bench::with(config);
    let peer = serve(&bench);
    let ada = bench.user("ada").await;
    let video = bench.video(&ada, 60.0).await;
    let path = format!("/api/videos/{video}/rating");
    let rate = async |who: &Caller| {
        peer.call::<_, Value>(Method::PUT, &path, Some(who), Some(&json!({ "rating": "like" }))).await
    };
    let mut people = Vec::new();
    for number in 0..8 {
        people.push(bench.user(&format!("user{number}")).await);
    }
    let answers = futures_util::future::join_all(people.iter().map(&rate)).await;
    let mut late = Vec::new();
    for (who, answer) in people.iter().zip(answers) {
        match answer {
            Ok(rated) => assert_eq!(rated, json!({ "rating": "like" })),
            Err(problem) => {
                assert_overloaded(&problem);
                late.push(who);
            }
        }
    }
    assert_eq!(late.len(), people.len() - usize::try_from(PLACES).unwrap());
    for who in &late {
        let own: Value = peer.call(Method::GET, &path, Some(*who), None::<&()>).await.unwrap();
        assert_eq!(own, json!({ "rating": "none" }), "nothing of a refused rating is kept");
    }
    let comments = format!("/api/videos/{video}/comments");
    let comment = json!({ "text": "hello" });
    let refused = peer.call::<_, Value>(Method::POST, &comments, Some(&ada), Some(&comment)).await.unwrap_err();
    assert_overloaded(&refused);
    assert_eq!((bench.rows(COMMENTS), bench.rows(PENDING)), (0, 3));

    // There is room again: who comes back is taken, and each is counted once.
    while !late.is_empty() {
        bench.work().await;
        let mut later = Vec::new();
        for who in late {
            if let Err(problem) = rate(who).await {
                assert_overloaded(&problem);
                later.push(who);
            }
        }
        late = later;
    }
    bench.work().await;
    assert_eq!((bench.rows(RATINGS), bench.rows(PENDING)), (people.len(), 0));
    assert_eq!(bench.service.store.count(LIKES, &Target::Video(video).key()).unwrap(), 8);
}

#[tokio::test]
async fn what_is_to_be_removed_always_has_room() {
    let mut config = Config::default();
    config.queues.interactions = 1;
    let bench = Bench::with(config);
    let ada = bench.user("ada").await;
    let video = bench.video(&ada, 60.0).await;
    let top = bench.comment(&ada, video, "top", None).await;
    let again = bench.service.rate_video(&ada, video, Rated { rating: Rating::Like }, START).await;
    assert!(matches!(again, Err(Error::Write(WriteError::QueueFull { limit: 1, .. }))), "{again:?}");
    bench.service.delete_comment(&ada, top, START).await.unwrap();
    bench.work().await;
    assert_eq!(bench.service.store.count(COMMENT_COUNT, &video.bytes()).unwrap(), 0);
}
