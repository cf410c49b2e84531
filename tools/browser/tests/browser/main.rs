//! The pages in headless Chromium, driven over WebDriver, on a real node.
//!
//! ```text
//! site      a node with elections in every state, and voters
//! browser   one Chromium with its own profile
//! walk      takes the steps of a state: opens, types, presses
//! states    the table of states; matrix checks each, in both languages, in one view or in all
//! checks    axe, language, heading, title, focus, tab stops, width, console
//! ```
//!
//! The other files assert what a table cannot: a vote by keyboard or without scripts, two browsers,
//! a node that restarts, sessions, frames, print, widths. `cargo xtask browser` installs what the
//! tests need and runs them; without it they fail.

mod accounts;
mod axe;
mod browser;
mod checks;
mod devtools;
mod elections;
mod frames;
mod keyboard;
mod language;
mod language_toggle;
mod live;
mod matrix;
mod member_session;
mod official_session;
mod official_states;
mod pictures;
mod presentation;
mod process;
mod routes;
mod self_test;
mod session;
mod site;
mod states;
mod steps;
mod uploads;
mod view;
mod voters;
mod voting;
mod walk;
