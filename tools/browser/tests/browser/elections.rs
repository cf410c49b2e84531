//! Elections in the states that the demo does not leave behind.

use anyhow::Result;

use crate::site::{ELECTORS, Site};

/// The demo's election: open, with live results.
pub(crate) const LAW: &str = "L2025-001";

/// Open, with results after the close.
pub(crate) const SECOND: &str = "second";

/// Open, with results for those who have voted.
pub(crate) const AFTER_VOTE: &str = "after";

/// The roll of the elections below, in the folder of the site.
pub(crate) const ROLL: &str = "roll.csv";

const PEPPER: &str = "demo/referendum.pepper";

/// An election and the verbs that bring it into its state.
struct Election {
    id: &'static str,
    title_fr: &'static str,
    title_en: &'static str,
    options: &'static [&'static str],
    /// Each a verb of `votekit election`, with its options.
    verbs: &'static [&'static [&'static str]],
}

/// In this order: a sample roll gives the first law the codes of the demo, and the poll of this one
/// never opens.
const ELECTIONS: &[Election] = &[
    Election {
        id: "future",
        title_fr: "Loi sur l’air",
        title_en: "Air Act",
        options: &["--opens", "2099-01-01T08:00:00-05:00", "--closes", "2099-01-02T08:00:00-05:00"],
        verbs: &[],
    },
    Election {
        id: SECOND,
        title_fr: "Budget du quartier",
        title_en: "District budget",
        options: &[
            "--results",
            "after_close",
            "--choice",
            "parc=Un parc au bord de l’eau|A park by the water",
            "--choice",
            "piste=Une piste cyclable|A bicycle path",
            "--blank",
            "--description-fr",
            "À quoi la ville consacre-t-elle le surplus de l’année\u{a0}?",
            "--description-en",
            "On what does the town spend the surplus of the year?",
            "--closes",
            "2099-01-02T08:00:00-05:00",
        ],
        verbs: &[&["open"]],
    },
    Election {
        id: AFTER_VOTE,
        title_fr: "Nom de la bibliothèque",
        title_en: "Name of the library",
        options: &["--results", "after_vote", "--publish-every", "1"],
        verbs: &[&["open"]],
    },
    Election {
        id: "closed",
        title_fr: "Loi sur le bruit",
        title_en: "Noise Act",
        options: &[],
        verbs: &[&["open"], &["close"]],
    },
    Election {
        id: "official",
        title_fr: "Mairie",
        title_en: "Mayor",
        options: &["--choice", "roy=Jeanne Roy", "--choice", "cote=Paul-Étienne Côté-Tremblay"],
        verbs: &[&["open"], &["close"], &["certify"]],
    },
    Election {
        id: "annulled",
        title_fr: "Ancien scrutin",
        title_en: "Former election",
        options: &[],
        verbs: &[&["open"], &["close"], &["annul", "--reason", "essai"]],
    },
];

/// Adds the elections to the data folder of a site whose node is stopped.
pub(crate) fn prepare(site: &Site, data: &str) -> Result<()> {
    let laws = ELECTIONS.iter().flat_map(|election| ["--law", election.id]);
    // The same seed as that of the demo: the same people, with other codes.
    let sample = ["roll", "sample", "--electors", ELECTORS, "--seed", "1", "-o", ROLL];
    site.run(&sample.into_iter().chain(laws).collect::<Vec<_>>())?;
    site.run(&["hashgen", ROLL, "--out", "hashes", "--pepper-file", PEPPER])?;
    site.run(&["load", "hashes", "--pepper-file", PEPPER, "--data", data])?;
    for election in ELECTIONS {
        let titles = ["--title-fr", election.title_fr, "--title-en", election.title_en];
        let create = ["election", "create", election.id, "--data", data];
        site.run(&[&create[..], &titles, election.options].concat())?;
        for verb in election.verbs {
            let target = [election.id, "--yes", "--data", data];
            site.run(&[&["election"][..], verb, &target].concat())?;
        }
    }
    Ok(())
}
