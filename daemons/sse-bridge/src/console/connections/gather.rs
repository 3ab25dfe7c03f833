//! The connections of all servers, sorted and filtered.

use std::cmp::Reverse;

use serde_json::json;

use super::query::{Sort, View};
use crate::console::{
    figures,
    servers::{AskError, ConnInfo, Connz, Count, Endpoint, Heard, Said, Servers, Statsz, millis},
};

/// Connections that a server is asked for: those that come first in the order.
const OF_EACH: usize = 4096;
/// Rows of the table.
const MOST: usize = 500;
/// A client for which so many bytes wait does not keep up.
const SLOW: u64 = 64 << 10;

/// The connections of all servers.
#[derive(Debug, Default)]
pub(super) struct Connections {
    pub(super) rows: Vec<Row>,
    /// How many there would be without the limits.
    pub(super) found: usize,
    pub(super) servers: Vec<Heard>,
    /// Why something is missing.
    pub(super) failed: Vec<String>,
    /// Clients that a server has cut off since its start as they were too slow.
    pub(super) slow: Vec<(String, Count)>,
    /// When it was so.
    pub(super) at: String,
    pub(super) accounts: Vec<String>,
}

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) server: Heard,
    /// The account's name.
    pub(super) account: String,
    pub(super) info: ConnInfo,
}

impl Connections {
    pub(super) async fn gather(servers: &Servers, view: &View) -> Self {
        let mut gathered = Self { at: figures::now(), ..Self::default() };
        if let Err(error) = gathered.ask(servers, view).await {
            gathered.failed.push(error.to_string());
        }
        gathered
    }

    async fn ask(&mut self, servers: &Servers, view: &View) -> Result<(), AskError> {
        self.servers = servers.heard().await?;
        let state = u8::from(view.closed);
        let options = json!({ "auth": true, "sort": view.sort.of_nats(), "limit": OF_EACH, "state": state });
        let none = json!({});
        let (connections, stats) = tokio::join!(
            servers.read_all::<Connz>(Endpoint::Connz, &options),
            servers.read_all::<Statsz>(Endpoint::Statsz, &none),
        );
        for Said { server, said } in stats? {
            if let Ok(Statsz { slow_consumers: 1.. }) = &said {
                self.slow.push((server.name, said.map_or(0, |stats| stats.slow_consumers)));
            }
        }
        for Said { server, said } in connections? {
            match said {
                Ok(connz) => {
                    let beyond = usize::try_from(connz.total).unwrap_or(usize::MAX);
                    self.found += beyond.saturating_sub(connz.connections.len());
                    for info in connz.connections {
                        let account = servers.account_name(&info.account).await;
                        self.rows.push(Row { server: server.clone(), account, info });
                    }
                }
                Err(error) => self.failed.push(error.to_string()),
            }
        }
        self.accounts = self.rows.iter().map(|row| row.account.clone()).collect();
        let is_sought = |row: &Row| {
            let of_server =
                view.server.is_empty() || [&row.server.id, &row.server.name].contains(&&view.server);
            let of_account = view.account.is_empty() || row.account == view.account;
            of_server && of_account && row.has(&view.text.to_lowercase())
        };
        self.rows.retain(is_sought);
        sort(&mut self.rows, view.sort);
        self.found += self.rows.len();
        self.rows.truncate(MOST);
        Ok(())
    }

    /// The accounts that are there, and the one that is looked for.
    pub(super) fn accounts_with(&self, sought: &str) -> Vec<String> {
        let mut accounts = self.accounts.clone();
        accounts.push(sought.to_owned());
        accounts.retain(|account| !account.is_empty());
        accounts.sort();
        accounts.dedup();
        accounts
    }
}

impl Row {
    /// What its user is called.
    pub(super) fn user(&self) -> &str {
        if self.info.user_name.is_empty() { &self.info.authorized_user } else { &self.info.user_name }
    }

    fn has(&self, text: &str) -> bool {
        let ConnInfo { name, ip, kind, protocol, reason, cid, .. } = &self.info;
        text.is_empty()
            || cid.to_string() == text
            || [name, ip, kind, protocol, reason, self.user(), &self.account, &self.server.name]
                .into_iter()
                .any(|part| part.to_lowercase().contains(text))
    }

    /// Why it does not keep up, if it does not.
    pub(super) fn slow(&self) -> Option<String> {
        let ConnInfo { pending_bytes, stalls, reason, .. } = &self.info;
        if reason.starts_with("Slow Consumer") {
            Some(reason.clone())
        } else if *pending_bytes >= SLOW {
            Some(format!("slow: {} wait for it", figures::bytes(*pending_bytes)))
        } else if *stalls > 0 {
            Some(format!("slow: it held others up {stalls} times"))
        } else {
            None
        }
    }
}

fn sort(rows: &mut [Row], by: Sort) {
    let rtt = |row: &Row| Reverse((millis(&row.info.rtt).unwrap_or_default() * 1e6) as u64);
    match by {
        // RFC 3339 of one zone sorts as text.
        Sort::Since => rows.sort_by(|a, b| (&b.info.start, b.info.cid).cmp(&(&a.info.start, a.info.cid))),
        Sort::Name => rows.sort_by_cached_key(|row| row.info.name.to_lowercase()),
        Sort::Account => rows.sort_by_cached_key(|row| (row.account.clone(), row.info.name.to_lowercase())),
        Sort::Rtt => rows.sort_by_cached_key(rtt),
        Sort::Subscriptions => rows.sort_by_key(|row| Reverse(row.info.subscriptions)),
        Sort::Pending => rows.sort_by_key(|row| Reverse(row.info.pending_bytes)),
        Sort::InMsgs => rows.sort_by_key(|row| Reverse(row.info.in_msgs)),
        Sort::OutMsgs => rows.sort_by_key(|row| Reverse(row.info.out_msgs)),
        Sort::InBytes => rows.sort_by_key(|row| Reverse(row.info.in_bytes)),
        Sort::OutBytes => rows.sort_by_key(|row| Reverse(row.info.out_bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, info: ConnInfo) -> Row {
        let server = Heard { id: "N1".to_owned(), name: "hub-1".to_owned() };
        Row { server, account: "SHOP".to_owned(), info: ConnInfo { name: name.to_owned(), ..info } }
    }

    #[test]
    fn figures_begin_with_the_largest_and_names_with_a() {
        let rtt = |text: &str| ConnInfo { rtt: text.to_owned(), ..ConnInfo::default() };
        let mut rows = vec![row("b", rtt("900µs")), row("A", rtt("1.5ms")), row("c", rtt(""))];
        sort(&mut rows, Sort::Rtt);
        assert_eq!(rows.iter().map(|row| row.info.name.as_str()).collect::<Vec<_>>(), ["A", "b", "c"]);
        sort(&mut rows, Sort::Name);
        assert_eq!(rows.iter().map(|row| row.info.name.as_str()).collect::<Vec<_>>(), ["A", "b", "c"]);
    }

    #[test]
    fn who_does_not_keep_up_is_told_with_the_reason() {
        let pending = row("a", ConnInfo { pending_bytes: 1 << 20, ..ConnInfo::default() });
        assert_eq!(pending.slow().as_deref(), Some("slow: 1.0 MiB wait for it"));
        let stalls = row("a", ConnInfo { stalls: 3, ..ConnInfo::default() });
        assert_eq!(stalls.slow().as_deref(), Some("slow: it held others up 3 times"));
        let ended = ConnInfo { reason: "Slow Consumer (Pending Bytes)".to_owned(), ..ConnInfo::default() };
        assert_eq!(row("a", ended).slow().as_deref(), Some("Slow Consumer (Pending Bytes)"));
        assert_eq!(row("a", ConnInfo { pending_bytes: 100, ..ConnInfo::default() }).slow(), None);
    }

    #[test]
    fn a_text_is_sought_in_what_is_shown() {
        let till =
            row("Till 7", ConnInfo { cid: 42, authorized_user: "anna".to_owned(), ..ConnInfo::default() });
        for text in ["till", "anna", "shop", "hub-1", "42", ""] {
            assert!(till.has(text), "{text}");
        }
        assert!(!till.has("4") && !till.has("bob"));
    }
}
