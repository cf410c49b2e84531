//! The action just before a page is shown: a word in the address of the redirect after a form.
//! Pages show a notice for the words that they know, and only while it is true.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;

/// The word, empty if there is none.
pub(crate) struct Done(pub(crate) String);

#[derive(Deserialize)]
struct Words {
    #[serde(default)]
    done: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Done {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let words = Query::<Words>::try_from_uri(&parts.uri);
        Ok(Self(words.map(|Query(words)| words.done).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[tokio::test]
    async fn an_address_without_a_word_has_an_empty_one() {
        for (uri, expected) in [
            ("/x?done=open", "open"),
            ("/x?a=b&done=close", "close"),
            ("/x", ""),
            ("/x?done=a&done=b", ""),
        ] {
            let (mut parts, ()) = Request::get(uri).body(()).expect("a request").into_parts();
            let Ok(Done(word)) = Done::from_request_parts(&mut parts, &()).await;
            assert_eq!(word, expected, "{uri}");
        }
    }
}
