//! The pages on which signed-in officials watch and change elections. Every form has a token of its
//! session; each step that cannot be undone asks for the id of the election. Observers and auditors
//! read, administrators change: the table of routes defines who may open which page.

mod actions;
mod attention;
mod done;

mod reconciliation;
mod summary;
mod timeline;

mod typed_election;

mod election_form;

pub(crate) mod create;
pub(crate) mod home;

pub(crate) mod election;
pub(crate) mod files;

pub(crate) mod roll;
pub(crate) mod roll_files;
pub(crate) mod steps;

pub(crate) mod accounts;
pub(crate) mod invite;
