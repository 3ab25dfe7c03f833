//! `leafbox enroll approve`: lets a box in, and prints the answer for it.
//!
//! What is said to people goes to stderr, so that `> answer` takes the answer alone.

use std::path::Path;

use anyhow::{Result, bail};

use super::{
    offer::{LetIn, Offer},
    paste,
};
use crate::{cli, data::write_whole, say, session::Session};

/// Checks the request, asks, signs, pushes where it can, and gives the answer.
pub(super) async fn run(session: &Session, arguments: &cli::EnrollApprove) -> Result<u8> {
    // Nobody pastes a request where it cannot be approved.
    super::nodes::operator_keys(session)?;
    let offer = Offer::read(session, &paste::read(&arguments.request, "request")?)?;
    show(&offer)?;
    if !arguments.yes && !confirm(&arguments.request)? {
        bail!("not approved; nothing was changed");
    }
    let LetIn { answer, pushed } = offer.let_in(session).await?;
    let operator = answer.jwts.operator_claims();
    eprintln!("{} is let in by the operator {} ({})", answer.node, operator.subject, operator.name);
    match &arguments.output {
        Some(file) => {
            write_whole(file, answer.armored().as_bytes(), 0o644)?;
            eprintln!("the answer, which holds no secret, is in {}", file.display());
        }
        None => say!("{}", answer.armored().trim_end()),
    }
    eprintln!("on the box: `leafbox enroll accept -` and paste it, or name its file instead of -");
    Ok(pushed.tell("lets the box join"))
}

fn confirm(request: &Path) -> Result<bool> {
    let question = "Is it the one that the box shows, and do you let it in?";
    if paste::is_pasted(request) { paste::confirm_after_paste(question) } else { paste::confirm(question) }
}

/// Shows who asks and for what.
fn show(offer: &Offer) -> Result<()> {
    let request = offer.request();
    eprintln!("{}, {} of the fleet {}, asks to be let in", request.node, offer.kind(), request.fleet);
    eprintln!();
    eprintln!("  fingerprint  {}", request.fingerprint());
    eprintln!("  before       {}", offer.before()?);
    eprintln!("  it may");
    for (account, words) in offer.may() {
        eprintln!("    {account}: {words}");
    }
    eprintln!();
    Ok(())
}
