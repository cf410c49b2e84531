//! Tests of the pages in headless Chromium: everything is in `tests/browser`. `cargo xtask browser`
//! runs them, and installs what they need.
