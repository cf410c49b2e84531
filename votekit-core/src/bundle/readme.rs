//! The text that explains the files of a bundle and how to verify them, in French and in English.

use std::fmt::Write as _;

use super::Account;
use crate::election::{Definition, State, is_hidden};

/// The bytes of `README.md`. They follow from the log alone.
pub(super) fn readme(account: &Account, definition: &Definition, has_results: bool) -> Vec<u8> {
    let mut text = String::new();
    let state = account.state().unwrap_or(State::Draft);
    let law = &definition.law_id;
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "# {title_fr} ({law})\n\n\
         Ce dossier contient tout ce qu'il faut pour vérifier ce vote sans réseau et sans faire \
         confiance à personne.\n\n\
         - Nature : {nature}\n- État : {state_fr}\n- Électeurs inscrits : {registered}\n\
         - Feuilles du registre : {leaves}\n\n\
         | fichier | contenu |\n| --- | --- |\n\
         | `leaves.jsonl` | le registre public : chaque décision, une par ligne ; aucun choix, \
         aucun nom |\n\
         | `checkpoint` | la tête du registre, signée par les autorités |\n\
         | `policy` | les clés des autorités et le nombre de signatures exigé |\n\
         | `manifests/` | le bordereau de chaque liste électorale chargée |\n{results}\
         | `index.json` | la taille et l'empreinte SHA-256 de chaque fichier |\n\n",
        title_fr = plain(&definition.title.fr),
        nature = if definition.binding {
            "vote exécutoire"
        } else {
            "essai ou consultation, sans effet exécutoire"
        },
        state_fr = state_in_french(state),
        registered = account.registered(),
        leaves = account.leaves(),
        results = if has_results {
            "| `results.json`, `results.csv`, `results.nist.json` | les résultats ; ils découlent du registre |\n"
        } else {
            ""
        },
    );
    let _ = write!(
        text,
        "Pour vérifier, obtenez la politique (ou son empreinte) d'une autre source, par exemple le site de l'autorité électorale, puis :\n\n\
         ```sh\nvotekit verify bundle . --policy POLICY\n```\n\n\
         Votre reçu prouve que votre vote y est, sans dire votre choix :\n\n\
         ```sh\nvotekit verify receipt RECEIPT --policy POLICY --bundle .\n```\n\n---\n\n"
    );
    let _ = write!(
        text,
        "# {title_en} ({law})\n\n\
         This folder holds all it takes to check this vote offline, trusting nobody.\n\n\
         - Nature: {nature}\n- State: {state}\n- Registered electors: {registered}\n\
         - Leaves of the log: {leaves}\n\n\
         | file | what it is |\n| --- | --- |\n\
         | `leaves.jsonl` | the public log: every decision, one a line; no choice, no name |\n\
         | `checkpoint` | the head of the log, signed by the authorities |\n\
         | `policy` | the authorities' keys, and how many signatures it takes |\n\
         | `manifests/` | the manifest of each electoral roll that was loaded |\n{results}\
         | `index.json` | the size and the SHA-256 of every file |\n\n",
        title_en = plain(&definition.title.en),
        nature =
            if definition.binding { "binding" } else { "a test or a consultation, not binding" },
        registered = account.registered(),
        leaves = account.leaves(),
        results = if has_results {
            "| `results.json`, `results.csv`, `results.nist.json` | the results; they follow from the log |\n"
        } else {
            ""
        },
    );
    text.push_str(
        "To check it, get the policy (or its fingerprint) from elsewhere, such as the electoral authority's own site, then:\n\n\
         ```sh\nvotekit verify bundle . --policy POLICY\n```\n\n\
         Your receipt proves that your vote is in it, without telling your choice:\n\n\
         ```sh\nvotekit verify receipt RECEIPT --policy POLICY --bundle .\n```\n",
    );
    text.into_bytes()
}

/// A title on one line, with the characters escaped that Markdown or HTML would interpret.
fn plain(title: &str) -> String {
    let mut plain = String::with_capacity(title.len());
    for character in title.chars() {
        match character {
            hidden if is_hidden(hidden) => plain.push(' '),
            '<' => plain.push_str("&lt;"),
            '&' => plain.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' => plain.extend(['\\', character]),
            other => plain.push(other),
        }
    }
    plain
}

const fn state_in_french(state: State) -> &'static str {
    match state {
        State::Draft => "en préparation",
        State::Open => "ouvert",
        State::Closing => "en cours de fermeture",
        State::Closed => "fermé",
        State::Certified => "résultat certifié",
        State::Annulled => "annulé",
    }
}
