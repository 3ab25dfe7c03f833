#![allow(clippy::unwrap_used)]
use super::*;

/// Written by github.com/nats-io/jwt; from its own tests.
const BY_GO: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJqdGkiOiI3V0NYQkZKS0lIN1Y0SkdPR0FVTEtTS05aQUxVTUZMVExZWVgyNTdDSzZORk5OWTdGRVdBIiwiaWF0IjoxNjQ0Mjc5NDY3LCJpc3MiOiJPQk5UUVJFSEVJUFJFVE1BVlBWUVVDSUdFUktHWkIzRVJBVjVTNUdNM0lPRVFOSFJFQkpPVUFSRiIsIm5hbWUiOiJ0ZXN0Iiwic3ViIjoiQUM2SFFJMlVBTVVQREVQN1dTWVFZV1JDTEVZQkxZVlNQTDZBSExDVVBKVEdVMzJUNEtRQktZU0ciLCJuYXRzIjp7ImxpbWl0cyI6eyJzdWJzIjotMSwiZGF0YSI6LTEsInBheWxvYWQiOi0xLCJpbXBvcnRzIjotMSwiZXhwb3J0cyI6LTEsIndpbGRjYXJkcyI6dHJ1ZSwiY29ubiI6LTEsImxlYWYiOi0xfSwiZGVmYXVsdF9wZXJtaXNzaW9ucyI6eyJwdWIiOnt9LCJzdWIiOnt9fSwidHlwZSI6ImFjY291bnQiLCJ2ZXJzaW9uIjoyfX0.73vDu9osNeLKwQ-g1Uu1fAtszMNz_QRZXRJLp0kzZh-0eMBmt0nb2mMwBwg-fufJs1FqYe9WbWKeXAYStnVnBg";

fn account() -> Claims<AccountBody> {
    let key = SecretKey::generate(KeyKind::Account).unwrap();
    let limits = Limits { conn: UNLIMITED, wildcards: true, ..Limits::default() };
    Claims::new(key.public_key(), "SHOP", AccountBody { limits, ..AccountBody::default() })
}

#[test]
fn a_jwt_of_the_go_library_is_read_and_nothing_in_it_is_lost() {
    let claims = Claims::<AccountBody>::decode(BY_GO).unwrap();
    assert_eq!(
        (claims.name.as_str(), claims.issued_at, claims.nats.limits.conn),
        ("test", 1_644_279_467, -1)
    );
    let payload = BASE64URL_NOPAD.decode(BY_GO.split('.').nth(1).unwrap().as_bytes()).unwrap();
    let theirs: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(serde_json::to_value(&claims).unwrap(), theirs);
}

#[test]
fn the_id_is_hashed_as_the_go_library_hashes_it() {
    let mut claims = Claims::<AccountBody>::decode(BY_GO).unwrap();
    let theirs = claims.clone();
    let key = SecretKey::generate(KeyKind::Operator).unwrap();
    // The id depends on the issuer, so it is hashed again over what the Go library hashed.
    claims.sign(&key, theirs.issued_at);
    let hashed = format!(
        r#"{{"iat":1644279467,"iss":"{}","name":"test","sub":"{}"}}"#,
        key.public_key(),
        theirs.subject
    );
    assert_eq!(claims.id, BASE32_NOPAD.encode(&Sha512_256::digest(&hashed)));
    let hashed = hashed.replace(&key.public_key(), &theirs.issuer);
    assert_eq!(theirs.id, BASE32_NOPAD.encode(&Sha512_256::digest(hashed)));
}

#[test]
fn zero_fields_are_left_out_and_a_signed_jwt_reads_back() {
    let mut claims = account();
    let token = claims.sign(&SecretKey::generate(KeyKind::Operator).unwrap(), 1_700_000_000);
    assert_eq!(Claims::<AccountBody>::decode(&token).unwrap(), claims);
    let nats = serde_json::to_value(&claims).unwrap()["nats"].to_string();
    assert_eq!(nats, r#"{"limits":{"wildcards":true,"conn":-1},"type":"account","version":2}"#);
    let header = BASE64URL_NOPAD.decode(token.split('.').next().unwrap().as_bytes()).unwrap();
    assert_eq!(header, br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
}

#[test]
fn a_changed_jwt_is_refused_wherever_it_was_changed() {
    let token = account().sign(&SecretKey::generate(KeyKind::Operator).unwrap(), 1_700_000_000);
    for place in (0..token.len()).step_by(7) {
        let mut bytes = token.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(Claims::<AccountBody>::decode(&changed).is_err(), "changed at {place}");
    }
    for length in 0..token.len() {
        assert!(Claims::<AccountBody>::decode(&token[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn claims_put_under_another_signature_are_refused() {
    let key = SecretKey::generate(KeyKind::Operator).unwrap();
    let (one, two) = (account().sign(&key, 1), account().sign(&key, 1));
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (one, two) = (parts(&one), parts(&two));
    let mixed = format!("{}.{}.{}", one[0], one[1], two[2]);
    assert!(matches!(Claims::<AccountBody>::decode(&mixed), Err(JwtError::Signature { .. })));
}

#[test]
fn a_jwt_of_another_sort_or_signer_is_told() {
    let token = account().sign(&SecretKey::generate(KeyKind::Operator).unwrap(), 1);
    let error = Claims::<OperatorBody>::decode(&token).unwrap_err();
    assert_eq!(error.to_string(), "it is the JWT of account, not of operator");
    let by_itself = account().sign(&SecretKey::generate(KeyKind::Account).unwrap(), 1);
    let error = Claims::<AccountBody>::decode(&by_itself).unwrap_err();
    assert!(matches!(error, JwtError::Key { field: "issuer", .. }), "{error}");
}
