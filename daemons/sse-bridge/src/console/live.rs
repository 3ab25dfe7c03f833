//! The part of a page that goes on by itself, and the button that holds it still.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use maud::{Markup, html};
use tokio::time::{Instant, sleep_until};

use super::datastar;
use crate::feed::Frame;

/// `content`, which the events of `path` keep up to date: they write fragments with the ids in it.
///
/// Without a script it stays as it was made, and the button is not there. What is paused says so at the
/// foot of the page (`console.js`), and begins again with all that changed meanwhile.
pub(super) fn live(path: &str, content: &Markup) -> Markup {
    // Datastar gives up after ten attempts unless told, and closes streams of pages that are not seen.
    let open = |element: &str| {
        format!(
            "@get('{path}', {{retry: 'always', retryMaxCount: Infinity, retryMaxWait: 5000, openWhenHidden: true, \
             requestCancellation: ({element}.stop = new AbortController())}})"
        )
    };
    let around = "el.closest('[data-live]')";
    let pause = format!("($_paused = !$_paused) ? {around}.stop.abort() : {}", open(around));
    html! {
        div data-live data-signals:_paused="false" data-attr:data-paused="$_paused ? 'yes' : 'no'"
            data-init=(open("el")) {
            p.actions {
                button.quiet type="button" hidden data-attr:hidden="false" data-on:click=(pause)
                    data-text="$_paused ? 'Resume' : 'Pause'" { "Pause" }
            }
            (content)
        }
    }
}

/// What `gather` finds, as fragments: at once, so that who resumes sees what is so, and then again and
/// again. Where it finds nothing, nothing is written: the page says by itself that it is old.
pub(super) fn again<F>(
    every: Duration,
    gather: impl Fn() -> F + Send + 'static,
) -> impl Stream<Item = Frame> + Send + 'static
where
    F: Future<Output = Option<Markup>> + Send + 'static,
{
    let found = stream::unfold((Instant::now(), gather), move |(at, gather)| async move {
        sleep_until(at).await;
        let found = gather().await;
        Some((found, (Instant::now() + every, gather)))
    });
    found.filter_map(async |found| {
        let mut frame = Frame::default();
        datastar::patch(&found?, &mut frame);
        Some(frame)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_live_stands_there_without_a_script() {
        let page = live("/live/kv/SHOP/prices", &html! { table #keys {} }).into_string();
        assert!(page.contains("<table id=\"keys\">") && page.contains("hidden"), "{page}");
        assert!(
            page.contains("@get(&#39;/live/kv/SHOP/prices&#39;")
                || page.contains("@get('/live/kv/SHOP/prices'"),
            "{page}"
        );
    }
}
