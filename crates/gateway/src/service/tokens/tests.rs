#![allow(clippy::unwrap_used)]

use super::*;

const NOW: Timestamp = Timestamp::from_ms(1_795_000_000_000);

/// The tokens of a gateway, and its key as whoever has stolen it would have it.
fn tokens() -> (Tokens, SigningKeyRecord) {
    let _ = PROVIDER.install_default();
    let record = new_key(NOW).unwrap();
    let keys = vec![Key::read(&record).unwrap()];
    (Tokens::with(keys, "djstream", 600), record)
}

fn claims(now: Timestamp) -> serde_json::Value {
    serde_json::json!({
        "exp": now.seconds() + 600, "iat": now.seconds(), "iss": "djstream", "aud": "djstream",
        "sub": UserId::generate(), "typ": "access", "sid": SessionId::generate(),
    })
}

fn encoded(value: &serde_json::Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token with any header and claims, rightly signed by `record`'s key.
fn signed(record: &SigningKeyRecord, header: &serde_json::Value, claims: &serde_json::Value) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let pair = Ed25519KeyPair::from_pkcs8(&record.pkcs8).unwrap();
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()).as_ref());
    format!("{message}.{signature}")
}

fn header(record: &SigningKeyRecord) -> serde_json::Value {
    serde_json::json!({"alg": "EdDSA", "typ": "JWT", "kid": record.kid})
}

#[test]
fn a_token_says_what_was_put_in_until_it_ends() {
    let (tokens, _) = tokens();
    let (user, session) = (UserId::generate(), SessionId::generate());
    let token = tokens.make(TokenKind::Access, user, session, NOW).unwrap();
    let claims = tokens.check(&token, TokenKind::Access, NOW.plus_ms(599_999)).unwrap();
    assert_eq!((claims.sub, claims.sid, claims.exp - claims.iat), (user, session, 600));
    assert!(matches!(tokens.check(&token, TokenKind::Access, NOW.plus_ms(600_000)), Err(GatewayError::TokenExpired)));
    assert!(matches!(tokens.check(&token, TokenKind::Media, NOW), Err(GatewayError::TokenInvalid)));
}

#[test]
fn a_token_that_was_good_before_is_looked_at_again() {
    let (tokens, record) = tokens();
    let token = signed(&record, &header(&record), &claims(NOW));
    assert!(tokens.check(&token, TokenKind::Access, NOW).is_ok());
    assert!(tokens.verified.get(&token).is_some());
    assert!(matches!(tokens.check(&token, TokenKind::Access, NOW.plus_ms(600_000)), Err(GatewayError::TokenExpired)));
    assert!(matches!(tokens.check(&token, TokenKind::Media, NOW), Err(GatewayError::TokenInvalid)));
    let early = NOW.plus_ms(-(AHEAD_MAX_S + 1) * 1_000);
    assert!(matches!(tokens.check(&token, TokenKind::Access, early), Err(GatewayError::TokenInvalid)));
    let (start, _) = token.rsplit_once('.').unwrap();
    let unsigned = format!("{start}.");
    assert!(tokens.check(&unsigned, TokenKind::Access, NOW).is_err());
    assert!(tokens.verified.get(&unsigned).is_none(), "what is not good is not remembered");
}

#[test]
fn a_token_of_another_key_or_with_a_changed_byte_is_refused() {
    let ((mine, record), (other, other_record)) = (tokens(), tokens());
    let good = other.make(TokenKind::Access, UserId::generate(), SessionId::generate(), NOW).unwrap();
    assert!(mine.check(&good, TokenKind::Access, NOW).is_err());
    // Under our key's name, but signed by another.
    let forged = signed(&other_record, &header(&record), &claims(NOW));
    assert!(mine.check(&forged, TokenKind::Access, NOW).is_err());
    let token = signed(&record, &header(&record), &claims(NOW));
    assert!(mine.check(&token, TokenKind::Access, NOW).is_ok());
    for index in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        // The last character of base64 without padding has bits that say nothing.
        if changed != token && index + 1 < token.len() {
            assert!(mine.check(&changed, TokenKind::Access, NOW).is_err(), "byte {index}");
        }
    }
}

#[test]
fn headers_that_ask_for_another_key_or_algorithm_are_refused() {
    let (tokens, record) = tokens();
    let cases = [
        serde_json::json!({"alg": "none", "typ": "JWT", "kid": record.kid}),
        serde_json::json!({"alg": "HS256", "typ": "JWT", "kid": record.kid}),
        serde_json::json!({"alg": "EdDSA", "typ": "JWT"}),
        serde_json::json!({"alg": "EdDSA", "typ": "JWT", "kid": "../../etc/passwd"}),
        serde_json::json!({"alg": "EdDSA", "typ": "JWT", "kid": record.kid, "jku": "https://evil.example/keys"}),
        serde_json::json!({"alg": "EdDSA", "typ": "JWT", "kid": record.kid, "x5u": "https://evil.example/x"}),
        serde_json::json!({"alg": "EdDSA", "typ": "JWT", "kid": record.kid, "crit": ["b64"]}),
        serde_json::json!({"alg": "EdDSA", "typ": "JWT", "kid": record.kid,
            "jwk": {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}),
        serde_json::json!({"alg": "EdDSA", "kid": record.kid}),
    ];
    for header in cases {
        let token = signed(&record, &header, &claims(NOW));
        assert!(tokens.check(&token, TokenKind::Access, NOW).is_err(), "{header}");
    }
    let unsigned = format!("{}.{}.", encoded(&serde_json::json!({"alg": "none"})), encoded(&claims(NOW)));
    assert!(tokens.check(&unsigned, TokenKind::Access, NOW).is_err());
    for nonsense in ["", ".", "..", "...", "a.b.c", "é.é.é"] {
        assert!(tokens.check(nonsense, TokenKind::Access, NOW).is_err(), "{nonsense}");
    }
}

#[test]
fn every_claim_is_required_with_its_type() {
    let (tokens, record) = tokens();
    for name in ["exp", "iat", "iss", "aud", "sub", "typ", "sid"] {
        let mut without = claims(NOW);
        without.as_object_mut().unwrap().remove(name);
        assert!(tokens.check(&signed(&record, &header(&record), &without), TokenKind::Access, NOW).is_err(), "{name}");
        for wrong in [serde_json::json!(true), serde_json::json!({}), serde_json::json!(["djstream"])] {
            let mut changed = claims(NOW);
            changed[name] = wrong.clone();
            let token = signed(&record, &header(&record), &changed);
            assert!(tokens.check(&token, TokenKind::Access, NOW).is_err(), "{name}: {wrong}");
        }
    }
    for (name, value) in [
        ("exp", serde_json::json!(NOW.seconds() + 601)),
        ("exp", serde_json::json!(i64::MAX)),
        ("iat", serde_json::json!(NOW.seconds() + 120)),
        ("iat", serde_json::json!(i64::MIN)),
        ("iss", serde_json::json!("https://evil.example")),
        ("aud", serde_json::json!("somebody-else")),
        ("sub", serde_json::json!("admin")),
        ("typ", serde_json::json!("refresh")),
    ] {
        let mut changed = claims(NOW);
        changed[name] = value.clone();
        let token = signed(&record, &header(&record), &changed);
        assert!(tokens.check(&token, TokenKind::Access, NOW).is_err(), "{name}: {value}");
    }
}

#[test]
fn the_key_set_has_the_public_keys_only() {
    let (tokens, record) = tokens();
    let set = tokens.key_set();
    assert_eq!(set["keys"][0]["kid"], record.kid.as_str());
    assert_eq!(set["keys"][0]["crv"], "Ed25519");
    assert!(set["keys"][0].get("d").is_none());
    assert_eq!(URL_SAFE_NO_PAD.decode(set["keys"][0]["x"].as_str().unwrap()).unwrap().len(), 32);
}
