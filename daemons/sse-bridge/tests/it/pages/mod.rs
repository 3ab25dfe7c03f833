//! The pages of streams and buckets, as a browser asks for them, on a node with the accounts LEAFBOX
//! and SHOP.

mod edit;
mod follow;
mod kv;
mod listen;
mod objects;
mod publish;
mod registry;
mod streams;

use async_nats::jetstream;
use sse_bridge::Role;
use tempfile::TempDir;

use crate::servers::fleet::{Answer, Console, Node, Session};

/// A node with its console, and somebody of each role.
struct Box {
    node: Node,
    console: Console,
    viewer: Session,
    operator: Session,
    admin: Session,
    _folder: TempDir,
}

impl Box {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::start(&folder, "shop-1", "").await;
        let console = node.console(false).await;
        // The first is an admin, whatever was asked for.
        let admin = console.session(Role::Admin).await;
        let operator = console.session(Role::Operator).await;
        let viewer = console.session(Role::Viewer).await;
        Self { node, console, viewer, operator, admin, _folder: folder }
    }

    async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(self.node.client("shop").await)
    }

    /// A page that is there, as somebody sees it.
    async fn see(&self, session: &Session, path: &str) -> String {
        let answer = self.console.get(path, Some(session)).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.text
    }

    /// Does something, and gives the page that it leads to.
    async fn act(&self, session: &Session, path: &str, form: &[(&str, &str)]) -> String {
        let answer = self.console.post(path, session, form).await;
        assert_eq!(answer.status, 303, "{path}: {answer:?}");
        self.see(session, answer.header("location")).await
    }

    /// Does what is refused, and gives the answer.
    async fn refused(&self, session: &Session, path: &str, form: &[(&str, &str)], status: u16) -> Answer {
        let answer = self.console.post(path, session, form).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        answer
    }
}
