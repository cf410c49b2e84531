//! Credentials of sample rolls, each given out once.

use std::cell::RefCell;
use std::collections::HashMap;

use anyhow::{Context as _, Result};

/// A credential of a sample roll. No NAS in it was ever issued.
#[derive(Debug, Clone)]
pub(crate) struct Voter {
    pub(crate) nas: String,
    pub(crate) code: String,
}

/// The unused credentials of each election.
#[derive(Default)]
pub(crate) struct Voters(RefCell<HashMap<String, Vec<Voter>>>);

impl Voters {
    /// Adds the rows of a roll: `nas,code,law_id`.
    pub(crate) fn add(&self, roll: &str) -> Result<()> {
        let mut unused = self.0.borrow_mut();
        for row in roll.lines().skip(1) {
            let mut fields = row.split(',').map(str::to_owned);
            let mut next = || fields.next().with_context(|| format!("a roll has a row {row}"));
            let (nas, code, law) = (next()?, next()?, next()?);
            unused.entry(law).or_default().push(Voter { nas, code });
        }
        Ok(())
    }

    /// A voter of an election who has not been given out.
    pub(crate) fn next(&self, law: &str) -> Result<Voter> {
        let mut unused = self.0.borrow_mut();
        unused.get_mut(law).and_then(Vec::pop).with_context(|| format!("{law} has no voter left"))
    }
}
