//! Taking the keys of a box back, as when it was stolen.

use axum::{
    extract::{Path, Request},
    response::Response,
};
use maud::{Markup, html};

use crate::{
    audit::What,
    console::{
        command::leafbox,
        form::{Inputs, confirm},
        link,
        signer::{SIGNING, ask},
        told::Message,
        visit::Signing,
    },
    signing::TakeBack,
};

/// `POST /leaves/{node}/take-back`.
pub(super) async fn take_back(
    Signing(visit): Signing,
    Path(node): Path<String>,
    request: Request,
) -> Response {
    let done = async {
        Inputs::of(request).await?.confirms(&node)?;
        let take = TakeBack { who: visit.caller.name.to_string(), node: node.clone() };
        let told = ask(&visit.console, &take, SIGNING).await?;
        visit.tell(What::BoxTakenBack, node.clone());
        Ok((
            "/leaves".to_owned(),
            Message::done(format!("the keys of {node} are taken back, for good: {}", told.words)),
        ))
    };
    visit.acted("Take keys back", done.await)
}

/// The form, to be opened.
pub(super) fn form(node: &str) -> Markup {
    html! {
        details {
            summary { "Take back" span.unseen { " the keys of " (node) } }
            form method="post" action=(link::path(&["leaves", node, "take-back"])) {
                p { "Its link and every user that it made are cut off, for good." }
                (confirm(&format!("confirm-{node}"), node))
                button.danger type="submit" { "Take its keys back" }
            }
            (leafbox(&["enroll", "revoke", node]))
        }
    }
}
