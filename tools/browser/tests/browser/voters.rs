//! Credentials of sample rolls, each person given out once.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use anyhow::{Context as _, Result};

/// A credential of a sample roll. No NAS in it was ever issued.
#[derive(Debug, Clone)]
pub(crate) struct Voter {
    pub(crate) nas: String,
    pub(crate) code: String,
}

/// The rolls of the elections. The same people are on each of them.
#[derive(Default)]
pub(crate) struct Voters {
    rolls: RefCell<HashMap<String, Vec<Voter>>>,
    /// The NAS of those who were given out.
    used: RefCell<BTreeSet<String>>,
}

impl Voters {
    /// Adds the rows of a roll: `nas,code,law_id`.
    pub(crate) fn add(&self, roll: &str) -> Result<()> {
        let mut rolls = self.rolls.borrow_mut();
        for row in roll.lines().skip(1) {
            let mut fields = row.split(',').map(str::to_owned);
            let mut next = || fields.next().with_context(|| format!("a roll has a row {row}"));
            let (nas, code, law) = (next()?, next()?, next()?);
            rolls.entry(law).or_default().push(Voter { nas, code });
        }
        Ok(())
    }

    /// A voter of an election who was not given out before.
    pub(crate) fn next(&self, law: &str) -> Result<Voter> {
        let voter = self.find(law, |voter| !self.used.borrow().contains(&voter.nas))?;
        self.used.borrow_mut().insert(voter.nas.clone());
        Ok(voter)
    }

    /// A person on the roll of another election.
    pub(crate) fn in_election(&self, law: &str, nas: &str) -> Result<Voter> {
        self.find(law, |voter| voter.nas == nas)
    }

    fn find(&self, law: &str, is_wanted: impl Fn(&Voter) -> bool) -> Result<Voter> {
        let rolls = self.rolls.borrow();
        let found = rolls.get(law).and_then(|roll| roll.iter().find(|voter| is_wanted(voter)));
        found.cloned().with_context(|| format!("no such voter in {law}"))
    }
}
