//! Real ffmpeg inside the real cage, on films made on the spot.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use video::media::tool::{Program, Run, ToolSettings};
use video::media::{
    Ladder, MediaError, Progress, Rendition, Tools, Treatment, plan, playlist, poster, probe, remux, transcode,
};

fn tools() -> Tools {
    let helper = PathBuf::from(env!("CARGO_BIN_EXE_djstream-media-helper"));
    Tools::new(ToolSettings { helper, ..ToolSettings::from_path() }).unwrap()
}

/// ffmpeg without a cage, to make and to check films.
fn ffmpeg(args: &[&str]) {
    let output = Command::new("ffmpeg").args(["-nostdin", "-v", "error", "-y"]).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn make_film(folder: &Path, name: &str, seconds: u32, size: &str, args: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let picture = format!("testsrc2=size={size}:rate=25:duration={seconds}");
    let sound = format!("sine=frequency=440:duration={seconds}");
    let mut all = vec!["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound];
    all.extend(args);
    let text = path.to_str().unwrap();
    all.push(text);
    ffmpeg(&all);
    path
}

const BROWSER_READY: [&str; 10] =
    ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac"];

/// The film named by `DJSTREAM_TEST_FILM`, or one much like it.
fn film(folder: &Path) -> PathBuf {
    match std::env::var_os("DJSTREAM_TEST_FILM") {
        Some(path) => path.into(),
        None => make_film(folder, "film.mp4", 6, "1280x720", &BROWSER_READY),
    }
}

fn ignore() -> video::media::tool::OnProgress {
    Arc::new(|_| ())
}

async fn first_rendition(tools: &Tools, input: &Path, folder: &Path) -> (probe::Probe, Rendition) {
    let probed = probe::probe(tools, input).await.unwrap();
    let planned = plan::plan(&probed, &Ladder::default(), true);
    assert!(planned.first.is_quick(), "{planned:?}");
    match remux::remux(tools, input, folder, &probed, &planned.first, ignore()).await.unwrap() {
        remux::Remuxed::Ready(rendition) => (probed, rendition),
        remux::Remuxed::Unfit(reason) => panic!("unfit: {reason}"),
    }
}

/// Lays the files out under their public names and lets ffmpeg play them; returns decoded pictures.
fn play(folder: &Path, renditions: &[Rendition]) -> usize {
    let public = TempDir::new().unwrap();
    for rendition in renditions {
        for (name, extension) in [(&rendition.file, "mp4"), (&rendition.playlist, "m3u8")] {
            let target = public.path().join(format!("{}.{extension}", rendition.height));
            std::fs::copy(folder.join(name), target).unwrap();
        }
    }
    let master = public.path().join("master.m3u8");
    std::fs::write(&master, playlist::master_text(renditions)).unwrap();
    count_frames(&master)
}

fn count_frames(path: &Path) -> usize {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries", "stream=nb_read_frames"])
        .args(["-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace()
        .next()
        .and_then(|first| first.trim_matches(',').parse().ok())
        .unwrap_or_else(|| panic!("{}: {text} {}", path.display(), String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn the_cage_lets_ffmpeg_start() {
    let version = tools().version().await.unwrap();
    assert!(version.starts_with(|first: char| first.is_ascii_digit() || first == 'n'), "{version}");
}

#[tokio::test]
async fn a_film_that_browsers_play_is_playable_without_encoding() {
    let (source, target) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let input = film(source.path());
    let tools = tools();
    let started = Instant::now();
    let (probed, rendition) = first_rendition(&tools, &input, target.path()).await;
    let playable = started.elapsed();
    eprintln!("last byte to playable, without store and queue: {} ms", playable.as_millis());
    assert!(playable < Duration::from_secs(2));
    assert_eq!(rendition.height, 720);
    assert!(rendition.codecs.starts_with("avc1.") && rendition.codecs.ends_with("mp4a.40.2"), "{}", rendition.codecs);
    let frames = count_frames(&input);
    assert_eq!(play(target.path(), std::slice::from_ref(&rendition)), frames);
    // The same bytes, played from the front without a playlist.
    assert_eq!(count_frames(&target.path().join(&rendition.file)), frames);
    assert!((rendition.duration_seconds - probed.duration_seconds).abs() < 0.2);
}

#[tokio::test]
async fn a_smaller_rendition_joins_the_same_master() {
    let (source, target) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let input = film(source.path());
    let tools = tools();
    let (probed, first) = first_rendition(&tools, &input, target.path()).await;
    let later = plan::plan(&probed, &Ladder::default(), true).later;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = heard.clone();
    let listen = Arc::new(move |progress: Progress| ear.lock().unwrap().push(progress.seconds));
    let small = transcode::transcode(&tools, &input, target.path(), &probed, &later[0], false, listen).await.unwrap();
    assert_eq!((small.height, small.size), (480, (852, 480)));
    assert!(small.bandwidth < 2_500_000);
    assert!(heard.lock().unwrap().last().is_some_and(|seconds| *seconds > 1.0));
    let frames = count_frames(&input);
    assert!(play(target.path(), &[first, small]).abs_diff(frames) <= 1);
    let names: Vec<_> = std::fs::read_dir(target.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "work folders must be gone: {names:?}");
}

#[tokio::test]
async fn many_kinds_of_film_become_playable() {
    let source = TempDir::new().unwrap();
    let vp9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "50", "-c:a", "libopus"];
    let kinds: [(&str, Vec<&str>, bool); 7] = [
        ("film.webm", vp9.to_vec(), true),
        ("film.mkv", BROWSER_READY.to_vec(), true),
        ("film.ts", BROWSER_READY.to_vec(), true),
        ("film.mov", [&BROWSER_READY[..8], &["-c:a", "pcm_s16le"]].concat(), true),
        ("film.avi", vec!["-c:v", "mpeg4", "-c:a", "libmp3lame"], false),
        ("film.mpg", vec!["-c:v", "mpeg2video", "-c:a", "mp2"], false),
        ("film.ogv", vec!["-c:v", "libtheora", "-c:a", "libvorbis"], false),
    ];
    let tools = tools();
    for (name, args, copied) in kinds {
        let target = TempDir::new().unwrap();
        let input = make_film(source.path(), name, 3, "320x240", &args);
        let probed = probe::probe(&tools, &input).await.unwrap();
        let planned = plan::plan(&probed, &Ladder::default(), true);
        assert_eq!(planned.first.is_quick(), copied, "{name}: {probed:?}");
        let rendition = if copied {
            first_rendition(&tools, &input, target.path()).await.1
        } else {
            transcode::transcode(&tools, &input, target.path(), &probed, &planned.first, true, ignore())
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        let frames = play(target.path(), std::slice::from_ref(&rendition));
        assert!((70..=77).contains(&frames), "{name}: {frames} pictures");
        assert!(!rendition.codecs.is_empty());
    }
}

#[tokio::test]
async fn sparse_keyframes_are_noticed() {
    let (source, target) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let sparse = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "1000", "-c:a", "aac"];
    let input = make_film(source.path(), "sparse.mp4", 15, "160x120", &sparse);
    let tools = tools();
    let probed = probe::probe(&tools, &input).await.unwrap();
    let planned = plan::plan(&probed, &Ladder::default(), true);
    let made = remux::remux(&tools, &input, target.path(), &probed, &planned.first, ignore()).await.unwrap();
    let remux::Remuxed::Unfit(reason) = made else { panic!("{made:?}") };
    assert!(reason.contains("between keyframes"), "{reason}");
    let again = plan::plan(&probed, &Ladder::default(), false).first;
    assert_eq!(again.video, Treatment::Encode);
    let encoded = transcode::transcode(&tools, &input, target.path(), &probed, &again, true, ignore()).await.unwrap();
    assert!(play(target.path(), &[encoded]) > 370);
}

#[tokio::test]
async fn a_poster_in_two_sizes() {
    let (source, target) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let input = film(source.path());
    let tools = tools();
    let probed = probe::probe(&tools, &input).await.unwrap();
    let poster = poster::poster(&tools, &input, target.path(), &probed).await.unwrap();
    for (name, bytes) in [(&poster.large, poster.large_bytes), (&poster.small, poster.small_bytes)] {
        let picture = std::fs::read(target.path().join(name)).unwrap();
        assert_eq!(&picture[..3], [0xFF, 0xD8, 0xFF]);
        assert_eq!(picture.len() as u64, bytes);
    }
    assert!(poster.small_bytes < poster.large_bytes);
}

#[tokio::test]
async fn what_is_no_film_is_refused_with_a_sentence() {
    let folder = TempDir::new().unwrap();
    let secret = make_film(folder.path(), "secret.mp4", 1, "160x120", &BROWSER_READY);
    let playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:{}\n#EXT-X-ENDLIST\n", secret.display());
    let concat = format!("ffconcat version 1.0\nfile '{}'\n", secret.display());
    let mut torn = std::fs::read(&secret).unwrap();
    torn.truncate(200);
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("a text", b"just some words".to_vec(), "not-a-video"),
        ("a playlist", playlist.into_bytes(), "not-a-video"),
        ("a concat script", concat.into_bytes(), "not-a-video"),
        ("an svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "not-a-video"),
        ("nothing", Vec::new(), "file-empty"),
        ("the beginning of a film", torn, "nothing-to-read"),
    ];
    let tools = tools();
    for (what, bytes, code) in cases {
        let path = folder.path().join("upload");
        std::fs::write(&path, bytes).unwrap();
        let error = probe::probe(&tools, &path).await.unwrap_err();
        assert_eq!(error.code(), code, "{what}: {error}");
        assert!(error.is_final() && error.sentence().ends_with('.'), "{what}: {}", error.sentence());
    }
    let song = folder.path().join("song.mp4");
    ffmpeg(&["-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", song.to_str().unwrap()]);
    assert_eq!(probe::probe(&tools, &song).await.unwrap_err().code(), "no-picture");
}

/// A run with free arguments, as a hijacked ffmpeg would do it.
fn free_run(read: &Path, write: &Path, args: &[&str]) -> Run {
    let mut run = Run::new(Program::Ffmpeg, Duration::from_secs(20));
    run.read = Some(read.into());
    run.write = Some(write.into());
    run.args = ["-nostdin", "-v", "error", "-y"].iter().chain(args).map(Into::into).collect();
    run
}

fn assert_failed(result: Result<String, MediaError>, needle: &str) {
    match result {
        Err(MediaError::Failed { stderr_tail, .. }) => assert!(stderr_tail.contains(needle), "{stderr_tail}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_hijacked_ffmpeg_reads_no_other_file_and_writes_no_other_folder() {
    let (source, work, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let input = make_film(source.path(), "mine.mp4", 1, "160x120", &BROWSER_READY);
    let secret = make_film(elsewhere.path(), "secret.mp4", 1, "160x120", &BROWSER_READY);
    let tools = tools();
    let (mine, theirs) = (input.to_str().unwrap(), secret.to_str().unwrap());
    let outside = elsewhere.path().join("out.mp4");

    tools.run(free_run(&input, work.path(), &["-i", mine, "-c", "copy", "fine.mp4"])).await.unwrap();
    let stolen = tools.run(free_run(&input, work.path(), &["-i", theirs, "-c", "copy", "stolen.mp4"])).await;
    assert_failed(stolen, "Permission denied");
    let strayed =
        tools.run(free_run(&input, work.path(), &["-i", mine, "-c", "copy", outside.to_str().unwrap()])).await;
    assert_failed(strayed, "Permission denied");
    let changed = tools.run(free_run(&input, work.path(), &["-i", mine, "-c", "copy", "-f", "mpegts", mine])).await;
    assert!(changed.is_err());
    assert!(!outside.exists());
    assert!(count_frames(&input) == 25);
}

#[tokio::test]
async fn a_hijacked_ffmpeg_opens_no_socket() {
    let (source, work) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let input = make_film(source.path(), "mine.mp4", 1, "160x120", &BROWSER_READY);
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    tcp.set_nonblocking(true).unwrap();
    // Inside the folder that it may write: only the filter of system calls stands before this one.
    let socket = work.path().join("service.sock");
    let unix = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    unix.set_nonblocking(true).unwrap();
    let tools = tools();
    for url in [format!("tcp://{}", tcp.local_addr().unwrap()), format!("unix:{}", socket.display())] {
        let run = free_run(&input, work.path(), &["-f", "mpegts", "-i", &url, "-f", "null", "-"]);
        assert_failed(tools.run(run).await, "Operation not permitted");
    }
    assert!(tcp.accept().is_err() && unix.accept().is_err());
}

#[tokio::test]
async fn output_beyond_its_share_ends_the_run() {
    let (source, work) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let input = make_film(source.path(), "mine.mp4", 2, "640x360", &BROWSER_READY);
    let mut run = free_run(&input, work.path(), &["-i", input.to_str().unwrap(), "-c:v", "rawvideo", "big.avi"]);
    run.file_bytes_max = 1 << 20;
    assert!(matches!(tools().run(run).await, Err(MediaError::Failed { .. })));
    assert!(std::fs::metadata(work.path().join("big.avi")).unwrap().len() <= 1 << 20);
}

/// Processes whose command line names `needle`.
fn processes_naming(needle: &str) -> usize {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(needle))
        .count()
}

#[tokio::test]
async fn a_run_ends_when_its_time_is_over_or_nobody_waits_for_it() {
    let (source, work) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let input = make_film(source.path(), "mine.mp4", 1, "160x120", &BROWSER_READY);
    let marker = input.to_str().unwrap().to_owned();
    let endless = || {
        let mine = input.to_str().unwrap();
        let mut run = free_run(&input, work.path(), &["-stream_loop", "-1", "-re", "-i", mine, "-f", "null", "-"]);
        run.timeout = Duration::from_secs(1);
        run
    };
    let tools = tools();
    assert!(matches!(tools.run(endless()).await, Err(MediaError::TimedOut { .. })));
    let mut long = endless();
    long.timeout = Duration::from_secs(600);
    let other = tools.clone();
    let task = tokio::spawn(async move { other.run(long).await });
    let patience = Instant::now();
    while processes_naming(&marker) == 0 {
        assert!(patience.elapsed() < Duration::from_secs(5), "ffmpeg never starts");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    task.abort();
    let patience = Instant::now();
    while processes_naming(&marker) > 0 {
        assert!(patience.elapsed() < Duration::from_secs(5), "ffmpeg lives on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_missing_tool_is_an_error_of_ours_not_of_the_film() {
    let helper = PathBuf::from(env!("CARGO_BIN_EXE_djstream-media-helper"));
    let settings = ToolSettings { helper, ffmpeg: "/nonexistent/ffmpeg".into(), ..ToolSettings::from_path() };
    let error = Tools::new(settings).unwrap().version().await.unwrap_err();
    assert!(matches!(&error, MediaError::Start { reason, .. } if reason.contains("/nonexistent/ffmpeg")), "{error}");
    assert!(!error.is_final());
}
