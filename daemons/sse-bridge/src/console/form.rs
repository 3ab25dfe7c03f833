//! What a form sent.

use axum::{
    body::to_bytes,
    extract::{FromRequest, Multipart, Request, multipart::MultipartError},
    http::header::CONTENT_TYPE,
};
use maud::{Markup, html};

use super::failure::Failure;

/// Bytes of a body: a message has at most 1 MiB unless a server is told otherwise, and three bytes for
/// each of it where everything is escaped.
const LONGEST: usize = 4 << 20;

/// The inputs of a form, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inputs(pub(super) Vec<(String, String)>);

impl Inputs {
    /// Reads a body as browsers send forms.
    pub(super) async fn of(request: Request) -> Result<Self, Failure> {
        let kind =
            request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        match kind.split(';').next().unwrap_or_default().trim() {
            "application/x-www-form-urlencoded" => {}
            "multipart/form-data" => return Self::of_parts(request).await,
            _ => {
                return Err(Failure::Body(
                    "its type must be application/x-www-form-urlencoded or multipart/form-data".to_owned(),
                ));
            }
        }
        let body = to_bytes(request.into_body(), LONGEST).await;
        let body =
            body.map_err(|_| Failure::Body(format!("it was cut, or is longer than {LONGEST} bytes")))?;
        Ok(Self(form_urlencoded::parse(&body).into_owned().collect()))
    }

    /// The same of a form with a small file of text in it; bytes that are none are replaced.
    async fn of_parts(request: Request) -> Result<Self, Failure> {
        let mut parts =
            Multipart::from_request(request, &()).await.map_err(|error| Failure::Body(error.body_text()))?;
        let unreadable = |error: MultipartError| Failure::Body(error.body_text());
        let mut inputs = Vec::new();
        while let Some(part) = parts.next_field().await.map_err(unreadable)? {
            let name = part.name().unwrap_or_default().to_owned();
            let bytes = part.bytes().await.map_err(unreadable)?;
            inputs.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
        Ok(Self(inputs))
    }

    /// The last input of this name; nothing where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().rev().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Whether there is an input of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// A text of several lines: browsers send them with `\r\n`.
    pub(super) fn lines(&self, name: &str) -> String {
        self.get(name).replace("\r\n", "\n")
    }

    /// That the name of what is destroyed was typed, as `confirm`.
    pub(super) fn confirms(&self, name: &str) -> Result<(), Failure> {
        if self.get("confirm") == name {
            Ok(())
        } else {
            Err(Failure::NotConfirmed { name: name.to_owned() })
        }
    }
}

/// The input in which the name of what is destroyed is typed, for [`Inputs::confirms`].
pub(super) fn confirm(id: &str, name: &str) -> Markup {
    html! {
        label for=(id) { "Type " code { (name) } " to confirm" }
        input id=(id) name="confirm" required autocomplete="off" autocapitalize="none" spellcheck="false";
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_file_is_an_input_and_a_form_that_is_cut_off_is_refused() {
        let part = |name: &str, text: &str| {
            format!(
                "--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a\"\r\n\r\n{text}\r\n"
            )
        };
        let sent = part("request", "") + &part("file", "a\r\n--c\n") + "--b--\r\n";
        let form = |text: &str| {
            let request =
                Request::post("/leaves/look").header(CONTENT_TYPE, "multipart/form-data; boundary=b");
            Inputs::of(request.body(text.to_owned().into()).unwrap())
        };
        let inputs = form(&sent).await.unwrap();
        assert_eq!((inputs.get("request"), inputs.lines("file").as_str()), ("", "a\n--c\n"));
        for end in [0, 20, sent.len() / 2, sent.len() - 6] {
            assert!(matches!(form(&sent[..end]).await, Err(Failure::Body(_))), "cut at {end}");
        }
    }

    #[test]
    fn the_last_input_of_a_name_counts_and_lines_end_as_on_unix() {
        let inputs = Inputs(
            form_urlencoded::parse(b"on=false&on=true&text=a%0D%0Ab+c&confirm=A").into_owned().collect(),
        );
        assert_eq!((inputs.get("on"), inputs.get("none")), ("true", ""));
        assert_eq!(inputs.lines("text"), "a\nb c");
        assert!(inputs.has("text") && !inputs.has("none"));
        assert!(inputs.confirms("A").is_ok() && inputs.confirms("a").is_err());
    }
}
