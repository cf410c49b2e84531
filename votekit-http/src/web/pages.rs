//! The pages, one a file.

pub(crate) mod start;

pub(crate) mod results;

pub(crate) mod check;
pub(crate) mod members;
pub(crate) mod sign_in;

pub(crate) mod ballot;

pub(crate) mod cast;

pub(crate) mod outcome;
pub(crate) mod session;

mod receipt_check;
pub(crate) mod receipts;

pub(crate) mod articles;

pub(crate) mod accounts;
pub(crate) mod officials;
