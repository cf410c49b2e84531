//! Every text of the pages, in French and English: one line, both languages, typed parameters. A
//! message that lacks a language, or has another set of parameters, does not compile.
//!
//! French has a no-break space before `:` `;` `?` `!` and `%` and inside `« »`, and typographic
//! apostrophes.

pub(crate) mod articles;
mod causes;
pub(crate) mod problems;

use super::lang::Lang;

macro_rules! messages {
    (@one $name:ident = $fr:literal, $en:literal) => {
        pub(crate) fn $name(self) -> &'static str {
            match self {
                Self::Fr => $fr,
                Self::En => $en,
            }
        }
    };
    (@one $name:ident ($($arg:ident: $type:ty),+) = $fr:literal, $en:literal) => {
        pub(crate) fn $name(self, $($arg: $type),+) -> String {
            match self {
                Self::Fr => format!($fr),
                Self::En => format!($en),
            }
        }
    };
    ($group:ident: $($name:ident $(($($arg:ident: $type:ty),+))? = $fr:literal, $en:literal;)*) => {
        impl Lang {
            $(messages!(@one $name $(($($arg: $type),+))? = $fr, $en);)*
        }

        /// Both texts of each message of the group, for the tests.
        #[cfg(test)]
        pub(super) const $group: &[(&str, &str)] = &[$(($fr, $en)),*];
    };
}

// Below the macro, which they use.
mod accounts;
mod ballots;
mod election_form;
mod listing;
mod members;
mod officials;
mod receipt_check;
mod rules;

// The frame of every page.
messages! {
    FRAME:
    own_name = "Français", "English";
    site_name = "Vote électronique", "Electronic voting";
    skip_link = "Aller au contenu", "Skip to content";
    main_menu = "Menu principal", "Main menu";
    menu_start = "Accueil", "Home";
    menu_elections = "Scrutins", "Elections";
    menu_help = "Aide", "Help";
    menu_receipts = "Ce que prouve un reçu", "What a receipt proves";
    menu_accessibility = "Accessibilité", "Accessibility";
    contact = "Pour nous joindre", "Contact";
    footer_label = "À propos", "About";
    colon = "\u{a0}:", ":";
    error_prefix = "Erreur\u{a0}: ", "Error: ";
    sign_out = "Terminer et fermer la session", "Finish and sign out";
    test_banner = "SCRUTIN D’ESSAI\u{a0}: ce vote est sans effet exécutoire.",
        "TEST ELECTION: this vote is not binding.";
    test_banner_some =
        "ESSAI\u{a0}: au moins un scrutin de ce site est un essai, sans effet exécutoire.",
        "TEST: at least one election on this site is a test and is not binding.";
    session_warning = "Votre session se termine bientôt.", "Your session ends soon.";
    session_warning_detail =
        "Elle se termine dans deux minutes. Rien n’est perdu\u{a0}: vous pourrez vous \
            identifier de nouveau.",
        "It ends in two minutes. Nothing is lost: you can sign in again.";
    session_extend = "Prolonger la session", "Stay signed in";
    session_extended = "Votre session est prolongée.", "Your session is extended.";
}

// The first page and the list of elections.
messages! {
    START:
    start_title = "Voter en ligne", "Vote online";
    start_lead = "Votez en quelques minutes, en trois étapes.",
        "Vote in a few minutes, in three steps.";
    held_by(organisation: &str) = "Ce scrutin est tenu par {organisation}.",
        "This vote is run by {organisation}.";
    need_title = "Ce qu’il vous faut", "What you need";
    need_nas = "votre numéro d’assurance sociale (NAS)", "your social insurance number (SIN)";
    need_code = "le code d’accès qui figure sur la lettre que vous avez reçue",
        "the access code from the letter that you received";
    steps_title = "Comment ça se passe", "How it works";
    step_sign_in = "Vous vous identifiez avec votre NAS et votre code d’accès.",
        "You sign in with your SIN and your access code.";
    step_choose = "Vous faites votre choix et vous le vérifiez.",
        "You make your choice and check it.";
    step_cast = "Vous votez, et vous recevez une confirmation avec un reçu.",
        "You vote, and you receive a confirmation with a receipt.";
    secret_note =
        "Votre vote est secret\u{a0}: votre choix est chiffré, et le site n’enregistre pas votre \
            identité.",
        "Your vote is secret: your choice is encrypted, and the site does not store who you are.";
    open_now = "Scrutins ouverts", "Open elections";
    none_open = "Aucun scrutin n’est ouvert en ce moment.", "No election is open at this time.";
    see_all_elections = "Voir tous les scrutins", "See all elections";
    vote_in(title: &str) = "Voter\u{a0}: {title}", "Vote: {title}";
    vote_now_short = "Voter", "Vote";
    elections_title = "Scrutins", "Elections";
    elections_none = "Il n’y a aucun scrutin sur ce site.",
        "There is no election on this site.";
    column_opens = "Ouverture", "Opens";
    column_closes = "Fermeture", "Closes";
    see_results = "Voir les résultats", "See results";
    see_results_of(title: &str) = "Voir les résultats\u{a0}: {title}", "See results: {title}";
    results_of(title: &str) = "Résultats\u{a0}: {title}", "Results: {title}";
    test_tag = "Essai", "Test";
    voted_tag = "Vous avez voté pendant cette session", "You voted in this session";
    closes_at = "Ferme le", "Closes";
    time_unknown = "à déterminer", "to be determined";
    state_draft = "À venir", "Upcoming";
    state_open = "Ouvert", "Open";
    state_closing = "Dépouillement en cours", "Being counted";
    state_closed = "Fermé", "Closed";
    state_certified = "Résultat officiel", "Official result";
    state_annulled = "Annulé", "Annulled";
    state_halted = "Suspendu sur ce serveur", "Halted on this server";
}

// The results.
messages! {
    RESULTS:
    results_caption = "Votes comptés, par choix", "Votes counted, by choice";
    column_choice = "Choix", "Choice";
    column_votes = "Votes", "Votes";
    column_share = "Part", "Share";
    row_total = "Total", "Total";
    row_spoiled = "Illisibles", "Unreadable";
    turnout_title = "Participation", "Turnout";
    count_received = "Reçus", "Received";
    count_accepted = "Acceptés", "Accepted";
    count_duplicate = "En double, non comptés", "Duplicate, not counted";
    count_invalid = "Invalides, non comptés", "Invalid, not counted";
    count_registered = "Électeurs inscrits", "Registered electors";
    results_provisional = "Résultat provisoire\u{a0}: le scrutin est ouvert.",
        "Provisional result: the poll is open.";
    results_counting = "Résultat provisoire\u{a0}: le dépouillement est en cours.",
        "Provisional result: the count is under way.";
    results_closed = "Le scrutin est fermé et dépouillé. Le résultat n’est pas encore officiel.",
        "The poll is closed and counted. The result is not official yet.";
    results_official = "Ce résultat est officiel.", "This result is official.";
    results_halted =
        "Une défaillance a suspendu le scrutin sur ce serveur\u{a0}: ces chiffres n’y changent \
            plus.",
        "A fault halted the election on this server: these figures no longer change here.";
    results_annulled = "Ce scrutin est annulé\u{a0}: son résultat n’a aucun effet.",
        "This election is annulled: its result has no effect.";
    withheld_after_close = "Les résultats seront affichés après la fermeture du scrutin.",
        "The results will be shown after the poll closes.";
    withheld_after_vote =
        "Les résultats sont affichés aux personnes qui ont voté, et à tout le monde après la \
            fermeture.",
        "The results are shown to those who have voted, and to everyone after the close.";
    withheld_heading = "Résultats non affichés", "Results not shown";
    shown_after_vote =
        "Vous voyez ces résultats parce que vous avez voté pendant cette session.",
        "These results are shown to you because you voted in this session.";
    live_on = "Mise à jour en direct", "Updated live";
    live_lost =
        "Connexion perdue. Les chiffres affichés ne sont peut-être plus à jour\u{a0}; nouvelle \
            tentative en cours.",
        "Connection lost. The figures shown may be out of date; trying again.";
    live_back = "Connexion rétablie. Les chiffres sont à jour.",
        "Connection restored. The figures are up to date.";
    live_changed = "Les résultats ont changé.", "The results have changed.";
    live_reload = "Actualisez la page pour voir les chiffres à jour.",
        "Reload the page for current figures.";
    at_time = "État au", "As of";
    verify_note =
        "Chaque vote accepté est inscrit dans un registre public que toute personne peut \
            vérifier.",
        "Each accepted vote is recorded in a public log that anyone can verify.";
}

// The sign-in.
messages! {
    SIGN_IN:
    sign_in_title = "Identification", "Sign in";
    sign_in_lead(title: &str) = "Pour voter\u{a0}: {title}", "To vote: {title}";
    nas_label = "Numéro d’assurance sociale (NAS)", "Social insurance number (SIN)";
    nas_hint = "Neuf chiffres. Vous pouvez laisser les espaces et les traits d’union.",
        "Nine digits. Spaces and hyphens do not matter.";
    code_label = "Code d’accès", "Access code";
    code_hint =
        "Il figure sur la lettre que vous avez reçue. Majuscules et minuscules sont équivalentes.",
        "It is on the letter that you received. Capital letters do not matter.";
    sign_in_button = "Continuer", "Continue";
    sign_in_note = "S’identifier n’est pas voter\u{a0}: rien n’est enregistré à cette étape.",
        "Signing in is not voting: nothing is recorded at this step.";
    choice_kept =
        "Votre session est terminée. Votre choix est conservé\u{a0}; identifiez-vous pour \
            continuer. Vous n’avez pas encore voté.",
        "Your session has ended. Your choice is kept; sign in to continue. You have not voted \
            yet.";
    session_ended = "Votre session est terminée. Identifiez-vous de nouveau.",
        "Your session has ended. Sign in again.";
    summary_title = "Il y a un problème", "There is a problem";
    nas_missing = "Entrez votre numéro d’assurance sociale.",
        "Enter your social insurance number.";
    nas_wrong = "Un NAS a exactement neuf chiffres.", "A SIN has exactly nine digits.";
    code_missing = "Entrez votre code d’accès.", "Enter your access code.";
    code_wrong = "Un code d’accès a de 4 à 32 lettres et chiffres.",
        "An access code has 4 to 32 letters and digits.";
    not_recognised =
        "Ce NAS et ce code d’accès ne correspondent pas à la liste électorale. Vérifiez les \
            deux.",
        "This SIN and access code do not match the electoral roll. Check both.";
    back_off(wait: &str) =
        "Trop de codes erronés pour cette personne depuis votre réseau. Réessayez dans {wait}. \
            Depuis un autre réseau, il n’y a pas d’attente.",
        "Too many wrong codes for this person from your network. Try again in {wait}. From \
            another network there is no wait.";
    seconds(count: u64) = "{count}\u{a0}s", "{count}\u{a0}s";
    try_again_in(wait: &str) = "Réessayez dans {wait}.", "Try again in {wait}.";
}

// The ballot and the check.
messages! {
    BALLOT:
    ballot_instruction = "Choisissez une réponse.", "Choose one answer.";
    ballot_button = "Vérifier mon choix", "Check my choice";
    ballot_note = "Vous pourrez encore changer d’avis à la page suivante.",
        "You can still change your mind on the next page.";
    choice_missing = "Choisissez une réponse.", "Choose an answer.";
    blank_hint = "Votre vote est compté comme blanc, et votre participation est comptée.",
        "Your vote is counted as blank, and your participation is counted.";
    check_title = "Vérifiez votre choix", "Check your choice";
    not_voted_yet = "Vous n’avez pas encore voté", "You have not voted yet";
    your_choice = "Votre choix", "Your choice";
    final_note =
        "Dès que vous appuyez sur le bouton, votre vote est définitif\u{a0}: il ne peut plus être \
            changé.",
        "Once you press the button, your vote is final: it cannot be changed.";
    cast_button = "Voter maintenant", "Vote now";
    change_choice = "Changer mon choix", "Change my choice";
    cast_retry =
        "Votre choix est encore là. Vous pouvez appuyer de nouveau sur le bouton\u{a0}: votre vote \
            compte une seule fois.",
        "Your choice is still here. You may press the button again: your vote counts once.";
}

// The outcome of a vote.
messages! {
    OUTCOME:
    accepted_title = "Votre vote est enregistré", "Your vote is recorded";
    accepted_text = "Il est inscrit au registre public du scrutin et sera compté.",
        "It is in the public log of the election and will be counted.";
    duplicate_title = "Vous aviez déjà voté", "You had already voted";
    duplicate_text(attempt: u32) =
        "Ce vote n’est pas compté\u{a0}: votre premier vote l’est, et il est inchangé. C’était la \
            tentative numéro {attempt}.",
        "This vote is not counted: your first vote is, and it is unchanged. This was attempt \
            number {attempt}.";
    duplicate_advice =
        "Si vous n’avez pas voté auparavant, joignez-nous avec le code d’assistance.",
        "If you had not voted before, contact us with the support code.";
    revoked_title = "Code d’accès remplacé\u{a0}: vote non compté",
        "Access code replaced: vote not counted";
    revoked_text = "Ce code d’accès a été annulé. Votez avec le plus récent que vous avez reçu.",
        "This access code was revoked. Vote with the latest one that you received.";
    late_title = "Scrutin fermé\u{a0}: vote non compté", "Poll closed: vote not counted";
    late_text = "Votre vote est arrivé après la fermeture du scrutin.",
        "Your vote arrived after the poll closed.";
    early_title = "Scrutin pas encore ouvert\u{a0}: vote non compté",
        "Poll not open yet: vote not counted";
    early_text =
        "Votre vote est arrivé avant l’ouverture du scrutin. Vous pourrez voter dès l’ouverture.",
        "Your vote arrived before the opening. You can vote once the poll is open.";
    unknown_title = "Identification non reconnue\u{a0}: vote non compté",
        "Sign-in not recognised: vote not counted";
    unknown_text =
        "Ce NAS et ce code d’accès ne correspondent pas à la liste électorale. Identifiez-vous de \
            nouveau.",
        "The electoral roll does not have this SIN with this access code. Sign in again.";
    clash_title = "Vote non compté", "Vote not counted";
    clash_text = "Cette demande avait déjà servi à un autre vote. Identifiez-vous de nouveau.",
        "This request had been used for another vote. Sign in again.";
    pending_title = "Vote reçu, en cours d’inscription", "Vote received, being recorded";
    pending_text =
        "Votre vote est conservé en lieu sûr. Son inscription au registre prend quelques \
            instants.",
        "Your vote is stored safely. Recording it in the log takes a moment.";
    pending_live = "Cette page se mettra à jour automatiquement dès que votre vote sera inscrit.",
        "This page will update itself once your vote is recorded.";
    check_now = "Vérifier maintenant", "Check now";
    sign_in_again = "M’identifier de nouveau", "Sign in again";
    receipt_title = "Votre reçu", "Your receipt";
    receipt_text =
        "Le reçu prouve que la décision sur votre vote est inscrite au registre. Il ne montre \
            pas votre choix.",
        "The receipt proves that the decision on your vote is in the log. It does not show your \
            choice.";
    receipt_link = "Télécharger le reçu", "Download the receipt";
    print_button = "Imprimer cette page", "Print this page";
    support_code = "Code d’assistance", "Support code";
    support_note =
        "Donnez ce code si vous demandez de l’aide. Il ne révèle ni votre identité ni votre choix.",
        "Give this code if you ask for help. It says neither who you are nor what you chose.";
    request_number = "Numéro de la demande", "Request number";
    next_elections = "Vos autres scrutins", "Your other elections";
    signed_out_title = "Votre session est fermée", "You are signed out";
    signed_out_text = "Rien de votre session ne reste sur ce navigateur.",
        "Nothing of your session remains in this browser.";
    back_to_start = "Retour à l’accueil", "Back to the home page";
    problem_code = "Code du problème", "Problem code";
}

// The headings of the articles, and of the help on problems.
messages! {
    HELP:
    help_title = "Aide", "Help";
    help_problems = "Messages que vous pourriez voir", "Messages that you may see";
    help_problems_officials = "Messages que les titulaires d’un compte pourraient voir",
        "Messages that account holders may see";
    help_problems_programs = "Messages destinés aux programmes", "Messages meant for programs";
    help_contents = "Sur cette page", "On this page";
    help_questions = "Questions fréquentes", "Common questions";
    help_privacy = "Renseignements personnels", "Personal information";
}

/// Both texts of every message, French first.
#[cfg(test)]
fn every_message() -> Vec<(&'static str, &'static str)> {
    let of_voters = [FRAME, START, RESULTS, SIGN_IN, BALLOT, OUTCOME, HELP];
    let of_ballots = [ballots::BALLOTS, ballots::ADDED_LAW, ballots::SESSION_END];
    let of_readers = [listing::LISTING, listing::EXPLAINED, receipt_check::RECEIPT_CHECK];
    let of_accounts = [accounts::BAR, accounts::ACCOUNT_SIGN_IN, accounts::INVITATION];
    let of_officials = [accounts::ACCOUNTS, officials::HOME, officials::ELECTION];
    let of_forms = [officials::STEPS, election_form::FORM, election_form::ZONES];
    let others = [election_form::ROLL, members::MEMBERS];
    let groups: [&[_]; 7] =
        [&of_voters, &of_ballots, &of_readers, &of_accounts, &of_officials, &of_forms, &others];
    groups.concat().concat()
}

#[cfg(test)]
#[path = "catalogue/guides_test.rs"]
mod guides;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn french_has_its_no_break_spaces_and_both_languages_the_same_parameters() {
        let parameters = |text: &str| {
            let mut found: Vec<_> = text.split('{').skip(1).map(str::to_owned).collect();
            found.iter_mut().for_each(|name| name.truncate(name.find('}').expect("closed")));
            found.sort();
            found
        };
        for (fr, en) in every_message() {
            assert!(!fr.is_empty() && !en.is_empty());
            assert_eq!(parameters(fr), parameters(en), "{fr}");
            for mark in [':', ';', '?', '!', '»', '%'] {
                assert!(!fr.contains(&format!(" {mark}")), "{fr}");
            }
            assert!(!fr.contains("« ") && !fr.contains('\''), "{fr}");
        }
    }

    #[test]
    fn a_message_has_its_parameters_in_both_languages() {
        assert!(Lang::Fr.duplicate_text(3).contains("la tentative numéro 3."));
        assert!(Lang::En.duplicate_text(3).contains("attempt number 3."));
        assert_eq!(Lang::Fr.own_name(), "Français");
        assert_eq!(Lang::En.other().own_name(), "Français");
    }
}
