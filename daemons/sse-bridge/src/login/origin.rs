//! Where browsers find the console: what passkeys are bound to, and what a request must come from.

use std::str::FromStr;

use axum::http::{
    HeaderMap, Method,
    header::{HOST, ORIGIN},
};
use settings::node::Console;
use url::{Host, Url};

/// The origin that browsers see, such as `https://box.lan` or `http://localhost:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    url: Url,
    text: String,
    host: String,
}

/// A text that is no [`Origin`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no origin: write `https://` and a name, such as `https://box.lan`, with a port if it is not 443"
)]
pub struct BadOrigin(String);

/// Why browsers refuse passkeys at an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPasskeys {
    /// The host is an address.
    #[error(
        "browsers refuse passkeys at an IP address: give the machine a name and set `console.origin` to it, \
         or come through a tunnel to http://localhost"
    )]
    Address,
    /// The connection is not encrypted, and leaves the machine.
    #[error(
        "browsers refuse passkeys over plain http, but at localhost: `leafbox console ca` makes a certificate, \
         or come through a tunnel to http://localhost"
    )]
    ClearText,
}

/// A request that another page may have made in the user's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the request comes from another page: open the console at its own address, or set `console.origin` in \
     node.toml to what browsers call it"
)]
pub struct CrossSite;

impl Origin {
    /// Where browsers find the console of a node that listens on this port: what node.toml says, else
    /// the machine itself.
    ///
    /// # Errors
    /// When node.toml says what is no origin.
    pub fn of(console: &Console, port: u16) -> Result<Self, BadOrigin> {
        match &console.origin {
            Some(origin) => origin.parse(),
            None if console.tls.is_some() => format!("https://localhost:{port}").parse(),
            None => format!("http://localhost:{port}").parse(),
        }
    }

    /// As browsers write it: no slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As a URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The name of the host: what passkeys are bound to. Another name later orphans them all.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is this machine as it calls itself, to which every browser lets passkeys.
    pub fn is_localhost(&self) -> bool {
        is_localhost(&self.host)
    }

    /// Whether browsers let passkeys be used there.
    ///
    /// # Errors
    /// Why not.
    pub fn passkeys(&self) -> Result<(), NoPasskeys> {
        match self.url.host() {
            Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => Err(NoPasskeys::Address),
            Some(Host::Domain(_)) if self.url.scheme() == "https" || self.is_localhost() => Ok(()),
            Some(Host::Domain(_)) => Err(NoPasskeys::ClearText),
        }
    }

    /// Whether a page of this console made a request: a header of the browser's must say so where the
    /// method changes something, and none may say otherwise.
    ///
    /// # Errors
    /// When another page may have made it.
    pub fn same(&self, method: &Method, headers: &HeaderMap) -> Result<(), CrossSite> {
        let site = headers.get("sec-fetch-site");
        if site.is_some_and(|site| site != "same-origin" && !(is_safe(method) && is_visit(headers))) {
            return Err(CrossSite);
        }
        match headers.get(ORIGIN) {
            // By itself the first header would let a page in whose name was made to point here.
            Some(origin) if origin.to_str().is_ok_and(|origin| self.is(origin, headers)) => Ok(()),
            Some(_) => Err(CrossSite),
            None if site.is_some() || is_safe(method) => Ok(()),
            None => Err(CrossSite),
        }
    }

    /// Whether the request was sent to this origin: a page whose name was made to point here
    /// sends another.
    pub fn is_host_of(&self, headers: &HeaderMap) -> bool {
        let Some(Ok(host)) = headers.get(HOST).map(|host| host.to_str()) else { return false };
        self.is(&format!("{}://{host}", self.url.scheme()), headers)
    }

    fn is(&self, origin: &str, headers: &HeaderMap) -> bool {
        if origin.eq_ignore_ascii_case(&self.text) {
            return true;
        }
        // A tunnel to localhost may have another port on the side of the browser.
        let Ok(other) = origin.parse::<Self>() else { return false };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        self.is_localhost()
            && other.is_localhost()
            && self.url.scheme() == other.url.scheme()
            && host.eq_ignore_ascii_case(&other.authority())
    }

    fn authority(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }
}

/// Whether somebody goes to a page: from a link elsewhere, a bookmark, or the address bar. The browser
/// brings no cookie from elsewhere, and shows the answer to nobody else.
fn is_visit(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    is("sec-fetch-site", "none") || (is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document"))
}

/// Whether a method changes nothing.
pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let bad = || BadOrigin(text.to_owned());
        let url = Url::parse(text).map_err(|_| bad())?;
        let is_bare = matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let host = url.host_str().map(|host| host.trim_end_matches('.').to_owned());
        match host {
            Some(host) if is_bare && matches!(url.scheme(), "http" | "https") && !host.is_empty() => {
                Ok(Self { text: url.origin().ascii_serialization(), url, host })
            }
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse().unwrap()
    }

    fn headers(headers: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        headers.iter().map(pair).collect()
    }

    #[test]
    fn passkeys_work_at_names_over_https_and_at_localhost() {
        for good in [
            "https://box.lan",
            "https://box:8080",
            "http://localhost:8080",
            "http://a.localhost",
            "https://box.home.arpa",
        ] {
            assert_eq!(origin(good).passkeys(), Ok(()), "{good}");
        }
        for bad in ["https://192.0.2.1", "http://127.0.0.1:8080", "https://[2001:db8::1]:8080"] {
            assert_eq!(origin(bad).passkeys(), Err(NoPasskeys::Address), "{bad}");
        }
        assert_eq!(origin("http://box.lan").passkeys(), Err(NoPasskeys::ClearText));
    }

    #[test]
    fn an_origin_has_no_more_than_scheme_name_and_port() {
        assert_eq!(origin("https://Box.LAN:443/").as_str(), "https://box.lan");
        for bad in [
            "box.lan",
            "ftp://box.lan",
            "https://box.lan/console",
            "https://ada@box.lan",
            "https://box.lan?x",
            "",
            "https://",
        ] {
            bad.parse::<Origin>().unwrap_err();
        }
    }

    #[test]
    fn only_pages_of_the_console_change_anything() {
        let console = origin("https://box.lan");
        let same = |method: Method, of: &[(&str, &str)]| console.same(&method, &headers(of)).is_ok();
        assert!(same(Method::POST, &[("origin", "https://box.lan")]));
        assert!(same(Method::POST, &[("sec-fetch-site", "same-origin")]));
        assert!(same(Method::POST, &[("sec-fetch-site", "same-origin"), ("origin", "https://box.lan")]));
        for refused in [
            &[] as &[(&str, &str)],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", "http://box.lan")],
            &[("origin", "https://box.lan:8443")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://box.lan")],
            // A name that was made to point here: for the browser it is the same origin.
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://evil.example"),
                ("host", "evil.example"),
            ],
        ] {
            assert!(!same(Method::POST, refused), "{refused:?}");
            assert!(!same(Method::DELETE, refused), "{refused:?}");
        }
    }

    #[test]
    fn reading_is_refused_only_where_the_browser_says_it_is_another_page() {
        let console = origin("https://box.lan");
        let same = |of: &[(&str, &str)]| console.same(&Method::GET, &headers(of)).is_ok();
        assert!(
            same(&[]) && same(&[("sec-fetch-site", "same-origin")]) && same(&[("sec-fetch-site", "none")])
        );
        let from_link = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert!(same(&[&[("sec-fetch-site", "cross-site")], &from_link[..]].concat()), "a link elsewhere");
        assert!(
            !same(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]),
            "an image elsewhere"
        );
        assert!(!same(&[("sec-fetch-site", "cross-site")]) && !same(&[("sec-fetch-site", "same-site")]));
        assert!(!same(&[("origin", "https://evil.example")]));
    }

    #[test]
    fn a_tunnel_to_localhost_may_have_another_port_and_another_service_of_localhost_is_another_page() {
        let console = origin("http://localhost:8080");
        let same = |of: &[(&str, &str)]| console.same(&Method::POST, &headers(of)).is_ok();
        assert!(same(&[("origin", "http://localhost:9090"), ("host", "localhost:9090")]));
        assert!(!same(&[("origin", "http://localhost:3000"), ("host", "localhost:8080")]));
        assert!(!same(&[("origin", "http://evil.example:8080"), ("host", "evil.example:8080")]));
        assert!(console.is_host_of(&headers(&[("host", "localhost:9090")])));
        assert!(!console.is_host_of(&headers(&[("host", "127.0.0.1:8080")])));
        assert!(!console.is_host_of(&headers(&[("host", "evil.example:8080")])));
    }
}
