//! `/accounts`: each account as this node's nats-server has it, beside what fleet.toml declares.

mod claims;
mod gather;
mod limits;
mod list;
mod mint;
mod one;
mod revoke;
mod roles;

use axum::{
    Router,
    routing::{get, post},
};

use super::{Console, failure::Failure, link};

/// The routes.
pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/accounts", get(list::show))
        .route("/accounts/{account}", get(one::show))
        .route("/accounts/{account}/mint", post(mint::mint))
        .route("/accounts/{account}/revoke", post(revoke::revoke))
}

/// The page of an account.
fn path(account: &str) -> String {
    link::path(&["accounts", account])
}

/// The nodes that hold keys of their own for an account.
pub(super) async fn holders(console: &Console, account: &str) -> Result<Vec<String>, Failure> {
    let known = gather::one(&console.servers, account).await?;
    let nodes = known.detail.body().map(|body| body.nodes().into_iter().map(str::to_owned).collect());
    Ok(nodes.unwrap_or_default())
}

/// The page of an account with the form filled in that revokes a user.
pub(super) fn revoking(account: &str, user: &str) -> Option<String> {
    revoke::is_user(user).then(|| format!("{}?revoke={user}#revoke", path(account)))
}
