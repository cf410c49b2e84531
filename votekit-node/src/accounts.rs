//! Accounts of officials and members: the one-time link with which an account begins, and the
//! changes that officials make to accounts. The command line, the interface for programs and the
//! elections of members share them.

mod invitation;
mod change;

pub use self::change::{AccountError, LastAdministrator, disable, enable, reset};
pub use self::invitation::{OneTimeLink, add, invited_account};
