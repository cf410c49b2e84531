//! The texts of errors, for people: sentences, and hints with advice. The layers below return codes
//! with parameters, and their `Display` is for logs; the command line and the HTTP interface take
//! their sentences from here. A second language is a second set of these functions.
//!
//! Parameters stay as they are: names, ids, paths, times, numbers; and the reasons of engines, of
//! the system, of parsers and of damaged logs, which are in English and for administrators.
//!
//! The core is a library, and may have further rules: for a variant without a text here, the
//! sentence is its `Display`.

mod fields;
mod logs;
mod manifests;
mod records;
mod signatures;
mod tables;

#[cfg(feature = "node")]
mod calls;
#[cfg(feature = "node")]
mod store;
#[cfg(feature = "node")]
mod node;
#[cfg(feature = "node")]
mod rolls;

/// An error that has words.
pub trait InWords {
    /// The sentence, without a final stop.
    fn in_words(&self) -> String;

    /// The advice, if it says more than the sentence.
    fn hint(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
#[path = "doubled_texts_test.rs"]
mod doubled_texts;

#[cfg(all(test, feature = "node"))]
#[path = "sentences_test.rs"]
mod tests;
