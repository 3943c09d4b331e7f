#![allow(clippy::unwrap_used)]

use super::*;

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    parse("djstream.toml", text, &variables)
}

/// The file at the root and the code say the same. `UPDATE_EXPECT=1` writes the file anew.
#[test]
fn the_file_at_the_root_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../djstream.toml");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, template()).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(with(&text, &[]).unwrap(), Config::default());
    for key in keys() {
        assert!(text.contains(&key.variable), "{} is not explained", key.variable);
        assert!(text.contains(&format!("\n{} = {}\n", key.name, key.default)), "{} is absent", key.name);
    }
    assert!(text == template(), "djstream.toml is stale; run this test with UPDATE_EXPECT=1");
}

#[test]
fn the_documented_variables_work() {
    let config = with(
        "[registration]\npolicy = \"closed\"\n",
        &[
            ("DJSTREAM_REGISTRATION_POLICY", "open"),
            ("DJSTREAM_REGISTRATION_PROOF_OF_WORK", "false"),
            ("DJSTREAM_LIMITS_PER_ADDRESS", "false"),
            ("DJSTREAM_HTTP_LISTEN", "127.0.0.1:0"),
            ("DJSTREAM_MEDIA_RENDITION_HEIGHTS", "480, 1080"),
        ],
    )
    .unwrap();
    assert_eq!(config.registration.policy, RegistrationPolicy::Open);
    assert!(!config.registration.proof_of_work);
    assert!(!config.limits.per_address);
    assert_eq!(config.http.listen.port(), 0);
    assert_eq!(config.media.rendition_heights, [480, 1080]);
    assert_eq!(config.relaxed().len(), 2);
    assert!(Config::default().relaxed().is_empty());
}

#[test]
fn all_faults_are_named_at_once_with_their_lines() {
    let text = "[http]\nlisten = \"nowhere\"\nlisen = 1\n\n[auth]\naccess_token_ttl_s = 601\n\n[htp]\nx = 1\n";
    let error = with(text, &[("DJSTREAM_LIMITS_PER_ADDRESS", "perhaps"), ("DJSTREAM_HTTP_LISTE", "x")]).unwrap_err();
    let shown = error.to_string();
    assert_eq!(error.count(), 6, "{shown}");
    for part in [
        "djstream.toml:2: [http] listen: expected an address and port",
        "djstream.toml:3: [http] lisen: there is no such key",
        "djstream.toml:6: [auth] access_token_ttl_s: expected a whole number from 30 to 600 (this is the number 601)",
        "djstream.toml:8: [htp]: there is no such section",
        "variable DJSTREAM_LIMITS_PER_ADDRESS: expected true or false",
        "variable DJSTREAM_HTTP_LISTE: there is no such key",
    ] {
        assert!(shown.contains(part), "{part} not in:\n{shown}");
    }
    let rendered = error.render();
    assert!(rendered.contains("djstream.toml:6") && rendered.contains("access_token_ttl_s = 601"), "{rendered}");
}

#[test]
fn text_that_is_no_toml_is_a_fault_with_its_line() {
    let error = with("[http]\nlisten = \n[log]\nlevel = \"nonsense=\"\n", &[]).unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains("djstream.toml:2"), "{shown}");
}

#[test]
fn a_named_file_must_exist() {
    let error = load(Some(Path::new("/nonexistent/djstream.toml"))).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/djstream.toml: cannot be read"));
}

#[test]
fn networks_know_their_addresses() {
    let network: Network = "10.1.0.0/16".parse().unwrap();
    assert!(network.contains("10.1.2.3".parse().unwrap()));
    assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
    assert!(!network.contains("10.2.0.1".parse().unwrap()));
    assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("9.9.9.9".parse().unwrap()));
    assert!("::1".parse::<Network>().unwrap().contains("::1".parse().unwrap()));
    assert!("10.0.0.0/33".parse::<Network>().is_err());
}
