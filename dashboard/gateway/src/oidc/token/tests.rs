//! Tokens with real signatures, made here with keys of all kinds.

#![allow(clippy::unwrap_used)]

use super::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{EncodingKey, Header, encode};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::json;

const NOW_S: i64 = 1_760_000_000;

fn now() -> Timestamp {
    Timestamp::from_secs(NOW_S).unwrap()
}

/// The JWK and the key to sign with.
fn p256(id: &str) -> (Value, EncodingKey) {
    let random = SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..65]));
    let jwk = json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": x, "y": y });
    (jwk, EncodingKey::from_ec_der(der.as_ref()))
}

fn ed25519(id: &str) -> (Value, EncodingKey) {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": BASE64.encode(pair.public_key().as_ref()) });
    (jwk, EncodingKey::from_ed_der(der.as_ref()))
}

fn keys(keys: &[&Value]) -> Keys {
    Keys::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn header(algorithm: Algorithm, id: Option<&str>) -> Header {
    Header { kid: id.map(str::to_owned), ..Header::new(algorithm) }
}

fn good() -> Value {
    json!({
        "iss": "https://id.example.org", "aud": "waystream", "sub": "248289761001", "nonce": "n-0S6_WzA2Mj",
        "exp": NOW_S + 300, "iat": NOW_S, "email": "anna@example.org",
    })
}

fn checked(claims: &Value) -> Result<(), TokenError> {
    let begun = Timestamp::from_secs(NOW_S - 120).unwrap();
    let expected = Expected { issuer: "https://id.example.org", client_id: "waystream", nonce: "n-0S6_WzA2Mj", begun };
    check(claims.as_object().unwrap(), &expected, now())
}

#[test]
fn only_what_the_provider_has_signed_is_believed() {
    let ((ec, signs), (ed, signs_too), (other, signs_for_others)) = (p256("a"), ed25519("b"), p256("a"));
    let known = keys(&[&ec, &ed]);
    let token = |algorithm, id, key: &EncodingKey| encode(&header(algorithm, id), &good(), key).unwrap();
    for (algorithm, id, key) in
        [(Algorithm::ES256, Some("a"), &signs), (Algorithm::ES256, None, &signs), (Algorithm::EdDSA, Some("b"), &signs_too)]
    {
        let claims = known.verify(&token(algorithm, id, key)).unwrap();
        assert_eq!(claims["email"], "anna@example.org");
    }
    let wrong = TokenError::Bad("the signature is wrong");
    assert_eq!(known.verify(&token(Algorithm::ES256, Some("a"), &signs_for_others)), Err(wrong.clone()));
    // There may be a new key of that name, or without one.
    assert_eq!(known.verify(&token(Algorithm::ES256, Some("c"), &signs_for_others)), Err(TokenError::UnknownKey));
    assert_eq!(known.verify(&token(Algorithm::ES256, None, &signs_for_others)), Err(TokenError::UnknownKey));
    assert!(keys(&[&other]).verify(&token(Algorithm::ES256, Some("a"), &signs_for_others)).is_ok());

    // Another's claims under this signature.
    let signed = token(Algorithm::ES256, Some("a"), &signs);
    let parts: Vec<&str> = signed.split('.').collect();
    let claims = BASE64.encode(good().to_string().replace("anna", "otto"));
    assert_eq!(known.verify(&format!("{}.{claims}.{}", parts[0], parts[2])), Err(wrong));
    for rubbish in ["", "a.b.c", &signed[1..], parts[0], &format!("{}.{}.", parts[0], parts[1])] {
        assert!(known.verify(rubbish).is_err(), "{rubbish}");
    }
}

#[test]
fn a_token_without_a_signature_or_signed_with_what_everybody_knows_is_none() {
    let (ec, _) = p256("a");
    let secret = json!({ "kty": "oct", "kid": "s", "k": BASE64.encode("a secret of enough letters") });
    let known = keys(&[&ec, &secret]);
    assert_eq!(known.0.len(), 1, "no secret is a key");
    for none in ["none", "None", "NONE"] {
        let header = BASE64.encode(json!({ "alg": none, "kid": "a" }).to_string());
        let token = format!("{header}.{}.", BASE64.encode(good().to_string()));
        assert!(matches!(known.verify(&token), Err(TokenError::Bad(_))), "{none}");
    }
    // The public key, or the client's secret, as if it were a secret of both.
    for (id, shared) in [("a", ec["x"].as_str().unwrap()), ("s", "a secret of enough letters")] {
        let key = EncodingKey::from_secret(shared.as_bytes());
        let token = encode(&header(Algorithm::HS256, Some(id)), &good(), &key).unwrap();
        assert_eq!(known.verify(&token), Err(TokenError::Bad("signed with an algorithm that is not taken")));
    }
}

#[test]
fn keys_that_cannot_be_used_spoil_no_others() {
    let (ec, signs) = p256("a");
    let mut encrypts = ec.clone();
    (encrypts["use"], encrypts["kid"]) = (json!("enc"), json!("e"));
    let mut otherwise = ec.clone();
    (otherwise["alg"], otherwise["kid"]) = (json!("RS256"), json!("r"));
    let strange = json!({ "kty": "AKP", "alg": "ML-DSA-44", "kid": "pq", "pub": "AAAA" });
    let known = keys(&[&strange, &json!(7), &encrypts, &otherwise, &json!({ "kty": "EC", "crv": "secp256k1" }), &ec]);
    assert_eq!(known.0.len(), 1);
    assert!(known.verify(&encode(&header(Algorithm::ES256, Some("a")), &good(), &signs).unwrap()).is_ok());
    assert!(Keys::parse(b"{}").is_err() && Keys::parse(b"<html>").is_err());
}

#[test]
fn a_token_for_others_of_another_flow_or_of_another_time_is_none() {
    assert_eq!(checked(&good()), Ok(()));
    let with = |name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        claims
    };
    let mut several = with("aud", json!(["other", "waystream"]));
    several["azp"] = json!("waystream");
    for fine in [several, with("azp", json!("waystream")), with("aud", json!(["waystream"])), with("exp", json!(NOW_S - 30))] {
        assert_eq!(checked(&fine), Ok(()), "{fine}");
    }
    for (name, value) in [
        ("iss", json!("https://id.example.org/")),
        ("iss", json!(["https://id.example.org"])),
        ("aud", json!("other")),
        ("aud", json!(["other"])),
        ("aud", json!([])),
        ("aud", Value::Null),
        ("aud", json!(["other", "waystream"])),
        ("azp", json!("other")),
        ("azp", json!(7)),
        ("sub", json!("")),
        ("nonce", json!("another")),
        ("nonce", Value::Null),
        ("exp", json!(NOW_S - 60)),
        ("exp", json!("tomorrow")),
        ("nbf", json!(NOW_S + 61)),
        ("iat", json!(NOW_S + 61)),
        ("iat", json!(NOW_S - 181)),
    ] {
        let claims = with(name, value);
        assert!(
            matches!(checked(&claims), Err(TokenError::Bad(reason)) if reason.starts_with(name) || name == "aud"),
            "{claims}"
        );
    }
    for name in ["iss", "aud", "sub", "nonce", "exp", "iat"] {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(name);
        assert!(checked(&claims).is_err(), "without {name}");
    }
}
