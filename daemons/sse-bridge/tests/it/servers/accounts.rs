//! `/accounts`, of accounts that stand in nats-server's configuration; those that are JWTs are in the
//! tests of `leafbox`, which signs them.

use sse_bridge::Role;

use super::fleet::Fleet;

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_of_the_server_are_listed_and_each_has_its_page() {
    let fleet = Fleet::start().await;
    let console = fleet.leaf.console(true).await;
    let viewer = console.session(Role::Viewer).await;
    let list = console.get("/accounts", Some(&viewer)).await;
    assert_eq!(list.status, 200, "{list:?}");
    for link in ["/accounts/LEAFBOX", "/accounts/SHOP", "/accounts/SYS", "/connections?account=SHOP"] {
        assert!(list.text.contains(&format!("href=\"{link}\"")), "{link}: {list:?}");
    }
    assert!(!list.text.contains("$G") && list.text.contains("⚠ not in fleet.toml"), "{list:?}");
    let shop = console.get("/accounts/SHOP", Some(&viewer)).await;
    assert!(shop.status == 200 && shop.text.contains("nats-server's own configuration"), "{shop:?}");
    assert!(shop.text.contains("nats server account info SHOP"), "{shop:?}");
    let none = console.get("/accounts/%3Cb%3E", Some(&viewer)).await;
    assert!(none.status == 404 && none.text.contains("no account `&lt;b&gt;` here"), "{none:?}");
    assert_eq!(console.get("/accounts", None).await.status, 401);
    console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_creds_of_sys_the_page_says_what_is_missing() {
    let fleet = Fleet::start().await;
    let console = fleet.leaf.console(false).await;
    let viewer = console.session(Role::Viewer).await;
    let list = console.get("/accounts", Some(&viewer)).await;
    assert!(list.status == 200 && list.text.contains("console-SYS.creds"), "{list:?}");
    console.stop().await;
}
