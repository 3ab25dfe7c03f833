//! Who makes a request.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::Role;

/// The public name of a session: what an admin sees and revokes. It is no secret, and no cookie.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub Arc<str>);

/// Who makes a request, put on it by what checks the session.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user's name.
    pub name: Arc<str>,
    /// What the user may do.
    pub role: Role,
    /// The session that the request came with.
    pub session: SessionId,
    /// Cancelled when the session or its user is revoked, wherever that was done: what is being
    /// streamed ends then.
    pub ended: CancellationToken,
}
