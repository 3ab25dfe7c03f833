//! `/accounts`, of accounts that stand in nats-server's configuration; those that are JWTs are in the
//! tests of `leafbox`, which signs them.

use sse_bridge::Role;
use tokio::time::timeout;

use super::fleet::Fleet;
use crate::server::DEADLINE;

/// Where a form goes, what is in it, and what an admin is answered where no signer is.
type Form<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);

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

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_admin_signs_nothing_and_where_no_signer_is_the_page_says_what_to_type() {
    let fleet = Fleet::start().await;
    let console = fleet.hub.console(true).await;
    let admin = console.session(Role::Admin).await;
    let operator = console.session(Role::Operator).await;
    let viewer = console.session(Role::Viewer).await;
    let key = nkeys::KeyPair::new_user().public_key();
    let forms: [Form<'_>; 6] = [
        ("/accounts/SHOP/mint", &[("role", "till"), ("name", "till-7")], 422),
        ("/accounts/SHOP/revoke", &[("user", &key), ("confirm", &key)], 503),
        ("/leaves/look", &[("request", "x")], 422),
        ("/leaves/approve", &[("request", "x"), ("compared", "true")], 503),
        ("/leaves/answer", &[("node", "n"), ("answer", "x")], 200),
        ("/leaves/shop-1/take-back", &[("confirm", "shop-1")], 503),
    ];
    for (path, form, of_admin) in forms {
        for session in [&operator, &viewer] {
            let refused = console.post(path, session, form).await;
            assert!(
                refused.status == 403 && refused.text.contains("takes the role admin"),
                "{path}: {refused:?}"
            );
        }
        let answer = console.post(path, &admin, form).await;
        assert_eq!(answer.status, of_admin, "{path}: {answer:?}");
        assert!(of_admin == 200 || answer.text.contains("no signer answers here"), "{path}: {answer:?}");
        // As another site's page would send it.
        let cross = console.ask("POST", path, Some(&admin), "sec-fetch-site: cross-site\r\n", "a=b").await;
        assert_eq!(cross.status, 403, "{path}: {cross:?}");
    }
    let leaves = console.get("/leaves", Some(&admin)).await;
    assert!(leaves.status == 200 && leaves.text.contains("leafbox enroll approve FILE"), "{leaves:?}");
    assert!(leaves.text.contains("<th scope=\"row\">shop-1") && leaves.text.contains("SHOP"), "{leaves:?}");
    let leaves = console.get("/leaves", Some(&viewer)).await;
    assert!(
        leaves.text.contains("takes the role admin") && !leaves.text.contains("enroll approve"),
        "{leaves:?}"
    );
    console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_just_shown_a_passkey_signs_nothing_and_is_led_to_show_it() {
    let fleet = Fleet::start().await;
    let console = fleet.hub.console(true).await;
    let admin = console.session(Role::Admin).await;
    console.age(&admin).await;
    let from = "sec-fetch-site: same-origin\r\nreferer: http://localhost/accounts/SHOP?revoke=U\r\n";
    for path in
        ["/accounts/SHOP/mint", "/accounts/SHOP/revoke", "/leaves/approve", "/leaves/shop-1/take-back"]
    {
        let refused = async {
            loop {
                let answer = console.ask("POST", path, Some(&admin), from, "a=b").await;
                // The console's copy of the session follows.
                if answer.status == 403 {
                    break answer;
                }
            }
        };
        let refused = timeout(DEADLINE, refused).await.unwrap();
        assert!(
            refused.text.contains("href=\"/login/prove?next=%2Faccounts%2FSHOP\""),
            "{path}: {refused:?}"
        );
    }
    // Nothing is signed by looking.
    assert_eq!(console.post("/leaves/look", &admin, &[("request", "x")]).await.status, 422);
    let prove = console.get("/login/prove?next=%2Faccounts%2FSHOP", Some(&admin)).await;
    assert!(prove.status == 200 && prove.text.contains("data-next=\"/accounts/SHOP\""), "{prove:?}");
    let away = console.get("/login/prove?next=%2F%2Fevil.example", Some(&admin)).await;
    assert!(away.text.contains("data-next=\"/\""), "{away:?}");
    assert_eq!(console.get("/login/prove", None).await.status, 401);
    console.stop().await;
}
