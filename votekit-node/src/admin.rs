//! Administrative operations of officials and operators.

mod election_access;
pub(crate) mod election_requests;

pub(crate) mod drafts;
pub(crate) mod election_nodes;
pub(crate) mod state_changes;

pub(crate) mod ballot_key;
pub(crate) mod cluster;

pub(crate) mod rolls;
pub(crate) mod supplement_report;

pub(crate) mod roll_loading;

pub(crate) mod stopped_authority;

pub(crate) mod member_accounts;
pub(crate) mod members;
pub(crate) mod upload;
