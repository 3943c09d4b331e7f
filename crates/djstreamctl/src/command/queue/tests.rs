#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

fn parse(words: &str) -> Result<Command, clap::Error> {
    Line::try_parse_from(["queue"].into_iter().chain(words.split_whitespace())).map(|line| line.command)
}

#[test]
fn names_are_a_service_and_a_queue() {
    let name = Name { service: "channel".to_owned(), queue: "channel-jobs".to_owned() };
    assert_eq!("channel/channel-jobs".parse(), Ok(name));
    for wrong in ["", "channel", "/jobs", "channel/", "a/b/c", "channel/jobs?limit=1", "Channel/jobs", "../x"] {
        assert!(wrong.parse::<Name>().is_err(), "{wrong}");
    }
}

#[test]
fn letters_are_named_or_all_are_meant() {
    assert!(parse("retry video/processing 1 2").is_ok());
    assert!(parse("drop video/processing --all").is_ok());
    for wrong in ["retry video/processing", "drop video/processing 1 --all", "drop 1", "show a/b --limit 0"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

/// A gateway that gives these answers, one after the other, and notes what it was asked.
fn gateway(answers: Vec<(u16, String)>) -> (tempfile::TempDir, Arc<Mutex<Vec<String>>>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("run")).unwrap();
    let listener = UnixListener::bind(folder.path().join("run/gateway.sock")).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).unwrap();
                if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if header.trim().is_empty() {
                    break;
                }
            }
            reader.take(length).read_to_end(&mut Vec::new()).unwrap();
            noted.lock().unwrap().push(first.rsplit_once(' ').unwrap().0.to_owned());
            let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body.as_bytes()).unwrap();
        }
    });
    (folder, asked)
}

fn page(ids: std::ops::RangeInclusive<u64>, next: Option<&str>) -> (u16, String) {
    let items = ids.map(|id| QueuedJob {
        id,
        state: QueuedState::Dead,
        lane: 0,
        attempt: 3,
        due: None,
        job: None,
        reason: Some("no".to_owned()),
    });
    let page = Page { items: items.collect(), next_page_token: next.map(str::to_owned) };
    (200, serde_json::to_string(&page).unwrap())
}

async fn asked(words: &str, answers: Vec<(u16, String)>) -> (Vec<String>, Result<(), CallError>) {
    let (folder, asked) = gateway(answers);
    let outcome = run(parse(words).unwrap(), &Client::new(folder.path()), Format::Json).await;
    let asked = asked.lock().unwrap().clone();
    (asked, outcome)
}

#[tokio::test]
async fn no_more_jobs_are_asked_for_than_wanted() {
    let (lines, outcome) =
        asked("show a/b --limit 150 --state dead", vec![page(1..=100, Some("t")), page(101..=150, Some("u"))]).await;
    outcome.unwrap();
    let path = "GET /api/admin/queues/a/b/jobs";
    assert_eq!(lines, [format!("{path}?limit=100&state=dead"), format!("{path}?limit=50&state=dead&pageToken=t")]);
}

#[tokio::test]
async fn all_dead_letters_are_dropped_page_after_page() {
    let mut answers = vec![page(1..=2, Some("t")), page(7..=7, None)];
    answers.extend((0..3).map(|_| (204, String::new())));
    let (lines, outcome) = asked("drop a/b --all", answers).await;
    outcome.unwrap();
    let path = "DELETE /api/admin/queues/a/b/jobs";
    assert_eq!(lines[2..], [1, 2, 7].map(|id| format!("{path}/{id}")));
}

#[tokio::test]
async fn the_first_that_cannot_be_retried_ends_it_with_its_status() {
    let problem = serde_json::to_string(&proto::Problem::new(proto::codes::NOT_FOUND, "no such letter")).unwrap();
    let (lines, outcome) = asked("retry a/b 4 5 6", vec![(204, String::new()), (404, problem)]).await;
    let path = "POST /api/admin/queues/a/b/jobs";
    assert_eq!(lines, [4, 5].map(|id| format!("{path}/{id}/retry")));
    assert_eq!(crate::exit_status(&outcome.unwrap_err()), 3);
}
