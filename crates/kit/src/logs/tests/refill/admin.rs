//! What the admin is shown of projections, and can do with them.

use proto::api::projection::{DeadLetter, Rebuild};
use serde_json::json;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_events_are_shown_whole_tried_again_and_dropped() {
    let stage = Stage::new().await;
    let reader = stage.reader("reader");
    let projections = Projections::new("reader", &reader);
    let thirteen = Arc::new(AtomicBool::new(true));
    let (own, poison) = (reader.clone(), thirteen.clone());
    let handle = move |entry: Entry<Thing>| {
        let bad = poison.load(Ordering::SeqCst) && matches!(entry.event, Thing::Rang { id: 1 });
        let failed = || Problem::new(codes::INTERNAL, "not now");
        std::future::ready(if bad { Err(failed()) } else { effect(&own, entry) })
    };
    let shutdown = Shutdown::new();
    let consumer = stage.consumer("reader").listed(&projections);
    let run = tokio::spawn(consumer.run(reader.clone(), shutdown.clone(), handle));
    stage.ring().await;
    stage.is(1, 1).await;
    stage.ring().await;
    stage.same(&reader, "reader").await;
    let dead: Vec<DeadLetter> = projections.dead().unwrap();
    assert_eq!(dead.iter().map(|letter| letter.sequence).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&dead[0].event).unwrap(), json!({ "event": "rang", "id": 1 }));
    assert!(dead[0].reason.contains("not now"));
    assert_eq!(projections.list().unwrap()[0].dead, 2);
    let until = async |left: usize| {
        let waiting = async {
            while projections.dead().unwrap().iter().filter(|letter| letter.reason.contains("not")).count() != left {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), waiting).await.unwrap();
    };
    // It fails again, and is still there; then it works.
    projections.retry("owner", 1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    until(2).await;
    thirteen.store(false, Ordering::SeqCst);
    projections.retry("owner", 1).await.unwrap();
    until(1).await;
    assert_eq!(reader.count(RINGS, &()).unwrap(), 1);
    projections.forget("owner", 3).await.unwrap();
    until(0).await;
    assert!(projections.retry("owner", 3).await.unwrap_err().is(codes::NOT_FOUND));
    stage.same(&reader, "reader").await;
    assert_eq!(reader.count(RINGS, &()).unwrap(), 1);
    shutdown.request();
    run.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thing_that_a_snapshot_names_and_nobody_can_take_does_not_stop_the_others() {
    let mut stage = Stage::new().await;
    for id in 0..5 {
        stage.is(id, if id == 2 { THIRTEEN } else { id }).await;
    }
    let head = stage.owner.log(OLD_LOG).head();
    stage.owner.log(OLD_LOG).acknowledge("reader", head).await.unwrap();
    let reader = stage.reader("reader");
    let projections = Projections::new("reader", &reader);
    stage.serve(OLD_LOG).await;
    let following = stage.follow(&reader, stage.consumer("reader").listed(&projections));
    stage.is(9, 9).await;
    let all = async {
        while projected(&reader).len() < 5 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), all).await.unwrap();
    assert_eq!(projections.dead().unwrap().len(), 1);
    // The next snapshot brings it again: once it can be taken nothing is dead any more.
    stage.is(2, 2).await;
    projections.rebuild(None).await.unwrap();
    stage.same(&reader, "reader").await;
    let none_dead = async {
        while !projections.dead().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), none_dead).await.unwrap();
    following.end().await;
}

#[tokio::test]
async fn the_admin_s_routes_answer() {
    let stage = Stage::new().await;
    let reader = stage.reader("reader");
    let projections = Projections::new("reader", &reader);
    let shutdown = Shutdown::new();
    let context = Context::new(Config::default(), DataFolder::open(stage.scratch.path()).unwrap(), shutdown.clone());
    let socket = UnixSocket::bind(&context.data.socket("reader")).unwrap();
    let (routes, options) = (service(projections.routes()), ServeOptions::service(&context.config));
    let own = shutdown.clone();
    let task = tokio::spawn(async move { serve_unix(socket, routes, options, &own).await });
    let following =
        stage.follow(&reader, Consumer { projection: None, ..stage.consumer("reader") }.listed(&projections));
    stage.ring().await;
    let peer = Peer::at("reader", &context.data.socket("reader"));
    let list = async {
        loop {
            let list: Vec<View> = peer.get("/internal/projections").await.unwrap();
            if list.iter().any(|view| view.cursor == 1) {
                return list;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let list = timeout(Duration::from_secs(10), list).await.unwrap();
    assert_eq!((list[0].owner.as_str(), list[0].log.as_str(), list[0].behind), ("owner", "things", 0));
    let named = Rebuild { owner: Some("owner".to_owned()) };
    let refused = peer.post::<_, Vec<View>>("/internal/projections/rebuild", &named).await.unwrap_err();
    assert!(refused.is(codes::NOTHING_TO_REBUILD), "{refused}");
    let all: Vec<View> = peer.post("/internal/projections/rebuild", &Rebuild::default()).await.unwrap();
    assert!(all.is_empty());
    let unknown = json!({ "owner": "owner", "sequence": 3 });
    for action in ["retry", "drop"] {
        let path = format!("/internal/projections/dead/{action}");
        assert!(peer.post::<_, ()>(&path, &unknown).await.unwrap_err().is(codes::NOT_FOUND));
    }
    assert!(peer.get::<Vec<DeadLetter>>("/internal/projections/dead").await.unwrap().is_empty());
    following.end().await;
    shutdown.request();
    task.await.unwrap();
}
