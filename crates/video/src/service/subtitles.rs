//! Subtitles: WebVTT and SubRip, read into cues and written anew. What a client sent is never echoed.

use std::fmt::Write;

/// Cues of one track.
const CUES_MAX: usize = 20_000;
/// Characters of one cue.
const CUE_CHARACTERS_MAX: usize = 1_000;

/// One line of dialogue and when it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cue {
    start_ms: u64,
    end_ms: u64,
    text: String,
}

/// Reads WebVTT or SubRip.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn parse(text: &str) -> Result<Vec<Cue>, String> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let mut cues = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((start_ms, end_ms)) = timing(line) else { continue };
        let mut spoken = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.trim().is_empty() && timing(line).is_none()) {
            spoken.push(plain(line));
        }
        let text: String = spoken.join("\n").trim().chars().take(CUE_CHARACTERS_MAX).collect();
        if !text.is_empty() && end_ms > start_ms {
            cues.push(Cue { start_ms, end_ms, text });
        }
        if cues.len() > CUES_MAX {
            return Err(format!("At most {CUES_MAX} lines of dialogue are taken."));
        }
    }
    if cues.is_empty() {
        return Err("This is neither WebVTT nor SubRip with at least one line of dialogue.".to_owned());
    }
    cues.sort_by_key(|cue| cue.start_ms);
    Ok(cues)
}

/// Cues as WebVTT.
pub(super) fn to_vtt(cues: &[Cue]) -> String {
    let mut vtt = String::from("WEBVTT\n");
    for cue in cues {
        let _ = write!(vtt, "\n{} --> {}\n{}\n", stamp(cue.start_ms), stamp(cue.end_ms), escaped(&cue.text));
    }
    vtt
}

/// `00:01:02.500 --> 00:01:04.000`; SubRip has commas, and WebVTT may leave the hours out.
fn timing(line: &str) -> Option<(u64, u64)> {
    let (start, rest) = line.split_once("-->")?;
    let end = rest.split_whitespace().next()?;
    Some((milliseconds(start.trim())?, milliseconds(end)?))
}

fn milliseconds(text: &str) -> Option<u64> {
    let (clock, fraction) = text.split_once(['.', ','])?;
    let mut seconds = 0_u64;
    let mut parts = 0;
    for part in clock.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
        parts += 1;
    }
    let fraction: u64 = fraction.get(..3)?.parse().ok()?;
    ((2..=3).contains(&parts) && seconds < 1_000_000).then_some(seconds * 1000 + fraction)
}

fn stamp(ms: u64) -> String {
    let seconds = ms / 1000;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, ms % 1000)
}

/// Without markup and without entities: only the words.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut inside = false;
    for c in line.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            _ if inside || c.is_control() => {}
            _ => out.push(c),
        }
    }
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ").replace("&amp;", "&")
}

/// As WebVTT wants it; an arrow inside a text would be taken for a time.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn web_vtt_is_read_and_written_anew() {
        let vtt = "WEBVTT - made elsewhere\n\nSTYLE\n::cue { background: url(http://elsewhere/) }\n\nNOTE hello\n\n\
                   intro\n00:01.000 --> 00:02.500 position:10%\n<v Roger><b>Hello</b> &amp; <i>welcome</i>\n\n\
                   01:00:00.000 --> 01:00:01.000\n- one\n- two\n";
        let written = to_vtt(&parse(vtt).unwrap());
        assert_eq!(
            written,
            "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nHello &amp; welcome\n\n\
             01:00:00.000 --> 01:00:01.000\n- one\n- two\n"
        );
        assert_eq!(to_vtt(&parse(&written).unwrap()), written);
    }

    #[test]
    fn subrip_is_read_too() {
        let srt =
            "\u{feff}1\r\n00:00:03,000 --> 00:00:04,000\r\nZwei\r\n\r\n2\r\n00:00:01,000 --> 00:00:02,000\r\nEins\r\n";
        assert_eq!(
            to_vtt(&parse(srt).unwrap()),
            "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nEins\n\n00:00:03.000 --> 00:00:04.000\nZwei\n"
        );
    }

    #[test]
    fn scripts_and_arrows_are_only_text() {
        let vtt = "WEBVTT\n\n00:01.000 --> 00:02.000\n<script>alert(1)</script> a &lt;b&gt; --&gt; c\n";
        let written = to_vtt(&parse(vtt).unwrap());
        assert!(written.contains("alert(1) a &lt;b&gt; --&gt; c"), "{written}");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "hello", "WEBVTT\n", "WEBVTT\n\n00:02.000 --> 00:01.000\nbackwards\n", "x --> y\nno\n"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
