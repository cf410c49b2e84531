//! The pages on which people vote and read results, rendered by the node: HTML in French and
//! English, no build step, no inline script or style, nothing from other sites. Voting works
//! without JavaScript.
//!
//! ```text
//!            ┌──────── session: the ballots of one sitting, each law by itself ◀──┐
//!            ▼                                                                    │
//! sign in ─▶ ballot ─▶ check ─▶ cast ─303─▶ outcome: recorded, not counted, or being recorded
//!   ▲                    │
//!   └── session ended ◀──┘  the choice lives in the form alone, through a new sign-in too
//! ```
//!
//! Officials have pages of their own, with accounts (`pages/officials`, `pages/accounts`).
//!
//! `catalogue` has every text, `templates` the HTML, `static` the style sheet and the scripts;
//! `visit` is a request with its session, and `frame` the common parts of all pages.

pub(crate) mod assets;
pub(crate) mod lang;
mod numbers;
mod catalogue;
mod moment;
mod account_session;
mod form_fields;
mod page_path;
mod frame;
mod page_form;
mod typed_time;
mod visit;
pub(crate) mod official_visit;
mod election_row;
mod error_page;
pub(crate) mod pages;

pub(crate) use self::error_page::localized;
pub(crate) use self::page_path::ReturnPath;
pub(crate) use self::visit::redirect_response;

#[cfg(test)]
#[path = "web_test.rs"]
mod tests;

#[cfg(test)]
#[path = "web/officials_site_test.rs"]
mod official_site;

#[cfg(test)]
#[path = "web/accounts_test.rs"]
mod account_tests;
#[cfg(test)]
#[path = "web/officials_test.rs"]
mod official_tests;
