//! Letting a box in: its request is looked at, its fingerprint compared, and the answer carried back.

use axum::{body::Body, extract::Request, response::Response};
use maud::{Markup, html};

use super::content;
use crate::{
    audit::What,
    console::{
        command::leafbox,
        download::download,
        failure::Failure,
        form::Inputs,
        link::trail,
        signer::{READING, SIGNING, ask},
        visit::{Admin, Signing, Visit},
    },
    signing::{Approve, LONGEST, LetIn, Look, Offer},
};

/// `POST /leaves/look`: shows what a box asks for. Changes nothing.
pub(super) async fn look(Admin(visit): Admin, request: Request) -> Response {
    let inputs = match Inputs::of(request).await {
        Ok(inputs) => inputs,
        Err(failure) => return visit.failed("Let a box in", &failure),
    };
    let text = match inputs.lines("file") {
        file if file.trim().is_empty() => inputs.lines("request"),
        file => file,
    };
    match looked(&visit, &text).await {
        Ok(offer) => visit.page("Let a box in", &offered(&offer, &text, None)),
        Err(failure) => {
            let form = html! { (failure.markup()) (form(&text)) };
            visit.form_again("Leaves", &content(&visit, &form).await)
        }
    }
}

async fn looked(visit: &Visit, text: &str) -> Result<Offer, Failure> {
    if text.trim().is_empty() || text.len() > LONGEST / 2 {
        return Err(Failure::Body("paste what `leafbox enroll request` printed on the box".to_owned()));
    }
    ask(&visit.console, &Look { request: text.to_owned() }, READING).await
}

/// `POST /leaves/approve`: signs, and shows the answer. Done again it signs nothing new and shows the
/// same, so that loading the page again is harmless.
pub(super) async fn approve(Signing(visit): Signing, request: Request) -> Response {
    let done = async {
        let inputs = Inputs::of(request).await?;
        let text = inputs.lines("request");
        let offer = looked(&visit, &text).await?;
        if inputs.get("compared") != "true" {
            return Ok(Err((offer, text)));
        }
        let approve = Approve {
            who: visit.caller.name.to_string(),
            request: text,
            fingerprint: inputs.get("fingerprint").to_owned(),
        };
        let let_in = ask(&visit.console, &approve, SIGNING).await?;
        visit.tell(What::BoxLetIn, format!("{}: fingerprint {}", let_in.node, offer.fingerprint));
        Ok::<_, Failure>(Ok(let_in))
    };
    match done.await {
        Ok(Ok(let_in)) => visit.page(&format!("{} is let in", let_in.node), &answered(&let_in)),
        Ok(Err((offer, text))) => {
            let wrong = "Compare the fingerprint with the one that the box shows, and say that you did.";
            visit.form_again("Let a box in", &offered(&offer, &text, Some(wrong)))
        }
        Err(failure) => visit.failed("Let a box in", &failure),
    }
}

/// `POST /leaves/answer`: the answer as a file. There is no secret in it.
pub(super) async fn answer(Admin(visit): Admin, request: Request) -> Response {
    match Inputs::of(request).await {
        Ok(inputs) => {
            let name = format!("{}.answer", inputs.get("node"));
            download(&name, Body::from(inputs.lines("answer")))
        }
        Err(failure) => visit.failed("Let a box in", &failure),
    }
}

/// The form that takes a request.
pub(super) fn form(text: &str) -> Markup {
    html! {
        form method="post" action="/leaves/look" enctype="multipart/form-data" {
            p {
                "On the box, " code { "leafbox enroll request" } " makes its keys, which stay there, and prints a request. "
                "fleet.toml must list its name in " code { "nodes" } "."
            }
            label for="request" { "Request of the box" }
            textarea #request name="request" rows="8" spellcheck="false" autocomplete="off" aria-describedby="request-hint" { "\n" (text) }
            p.hint #request-hint { "All lines from BEGIN to END, or the text of its QR code." }
            label for="file" { "Or a file with it" }
            input #file type="file" name="file";
            p.hint { "Nothing is signed yet." }
            button type="submit" { "Look at it" }
        }
    }
}

fn offered(offer: &Offer, text: &str, wrong: Option<&str>) -> Markup {
    let Offer { node, kind, fleet, fingerprint, before, may } = offer;
    html! {
        (trail(&[("/leaves", "Leaves")]))
        p { strong { (node) } ", " (kind) " of the fleet " (fleet) ", asks to be let in." }
        dl {
            dt { "Fingerprint" } dd { code #fingerprint { (fingerprint) } }
            dt { "Before" } dd { (before) }
        }
        table {
            caption { "What it may do then" }
            thead { tr { th scope="col" { "Account" } th scope="col" { "With keys of its own it may" } } }
            tbody { @for (account, words) in may { tr { th scope="row" { (account) } td { (words) } } } }
        }
        form method="post" action="/leaves/approve" {
            input type="hidden" name="request" value=(text);
            input type="hidden" name="fingerprint" value=(fingerprint);
            @if let Some(wrong) = wrong { p.field-error #compared-wrong { (wrong) } }
            label for="compared" {
                input #compared type="checkbox" name="compared" value="true" required aria-describedby=[wrong.map(|_| "compared-wrong")];
                "The box shows the same fingerprint, on its own screen"
            }
            button type="submit" { "Let it in" }
        }
        (leafbox(&["enroll", "approve", "FILE"]))
    }
}

fn answered(let_in: &LetIn) -> Markup {
    let LetIn { node, answer, told } = let_in;
    html! {
        (trail(&[("/leaves", "Leaves")]))
        p.message.bad[!told.in_force] role="status" {
            strong { @if told.in_force { "✓ " } @else { "⚠ " } } (node) " is signed: " (told.words) "."
        }
        p { "Carry this answer to the box. There is no secret in it; what the box makes of it stays there." }
        form method="post" action="/leaves/answer" {
            input type="hidden" name="node" value=(node);
            label for="answer" { "Answer for the box" }
            textarea #answer name="answer" rows="8" readonly spellcheck="false" { "\n" (answer) }
            button type="submit" { "Download it" }
        }
        p { "On the box, as root, with the file or pasted:" }
        (leafbox(&["enroll", "accept", &format!("{node}.answer")]))
    }
}
