//! `/connections`: who is there, who comes and goes, and who is made to go.

use futures::StreamExt;
use sse_bridge::Role;

use super::fleet::{Console, Fleet, Session};

/// The path of a connection, as the table has it.
async fn path_of(console: &Console, session: &Session, name: &str) -> String {
    let page = console
        .eventually("it is in the table", "/connections", Some(session), |page| {
            page.text.contains(&format!(">{name}</a>"))
        })
        .await;
    let before = page.text.split(&format!("\">{name}</a>")).next().unwrap();
    before.rsplit("href=\"").next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_has_all_servers_and_is_filtered_and_sorted_by_its_address() {
    let fleet = Fleet::start().await;
    let console = fleet.leaf.console(true).await;
    let viewer = console.session(Role::Viewer).await;
    let till = fleet.leaf.client_named("shop", "till <7>").await;
    let _hub = fleet.hub.client_named("shop", "office").await;
    let mut subscribed = till.subscribe("prices.>").await.unwrap();
    till.publish("prices.apple", "1".into()).await.unwrap();
    subscribed.next().await.unwrap();

    let both =
        |page: &super::fleet::Answer| page.text.contains("till &lt;7&gt;") && page.text.contains(">office<");
    let page = console.eventually("both are there", "/connections", Some(&viewer), both).await;
    assert!(page.text.contains("Data as of <time datetime=") && page.text.contains("<caption>"), "{page:?}");
    assert!(!page.text.contains("<script>") && page.head.contains("default-src 'none'"), "{page:?}");
    let only = console.get("/connections?server=hub-1&account=SHOP", Some(&viewer)).await.text;
    assert!(only.contains(">office<") && !only.contains("/connections/N\">till"), "{only}");
    assert!(
        !only.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap().contains("till"),
        "{only}"
    );
    let none = console.get("/connections?text=nobody-is-called-so", Some(&viewer)).await.text;
    assert!(none.contains("None."), "{none}");

    let path = path_of(&console, &viewer, "till &lt;7&gt;").await;
    let one = console.get(&path, Some(&viewer)).await;
    assert!(one.status == 200 && one.text.contains("<code>prices.&gt;</code>"), "{one:?}");
    assert!(!one.text.contains("<form method=\"post\""), "a viewer is not offered to end it: {one:?}");
    assert_eq!(console.get("/connections/nowhere/1", Some(&viewer)).await.status, 404);
    let server = path.split('/').nth(2).unwrap();
    assert_eq!(console.get(&format!("/connections/{server}/999999"), Some(&viewer)).await.status, 404);
    console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_goes_or_is_not_let_in_is_there_at_once_and_nothing_is_lost_while_paused() {
    let fleet = Fleet::start().await;
    let console = fleet.leaf.console(true).await;
    let viewer = console.session(Role::Viewer).await;
    let first = fleet.leaf.client_named("shop", "till-1").await;
    let page = console
        .eventually("it is known that it came", "/connections", Some(&viewer), |page| {
            page.text.split("Coming and going").nth(1).is_some_and(|events| events.contains("till-1"))
        })
        .await;
    let at = page.text.split("data-at=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();

    let path = format!("/live/connections?account=SHOP&after={at}&datastar=%7B%7D");
    let mut live = console.live(&path, &viewer, "").await;
    live.until("elements <section id=\"connections\"").await;
    drop(first);
    live.until("← disconnected").await;
    drop(live);
    // Nobody looks now.
    let _second = fleet.leaf.client_named("shop", "till-2").await;
    let known = |page: &super::fleet::Answer| {
        page.text.split("Coming and going").nth(1).is_some_and(|events| events.contains("till-2"))
    };
    console.eventually("the console knows of it", "/connections", Some(&viewer), known).await;
    let mut live =
        console.live("/live/connections?account=SHOP", &viewer, &format!("last-event-id: {at}\r\n")).await;
    live.until("till-2").await;
    // What came before it follows it on the page.
    live.until("← disconnected").await;

    let options = async_nats::ConnectOptions::with_user_and_password("shop".into(), "wrong".into());
    let url = format!("nats://{}", fleet.leaf.server().addresses().client.unwrap());
    options.name("intruder").connect(url).await.unwrap_err();
    let not_let_in = |page: &super::fleet::Answer| page.text.contains("✗ not let in");
    console.eventually("it is told", "/connections", Some(&viewer), not_let_in).await;
    console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_ends_a_connection_by_typing_its_name_and_others_are_refused() {
    let fleet = Fleet::start().await;
    let console = fleet.leaf.console(true).await;
    let (viewer, operator) = (console.session(Role::Viewer).await, console.session(Role::Operator).await);
    let till = fleet.hub.client_named("shop", "till-1").await;
    let path = path_of(&console, &operator, "till-1").await;
    let kick = format!("{path}/kick");
    assert!(console.get(&path, Some(&operator)).await.text.contains("<form method=\"post\""));

    let refused = console.post(&kick, &viewer, &[("confirm", "till-1")]).await;
    assert!(refused.status == 403 && refused.text.contains("takes the role operator"), "{refused:?}");
    let other =
        console.ask("POST", &kick, Some(&operator), "sec-fetch-site: cross-site\r\n", "confirm=till-1").await;
    assert_eq!(other.status, 403, "{other:?}");
    let mistyped = console.post(&kick, &operator, &[("confirm", "till-2")]).await;
    assert!(mistyped.status == 422 && mistyped.text.contains("nothing was done"), "{mistyped:?}");
    till.flush().await.unwrap();
    assert_eq!(console.get(&path, Some(&viewer)).await.text.matches("✓ connected").count(), 1);

    let done = console.post(&kick, &operator, &[("confirm", "till-1")]).await;
    assert_eq!(done.status, 303, "{done:?}");
    let to = done.head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
    let page = console.get(to, Some(&operator)).await.text;
    assert!(page.contains("“till-1” was ended"), "{page}");
    console.eventually("it has ended", &path, Some(&viewer), |page| page.text.contains("ended <time")).await;
    let told = console.site.told("connection-kicked").await;
    assert!(told.detail.unwrap().starts_with("till-1, cid "));
    console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_system_account_the_page_says_what_to_do() {
    let fleet = Fleet::start().await;
    let console = fleet.leaf.console(false).await;
    let viewer = console.session(Role::Viewer).await;
    let page = console.get("/connections", Some(&viewer)).await;
    assert!(page.status == 200 && page.text.contains("console-SYS.creds"), "{page:?}");
    console.stop().await;
}
