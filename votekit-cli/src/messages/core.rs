//! Errors of votekit-core: fields, tables, manifests and their files.

mod fields;
mod manifests;
mod tables;

use super::InWords;
