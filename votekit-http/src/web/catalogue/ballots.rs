//! The texts of a ballot session: several elections in one session, and the end of the session.

use super::super::lang::Lang;

// The page of a session.
messages! {
    BALLOTS:
    ballots_title = "Vos bulletins de vote", "Your ballots";
    ballots_signed_out =
        "Aucune session n’est ouverte. Choisissez un scrutin ouvert pour commencer.",
        "You are not signed in. Choose an open election to begin.";
    ballots_left_one = "Il vous reste un bulletin à remplir.", "You have one ballot left.";
    ballots_left(count: usize) = "Il vous reste {count} bulletins à remplir.",
        "You have {count} ballots left.";
    ballots_all_done = "Il ne vous reste aucun bulletin à remplir dans cette session.",
        "You have no ballot left in this session.";
    ballots_to_vote = "À remplir", "To vote";
    ballots_cast = "Votes envoyés dans cette session", "Votes sent in this session";
    ballots_independent =
        "Chaque scrutin est un vote distinct\u{a0}: si un vote échoue, les autres ne changent pas.",
        "Each election is a vote by itself: if one vote fails, the others do not change.";
    ballots_more = "Autres scrutins ouverts", "Other open elections";
    ballots_more_note =
        "Si votre nom est sur la liste électorale d’un de ces scrutins, ajoutez-le avec son code \
            d’accès. Vos bulletins restent ouverts.",
        "If you are registered for one of these elections, add it with its access code. Your \
            ballots stay open.";
    ballots_start_note = "Identifiez-vous avec le code d’accès du scrutin.",
        "Sign in with the access code of the election.";
    add_code = "Ajouter mon code d’accès", "Add my code";
    add_code_for(title: &str) = "Ajouter mon code d’accès\u{a0}: {title}", "Add my code: {title}";
    takes_no_votes = "Ce scrutin ne reçoit pas de votes en ce moment.",
        "This election takes no votes at this time.";
    see_confirmation = "Voir la confirmation", "See the confirmation";
    see_confirmation_of(title: &str) = "Voir la confirmation\u{a0}: {title}",
        "See the confirmation: {title}";
    cast_recorded = "Enregistré", "Recorded";
    cast_pending = "En cours d’inscription", "Being recorded";
    cast_duplicate = "Déjà voté", "Already voted";
    cast_not_counted = "Non compté", "Not counted";
    cast_unknown = "À vérifier", "To be checked";
    next_ballot = "Bulletin suivant", "Next ballot";
    next_ballot_for(title: &str) = "Bulletin suivant\u{a0}: {title}", "Next ballot: {title}";
}

// The sign-in of a voter who has a session already.
messages! {
    ADDED_LAW:
    adds_to_session = "Ce scrutin s’ajoutera à vos bulletins.",
        "This election will be added to your ballots.";
    signed_in_already = "Une session est déjà ouverte pour ce scrutin sur cet appareil.",
        "You are signed in for this election already, on this device.";
    voted_already_here = "Un vote à ce scrutin a déjà été envoyé depuis cette session.",
        "A vote in this election was sent from this session already.";
    another_person_ends =
        "Si une autre personne s’identifie ci-dessous, la session en cours se termine.",
        "If another person signs in below, the present session ends.";
    go_to_ballot = "Aller au bulletin", "Go to the ballot";
    code_of_another_law =
        "Ce code d’accès est celui d’un autre scrutin, qui s’est ajouté à vos bulletins. Entrez le \
            code d’accès de celui-ci.",
        "This code belongs to another election, which is now among your ballots. Enter the code \
            of this one.";
}

// The end of a session, and a lost connection.
messages! {
    SESSION_END:
    session_left_minute = "Il reste une minute.", "One minute is left.";
    session_left_half = "Il reste 30 secondes.", "30 seconds are left.";
    session_over_title = "Votre session est terminée", "Your session has ended";
    session_over =
        "Rien n’est perdu\u{a0}: votre choix reste sur la page. Identifiez-vous de nouveau pour \
            continuer.",
        "Nothing is lost: what you chose stays on the page. You will sign in again to continue.";
    session_not_extended =
        "La session n’a pas été prolongée. Vérifiez votre connexion et réessayez.",
        "The session was not extended. Check your connection and try again.";
    session_dismiss = "Fermer cet avis", "Dismiss this notice";
    session_note(minutes: u64) =
        "La session se termine {minutes} minutes après la dernière page ouverte. Rien n’est \
            perdu\u{a0}: vous pourrez vous identifier de nouveau.",
        "The session ends {minutes} minutes after the last page that you open. Nothing is lost: \
            you can sign in again.";
    offline =
        "Vous êtes hors ligne. Rien n’a été envoyé, et la page garde ce que vous avez entré.",
        "You are offline. Nothing was sent, and the page keeps what you entered.";
    node_away =
        "Le serveur ne répond pas. Rien n’a été envoyé, et la page garde ce que vous avez entré. \
            Réessayez dans quelques instants.",
        "The server does not answer. Nothing was sent, and the page keeps what you entered. Try \
            again in a moment.";
    online = "La connexion est rétablie. Vous pouvez appuyer de nouveau sur le bouton.",
        "The connection is back. You may press the button again.";
}
