//! `/registry` on a node without a registry; one with images is in tests/browser.

use super::Box;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_registry_each_page_says_what_to_do() {
    let own = Box::start().await;
    for path in ["/registry", "/registry/team%2Fapp", "/registry/team%2Fapp/v1"] {
        let page = own.see(&own.viewer, path).await;
        assert!(
            page.contains("does not answer") && page.contains("leafbox registry status"),
            "{path}: {page}"
        );
        assert_eq!(own.console.get(path, None).await.status, 401, "{path}");
    }
    let page = own.see(&own.viewer, "/registry/%3Cb%3E").await;
    assert!(page.contains("&lt;b&gt;") && !page.contains("<b>"), "{page}");
    own.console.stop().await;
}
