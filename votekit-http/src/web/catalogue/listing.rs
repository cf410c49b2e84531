//! The texts of the first page and of the list of elections that go beyond the list itself, and of
//! the pages that follow live updates.

use super::super::lang::Lang;

messages! {
    LISTING:
    upcoming_title = "Prochains scrutins", "Upcoming elections";
    opens_on = "Ouvre le", "Opens";
    held_by_contact = "Une question\u{a0}? Joignez l’organisation\u{a0}:",
        "A question? Contact the organisation:";
    list_live = "États mis à jour en direct", "States updated live";
    list_lost =
        "Connexion perdue. Les états affichés ne sont peut-être plus à jour\u{a0}; nouvelle \
            tentative en cours.",
        "Connection lost. The states shown may be out of date; trying again.";
    list_back = "Connexion rétablie. La liste est à jour.",
        "Connection restored. The list is up to date.";
    list_changed = "La liste des scrutins a changé.", "The list of elections has changed.";
    list_reload = "Actualiser la liste", "Reload the list";
    live_away = "Le serveur redémarre. La page se mettra à jour automatiquement.",
        "The server is restarting. The page will update by itself.";
    live_offline = "Vous êtes hors ligne. Les chiffres affichés ne sont peut-être plus à jour.",
        "You are offline. The figures shown may be out of date.";
}

// The privacy statement, and the help on problems.
messages! {
    EXPLAINED:
    privacy_own = "Ce que dit l’organisation", "What the organisation says";
    privacy_see = "Ce que ce site fait des renseignements personnels",
        "What this site does with personal information";
    help_cause = "Cause", "Cause";
    help_do = "Que faire", "What to do";
}
