//! The languages of the pages.

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    French,
    English,
}

impl Language {
    /// Its code, in paths and in `lang`.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::French => "fr",
            Self::English => "en",
        }
    }

    /// The beginning of the title of a page that reports an error.
    pub(crate) fn error_prefix(self) -> &'static str {
        match self {
            Self::French => "Erreur\u{a0}: ",
            Self::English => "Error: ",
        }
    }
}
