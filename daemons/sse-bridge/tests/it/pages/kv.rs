//! `/kv`.

use async_nats::jetstream::kv;

use super::Box;

const PRICES: &str = "/kv/SHOP/prices";

async fn with_prices() -> (Box, kv::Store) {
    let own = Box::start().await;
    let config = kv::Config { bucket: "prices".to_owned(), history: 5, ..Default::default() };
    let store = own.jetstream().await.create_key_value(config).await.unwrap();
    for number in 0..120 {
        store.put(format!("item.{number:03}"), format!("{{\"cents\":{number}}}").into()).await.unwrap();
    }
    (own, store)
}

/// The number after `name="revision" value="` on a page.
fn revision(page: &str) -> String {
    page.split("name=\"revision\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_paged_filtered_and_shown_with_their_history() {
    let (own, store) = with_prices().await;
    store.put("item.007", "<b>2</b>".into()).await.unwrap();
    store.delete("item.008").await.unwrap();
    let list = own.see(&own.viewer, "/kv").await;
    assert!(list.contains(&format!("href=\"{PRICES}\"")) && !list.contains("leafbox_users"), "{list}");
    let first = own.see(&own.viewer, PRICES).await;
    assert!(first.contains("120 keys, 50 on this page") && first.contains("item.049"), "{first}");
    assert!(
        !first.contains("item.050<") && first.contains("&lt;b&gt;2") && first.contains("deleted"),
        "{first}"
    );
    assert!(first.contains(&format!("{PRICES}?key=&amp;after=item.049")), "{first}");
    let third = own.see(&own.viewer, &format!("{PRICES}?key=&after=item.099")).await;
    assert!(
        third.contains("item.100<") && third.contains("item.119<") && !third.contains("Next page"),
        "{third}"
    );
    let some = own.see(&own.viewer, &format!("{PRICES}?key=11")).await;
    assert!(some.contains("11 keys") && !some.contains("item.012"), "{some}");
    assert!(!first.contains("New key") && own.see(&own.operator, PRICES).await.contains("New key"));

    let key = own.see(&own.viewer, &format!("{PRICES}/keys/item.007")).await;
    assert!(key.contains("&lt;b&gt;2&lt;/b&gt;") && key.contains("&quot;cents&quot;: 7"), "{key}");
    assert!(key.contains("nats kv get prices item.007") && !key.contains("Store"), "{key}");
    for (path, status, hint) in [
        (format!("{PRICES}/keys/none"), 404, "no key none"),
        (format!("{PRICES}/keys/a%20b"), 400, "no name of a key"),
        (format!("{PRICES}/keys/%3E"), 400, "no name of a key"),
        ("/kv/SHOP/none".to_owned(), 404, "stream not found"),
        ("/kv/LEAFBOX/leafbox_users".to_owned(), 403, "holds secrets"),
        ("/kv/LEAFBOX/leafbox_users/keys/user.ada".to_owned(), 403, "holds secrets"),
        ("/live/kv/LEAFBOX/leafbox_registry".to_owned(), 403, "holds secrets"),
    ] {
        let answer = own.console.get(&path, Some(&own.admin)).await;
        assert!(answer.status == status && answer.text.contains(hint), "{path}: {answer:?}");
    }
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_written_only_if_it_is_as_it_was_on_the_page() {
    let (own, store) = with_prices().await;
    let put = format!("{PRICES}/put");
    let form = [("key", "item.001"), ("revision", "2"), ("value", "a\r\nb")];
    let refused = own.refused(&own.viewer, &put, &form, 403).await;
    assert!(refused.text.contains("takes the role operator"), "{refused:?}");
    let forged = own.console.ask("POST", &put, Some(&own.admin), "", "key=a&revision=0&value=x").await;
    assert_eq!((forged.status, forged.code().as_str()), (403, "cross_site"));

    let page = own.see(&own.operator, &format!("{PRICES}/keys/item.001")).await;
    assert_eq!(revision(&page), "2");
    let page = own.act(&own.operator, &put, &form).await;
    assert!(page.contains("item.001 is stored as revision 121"), "{page}");
    assert_eq!(store.get("item.001").await.unwrap().unwrap(), "a\nb");
    // Somebody else's page is older.
    let again = own
        .refused(&own.admin, &put, &[("key", "item.001"), ("revision", "2"), ("value", "<mine>")], 422)
        .await;
    for shown in ["since revision 2; it has revision 121 now", "&lt;mine&gt;", "aria-invalid"] {
        assert!(again.text.contains(shown), "{shown}: {again:?}");
    }
    assert_eq!(revision(&again.text), "121");
    assert_eq!(store.get("item.001").await.unwrap().unwrap(), "a\nb");
    let told = own.console.site.told("key-written").await;
    assert_eq!(told.detail.as_deref(), Some("SHOP/prices/item.001: revision 121"));

    own.act(&own.operator, &put, &[("key", "new/key=1"), ("revision", "0"), ("value", "1")]).await;
    let there = own
        .refused(&own.operator, &put, &[("key", "new/key=1"), ("revision", "0"), ("value", "2")], 422)
        .await;
    assert!(there.text.contains("the key is there already"), "{there:?}");
    for (bucket, key, status) in [
        ("/kv/SHOP/prices", "a.*", 400),
        ("/kv/LEAFBOX/leafbox_users", "user.eve", 403),
        ("/kv/LEAFBOX/leafbox_registry", "token.x", 403),
        ("/kv/LEAFBOX/leafbox_nodes", "shop-1", 403),
        ("/kv/SYS/prices", "a", 404),
    ] {
        let form = [("key", key), ("revision", "0"), ("value", "x"), ("confirm", key)];
        for what in ["put", "delete", "purge"] {
            own.refused(&own.admin, &format!("{bucket}/{what}"), &form, status).await;
        }
    }
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_taken_away_with_its_name_typed_and_its_revision() {
    let (own, store) = with_prices().await;
    let delete = format!("{PRICES}/delete");
    own.refused(&own.operator, &delete, &[("key", "item.001"), ("revision", "2"), ("confirm", "")], 422)
        .await;
    let stale = [("key", "item.001"), ("revision", "1"), ("confirm", "item.001")];
    let refused = own.refused(&own.operator, &delete, &stale, 409).await;
    assert!(refused.text.contains("somebody else changed the key item.001"), "{refused:?}");
    let form = [("key", "item.001"), ("revision", "2"), ("confirm", "item.001")];
    let page = own.act(&own.operator, &delete, &form).await;
    assert!(page.contains("item.001 is deleted"), "{page}");
    assert_eq!(store.get("item.001").await.unwrap(), None);
    let page = own.see(&own.operator, &format!("{PRICES}/keys/item.001")).await;
    assert!(page.contains("&quot;cents&quot;: 1") && page.contains("It was deleted"), "{page}");
    own.act(
        &own.operator,
        &format!("{PRICES}/purge"),
        &[("key", "item.001"), ("revision", &revision(&page)), ("confirm", "item.001")],
    )
    .await;
    let page = own.see(&own.operator, &format!("{PRICES}/keys/item.001")).await;
    assert!(!page.contains("&quot;cents&quot;") && page.contains("It was purged"), "{page}");
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_keys_goes_on_by_itself() {
    let (own, store) = with_prices().await;
    let page = own.see(&own.viewer, &format!("{PRICES}?key=&after=item.099")).await;
    assert!(page.contains(&format!("/live{PRICES}?key=&amp;after=item.099")), "{page}");
    let path = format!("/live{PRICES}?key=&after=item.099");
    let mut live = own.console.live(&path, &own.viewer, "").await;
    let row = |key: &str| {
        let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("elements <tr id=\"key-{hex}\">")
    };
    live.until(&row("item.119")).await;
    store.put("item.001", "of another page".into()).await.unwrap();
    store.put("item.110", "<changed>".into()).await.unwrap();
    let seen = live.until("&lt;changed&gt;").await;
    assert!(
        seen.rsplit("elements ")
            .next()
            .unwrap()
            .starts_with(row("item.110").strip_prefix("elements ").unwrap()),
        "{seen}"
    );
    store.delete("item.110").await.unwrap();
    let seen = live.until("deleted").await;
    assert!(!seen.contains("of another page") && !seen.contains(&row("item.001")), "{seen}");
    own.console.stop().await;
}
