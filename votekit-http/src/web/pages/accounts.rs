//! The pages of accounts: sign-in, sign-out, and the invitation with which an account begins.

pub(crate) mod invitation;
pub(crate) mod sign_in;
pub(crate) mod sign_out;

mod second_factor;
