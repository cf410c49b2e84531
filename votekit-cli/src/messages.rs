//! The words of errors of the lower layers, in one place: sentences, and hints on what to do. The
//! layers return codes with parameters; a second language is a second set of these functions.
//!
//! Parameters stay as they are: names, ids, paths, times, numbers; and the reasons of engines, of
//! the system, of parsers and of damaged logs, which are in English.

mod core;
#[cfg(feature = "node")]
mod node;
#[cfg(feature = "node")]
mod store;

/// An error that has words here.
pub(crate) trait InWords {
    /// The sentence, without a final stop.
    fn in_words(&self) -> String;

    /// What to do about it, if that is more than the sentence says.
    fn hint(&self) -> Option<String> {
        None
    }
}
