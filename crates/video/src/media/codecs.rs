//! Codec strings for `CODECS` (RFC 6381), from the sample descriptions that we wrote ourselves.
//!
//! ffprobe names codecs but not their exact profile bytes, and a player decides by these strings.

use mp4_atom::{Any, Codec, Decode};

/// The codec strings of an MP4 initialisation section, video first, such as `avc1.4d401f,mp4a.40.2`.
///
/// # Errors
/// What is wrong with the section.
pub fn codec_strings(init: &[u8]) -> Result<String, String> {
    let mut rest = init;
    while !rest.is_empty() {
        let atom = Any::decode(&mut rest).map_err(|error| format!("unreadable initialisation section: {error}"))?;
        if let Any::Moov(moov) = atom {
            let codecs = moov.trak.iter().flat_map(|track| &track.mdia.minf.stbl.stsd.codecs);
            let names: Vec<String> = codecs.map(codec_string).collect::<Result<_, _>>()?;
            return if names.is_empty() { Err("no tracks".into()) } else { Ok(names.join(",")) };
        }
    }
    Err("no moov box".into())
}

fn codec_string(codec: &Codec) -> Result<String, String> {
    Ok(match codec {
        Codec::Avc1(avc) => format!(
            "avc1.{:02x}{:02x}{:02x}",
            avc.avcc.avc_profile_indication, avc.avcc.profile_compatibility, avc.avcc.avc_level_indication
        ),
        Codec::Vp09(vp9) => {
            format!("vp09.{:02}.{:02}.{:02}", vp9.vpcc.profile, vp9.vpcc.level.max(10), vp9.vpcc.bit_depth)
        }
        Codec::Av01(av1) => av1_string(&av1.av1c),
        Codec::Mp4a(audio) => {
            let config = &audio.esds.es_desc.dec_config;
            let object_type = config.dec_specific.as_ref().map_or(2, |specific| specific.profile);
            format!("mp4a.{:x}.{object_type}", config.object_type_indication)
        }
        Codec::Opus(_) => "opus".into(),
        other => return Err(format!("a codec that was not asked for: {other:?}").chars().take(200).collect()),
    })
}

fn av1_string(config: &mp4_atom::Av1c) -> String {
    let tier = if config.seq_tier_0 { 'H' } else { 'M' };
    let depth = match (config.high_bitdepth, config.twelve_bit) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    format!("av01.{}.{:02}{tier}.{depth:02}", config.seq_profile, config.seq_level_idx_0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_no_initialisation_section_is_an_error() {
        assert!(codec_strings(b"").is_err());
        assert!(codec_strings(b"\0\0\0\x08free").is_err());
        assert!(codec_strings(b"\0\0\xff\xffmoov").is_err());
    }

    #[test]
    fn av1_says_level_tier_and_depth() {
        let config = mp4_atom::Av1c { seq_level_idx_0: 8, high_bitdepth: true, ..Default::default() };
        assert_eq!(av1_string(&config), "av01.0.08M.10");
    }
}
