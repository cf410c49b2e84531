//! The texts of personal links, and of the pages of members with accounts.

use super::super::lang::Lang;

messages! {
    MEMBERS:
    link_filled =
        "Votre lien personnel a rempli le numéro et le code d’accès. Appuyez sur le bouton pour \
            continuer.",
        "Your personal link has filled in the number and the code. Press the button to continue.";
    link_broken =
        "Ce lien personnel est incomplet. Entrez le numéro et le code d’accès tels que vous les \
            avez reçus.",
        "This personal link is incomplete. Type the number and the code as you received them.";
    member_title = "Vos scrutins", "Your elections";
    member_lead(email: &str) = "Session de {email}", "Signed in as {email}";
    member_none = "Aucun scrutin ne vous est ouvert en ce moment.",
        "No election is open to you at this time.";
    member_voted = "Vous avez voté", "You have voted";
    member_not_voted = "Vous n’avez pas voté", "You have not voted";
    member_vote_unknown =
        "Ce serveur ne sait pas si vous avez voté. Un second vote ne compte jamais.",
        "This server does not know whether you have voted. A second vote never counts.";
    member_note =
        "Votre choix est chiffré, et aucun enregistrement ne relie votre compte à votre vote. La \
            personne qui administre ce serveur pourrait toutefois voter à votre place\u{a0}: ces \
            scrutins sont sans effet exécutoire.",
        "Your choice is encrypted, and no record joins your account and your vote. The person who \
            runs this server could nevertheless vote in your place: these elections are not \
            binding.";
    member_voted_title = "Vous avez déjà voté", "You have already voted";
    member_voted_text =
        "Votre vote est enregistré et ne peut pas être changé. Ce scrutin n’en accepte qu’un.",
        "Your vote is recorded and cannot be changed. This election takes one.";
    member_back = "Retour à vos scrutins", "Back to your elections";
    member_kept_title = "Votre session est terminée", "Your session has ended";
    member_kept_text =
        "Votre choix est conservé dans cette page, et vous n’avez pas encore voté. Ouvrez d’abord \
            une session dans un autre onglet, puis revenez ici pour continuer.",
        "Your choice is kept in this page, and you have not voted yet. First sign in in another \
            tab, then come back here and continue.";
    member_sign_in = "Ouvrir une session dans un autre onglet", "Sign in in another tab";
    member_continue = "Continuer avec mon choix", "Continue with my choice";
    member_session_over =
        "Votre session est terminée. Ouvrez-en une nouvelle pour continuer.",
        "Your session has ended. Sign in again to continue.";
    member_sign_out = "Fermer la session", "Sign out";
}
