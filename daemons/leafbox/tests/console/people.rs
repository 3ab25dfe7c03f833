//! The pages of accounts and leaves, on a node whose accounts are signed.

use super::{FLEET, NODE, Place, eventually, get, session, status};

#[test]
fn an_account_shows_its_claims_without_a_jwt() {
    let place = Place::new(NODE, FLEET);
    let node = place.start(&["dev", "--any-port"]);
    let address = node.address("console");
    eventually("the console answers", || status(&get(address, "/healthz", "")) == 200);
    let cookie = session(&node);
    let list = get(address, "/accounts", &cookie);
    for words in ["href=\"/accounts/LEAFBOX\"", "href=\"/accounts/SYS\"", "declared in fleet.toml"] {
        assert!(list.contains(words), "{words}: {list}");
    }
    let page = get(address, "/accounts/LEAFBOX", &cookie);
    assert_eq!(status(&page), 200, "{page}");
    for words in
        ["leafbox-console", "leafbox.node.*.heartbeat", "Connections at once", "JetStream files", "for ever"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("eyJ0eXAi") && page.contains("(not shown)"), "{page}");
    assert_eq!(node.stop(), 0);
}
