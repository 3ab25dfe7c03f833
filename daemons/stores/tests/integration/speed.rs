//! How long a plan of many stores takes. Run by hand:
//! `cargo test --release -p stores --test integration -- --ignored --nocapture plan_of_many`.

use std::fmt::Write;

use tokio::time::Instant;

use crate::servers::{Site, fleet};

#[tokio::test]
#[ignore = "a measurement"]
async fn plan_of_many_stores_with_nothing_to_do() {
    let mut text = "name = \"many\"\n".to_owned();
    for account in 0..50 {
        writeln!(text, "[accounts.A{account}.streams.QUIET]\n[accounts.A{account}.kv.bucket]").unwrap();
        writeln!(text, "[accounts.A{account}.objects.files]").unwrap();
        writeln!(text, "[accounts.A{account}.streams.READ.consumers]\none = {{}}\ntwo = {{ ack = \"all\" }}")
            .unwrap();
    }
    let fleet = fleet(&text);
    let leaf = Site::leaf(&fleet, "edge-1", None).await;
    let started = Instant::now();
    leaf.apply(&fleet).await;
    eprintln!("apply of 200 stores and two plans: {:?}", started.elapsed());
    for _ in 0..5 {
        let started = Instant::now();
        let plan = leaf.plan(&fleet).await;
        eprintln!("plan of 50 accounts and 200 stores: {:?}", started.elapsed());
        assert!(plan.is_empty());
    }
}
