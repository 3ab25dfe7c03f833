//! The login page: it works without anything else of the console, and says what to do where it
//! cannot work.

use axum::{
    extract::{Query, State},
    http::{
        HeaderMap, HeaderValue,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;

use super::{
    Login, NoPasskeys,
    guard::{keep, next_path, redirect},
    routes::Sender,
};

/// Nothing but what this host serves. Nothing here is evaluated from text, unlike in the console.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// Seconds that a browser keeps the cookie of development: no longer than a session.
const DEV_LIFE: u64 = 24 * 3600;

/// The query of the page.
#[derive(Deserialize)]
pub(super) struct Asked {
    next: Option<String>,
}

/// `/login`, as somebody types it.
pub(super) async fn without_slash() -> Response {
    redirect("/login/")
}

/// The page; the console itself for who is logged in.
pub(super) async fn show(
    State(login): State<Login>,
    Sender(visitor): Sender,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Response {
    let next = next_path(asked.next.as_deref());
    if login.find(&headers).await.is_ok() {
        return redirect(next);
    }
    let is_own = login.origin().is_host_of(&headers);
    if let Some(dev) = &login.0.dev
        && visitor.is_local
        && is_own
        && login.origin().same(&axum::http::Method::GET, &headers).is_ok()
    {
        let mut response = redirect(next);
        response.headers_mut().append(SET_COOKIE, keep(&dev.cookie(), DEV_LIFE));
        return response;
    }
    let trouble = match login.origin().passkeys() {
        Err(why) => Some(Trouble::NoPasskeys(why)),
        Ok(()) if !is_own => Some(Trouble::Elsewhere),
        Ok(()) => None,
    };
    answer(&Shown { node: &login.0.node, origin: login.origin().as_str(), next, trouble, prove: false })
}

/// The page that asks somebody who is logged in for a passkey, and goes on to what they wanted.
pub(super) async fn prove(State(login): State<Login>, Query(asked): Query<Asked>) -> Response {
    let next = next_path(asked.next.as_deref());
    let (node, origin) = (&login.0.node, login.origin().as_str());
    answer(&Shown { node, origin, next, trouble: None, prove: true })
}

fn answer(shown: &Shown<'_>) -> Response {
    let page = page(shown).into_string();
    let mut response = ([(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response();
    let fixed = [
        (CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The script of the page.
pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("assets/login.js"))
}

/// How the page looks.
pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("assets/login.css"))
}

/// The mark of leafbox, which the pages of the console show as well.
pub(super) async fn mark() -> Response {
    asset("image/svg+xml", include_str!("assets/leaf.svg"))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, kind), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, "no-cache")];
    (headers, text).into_response()
}

struct Shown<'a> {
    node: &'a str,
    origin: &'a str,
    next: &'a str,
    trouble: Option<Trouble>,
    /// Whether who asks is logged in, and is to show the passkey again.
    prove: bool,
}

/// Why nobody can log in here, as far as the server can tell.
#[derive(Clone, Copy)]
enum Trouble {
    /// The browser came by another name than passkeys are bound to.
    Elsewhere,
    /// Browsers refuse passkeys at the origin.
    NoPasskeys(NoPasskeys),
}

fn page(shown: &Shown<'_>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title(shown)) " · leafbox" }
                link rel="icon" href="/assets/leaf.svg";
                link rel="stylesheet" href="/assets/login.css";
                script src="/assets/login.js" defer {}
            }
            body {
                main data-next=(shown.next) data-origin=(shown.origin) {
                    p.brand { img src="/assets/leaf.svg" alt="" width="24" height="24"; "leafbox" }
                    h1 id="title" { (title(shown)) }
                    @if let Some(trouble) = shown.trouble { (notice(trouble, shown.origin)) }
                    noscript {
                        p.notice {
                            strong { "This page needs JavaScript: " }
                            "a passkey is asked for by a script, and by nothing else. Allow scripts for this "
                            "address, or use the commands on the machine: "
                            code { "leafbox status" } "."
                        }
                    }
                    @if shown.prove { (proof(shown.next)) } @else { (forms()) }
                    p #status role="status" aria-live="polite" {}
                    p #error role="alert" tabindex="-1" hidden {}
                    (help(shown.origin))
                }
            }
        }
    }
}

fn title(shown: &Shown<'_>) -> String {
    if shown.prove {
        format!("Show your passkey to {}", shown.node)
    } else {
        format!("Log in to {}", shown.node)
    }
}

/// It is hidden until the script shows it.
fn proof(next: &str) -> Markup {
    html! {
        form #prove hidden {
            p {
                "What comes next outlasts your session, so a browser that was left open must not do it. "
                "For five minutes you are not asked again."
            }
            button type="submit" { "Show my passkey" }
        }
        p { a href=(next) { "Back, without it" } }
    }
}

/// Both forms are hidden until the script shows the one that applies.
fn forms() -> Markup {
    html! {
        form #login hidden {
            label for="name" { "Your name" }
            input #name name="name" type="text" autocomplete="username webauthn" autocapitalize="none" spellcheck="false" aria-describedby="name-hint";
            p.hint #name-hint {
                "Your browser offers your passkeys in this field. The button asks for one without it."
            }
            button type="submit" { "Log in with a passkey" }
        }
        form #enrol hidden {
            p {
                "You are " strong #enrol-name {} ", with the role " strong #enrol-role {} ". "
                "Make a passkey on this device, or on your phone or security key: it is what you log in with from now on."
            }
            label for="label" { "What to call this passkey" }
            input #label name="label" type="text" maxlength="64" autocomplete="off" aria-describedby="label-hint";
            p.hint #label-hint { "Such as “work laptop”, so that you know it in a list." }
            button type="submit" { "Make a passkey" }
        }
    }
}

fn notice(trouble: Trouble, origin: &str) -> Markup {
    html! {
        p.notice {
            @match trouble {
                Trouble::Elsewhere => {
                    strong { "You came by another address. " }
                    "Passkeys of this console work at " a href={ (origin) "/login/" } { (origin) } " only."
                }
                Trouble::NoPasskeys(NoPasskeys::Address) => {
                    strong { "Browsers refuse passkeys at an IP address. " }
                    "“It does not work” below says what to do."
                }
                Trouble::NoPasskeys(NoPasskeys::ClearText) => {
                    strong { "Browsers refuse passkeys over plain http. " }
                    "“It does not work” below says what to do."
                }
            }
        }
    }
}

fn help(origin: &str) -> Markup {
    let port = origin.rsplit(':').next().filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = port.unwrap_or("8080");
    html! {
        details #help {
            summary { "It does not work" }
            section #help-nobody {
                h2 { "Nobody has a passkey yet, or you lost yours" }
                p { "On the machine, as the user who runs leafbox (mostly root):" }
                pre tabindex="0" aria-label="Commands" { code { "leafbox console enroll\nleafbox console enroll --recover --user NAME" } }
                p { "The first is for the first admin, the second for somebody who lost their passkeys. Each prints a link that is good once." }
            }
            section #help-address {
                h2 { "The address is an IP address" }
                p { "Browsers bind passkeys to names. Without changing anything, a tunnel makes the console " code { "localhost" } ":" }
                pre tabindex="0" aria-label="Command" { code { "ssh -L " (port) ":127.0.0.1:" (port) " box" } }
                p { "and then open " code { "http://localhost:" (port) } ". To have it for good, give the machine a name in your router or DNS, such as " code { "box.lan" } ", and in its node.toml:" }
                pre tabindex="0" aria-label="Setting" { code { "[console]\norigin = \"https://box.lan:" (port) "\"" } }
            }
            section #help-http {
                h2 { "The address begins with http:// and is not localhost" }
                p { "Browsers want an encrypted connection. Use the tunnel above, or make a certificate on the machine:" }
                pre tabindex="0" aria-label="Command" { code { "leafbox console ca" } }
                p { "It prints what to write into node.toml, and how to have your devices trust it." }
            }
            section #help-certificate {
                h2 { "The browser warns about the certificate" }
                p {
                    "Passing over the warning is not enough: browsers refuse passkeys then. Install the authority that "
                    code { "leafbox console ca" } " made on this device; the command prints how. The name in the address bar must be the one in the certificate and in "
                    code { "console.origin" } "."
                }
            }
            section #help-cookie {
                h2 { "You log in, and land here again" }
                p {
                    "The browser did not keep the session’s cookie. Safari does so at " code { "http://localhost" }
                    ": use Chrome, Edge or Firefox there, or https. Else allow cookies for this address."
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(next: &str, trouble: Option<Trouble>) -> String {
        page(&Shown { node: "shop-1", origin: "https://box.lan:8443", next, trouble, prove: false })
            .into_string()
    }

    #[test]
    fn the_page_has_no_script_or_style_in_itself_and_escapes_what_it_shows() {
        let page = text("/x?\"><script>alert(1)</script>", Some(Trouble::Elsewhere));
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert!(page.contains("<script src=\"/assets/login.js\" defer></script>"), "{page}");
        for inline in ["style=", "<style", "onclick", "onsubmit", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
    }

    #[test]
    fn a_passkey_is_asked_for_again_on_the_way_to_what_was_wanted() {
        let shown = Shown {
            node: "shop-1",
            origin: "http://localhost:8080",
            next: "/leaves",
            trouble: None,
            prove: true,
        };
        let page = page(&shown).into_string();
        assert!(page.contains("data-next=\"/leaves\"") && page.contains("id=\"prove\""), "{page}");
        assert!(!page.contains("id=\"login\"") && !page.contains("id=\"enrol\""), "{page}");
    }

    #[test]
    fn each_trouble_names_its_remedy() {
        let page = text("/", None);
        for remedy in [
            "ssh -L 8443:127.0.0.1:8443 box",
            "http://localhost:8443",
            "leafbox console ca",
            "console.origin",
            "leafbox console enroll",
        ] {
            assert!(page.contains(remedy), "{remedy}");
        }
        assert!(text("/", Some(Trouble::Elsewhere)).contains("https://box.lan:8443/login/"));
        assert!(text("/", Some(Trouble::NoPasskeys(NoPasskeys::Address))).contains("at an IP address. "));
    }
}
