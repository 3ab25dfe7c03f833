//! Which connections a page shows and in which order, as its address says.

use maud::{Markup, html};
use url::form_urlencoded::{Serializer, parse};

use super::gather::Connections;

/// Bytes of a text that is sought.
const LONGEST: usize = 200;

/// What somebody looks for. What is not understood is left out: addresses are kept and shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// The id or name of a server; all when empty.
    pub(super) server: String,
    pub(super) account: String,
    pub(super) text: String,
    pub(super) sort: Sort,
    /// Those that have ended, instead of those that are there.
    pub(super) closed: bool,
}

/// The order. Figures begin with the largest, names with A.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Since,
    Name,
    Account,
    Rtt,
    Subscriptions,
    Pending,
    InMsgs,
    OutMsgs,
    InBytes,
    OutBytes,
}

impl Sort {
    pub(super) const ALL: [Self; 10] = [
        Self::Since,
        Self::Name,
        Self::Account,
        Self::Rtt,
        Self::Subscriptions,
        Self::Pending,
        Self::InMsgs,
        Self::OutMsgs,
        Self::InBytes,
        Self::OutBytes,
    ];

    /// As in addresses, and for readers.
    pub(super) const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Since => ("start", "newest first"),
            Self::Name => ("name", "by name"),
            Self::Account => ("account", "by account"),
            Self::Rtt => ("rtt", "by round trip"),
            Self::Subscriptions => ("subs", "by subscriptions"),
            Self::Pending => ("pending", "by what waits"),
            Self::InMsgs => ("msgs_from", "by messages in"),
            Self::OutMsgs => ("msgs_to", "by messages out"),
            Self::InBytes => ("bytes_from", "by bytes in"),
            Self::OutBytes => ("bytes_to", "by bytes out"),
        }
    }

    /// By what nats-server is to sort where it has more than it tells.
    pub(super) const fn of_nats(self) -> &'static str {
        match self {
            Self::Name | Self::Account => "start",
            other => other.names().0,
        }
    }
}

impl View {
    /// Reads a query.
    pub(super) fn of(query: &str) -> Self {
        let mut view = Self::default();
        for (name, value) in parse(query.as_bytes()).filter(|(_, value)| value.len() <= LONGEST) {
            match &*name {
                "server" => view.server = value.into_owned(),
                "account" => view.account = value.into_owned(),
                "text" => view.text = value.into_owned(),
                "sort" => {
                    let sort = Sort::ALL.into_iter().find(|sort| sort.names().0 == value);
                    view.sort = sort.unwrap_or_default();
                }
                "state" => view.closed = value == "closed",
                _ => {}
            }
        }
        view
    }

    /// The query that says the same: nothing in it needs an escape in HTML or a script.
    pub(super) fn query(&self) -> String {
        let state = if self.closed { "closed" } else { "open" };
        Serializer::new(String::new())
            .append_pair("server", &self.server)
            .append_pair("account", &self.account)
            .append_pair("text", &self.text)
            .append_pair("sort", self.sort.names().0)
            .append_pair("state", state)
            .finish()
    }
}

/// The inputs of a view.
pub(super) fn form(view: &View, connections: &Connections) -> Markup {
    let option =
        |value: &str, chosen: bool, text: &str| html! { option value=(value) selected[chosen] { (text) } };
    html! {
        form.filter method="get" action="/connections" {
            label { "Server "
                select name="server" {
                    (option("", view.server.is_empty(), "all"))
                    @for server in &connections.servers {
                        (option(&server.name, view.server == server.name || view.server == server.id, &server.name))
                    }
                }
            }
            label { "Account "
                select name="account" {
                    (option("", view.account.is_empty(), "all"))
                    @for account in connections.accounts_with(&view.account) {
                        (option(&account, view.account == account, &account))
                    }
                }
            }
            label { "Text " input type="search" name="text" maxlength="100" value=(view.text); }
            label { "State "
                select name="state" {
                    (option("open", !view.closed, "connected"))
                    (option("closed", view.closed, "ended"))
                }
            }
            label { "Order "
                select name="sort" {
                    @for sort in Sort::ALL { (option(sort.names().0, view.sort == sort, sort.names().1)) }
                }
            }
            button { "Show" }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What an address says comes out of the page's own address again, which is safe in a script.
        #[test]
        fn an_address_says_what_was_looked_for(
            server in "\\PC{0,40}", account in "\\PC{0,40}", text in "\\PC{0,40}", sort in 0..Sort::ALL.len(), closed: bool,
        ) {
            let view = View { server, account, text, sort: Sort::ALL[sort], closed };
            let query = view.query();
            prop_assert!(query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=&%+-_.*".contains(&byte)), "{query}");
            prop_assert_eq!(View::of(&query), view);
        }
    }
}
