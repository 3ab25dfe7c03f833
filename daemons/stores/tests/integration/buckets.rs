//! Buckets that travel up and down.

use crate::{
    servers::{Site, eventually, fleet},
    travelling::Shops,
};

const SHOPS: &str = r#"
name = "shops"
nodes = { hub = ["hub-1"], leaves = ["shop-1", "shop-2"] }

[accounts.SHOP.kv.stock]
travel = "up"
history = 3
limit_marker_ttl = "1m"
[accounts.SHOP.kv.prices]
travel = "down"
limit_marker_ttl = "1m"
[accounts.SHOP.objects.photos]
travel = "up"
[accounts.SHOP.objects.menus]
travel = "down"
"#;

async fn value(site: &Site, bucket: &str, key: &str) -> Option<String> {
    let store = site.jetstream("SHOP").get_key_value(bucket).await.ok()?;
    let value = store.get(key).await.ok()??;
    Some(String::from_utf8(value.to_vec()).unwrap())
}

async fn becomes(site: &Site, bucket: &str, key: &str, wanted: Option<&str>) {
    let what = format!("{bucket}/{key} is {wanted:?} on {}", site.node.name);
    eventually(&what, || async { (value(site, bucket, key).await.as_deref() == wanted).then_some(()) }).await;
}

#[tokio::test]
async fn a_bucket_travels_up_from_every_leaf_and_the_hub_writes_its_own() {
    let shops = Shops::open(fleet(SHOPS), 2).await;
    for (leaf, proxy) in &shops.leaves {
        let store = leaf.jetstream("SHOP").get_key_value("stock").await.unwrap();
        let name = leaf.node.name.as_str();
        store.put(name, "1".into()).await.unwrap();
        becomes(&shops.hub, "stock", name, Some("1")).await;
        proxy.cut();
        store.put(name, "2".into()).await.unwrap();
        store.put("gone", "x".into()).await.unwrap();
        store.purge("gone").await.unwrap();
        proxy.heal();
    }
    shops.hub.jetstream("SHOP").get_key_value("stock").await.unwrap().put("hub", "h".into()).await.unwrap();
    for (leaf, _) in &shops.leaves {
        eventually("the hub is in step", || async {
            shops.nudge().await;
            (value(&shops.hub, "stock", &leaf.node.name).await.as_deref() == Some("2")).then_some(())
        })
        .await;
        becomes(&shops.hub, "stock", "gone", None).await;
        // The leaf's bucket is its own: neither the hub's keys nor the other leaf's come in.
        let keys = leaf.jetstream("SHOP").get_key_value("stock").await.unwrap();
        assert!(keys.entry("hub").await.unwrap().is_none());
    }
    becomes(&shops.hub, "stock", "hub", Some("h")).await;
}

#[tokio::test]
async fn a_bucket_that_travels_down_is_read_on_the_leaf_and_written_at_the_hub() {
    let shops = Shops::open(fleet(SHOPS), 2).await;
    let (leaf, proxy) = &shops.leaves[0];
    let at_hub = shops.hub.jetstream("SHOP").get_key_value("prices").await.unwrap();
    at_hub.put("apple", "3".into()).await.unwrap();
    becomes(leaf, "prices", "apple", Some("3")).await;
    // A client on the leaf writes through to the hub, and every leaf gets it.
    let at_leaf = leaf.jetstream("SHOP").get_key_value("prices").await.unwrap();
    at_leaf.put("pear", "4".into()).await.unwrap();
    becomes(&shops.hub, "prices", "pear", Some("4")).await;
    becomes(&shops.leaves[1].0, "prices", "pear", Some("4")).await;
    proxy.cut();
    at_hub.put("apple", "5".into()).await.unwrap();
    at_hub.delete("pear").await.unwrap();
    // Offline, the leaf still reads what it last saw.
    assert_eq!(value(leaf, "prices", "apple").await.as_deref(), Some("3"));
    proxy.heal();
    eventually("the leaf is in step", || async {
        shops.nudge().await;
        (value(leaf, "prices", "apple").await.as_deref() == Some("5")).then_some(())
    })
    .await;
    becomes(leaf, "prices", "pear", None).await;
}

#[tokio::test]
async fn objects_travel_whole() {
    let shops = Shops::open(fleet(SHOPS), 2).await;
    let content: Vec<u8> = (0..500_000_u32).map(|number| (number % 251) as u8).collect();
    for (leaf, _) in &shops.leaves {
        let photos = leaf.jetstream("SHOP").get_object_store("photos").await.unwrap();
        photos.put(leaf.node.name.as_str(), &mut content.as_slice()).await.unwrap();
        eventually("the photo is at the hub", || async {
            (object(&shops.hub, "photos", &leaf.node.name).await? == content).then_some(())
        })
        .await;
    }
    // Written on a leaf, a menu goes to the hub and comes back as a mirror's.
    let (first, second) = (&shops.leaves[0].0, &shops.leaves[1].0);
    let menus = first.jetstream("SHOP").get_object_store("menus").await.unwrap();
    menus.put("monday", &mut content.as_slice()).await.unwrap();
    for site in [&shops.hub, first, second] {
        eventually("the menu is everywhere", || async {
            (object(site, "menus", "monday").await? == content).then_some(())
        })
        .await;
    }
    let plan = shops.hub.plan(&shops.fleet).await;
    assert!(plan.is_empty(), "{plan}");
}

async fn object(site: &Site, bucket: &str, name: &str) -> Option<Vec<u8>> {
    let store = site.jetstream("SHOP").get_object_store(bucket).await.ok()?;
    let mut object = store.get(name).await.ok()?;
    let mut content = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut object, &mut content).await.ok()?;
    Some(content)
}
