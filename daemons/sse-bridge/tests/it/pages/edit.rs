//! Streams and consumers that are made and defined otherwise, by forms and as JSON.

use async_nats::jetstream::stream;
use serde_json::json;

use super::Box;

/// The inputs of the first form of a page that posts to `action`, as a browser sends them.
fn inputs(page: &str, action: &str) -> Vec<(String, String)> {
    let form = page.split(&format!("action=\"{action}\"")).nth(1).unwrap().split("</form>").next().unwrap();
    let attribute = |tag: &str, name: &str| {
        let value = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
        Some(value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&"))
    };
    let mut inputs = Vec::new();
    for tag in form.split('<').skip(1) {
        let (head, rest) = tag.split_once('>').unwrap_or((tag, ""));
        let Some(name) = attribute(head, "name") else {
            if head.starts_with("option") && head.contains(" selected") {
                let (_, value): &mut (String, String) = inputs.last_mut().unwrap();
                *value = attribute(head, "value").unwrap();
            }
            continue;
        };
        match head.split(' ').next().unwrap() {
            "input" if head.contains("type=\"checkbox\"") && !head.contains(" checked") => {}
            "textarea" => inputs.push((name, rest.strip_prefix('\n').unwrap_or(rest).replace("&gt;", ">"))),
            _ => inputs.push((name, attribute(head, "value").unwrap_or_default())),
        }
    }
    inputs
}

fn with<'a>(inputs: &'a [(String, String)], changed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let known = |name: &str| changed.iter().any(|(other, _)| *other == name);
    let kept =
        inputs.iter().filter(|(name, _)| !known(name)).map(|(name, value)| (name.as_str(), value.as_str()));
    kept.chain(changed.iter().copied()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_made_and_defined_otherwise_by_a_form() {
    let own = Box::start().await;
    let new = "/streams/new";
    for session in [&own.viewer, &own.operator] {
        assert_eq!(own.console.get(new, Some(session)).await.status, 403);
        own.refused(session, new, &[("account", "SHOP"), ("/name", "ORDERS")], 403).await;
    }
    let form = inputs(&own.see(&own.admin, new).await, new);
    let wrong = with(&form, &[("account", "SHOP"), ("/name", "a.b"), ("/max_age", "seven days")]);
    let refused = own.refused(&own.admin, new, &wrong, 422).await;
    for shown in
        ["id=\"field-max_age-error\"", "value=\"seven days\"", "such as 30s", "href=\"#field-max_age\""]
    {
        assert!(refused.text.contains(shown), "{shown}: {}", refused.text);
    }
    let wrong = with(&form, &[("account", "SHOP"), ("/name", "ORDERS"), ("/subjects", "_INBOX.>")]);
    let refused = own.refused(&own.admin, new, &wrong, 422).await;
    assert!(refused.text.contains("where others ask and are answered"), "{}", refused.text);
    let right = with(
        &form,
        &[
            ("account", "SHOP"),
            ("/name", "ORDERS"),
            ("/subjects", "orders.>\r\nreturns.>"),
            ("/max_age", "7d"),
            ("/max_bytes", "1GiB"),
        ],
    );
    let page = own.act(&own.admin, new, &right).await;
    assert!(
        page.contains("the stream ORDERS is made") && page.contains("&quot;max_bytes&quot;: 1073741824"),
        "{page}"
    );
    assert_eq!(own.console.site.told("stream-created").await.detail.as_deref(), Some("SHOP/ORDERS"));
    // NATS's own words.
    let twice = with(&form, &[("account", "SHOP"), ("/name", "OTHERS"), ("/subjects", "orders.new")]);
    let refused = own.refused(&own.admin, new, &twice, 422).await;
    assert!(refused.text.contains("subjects overlap with an existing stream (10065)"), "{}", refused.text);

    let edit = "/streams/SHOP/ORDERS/edit";
    let form = inputs(&own.see(&own.admin, edit).await, edit);
    assert!(form.contains(&("/max_age".to_owned(), "7d".to_owned())), "{form:?}");
    let page = own.act(&own.admin, edit, &with(&form, &[("/max_msgs", "5000"), ("/max_age", "")])).await;
    assert!(page.contains("the stream ORDERS is defined anew"), "{page}");
    let config = own.jetstream().await.get_stream("ORDERS").await.unwrap().cached_info().config.clone();
    assert_eq!((config.max_messages, config.max_bytes, config.subjects.len()), (5000, 1 << 30, 2));
    assert!(config.max_age.is_zero());
    own.refused(&own.operator, edit, &[("json", "{}")], 403).await;
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_checked_against_the_schema_and_copies_no_secret() {
    let own = Box::start().await;
    let new = "/streams/new";
    let of = |more: serde_json::Value| {
        let mut config = json!({
            "name": "COPY", "subjects": ["copy.>"], "retention": "limits", "storage": "file", "num_replicas": 1,
            "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0,
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config.to_string()
    };
    for (account, json, hint) in [
        ("SHOP", "{".to_owned(), "expected JSON"),
        ("SHOP", of(json!({ "max_mgs": 1 })), "/max_mgs is unknown"),
        ("SHOP", of(json!({ "max_msgs": 1.5 })), "/max_msgs is 1.5"),
        ("LEAFBOX", of(json!({ "subjects": [], "mirror": { "name": "KV_leafbox_users" } })), "holds secrets"),
        ("LEAFBOX", of(json!({ "name": "LEAFBOX_MINE" })), "kept by leafbox itself"),
        (
            "SHOP",
            of(json!({ "republish": { "src": ">", "dest": "$JS.API.STREAM.DELETE.COPY" } })),
            "acts upon",
        ),
        ("NOWHERE", of(json!({})), "no account `NOWHERE`"),
    ] {
        let refused = own.refused(&own.admin, new, &[("account", account), ("json", &json)], 422).await;
        assert!(refused.text.contains(hint), "{hint}: {}", refused.text);
    }
    let page =
        own.act(&own.admin, new, &[("account", "SHOP"), ("json", &of(json!({ "max_msgs": 9 })))]).await;
    assert!(page.contains("&quot;max_msgs&quot;: 9"), "{page}");
    let renamed = of(json!({ "name": "OTHER" }));
    let refused = own.refused(&own.admin, "/streams/SHOP/COPY/edit", &[("json", &renamed)], 422).await;
    assert!(refused.text.contains("the name of a stream stays"), "{}", refused.text);
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_what_fleet_toml_declares_shows_what_to_write_there() {
    let own = Box::start().await;
    let config = json!({
        "name": "DECLARED", "subjects": ["declared.>"],
        "metadata": { "leafbox.owner": "shop", "leafbox.store": "stream" },
    });
    let client = own.node.client("shop").await;
    client.request("$JS.API.STREAM.CREATE.DECLARED", config.to_string().into()).await.unwrap();
    let edit = "/streams/SHOP/DECLARED/edit";
    let page = own.see(&own.admin, edit).await;
    assert!(page.contains("you get what to write there"), "{page}");
    let form = inputs(&page, edit);
    let changed = with(&form, &[("/max_bytes", "2GiB")]);
    let shown = own.refused(&own.admin, edit, &changed, 422).await;
    let toml = "[accounts.SHOP.streams.DECLARED]\nmax_bytes = &quot;2GiB&quot;\n";
    assert!(shown.text.contains(toml) && shown.text.contains("leafbox apply"), "{}", shown.text);
    let info = own.jetstream().await.get_stream("DECLARED").await.unwrap().cached_info().clone();
    assert_eq!(info.config.max_bytes, -1, "nothing was changed");
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_is_made_and_defined_otherwise() {
    let own = Box::start().await;
    let config = stream::Config {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        ..Default::default()
    };
    let orders = own.jetstream().await.create_stream(config).await.unwrap();
    let new = "/streams/SHOP/ORDERS/new-consumer";
    own.refused(&own.operator, new, &[("/config/durable_name", "billing")], 403).await;
    let form = inputs(&own.see(&own.admin, new).await, new);
    let refused = own.refused(&own.admin, new, &with(&form, &[("/config/ack_wait", "x")]), 422).await;
    assert!(refused.text.contains("id=\"field-config-ack_wait-error\""), "{}", refused.text);
    let secret = with(
        &form,
        &[("/config/durable_name", "thief"), ("/config/deliver_subject", "$KV.leafbox_users.user.eve")],
    );
    let refused = own.refused(&own.admin, new, &secret, 422).await;
    assert!(refused.text.contains("acts upon"), "{}", refused.text);
    let right = with(
        &form,
        &[
            ("/config/durable_name", "billing"),
            ("/config/filter_subjects", "orders.new\r\norders.paid"),
            ("/config/ack_wait", "5s"),
        ],
    );
    let page = own.act(&own.admin, new, &right).await;
    assert!(page.contains("the consumer billing of ORDERS is made"), "{page}");
    let edit = "/streams/SHOP/ORDERS/consumers/billing/edit";
    let form = inputs(&own.see(&own.admin, edit).await, edit);
    assert!(form.contains(&("/config/ack_wait".to_owned(), "5s".to_owned())), "{form:?}");
    let page = own.act(&own.admin, edit, &with(&form, &[("/config/max_deliver", "7")])).await;
    assert!(page.contains("defined anew") && page.contains("&quot;max_deliver&quot;: 7"), "{page}");
    let info = orders.consumer_info("billing").await.unwrap();
    assert_eq!(info.config.ack_wait.as_secs(), 5);
    assert!(page.contains("&quot;orders.new&quot;,") && page.contains("&quot;orders.paid&quot;"), "{page}");
    own.console.stop().await;
}
