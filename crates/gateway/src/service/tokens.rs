//! Access tokens: EdDSA JWTs (RFC 7519, RFC 8037) that live for minutes, and the keys that sign them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation};
use moka::sync::Cache;
use proto::{SessionId, Timestamp, UserId};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use store::{Batch, Scan, Store};

use crate::data::{SIGNING_KEYS, SigningKeyRecord};
use crate::error::GatewayError;
use crate::limits::TOKENS_VERIFIED_MAX;

/// What a token is for; no token is good for anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TokenKind {
    /// `Authorization: Bearer`.
    Access,
    /// The cookie that lets a browser's players and pictures at a person's videos.
    Media,
}

/// What a token says. All of it is required.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The end, in seconds since 1970.
    pub(crate) exp: i64,
    /// When it was made, in seconds since 1970.
    pub(crate) iat: i64,
    /// Which instance made it.
    pub(crate) iss: String,
    /// For whom: this instance's gateway.
    pub(crate) aud: String,
    /// Whose it is.
    pub(crate) sub: UserId,
    /// What it is for.
    pub(crate) typ: TokenKind,
    /// With which session it ends.
    pub(crate) sid: SessionId,
}

/// Whom tokens are for.
const AUDIENCE: &str = "djstream";

/// The longest life of a token that is believed, whatever it says itself.
const LIFE_MAX_S: i64 = 600;

/// How far a token may be ahead of our clock, which may have been set back.
const AHEAD_MAX_S: i64 = 60;

struct Key {
    kid: String,
    private: EncodingKey,
    public: DecodingKey,
    public_bytes: Vec<u8>,
}

/// Makes and checks tokens.
pub(crate) struct Tokens {
    /// The newest first: it signs, all of them are believed.
    keys: Vec<Key>,
    issuer: String,
    life_s: i64,
    validation: Validation,
    /// What whole tokens say whose signatures were found good: a client sends the same one for minutes, and looking
    /// at a signature again takes longer than most answers.
    verified: Cache<String, Claims>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Tokens").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Tokens {
    /// With the keys of the store; the first one is made here.
    pub(crate) async fn open(store: &Store, issuer: &str, life_s: u64, now: Timestamp) -> Result<Self, GatewayError> {
        // Fails only if it was installed already, by another gateway of this process in a test.
        let _ = PROVIDER.install_default();
        let mut records: Vec<SigningKeyRecord> = store
            .scan(SIGNING_KEYS, Scan::all().reverse())
            .map(|entry| entry.map(|(_, record)| record))
            .collect::<Result<_, _>>()?;
        if records.is_empty() {
            let record = new_key(now)?;
            store.write(Batch::new().put(SIGNING_KEYS, &now.ms(), &record)).await?;
            records.push(record);
        }
        let keys = records.iter().map(Key::read).collect::<Result<_, _>>()?;
        let issuer = if issuer.is_empty() { AUDIENCE } else { issuer };
        let life_s = i64::try_from(life_s).unwrap_or(LIFE_MAX_S).min(LIFE_MAX_S);
        Ok(Self::with(keys, issuer, life_s))
    }

    fn with(keys: Vec<Key>, issuer: &str, life_s: i64) -> Self {
        let life = Duration::from_secs(LIFE_MAX_S.unsigned_abs());
        let verified = Cache::builder().max_capacity(TOKENS_VERIFIED_MAX).time_to_live(life).build();
        Self { keys, issuer: issuer.to_owned(), life_s, validation: validation(issuer), verified }
    }

    /// Seconds that a token lives.
    pub(crate) fn life_s(&self) -> u32 {
        u32::try_from(self.life_s).unwrap_or(0)
    }

    /// A token of a kind for a person's session.
    pub(crate) fn make(
        &self,
        kind: TokenKind,
        user: UserId,
        session: SessionId,
        now: Timestamp,
    ) -> Result<String, GatewayError> {
        let key = self.keys.first().ok_or(GatewayError::Internal("there is no signing key"))?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.kid.clone());
        let iat = now.seconds();
        let claims = Claims {
            exp: iat + self.life_s,
            iat,
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            typ: kind,
            sid: session,
        };
        jsonwebtoken::encode(&header, &claims, &key.private)
            .map_err(|_| GatewayError::Internal("a token could not be signed"))
    }

    /// What a token says, if one of our keys signed it, for this, and it has not run out.
    pub(crate) fn check(&self, token: &str, kind: TokenKind, now: Timestamp) -> Result<Claims, GatewayError> {
        let known = self.verified.get(token);
        let claims = known.map_or_else(|| self.verify(token), Ok)?;
        let now_s = now.seconds();
        let life = claims.exp.checked_sub(claims.iat).ok_or(GatewayError::TokenInvalid)?;
        if claims.typ != kind || !(0..=LIFE_MAX_S).contains(&life) || claims.iat > now_s + AHEAD_MAX_S {
            return Err(GatewayError::TokenInvalid);
        }
        if claims.exp <= now_s {
            return Err(GatewayError::TokenExpired);
        }
        Ok(claims)
    }

    /// What a token says that one of our keys signed, for us. Its times are not looked at.
    fn verify(&self, token: &str) -> Result<Claims, GatewayError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| GatewayError::TokenInvalid)?;
        let kid = trusted(&header).ok_or(GatewayError::TokenInvalid)?;
        let key = self.keys.iter().find(|key| key.kid == kid).ok_or(GatewayError::TokenInvalid)?;
        let data = jsonwebtoken::decode::<Claims>(token, &key.public, &self.validation);
        let claims = data.map_err(|_| GatewayError::TokenInvalid)?.claims;
        self.verified.insert(token.to_owned(), claims.clone());
        Ok(claims)
    }

    /// The public keys (RFC 7517, RFC 8037 §2).
    pub(crate) fn key_set(&self) -> serde_json::Value {
        let keys: Vec<_> = self
            .keys
            .iter()
            .map(|key| {
                serde_json::json!({
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "use": "sig",
                    "alg": "EdDSA",
                    "kid": key.kid,
                    "x": URL_SAFE_NO_PAD.encode(&key.public_bytes),
                })
            })
            .collect();
        serde_json::json!({ "keys": keys })
    }
}

/// The key that the header names, if the header asks for nothing that could be a trick: keys that come with the
/// token or from an address are never used.
fn trusted(header: &Header) -> Option<&str> {
    let plain = header.alg == Algorithm::EdDSA
        && header.typ.as_deref() == Some("JWT")
        && header.jku.is_none()
        && header.jwk.is_none()
        && header.x5u.is_none()
        && header.x5c.is_none()
        && header.crit.is_none()
        && header.enc.is_none()
        && header.zip.is_none();
    if plain { header.kid.as_deref() } else { None }
}

fn validation(issuer: &str) -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[AUDIENCE]);
    // The time is a parameter here: `Tokens::check` looks at it, without leeway.
    validation.validate_exp = false;
    validation
}

fn new_key(now: Timestamp) -> Result<SigningKeyRecord, GatewayError> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new())
        .map_err(|_| GatewayError::Internal("the system gives no random numbers"))?;
    let kid = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 9]>());
    Ok(SigningKeyRecord { kid, pkcs8: pkcs8.as_ref().to_vec(), created_at: now })
}

impl Key {
    fn read(record: &SigningKeyRecord) -> Result<Self, GatewayError> {
        let pair = Ed25519KeyPair::from_pkcs8(&record.pkcs8)
            .map_err(|_| GatewayError::Internal("a signing key in the store is damaged"))?;
        let public_bytes = pair.public_key().as_ref().to_vec();
        Ok(Self {
            kid: record.kid.clone(),
            private: EncodingKey::from_ed_der(&record.pkcs8),
            public: DecodingKey::from_ed_der(&public_bytes),
            public_bytes,
        })
    }
}

/// The one algorithm we use, by ring; every other one is refused here too. jsonwebtoken's own providers bring RSA
/// and all the curves with them.
static PROVIDER: CryptoProvider =
    CryptoProvider { signer_factory, verifier_factory, key_utils: KeyUtils::new_unimplemented() };

struct Ed25519Signer(Ed25519KeyPair);
struct Ed25519Verifier(Vec<u8>);

fn signer_factory(algorithm: &Algorithm, key: &EncodingKey) -> JwtResult<Box<dyn JwtSigner>> {
    if *algorithm != Algorithm::EdDSA || key.family() != AlgorithmFamily::Ed {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let pair = Ed25519KeyPair::from_pkcs8(key.as_bytes()).map_err(|_| ErrorKind::InvalidEddsaKey)?;
    Ok(Box::new(Ed25519Signer(pair)))
}

fn verifier_factory(algorithm: &Algorithm, key: &DecodingKey) -> JwtResult<Box<dyn JwtVerifier>> {
    if *algorithm != Algorithm::EdDSA || key.family() != AlgorithmFamily::Ed {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(Ed25519Verifier(key.try_get_as_bytes()?.to_vec())))
}

impl Signer<Vec<u8>> for Ed25519Signer {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for Ed25519Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

impl Verifier<Vec<u8>> for Ed25519Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Ed25519Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests;
