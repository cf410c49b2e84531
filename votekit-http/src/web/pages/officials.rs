//! The pages on which signed-in officials watch and change elections. Each form contains a form
//! token of the session; a step that cannot be undone also requires the id of the election. The
//! table of routes defines who may open which page: observers and auditors read, administrators
//! change.

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
