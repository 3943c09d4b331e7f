//! Holds the house to its rules: who imports whom, and which library is named where.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const SERVICES: [&str; 5] = ["gateway", "channel", "video", "interaction", "notification"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn source_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every file of the crates' `src` folders, with its path from `crates/`.
fn sources() -> Vec<(String, String)> {
    let crates = root().join("crates");
    let mut files = Vec::new();
    for entry in fs::read_dir(&crates).unwrap() {
        source_files(&entry.unwrap().path().join("src"), &mut files);
    }
    assert!(files.len() > 50, "this test looks in the wrong place");
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&crates).unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The workspace's crates that a crate depends on outside its tests.
fn workspace_dependencies(name: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
    let ours = ["proto", "store", "fanout", "kit", "djstream", "djstreamctl"].into_iter().chain(SERVICES);
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap().to_owned();
    ours.filter(|other| {
        dependencies.lines().any(|line| line.split(['=', '.', ' ']).next().is_some_and(|word| word == *other))
    })
    .map(str::to_owned)
    .collect()
}

/// The files that name a library in a path: `library::`.
fn files_naming(library: &str) -> Vec<String> {
    let pattern = format!("{library}::");
    sources()
        .into_iter()
        .filter(|(_, text)| {
            text.lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .any(|line| line.match_indices(&pattern).any(|(at, _)| !ends_in_word(&line[..at])))
        })
        .map(|(name, _)| name)
        .collect()
}

fn ends_in_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(|last| last.is_alphanumeric() || last == '_')
}

#[test]
fn imports_point_one_way() {
    for foundation in ["proto", "store", "fanout"] {
        assert_eq!(workspace_dependencies(foundation), BTreeSet::new(), "{foundation}");
    }
    let shared: BTreeSet<String> = ["proto", "store", "fanout", "kit"].map(str::to_owned).into();
    let foundations: BTreeSet<String> = ["proto", "store"].map(str::to_owned).into();
    assert!(workspace_dependencies("kit").is_subset(&foundations), "kit");
    for service in SERVICES.into_iter().chain(["djstreamctl"]) {
        let dependencies = workspace_dependencies(service);
        assert!(dependencies.is_subset(&shared), "{service} depends on {dependencies:?}");
    }
    let all = workspace_dependencies("djstream");
    assert!(SERVICES.iter().all(|service| all.contains(*service)), "the program has all services: {all:?}");
}

#[test]
fn sled_is_named_in_the_engine_only() {
    assert_eq!(files_naming("sled"), ["store/src/engine.rs"]);
}

#[test]
fn warp_is_named_in_routes_and_kits_http_only() {
    // A test may stand in for a whole service.
    for file in files_naming("warp").into_iter().filter(|file| !file.ends_with("/tests.rs")) {
        assert!(
            file.starts_with("kit/src/http") || file.ends_with("/routes.rs") || file.contains("/src/routes/"),
            "{file} names warp"
        );
    }
}

#[test]
fn tantivy_is_named_in_videos_search_only() {
    for file in files_naming("tantivy") {
        assert!(file.starts_with("video/src/search"), "{file} names tantivy");
    }
}

#[test]
fn the_domain_asks_no_clock() {
    for (name, text) in sources() {
        let domain = name.contains("/src/service.rs") || name.contains("/src/service/");
        let code = text.split("#[cfg(test)]").next().unwrap();
        assert!(
            !(domain && (code.contains("clock::now") || code.contains("SystemTime::now"))),
            "{name} asks the clock"
        );
    }
}

#[test]
fn every_service_has_the_same_rooms() {
    for service in SERVICES {
        let source = root().join("crates").join(service).join("src");
        for room in ["lib", "routes", "service", "data", "worker", "error"] {
            let found = source.join(format!("{room}.rs")).exists() || source.join(room).join("mod.rs").exists();
            assert!(found, "{service} has no {room}");
        }
    }
}
