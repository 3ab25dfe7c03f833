//! NATS JWTs, version 2: what they say, how they are signed, and whether they can be believed.
//!
//! The shapes are those of github.com/nats-io/jwt: fields that are zero are left out, -1 is
//! unlimited. Fields that leafbox does not use are kept when a JWT is read, so that signing it
//! again loses nothing that another tool wrote.

mod account;
mod operator;
mod user;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use sha2::{Digest, Sha512_256};

pub use account::{
    AccountBody, ActivationBody, DeletionBody, ExportClaim, ImportClaim, Limits, Permission, Permissions,
    Response, RevocationList, SigningKeyClaim, UNLIMITED, UserScope,
};
pub use operator::OperatorBody;
pub use user::UserBody;

use crate::nkey::{self, KeyKind, SecretKey};

/// Version of the JWT format.
pub const VERSION: u64 = 2;

/// `{"typ":"JWT","alg":"ed25519-nkey"}`, always in this order.
const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

/// Fields that leafbox has no use for, kept as they are.
pub type Other = Map<String, Value>;

/// Why a JWT cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// Part of it is missing, or it is no JWT at all.
    #[error("it is not a whole JWT: {0}")]
    Incomplete(&'static str),
    /// Its header names another format.
    #[error("its header is not that of a NATS JWT: {0}")]
    Header(String),
    /// Its claims are not what they should be.
    #[error("its claims cannot be read")]
    Claims(#[source] serde_json::Error),
    /// It was changed after it was signed.
    #[error("its signature does not match: it was changed after {issuer} signed it")]
    Signature {
        /// Who it says signed it.
        issuer: String,
    },
    /// It is a JWT of another sort.
    #[error("it is the JWT of {}, not of {expected}", or_unknown(found))]
    Kind {
        /// The sort that was wanted.
        expected: &'static str,
        /// The sort that it is.
        found: String,
    },
    /// A newer tool wrote it.
    #[error("it has version {0} of the JWT format and leafbox knows {VERSION}: update leafbox")]
    Version(u64),
    /// A key that it names cannot be of the sort it is used as.
    #[error("its {field} `{key}` is not the public key of {expected}")]
    Key {
        /// Where the key stands.
        field: &'static str,
        /// The key.
        key: String,
        /// Whose key it should be.
        expected: &'static str,
    },
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "an unknown sort" } else { text }
}

/// What a JWT says, `T` being the part that differs by sort.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims<T> {
    /// Whom it is meant for; NATS does not use it.
    #[serde(rename = "aud", default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// When it expires, in seconds since 1970.
    #[serde(rename = "exp", default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// A hash of the fields above and below.
    #[serde(rename = "jti", default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// When it was signed, in seconds since 1970.
    #[serde(rename = "iat", default, skip_serializing_if = "is_zero")]
    pub issued_at: i64,
    /// The public key that signed it.
    #[serde(rename = "iss", default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// The name of whom it is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// From when it is valid, in seconds since 1970.
    #[serde(rename = "nbf", default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// The public key of whom it is about.
    #[serde(rename = "sub", default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What it says about them.
    pub nats: T,
}

/// The part of a JWT that differs by sort.
pub trait Body: Clone + PartialEq + Serialize + DeserializeOwned {
    /// The word in `nats.type`, none for a generic JWT.
    const KIND: &'static str;
    /// Whose keys may sign it.
    const ISSUERS: &'static [KeyKind];
    /// Whose key it is about.
    const SUBJECT: KeyKind;
}

impl<T: Body> Claims<T> {
    /// Claims about `subject` that nobody has signed yet.
    pub fn new(subject: String, name: &str, nats: T) -> Self {
        Self {
            audience: None,
            expires: None,
            id: String::new(),
            issued_at: 0,
            issuer: String::new(),
            name: name.to_owned(),
            not_before: None,
            subject,
            nats,
        }
    }

    /// Signs the claims as of `issued_at`, in seconds since 1970, and returns the JWT.
    pub fn sign(&mut self, key: &SecretKey, issued_at: i64) -> String {
        self.issuer = key.public_key();
        self.issued_at = issued_at;
        self.id = String::new();
        // The Go library hashes the fields outside `nats` alone, in this order.
        let outer = serde_json::json!({
            "aud": self.audience, "exp": self.expires, "iat": self.issued_at, "iss": self.issuer,
            "name": (!self.name.is_empty()).then_some(&self.name), "nbf": self.not_before, "sub": self.subject,
        });
        let present: Map<String, Value> =
            outer.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()).map(own).collect();
        self.id = BASE32_NOPAD.encode(&Sha512_256::digest(Value::Object(present).to_string()));
        let claims = serde_json::to_vec(self).expect("claims are plain data");
        let signed =
            format!("{}.{}", BASE64URL_NOPAD.encode(HEADER.as_bytes()), BASE64URL_NOPAD.encode(&claims));
        let signature = BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// Reads a JWT and checks its signature, sort, version, and the sorts of the keys it names.
    ///
    /// Whether the issuer is to be trusted is the caller's question.
    pub fn decode(token: &str) -> Result<Self, JwtError> {
        let mut parts = token.trim().split('.');
        let (Some(header), Some(body), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwtError::Incomplete("it does not have three parts with dots between"));
        };
        let decode = |text: &str, what| {
            BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| JwtError::Incomplete(what))
        };
        check_header(&decode(header, "its header is cut off")?)?;
        let payload = decode(body, "its claims are cut off")?;
        let kind: Kind = serde_json::from_slice(&payload).map_err(JwtError::Claims)?;
        if kind.nats.version > VERSION {
            return Err(JwtError::Version(kind.nats.version));
        }
        if kind.nats.kind != T::KIND {
            return Err(JwtError::Kind { expected: T::KIND, found: kind.nats.kind });
        }
        let claims: Self = serde_json::from_slice(&payload).map_err(JwtError::Claims)?;
        claims.check_keys()?;
        let signature = decode(signature, "its signature is cut off")?;
        if signature.len() != 64 {
            return Err(JwtError::Incomplete("its signature is cut off"));
        }
        let signed = header.len() + 1 + body.len();
        if !nkey::verify(&claims.issuer, &token.trim().as_bytes()[..signed], &signature) {
            return Err(JwtError::Signature { issuer: claims.issuer });
        }
        Ok(claims)
    }

    fn check_keys(&self) -> Result<(), JwtError> {
        let issuer = nkey::public_key_kind(&self.issuer).filter(|kind| T::ISSUERS.contains(kind));
        if issuer.is_none() {
            return Err(JwtError::Key {
                field: "issuer",
                key: self.issuer.clone(),
                expected: who(T::ISSUERS[0]),
            });
        }
        if nkey::public_key_kind(&self.subject) != Some(T::SUBJECT) {
            return Err(JwtError::Key {
                field: "subject",
                key: self.subject.clone(),
                expected: who(T::SUBJECT),
            });
        }
        Ok(())
    }

    /// Whether both say the same, apart from who signed when.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let signed_alike =
            |claims: &Self| Self { id: String::new(), issued_at: 0, issuer: String::new(), ..claims.clone() };
        signed_alike(self) == signed_alike(other)
    }
}

fn own((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn who(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Operator => "an operator",
        KeyKind::Account => "an account",
        KeyKind::User => "a user",
    }
}

fn check_header(header: &[u8]) -> Result<(), JwtError> {
    #[derive(Deserialize)]
    struct Header {
        typ: String,
        alg: String,
    }
    let text = || String::from_utf8_lossy(header).into_owned();
    let read: Header = serde_json::from_slice(header).map_err(|_| JwtError::Header(text()))?;
    let known = read.typ.eq_ignore_ascii_case("JWT") && read.alg.eq_ignore_ascii_case("ed25519-nkey");
    if known { Ok(()) } else { Err(JwtError::Header(text())) }
}

#[derive(Deserialize)]
struct Kind {
    nats: KindBody,
}

#[derive(Deserialize)]
struct KindBody {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    version: u64,
}

pub(crate) fn is_zero(number: &i64) -> bool {
    *number == 0
}

pub(crate) fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests;
