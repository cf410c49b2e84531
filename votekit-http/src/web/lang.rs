//! The language of a page: part of its path, chosen once from the browser's wishes.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;
use serde::Deserialize;
use votekit_node::BilingualView;

/// A language of the pages. Its messages are the methods that [`super::catalogue`] adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lang {
    /// French.
    Fr,
    /// English.
    En,
}

impl Lang {
    /// Both, French first.
    pub(crate) const ALL: [Self; 2] = [Self::Fr, Self::En];

    /// Its code, in paths and in `lang`.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Fr => "fr",
            Self::En => "en",
        }
    }

    /// The other one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Fr => Self::En,
            Self::En => Self::Fr,
        }
    }

    /// The language of a page by its path; `None` if it is not a page.
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lang| {
            let rest = path.strip_prefix('/').and_then(|rest| rest.strip_prefix(lang.code()));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// The text in this language.
    pub(crate) fn pick(self, text: &BilingualView) -> &str {
        match self {
            Self::Fr => &text.fr,
            Self::En => &text.en,
        }
    }

    /// The language that a browser prefers (RFC 9110, section 12.5.4). French, if it wishes for
    /// neither or for both alike.
    pub(crate) fn preferred(headers: &HeaderMap) -> Self {
        let values =
            headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
        let (mut french, mut english) = (0.0, 0.0);
        for range in values.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
            let weight: f32 = weight.unwrap_or(1.0);
            match tag.split('-').next() {
                Some("fr") => french = weight.max(french),
                Some("en") => english = weight.max(english),
                _ => {}
            }
        }
        if english > french { Self::En } else { Self::Fr }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn french_comes_first_unless_english_is_preferred() {
        let preferred = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            Lang::preferred(&HeaderMap::from_iter([(ACCEPT_LANGUAGE, value)]))
        };
        for french in ["fr-CA,fr;q=0.9,en;q=0.8", "fr", "de", "*", "en;q=0.5, fr", "en,fr", "x;q=y"]
        {
            assert_eq!(preferred(french), Lang::Fr, "{french}");
        }
        for english in ["en-CA", "en-US,en;q=0.9,fr;q=0.8", "de, en;q=0.1", "fr;q=0.2,EN;q=0.3"] {
            assert_eq!(preferred(english), Lang::En, "{english}");
        }
        assert_eq!(Lang::preferred(&HeaderMap::new()), Lang::Fr);
    }

    #[test]
    fn pages_are_known_by_their_path() {
        for (path, lang) in [("/fr/", Lang::Fr), ("/fr", Lang::Fr), ("/en/help", Lang::En)] {
            assert_eq!(Lang::from_path(path), Some(lang), "{path}");
        }
        for path in ["/", "/api/v1/vote", "/french/", "/enx", "fr/"] {
            assert_eq!(Lang::from_path(path), None, "{path}");
        }
    }
}
