//! The pages of accounts: sign-in, sign-out, and the invitation with which an account begins.

mod second_factor;
pub(crate) mod invitation;
pub(crate) mod sign_in;
pub(crate) mod sign_out;
