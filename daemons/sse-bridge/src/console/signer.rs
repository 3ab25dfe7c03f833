//! Asking the signer, which has the keys that the console must not have (see [`crate::signing`]).

use std::time::Duration;

use async_nats::{Request, RequestErrorKind};
use maud::{Markup, html};
use tokio::time::timeout;

use super::{Console, command::leafbox, failure::Failure};
use crate::signing::{Ask, Reply, Signer};

/// How long it may take to answer what reads.
pub(super) const READING: Duration = Duration::from_secs(2);
/// How long it may take to sign, and to bring that to servers, of which some may be slow to answer.
pub(super) const SIGNING: Duration = Duration::from_secs(30);

/// Why a box with keys of its own does no more than mint users.
pub(super) const BOX_ALONE: &str = "the keys of this box mint users, and all else takes the operator's";

/// The signer did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignError {
    /// There is none.
    #[error(
        "no signer answers here: it runs in `leafbox dev` and `leafbox run` where the operator's keys are, and \
         there as `leafbox unit signer`; or type the command on that machine"
    )]
    None,
    /// It does not answer.
    #[error("the signer did not answer in {} s: look at its log before you try again, it may have signed", .0.as_secs())]
    Silent(Duration),
    /// The request could not be made.
    #[error("the signer could not be asked: {0}")]
    Request(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its answer is none.
    #[error("what the signer answered cannot be read, as from another version of leafbox: {0}")]
    Answer(#[source] serde_json::Error),
    /// It refused.
    #[error("{0}")]
    Refused(String),
    /// It signed something else than what was asked for.
    #[error("the signer answered with what cannot be used: {0}; nothing was given out")]
    Wrong(String),
}

/// Asks it, and waits for as long as `within`.
pub(super) async fn ask<A: Ask>(console: &Console, ask: &A, within: Duration) -> Result<A::Answer, Failure> {
    let payload = serde_json::to_vec(ask).expect("a request is plain JSON");
    let request = Request::new().payload(payload.into()).timeout(Some(within));
    let client = console.leafbox()?.client;
    let answer = match timeout(within, client.send_request(A::subject(), request)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            return Err(match error.kind() {
                RequestErrorKind::NoResponders => SignError::None,
                RequestErrorKind::TimedOut => SignError::Silent(within),
                _ => SignError::Request(Box::new(error)),
            }
            .into());
        }
        Err(_) => return Err(SignError::Silent(within).into()),
    };
    match serde_json::from_slice(&answer.payload).map_err(SignError::Answer)? {
        Reply::Done(answer) => Ok(answer),
        Reply::Refused(why) => Err(SignError::Refused(why).into()),
    }
}

/// What stands in place of a form where no signer answers: what to type on which machine.
pub(super) fn by_hand(why: impl std::fmt::Display, commands: &[&[&str]]) -> Markup {
    html! {
        p.notice { strong { "Not from here: " } (why.to_string()) "." }
        @for arguments in commands { (leafbox(arguments)) }
    }
}

/// Who signs.
pub(super) fn shown(signer: &Signer) -> Markup {
    let [name, key] = &signer.operator;
    html! {
        dl {
            dt { "Signed at" } dd { (signer.node) }
            dt { "Operator" } dd { (name) " " code { (key) } }
        }
    }
}
