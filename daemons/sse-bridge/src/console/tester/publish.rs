//! A message by hand, and what answers it.

use async_nats::{HeaderMap, HeaderName, HeaderValue, RequestErrorKind};
use maud::{Markup, html};
use tokio::time::timeout;

use super::accounts;
use crate::{
    audit::What,
    console::{
        command::command,
        failure::Failure,
        form::Inputs,
        guard::{self, Published},
        jetstream::WRITING,
        payload::{ALONE, headers as headers_table, pairs, payload},
        visit::Visit,
    },
    feed::SYS,
};

/// What came of a message.
pub(super) enum Outcome {
    Published,
    Reply(async_nats::Message),
    NoResponders,
    NoReply,
}

/// Publishes what a form says.
pub(super) async fn send(visit: &Visit, inputs: &Inputs) -> Result<Outcome, Failure> {
    let account = inputs.get("account");
    if account == SYS {
        return Err(guard::Refused::Internal(format!("everything of the account {SYS}")).into());
    }
    let client = visit.account(account)?.client;
    let subject = Published::read(inputs.get("subject").trim())?;
    let headers = headers(&inputs.lines("headers"))?;
    let body = inputs.lines("payload");
    let detail = format!("{account}: {} ({} bytes)", subject.as_str(), body.len());
    if inputs.get("request") != "true" {
        let sent = client.publish_with_headers(subject.as_str().to_owned(), headers, body.into()).await;
        sent.map_err(|error| Failure::Body(error.to_string()))?;
        let flushed = timeout(WRITING, client.flush()).await;
        if !matches!(flushed, Ok(Ok(()))) {
            return Err(Failure::Body(
                "nats-server does not take it at the moment: it is sent when it does".into(),
            ));
        }
        visit.tell(What::MessagePublished, detail);
        return Ok(Outcome::Published);
    }
    visit.tell(What::MessagePublished, detail);
    let request = async_nats::Request::new().headers(headers).payload(body.into()).timeout(Some(WRITING));
    match timeout(WRITING, client.send_request(subject.as_str().to_owned(), request)).await {
        Ok(Ok(reply)) => Ok(Outcome::Reply(reply)),
        Ok(Err(error)) => match error.kind() {
            RequestErrorKind::NoResponders => Ok(Outcome::NoResponders),
            RequestErrorKind::TimedOut => Ok(Outcome::NoReply),
            _ => Err(Failure::Body(error.to_string())),
        },
        Err(_) => Ok(Outcome::NoReply),
    }
}

/// Lines of `Name: value`.
fn headers(lines: &str) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let bad = || Failure::Body(format!("`{line}` is no header: write a line of `Name: value`"));
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        guard::header(name.trim())?;
        let name: HeaderName = name.trim().parse().map_err(|_| bad())?;
        let value: HeaderValue = value.trim().parse().map_err(|_| bad())?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// What came of it, in words.
pub(super) fn told(outcome: &Outcome) -> Markup {
    html! {
        @match outcome {
            Outcome::Published => p.message role="status" { strong { "✓ " } "It is published." },
            Outcome::NoResponders => p.message.bad role="status" { strong { "✗ " } "Nobody listens there: no service answers this subject." },
            Outcome::NoReply => p.message.bad role="status" { strong { "✗ " } "It was sent, and nobody answered within 5 s." },
            Outcome::Reply(reply) => {
                p.message role="status" { strong { "✓ " } "This is the reply." }
                (headers_table("Headers of the reply", pairs(reply.headers.as_ref())))
                (payload(&reply.payload, None, ALONE))
            }
        }
    }
}

/// The form, with what was typed.
pub(super) fn form(visit: &Visit, inputs: &Inputs) -> Markup {
    html! {
        // Tried again, it would be published twice.
        form method="post" action="/publish" data-on:submit="@post('/publish', {contentType: 'form', retry: 'never'})" {
            label for="account" { "Account" }
            (accounts(visit, "account", inputs.get("account")))
            label for="subject" { "Subject" }
            input #subject name="subject" value=(inputs.get("subject")) required autocomplete="off" autocapitalize="none" spellcheck="false";
            label for="headers" { "Headers" }
            textarea #headers name="headers" rows="2" spellcheck="false" aria-describedby="headers-hint" { "\n" (inputs.lines("headers")) }
            p.hint #headers-hint { "Lines of Name: value." }
            label for="payload" { "Payload" }
            textarea #payload name="payload" spellcheck="false" { "\n" (inputs.lines("payload")) }
            label for="request" {
                input #request type="checkbox" name="request" value="true" checked[inputs.get("request") == "true"];
                "Wait for a reply"
            }
            button type="submit" { "Publish" }
        }
    }
}

/// What does the same.
pub(super) fn as_command(inputs: &Inputs) -> Markup {
    let subject = inputs.get("subject");
    let subject = if subject.is_empty() { "SUBJECT" } else { subject };
    let payload = inputs.lines("payload");
    command(&[if inputs.get("request") == "true" { "request" } else { "pub" }, subject, &payload])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn headers_are_lines_of_name_and_value() {
        let read = headers("A: 1\n\nB-c:2: 3\nA: 4").unwrap();
        assert_eq!(read.get("B-c").unwrap().as_str(), "2: 3");
        assert_eq!(read.get_all("A").count(), 2);
        for bad in ["A", ": x", "A b: c", "Nats-Trace-Dest: $KV.leafbox_users.x"] {
            assert!(headers(bad).is_err(), "{bad}");
        }
    }
}
