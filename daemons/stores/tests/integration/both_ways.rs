//! Stores that every node writes under its own name and reads whole.

use crate::{
    servers::{eventually, fleet},
    travelling::{Publisher, Shops, assert_once},
};

const SHOPS: &str = r#"
name = "shops"
nodes = { hub = ["hub-1"], leaves = ["shop-1", "shop-2"] }

[accounts.SHOP.streams.RECORDS]
subjects = ["records.{node}.>", "notes.{node}"]
travel = "both"
[accounts.SHOP.kv.people]
travel = "both"
"#;

#[tokio::test]
async fn every_record_is_on_every_node_once_through_a_cut() {
    let mut shops = Shops::open(fleet(SHOPS), 2).await;
    let writers = |shops: &Shops| {
        let leaves = shops.leaves.iter().map(|(leaf, _)| (leaf, leaf.node.name.to_string()));
        let sites: Vec<_> = leaves.chain([(&shops.hub, "hub".to_owned())]).collect();
        sites
            .into_iter()
            .map(|(site, writer)| Publisher::start(site, &format!("records.{writer}.x"), &writer))
            .collect::<Vec<_>>()
    };
    let publishers = writers(&shops);
    for publisher in &publishers {
        publisher.more(100).await;
    }
    for (_, proxy) in &shops.leaves {
        proxy.cut();
    }
    for publisher in &publishers {
        publisher.more(200).await;
    }
    shops.leaves[0].0.kill().await;
    shops.leaves[0].0.run().await;
    for (_, proxy) in &shops.leaves {
        proxy.heal();
    }
    let mut acknowledged = Vec::new();
    for publisher in publishers {
        publisher.more(100).await;
        acknowledged.extend(publisher.stop().await);
    }
    let first = &shops.leaves[0].0;
    first.jetstream("SHOP").publish("notes.shop-1", "note".into()).await.unwrap().await.unwrap();
    acknowledged.push("note".into());
    // What was stored without an acknowledgement counts as well: all nodes agree in the end.
    let total = eventually("all nodes hold the same number", || async {
        shops.nudge().await;
        let mut counts = vec![shops.hub.count("SHOP", "RECORDS").await];
        for (leaf, _) in &shops.leaves {
            counts.push(leaf.count("SHOP", "RECORDS").await);
        }
        let enough = counts[0] >= acknowledged.len() as u64;
        (enough && counts.iter().all(|count| *count == counts[0])).then_some(counts[0])
    })
    .await;
    let at_hub = shops.hub.payloads("SHOP", "RECORDS").await;
    assert_eq!(at_hub.len() as u64, total);
    assert_once(&acknowledged, &at_hub);
    for (leaf, _) in &shops.leaves {
        assert_once(&acknowledged, &leaf.payloads("SHOP", "RECORDS").await);
    }
    // A record of another writer is nobody's here.
    let foreign = first.jetstream("SHOP").publish("records.shop-9.x", "x".into()).await.unwrap().await;
    assert!(foreign.is_err(), "{foreign:?}");
}

#[tokio::test]
async fn a_leaf_that_joins_later_gets_everything_and_doubles_nothing() {
    let one = fleet(&SHOPS.replace("[\"shop-1\", \"shop-2\"]", "[\"shop-1\"]"));
    let mut shops = Shops::open(one, 1).await;
    let publisher = Publisher::start(&shops.leaves[0].0, "records.shop-1.x", "first");
    publisher.more(50).await;
    let mut acknowledged = publisher.stop().await;
    let two = fleet(SHOPS);
    shops.fleet = two.clone();
    shops.hub.apply(&two).await;
    shops.leaves[0].0.apply(&two).await;
    let proxy = crate::proxy::Proxy::start().await;
    proxy.lead_to(shops.hub.leaf_address());
    let second = crate::servers::Site::leaf(&two, "shop-2", Some(proxy.address)).await;
    second.apply(&two).await;
    let publisher = Publisher::start(&second, "records.shop-2.x", "second");
    publisher.more(50).await;
    acknowledged.extend(publisher.stop().await);
    shops.leaves.push((second, proxy));
    for site in [&shops.hub, &shops.leaves[0].0, &shops.leaves[1].0] {
        eventually("everything is everywhere", || async {
            shops.nudge().await;
            (site.count("SHOP", "RECORDS").await >= acknowledged.len() as u64).then_some(())
        })
        .await;
        assert_once(&acknowledged, &site.payloads("SHOP", "RECORDS").await);
    }
}

#[tokio::test]
async fn each_node_writes_its_own_keys_and_reads_all() {
    let shops = Shops::open(fleet(SHOPS), 2).await;
    let sites: Vec<_> = [(&shops.hub, "hub")]
        .into_iter()
        .chain(shops.leaves.iter().map(|(leaf, _)| (leaf, leaf.node.name.as_str())))
        .collect();
    for (site, writer) in &sites {
        let people = site.jetstream("SHOP").get_key_value("people").await.unwrap();
        people.put(format!("{writer}.ann"), (*writer).to_owned().into()).await.unwrap();
        let foreign = people.put("shop-9.ann", "x".into()).await;
        assert!(foreign.is_err(), "{foreign:?}");
    }
    for (site, _) in &sites {
        for (_, writer) in &sites {
            eventually("every key is readable everywhere", || async {
                let people = site.jetstream("SHOP").get_key_value("people").await.ok()?;
                let value = people.get(format!("{writer}.ann")).await.ok()??;
                (value == *writer).then_some(())
            })
            .await;
        }
        assert_eq!(site.count("SHOP", "KV_people").await, 3);
    }
}
