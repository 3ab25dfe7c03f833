//! Creds files: a user's JWT and seed in one text, as every NATS client reads them.

use std::{path::Path, time::SystemTime};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use zeroize::Zeroizing;

use crate::{
    claims::{Claims, JwtError, UserBody},
    nkey::{KeyError, KeyKind, SecretKey},
    secret_file::{self, SecretFileError},
    sign::seconds,
};

const BEGIN_JWT: &str = "-----BEGIN NATS USER JWT-----";
const END_JWT: &str = "------END NATS USER JWT------";
const BEGIN_SEED: &str = "-----BEGIN USER NKEY SEED-----";
const END_SEED: &str = "------END USER NKEY SEED------";

/// How to get a new one, at the end of every message. A file that is there is never replaced.
const NEW: &str = "move it away and make a new one where the fleet's keys are: `leafbox service creds` for a \
                   declared service, `leafbox dev` or `leafbox apply --export` for the node's own, \
                   `leafbox user mint` for others";

/// What is wrong with creds.
#[derive(Debug, thiserror::Error)]
pub enum CredsFault {
    /// Part of the text is missing.
    #[error("it is cut off or damaged: {part} is missing")]
    Missing {
        /// The first part that is not there.
        part: &'static str,
    },
    /// The JWT is damaged.
    #[error("its JWT is damaged: {0}")]
    Jwt(#[source] JwtError),
    /// The seed is damaged.
    #[error("its seed is damaged: {0}")]
    Seed(#[source] KeyError),
    /// The seed is another user's.
    #[error("its seed belongs to the user {seed} and its JWT to {jwt}")]
    Mismatch {
        /// The public key of the seed.
        seed: String,
        /// The public key in the JWT.
        jwt: String,
    },
    /// The JWT is not valid any more.
    #[error("the user {user} expired at {at}")]
    Expired {
        /// The user's name.
        user: String,
        /// When, RFC 3339.
        at: String,
    },
}

/// Why a creds file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredsError {
    /// It cannot be read, or others can read it.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// Its content is of no use.
    #[error("{} cannot be used: {fault}; {NEW}", path.display())]
    Unusable {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        #[source]
        fault: CredsFault,
    },
}

/// A user's JWT and seed that belong together. Wiped when dropped, and never printed.
#[derive(Debug)]
pub struct Creds {
    /// The JWT, which is not secret.
    pub jwt: String,
    /// What the JWT says.
    pub claims: Claims<UserBody>,
    key: SecretKey,
}

impl Creds {
    /// Reads and checks a creds file. One that others can read, that is cut off anywhere, or that
    /// has expired is refused.
    pub fn read(path: &Path) -> Result<Self, CredsError> {
        let text = secret_file::read(path)?;
        Self::parse(&text, SystemTime::now())
            .map_err(|fault| CredsError::Unusable { path: path.into(), fault })
    }

    /// Puts together what belongs together: a JWT that somebody signed for a key that stayed here.
    pub fn of(jwt: String, key: SecretKey) -> Result<Self, CredsFault> {
        let claims = Claims::<UserBody>::decode(&jwt).map_err(CredsFault::Jwt)?;
        if key.public_key() != claims.subject {
            return Err(CredsFault::Mismatch { seed: key.public_key(), jwt: claims.subject });
        }
        Ok(Self { jwt, claims, key })
    }

    /// Checks the text of a creds file, which must be valid at `now`.
    pub fn parse(text: &str, now: SystemTime) -> Result<Self, CredsFault> {
        let mut lines = text.lines().map(str::trim);
        let mut expect = |part: &'static str, line: &str| {
            if lines.any(|found| found == line) { Ok(()) } else { Err(CredsFault::Missing { part }) }
        };
        expect("the line that begins the JWT", BEGIN_JWT)?;
        let jwt =
            between(text, BEGIN_JWT, END_JWT).ok_or(CredsFault::Missing { part: "the end of the JWT" })?;
        expect("the line that ends the JWT", END_JWT)?;
        expect("the line that begins the seed", BEGIN_SEED)?;
        let seed =
            between(text, BEGIN_SEED, END_SEED).ok_or(CredsFault::Missing { part: "the end of the seed" })?;
        expect("the line that ends the seed", END_SEED)?;
        let claims = Claims::<UserBody>::decode(jwt).map_err(CredsFault::Jwt)?;
        let key = SecretKey::from_seed(seed, KeyKind::User).map_err(CredsFault::Seed)?;
        if key.public_key() != claims.subject {
            return Err(CredsFault::Mismatch { seed: key.public_key(), jwt: claims.subject });
        }
        if let Some(at) = claims.expires.filter(|at| *at <= seconds(now)) {
            return Err(CredsFault::Expired { user: claims.name, at: date(at) });
        }
        Ok(Self { jwt: jwt.to_owned(), claims, key })
    }

    pub(crate) fn new(jwt: String, claims: Claims<UserBody>, key: SecretKey) -> Self {
        Self { jwt, claims, key }
    }

    /// The text of the creds file, for a client's connection options or a file with mode 0600.
    pub fn text(&self) -> Zeroizing<String> {
        let seed = self.key.seed();
        // Room for all at once: a string that grows leaves copies behind that nobody wipes.
        let mut text = Zeroizing::new(String::with_capacity(self.jwt.len() + seed.len() + 512));
        for part in [
            BEGIN_JWT, "\n", &self.jwt, "\n", END_JWT, "\n\n", NOTICE, BEGIN_SEED, "\n", &seed, "\n",
            END_SEED, "\n\n", STARS, "\n",
        ] {
            text.push_str(part);
        }
        text
    }

    /// Writes the creds file with mode 0600, in place of one that may be there.
    pub fn write(&self, path: &Path) -> Result<(), SecretFileError> {
        secret_file::replace(path, self.text().as_bytes(), 0o600)
    }

    /// Writes the creds file with mode 0600; one that is there stays, and is an error. The caller
    /// flushes the folder.
    pub(crate) fn write_new(&self, path: &Path) -> Result<(), SecretFileError> {
        secret_file::create_unnamed(path, self.text().as_bytes())
    }
}

const STARS: &str = "*************************************************************";
const NOTICE: &str = "************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.
NKEYs are sensitive and should be treated as secrets.

";

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    rest.split_once(end).map(|(content, _)| content.trim())
}

fn date(seconds: i64) -> String {
    let date = OffsetDateTime::from_unix_timestamp(seconds).ok();
    date.and_then(|date| date.format(&Rfc3339).ok()).unwrap_or_else(|| format!("second {seconds}"))
}
