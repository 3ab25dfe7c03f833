//! How an upstream registry is shown who asks: Basic, or a Bearer token from the place that it names.
//!
//! Distribution specification, "Token Authentication": the registry answers 401 with a challenge, the
//! place that it names gives a token, for nobody or for a login, and the request is sent again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use data_encoding::BASE64;
use hyper::{
    HeaderMap, Method,
    header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE},
};
use runtime::Credentials;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

use super::{
    UpstreamError,
    client::{HttpClient, host, whole},
};

/// Longest answer of a place that gives tokens.
const LONGEST_TOKEN: usize = 64 * 1024;
/// How long a token is good for that does not say: the specification's words.
const USUAL_LIFE: u64 = 60;
/// A token is not used for longer, whatever it says.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);
/// A token is not used in its last seconds, so that it does not end on the way.
const MARGIN: Duration = Duration::from_secs(10);

/// Where the login of an upstream is.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) credentials: Credentials,
    /// The file with `user:password`; nobody's login when left out.
    pub(crate) file: Option<String>,
}

impl Login {
    /// The value of `Authorization` for Basic; read each time, so that a new password needs no restart.
    fn basic(&self, host: &str) -> Result<Option<HeaderValue>, UpstreamError> {
        let Some(file) = &self.file else { return Ok(None) };
        let login = self.credentials.read(file);
        let login = login.map_err(|source| UpstreamError::Credentials { host: host.to_owned(), source })?;
        let encoded = Zeroizing::new(format!("Basic {}", BASE64.encode(login.trim_end().as_bytes())));
        Ok(HeaderValue::from_str(&encoded).ok().map(secret))
    }
}

fn secret(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// What was given for each repository, so that a request need not ask first.
#[derive(Debug, Default)]
pub(crate) struct Passes(Mutex<HashMap<String, (HeaderValue, Instant)>>);

impl Passes {
    /// What the last request for a repository was let in with.
    pub(crate) fn get(&self, repository: &str) -> Option<HeaderValue> {
        let passes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        passes.get(repository).filter(|(_, until)| *until > Instant::now()).map(|(pass, _)| pass.clone())
    }

    fn keep(&self, repository: &str, pass: HeaderValue, life: Duration) {
        let mut passes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        passes.retain(|_, (_, until)| *until > now);
        let life = life.min(LONGEST_LIFE).saturating_sub(MARGIN);
        passes.insert(repository.to_owned(), (pass, now + life));
    }

    /// Answers the challenge of a 401: what the request is to be sent again with.
    pub(crate) async fn answer(
        &self,
        client: &HttpClient,
        login: &Login,
        repository: &str,
        url: &Url,
        challenges: &HeaderMap,
    ) -> Result<HeaderValue, UpstreamError> {
        let host = host(url);
        let unauthorized = || UpstreamError::Unauthorized { host: host.clone() };
        let challenges: Vec<Challenge> = challenges
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| Challenge::parse(value.to_str().ok()?))
            .collect();
        if let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme == "bearer") {
            let (pass, life) = token(client, login, url, bearer, repository).await?;
            self.keep(repository, pass.clone(), life);
            return Ok(pass);
        }
        if challenges.iter().any(|challenge| challenge.scheme == "basic") {
            let basic = login.basic(&host)?.ok_or_else(unauthorized)?;
            self.keep(repository, basic.clone(), Duration::from_secs(3600));
            return Ok(basic);
        }
        Err(unauthorized())
    }
}

/// What a place that gives tokens answers.
#[derive(Deserialize)]
struct Given {
    #[serde(default)]
    token: Option<String>,
    /// The same by its name in OAuth 2.
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

async fn token(
    client: &HttpClient,
    login: &Login,
    upstream: &Url,
    challenge: &Challenge,
    repository: &str,
) -> Result<(HeaderValue, Duration), UpstreamError> {
    let host = host(upstream);
    let malformed = |what: &str| UpstreamError::Malformed { host: host.clone(), what: what.to_owned() };
    let realm = challenge.get("realm").ok_or_else(|| malformed("a challenge without a realm"))?;
    let mut realm = upstream.join(realm).map_err(|_| malformed("a challenge whose realm is no URL"))?;
    let pull = format!("repository:{repository}:pull");
    {
        let mut query = realm.query_pairs_mut();
        if let Some(service) = challenge.get("service") {
            query.append_pair("service", service);
        }
        query.append_pair("scope", challenge.get("scope").unwrap_or(&pull));
    }
    let mut headers = HeaderMap::new();
    if let Some(basic) = login.basic(&host)? {
        headers.insert(AUTHORIZATION, basic);
    }
    let answer = client.send(Method::GET, &realm, headers).await?;
    match answer.status() {
        status if status.is_success() => {}
        status if status.is_client_error() && status.as_u16() != 429 => {
            return Err(UpstreamError::Unauthorized { host });
        }
        status => return Err(UpstreamError::Status { url: super::client::without_query(&realm), status }),
    }
    let given = whole(answer.into_body(), &host, LONGEST_TOKEN).await?;
    let given: Given = serde_json::from_slice(&given).map_err(|_| malformed("a token that is no JSON"))?;
    let life = Duration::from_secs(given.expires_in.unwrap_or(USUAL_LIFE));
    let token = given.token.or(given.access_token).ok_or_else(|| malformed("an answer without a token"))?;
    let pass = HeaderValue::from_str(&format!("Bearer {token}"));
    Ok((secret(pass.map_err(|_| malformed("a token with odd characters"))?), life))
}

/// A challenge of `WWW-Authenticate`.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    /// In lower case.
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Reads one challenge: `Bearer realm="…",service="…"`.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, mut rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let mut parameters = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', ',', '\t']);
            let Some((key, value)) = rest.split_once('=') else { break };
            let (value, left) = if let Some(quoted) = value.strip_prefix('"') {
                unquote(quoted)?
            } else {
                let end = value.find(',').unwrap_or(value.len());
                (value[..end].trim().to_owned(), &value[end..])
            };
            parameters.push((key.trim().to_ascii_lowercase(), value));
            rest = left;
        }
        (!scheme.is_empty()).then(|| Self { scheme: scheme.to_ascii_lowercase(), parameters })
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A regression test: the end of such a token is no time that there is, and the daemon's task panicked.
    #[tokio::test]
    async fn a_token_for_ever_is_kept_for_a_day() {
        let passes = Passes::default();
        passes.keep("team/app", HeaderValue::from_static("Bearer x"), Duration::from_secs(u64::MAX));
        assert!(passes.get("team/app").is_some());
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let docker = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull,push""#;
        let challenge = Challenge::parse(docker).unwrap();
        assert_eq!(challenge.scheme, "bearer");
        assert_eq!(challenge.get("realm"), Some("https://auth.docker.io/token"));
        assert_eq!(challenge.get("service"), Some("registry.docker.io"));
        assert_eq!(challenge.get("scope"), Some("repository:library/alpine:pull,push"));
        let loose = Challenge::parse(r#"BASIC  Realm=plain , x="a\"b""#).unwrap();
        assert_eq!(
            (loose.scheme.as_str(), loose.get("realm"), loose.get("x")),
            ("basic", Some("plain"), Some("a\"b"))
        );
        assert_eq!(Challenge::parse("Basic").unwrap().parameters, []);
        assert_eq!(Challenge::parse(""), None);
        assert_eq!(Challenge::parse(r#"Bearer realm="open"#), None);
    }
}
