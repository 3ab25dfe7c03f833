//! `/publish`: a message by hand, and what answers it.

use async_nats::{HeaderMap, HeaderName, HeaderValue, RequestErrorKind};
use axum::{Router, extract::Request, response::Response, routing::get};
use maud::{Markup, html};
use tokio::time::timeout;

use super::{
    Console,
    command::command,
    failure::Failure,
    form::Inputs,
    guard::{self, Published},
    jetstream::WRITING,
    payload::{ALONE, payload},
    visit::{Operator, Visit},
};
use crate::{
    audit::What,
    feed::{LEAFBOX, SYS},
};

/// The tester.
pub(super) fn router() -> Router<Console> {
    Router::new().route("/publish", get(show).post(publish))
}

/// What came of a message.
enum Outcome {
    Published,
    Reply(async_nats::Message),
    NoResponders,
    NoReply,
}

/// `GET /publish`.
async fn show(Operator(visit): Operator) -> Response {
    visit.page("Publish", &page(&visit, &Inputs::default(), &html! {}))
}

/// `POST /publish`. The answer is on the page itself: nobody wants to publish again to see it again.
async fn publish(Operator(visit): Operator, request: Request) -> Response {
    let inputs = match Inputs::of(request).await {
        Ok(inputs) => inputs,
        Err(failure) => return visit.failed("Publish", &failure),
    };
    match send(&visit, &inputs).await {
        Ok(outcome) => visit.page("Publish", &page(&visit, &inputs, &told(&outcome))),
        Err(failure) => visit.form_again("Publish", &page(&visit, &inputs, &failure.markup())),
    }
}

async fn send(visit: &Visit, inputs: &Inputs) -> Result<Outcome, Failure> {
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

fn told(outcome: &Outcome) -> Markup {
    html! {
        @match outcome {
            Outcome::Published => p.message role="status" { strong { "✓ " } "It is published." },
            Outcome::NoResponders => p.message.bad role="status" { strong { "✗ " } "Nobody listens there: no service answers this subject." },
            Outcome::NoReply => p.message.bad role="status" { strong { "✗ " } "It was sent, and nobody answered within 5 s." },
            Outcome::Reply(reply) => {
                p.message role="status" { strong { "✓ " } "This is the reply." }
                @if let Some(headers) = reply.headers.as_ref().filter(|headers| !headers.is_empty()) {
                    table {
                        caption { "Headers of the reply" }
                        thead { tr { th scope="col" { "Name" } th scope="col" { "Value" } } }
                        tbody {
                            @for (name, values) in headers.iter() {
                                @for value in values { tr { th scope="row" { (name.to_string()) } td { (value.as_str()) } } }
                            }
                        }
                    }
                }
                (payload(&reply.payload, None, ALONE))
            }
        }
    }
}

fn page(visit: &Visit, inputs: &Inputs, told: &Markup) -> Markup {
    let mut accounts: Vec<&str> = visit.console.accounts.names().filter(|name| *name != SYS).collect();
    accounts.sort_by_key(|name| *name == LEAFBOX);
    let (subject, is_request) = (inputs.get("subject"), inputs.get("request") == "true");
    let shown = if subject.is_empty() { "SUBJECT" } else { subject };
    html! {
        (told)
        form method="post" action="/publish" {
            label for="account" { "Account" }
            select #account name="account" {
                @for account in accounts { option value=(account) selected[account == inputs.get("account")] { (account) } }
            }
            label for="subject" { "Subject" }
            input #subject name="subject" value=(subject) required autocomplete="off" autocapitalize="none" spellcheck="false";
            label for="headers" { "Headers" }
            textarea #headers name="headers" rows="2" spellcheck="false" aria-describedby="headers-hint" { "\n" (inputs.lines("headers")) }
            p.hint #headers-hint { "Lines of Name: value." }
            label for="payload" { "Payload" }
            textarea #payload name="payload" spellcheck="false" { "\n" (inputs.lines("payload")) }
            label for="request" {
                input #request type="checkbox" name="request" value="true" checked[is_request];
                "Wait for a reply"
            }
            button type="submit" { "Publish" }
        }
        (command(&[if is_request { "request" } else { "pub" }, shown, &inputs.lines("payload")]))
    }
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
