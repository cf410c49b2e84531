//! Widths and themes in which pages are checked.

use std::fmt;

use serde_json::{Value, json};

/// The preferences that the system requests of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    Light,
    Dark,
    ForcedColors,
}

/// A width in CSS pixels and a theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) width: u32,
    pub(crate) theme: Theme,
}

const fn view(width: u32, theme: Theme) -> View {
    View { width, theme }
}

/// All views. Of two neighbours neither width nor theme is the same.
const VIEWS: [View; 9] = [
    view(320, Theme::Light),
    view(768, Theme::Dark),
    view(1280, Theme::ForcedColors),
    view(320, Theme::Dark),
    view(768, Theme::ForcedColors),
    view(1280, Theme::Light),
    view(320, Theme::ForcedColors),
    view(768, Theme::Light),
    view(1280, Theme::Dark),
];

/// The variable that asks for every view of every state, by the value `all`.
const VARIABLE: &str = "VOTEKIT_TEST_VIEWS";

impl View {
    /// A phone in the light theme.
    pub(crate) const PHONE: Self = view(320, Theme::Light);

    /// The views of the state at an index of the table: one view, unless all are requested.
    pub(crate) fn selected(index: usize) -> Vec<Self> {
        if std::env::var(VARIABLE).is_ok_and(|value| value == "all") {
            return VIEWS.to_vec();
        }
        vec![VIEWS[index % VIEWS.len()]]
    }

    /// The parameters of `Emulation.setDeviceMetricsOverride`.
    pub(crate) fn metrics(self) -> Value {
        json!({ "width": self.width, "height": 900, "deviceScaleFactor": 1, "mobile": false })
    }

    /// The parameters of `Emulation.setEmulatedMedia`.
    pub(crate) fn media(self) -> Value {
        let scheme = if self.theme == Theme::Dark { "dark" } else { "light" };
        let forced = if self.theme == Theme::ForcedColors { "active" } else { "none" };
        json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "forced-colors", "value": forced },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] })
    }
}

impl fmt::Display for View {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let theme = match self.theme {
            Theme::Light => "light",
            Theme::Dark => "dark",
            Theme::ForcedColors => "forced",
        };
        write!(formatter, "{}-{theme}", self.width)
    }
}
