//! The interface over real connections. One program: each separate file would link the whole node
//! again, at 100 MB. Files with time limits or a load are separate programs.

#[path = "../account_support/mod.rs"]
mod account_support;
#[path = "../attack_support/mod.rs"]
mod attack_support;
#[path = "../browser_support/mod.rs"]
mod browser_support;
#[path = "../form_support/mod.rs"]
mod form_support;
#[path = "../http_support/mod.rs"]
mod http_support;
#[path = "../live_support/mod.rs"]
mod live_support;
#[path = "../officials/mod.rs"]
mod officials;
#[path = "../../../votekit-node/tests/support/mod.rs"]
mod support;

mod attacks_addresses;
mod attacks_csrf;
mod attacks_doors;
mod attacks_guessing;
mod attacks_input;
mod attacks_live;
mod attacks_results;
mod attacks_roles;
mod attacks_sessions;
mod attacks_text;
mod auth;
mod auth_forgery;
mod ballot_session;
mod damaged_election;
mod draft_log;
mod elections_api;
mod http;
mod http_admin;
mod http_messages;
mod http_server;
mod live;
mod live_topics;
mod member_nodes;
mod member_results;
mod members;
mod officials_bundle;
mod officials_pages;
mod officials_upload;
mod origins;
mod pages;
mod slow_readers;
mod votes_api;
