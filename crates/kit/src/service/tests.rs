//! The life of a service, from its socket to its closed store.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use store::Options;
use tokio::time::timeout;

use http::StatusCode;
use warp::Filter;

use super::*;
use crate::config::Config;
use crate::http::reply;
use crate::routes::internal;
use crate::{DataFolder, Peer, Shutdown};

fn context(scratch: &tempfile::TempDir) -> Context {
    Context::new(Config::default(), DataFolder::open(scratch.path()).unwrap(), Shutdown::new())
}

#[tokio::test]
async fn a_service_lives_from_its_socket_to_its_closed_store() {
    let scratch = tempfile::tempdir().unwrap();
    let context = context(&scratch);
    let folder = context.data.service("video");
    let store = Store::open(&folder, Options::default()).unwrap();
    let slow = warp::path!("slow").and(warp::get()).then(async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        reply::json(StatusCode::OK, &7)
    });
    let ended = Arc::new(AtomicBool::new(false));
    let (own, worker_ended) = (context.shutdown.clone(), ended.clone());
    context.spawn("worker", async move {
        own.requested().await;
        worker_ended.store(true, Ordering::SeqCst);
    });
    let own = context.clone();
    let run = tokio::spawn(async move { run_service(&own, "video", Some(store), slow.boxed()).await });
    let peer = Peer::new(&context, "video");
    while peer.get::<proto::internal::StoreHealth>("/internal/health").await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let call = tokio::spawn(async move { peer.get::<u32>("/slow").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    context.shutdown.request();
    timeout(Duration::from_secs(5), run).await.unwrap().unwrap().unwrap();
    assert_eq!(call.await.unwrap().unwrap(), 7, "a running request is answered");
    assert!(ended.load(Ordering::SeqCst));
    Store::open(&folder, Options::default()).expect("the store was let go");
}

#[tokio::test]
async fn a_worker_that_panics_ends_the_service() {
    let scratch = tempfile::tempdir().unwrap();
    let context = context(&scratch);
    context.spawn("defect", async { panic!("a defect") });
    let run = run_service(&context, "video", None, internal(None));
    timeout(Duration::from_secs(5), run).await.unwrap().unwrap();
}

#[tokio::test]
async fn sigterm_is_a_request_to_end() {
    let shutdown = Shutdown::listen().unwrap();
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
    timeout(Duration::from_secs(5), shutdown.requested()).await.unwrap();
}
