//! What officials and operators ask.

pub(crate) mod elections;

pub(crate) mod rolls;
pub(crate) mod supplement_report;
