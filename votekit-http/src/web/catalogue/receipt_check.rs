//! The texts of the check of a receipt: the result, what it proves, and what it does not prove.

use super::super::lang::Lang;

messages! {
    RECEIPT_CHECK:
    check_receipt_title = "Vérifier un reçu", "Check a receipt";
    check_receipt_lead =
        "Collez le contenu du fichier de votre reçu. Rien n’en est conservé.",
        "Paste the content of the file of your receipt. Nothing of it is stored.";
    check_receipt_label = "Contenu du reçu", "Content of the receipt";
    check_receipt_hint =
        "Tout le texte du fichier, de la première ligne «\u{a0}c2sp.org/tlog-proof@v1\u{a0}» à \
            la dernière.",
        "The whole text of the file, from the first line “c2sp.org/tlog-proof@v1” to the last.";
    check_receipt_file = "Ouvrir le fichier du reçu", "Open the file of the receipt";
    check_receipt_button = "Vérifier", "Check";
    check_this_receipt = "Vérifier ce reçu", "Check this receipt";
    receipt_missing = "Collez le contenu de votre reçu.", "Paste the content of your receipt.";
    receipt_genuine_title = "Ce reçu est authentique", "This receipt is genuine";
    receipt_genuine(size: &str) =
        "Le registre du scrutin, signé quand il comptait {size} inscriptions, contient cette \
            décision. La copie du registre que tient ce serveur la contient toujours.",
        "The log of the election, signed when it had {size} entries, holds this decision. This \
            server’s copy of the log still holds it.";
    receipt_ahead_title = "Ce reçu est authentique, et plus récent que ce serveur",
        "This receipt is genuine, and newer than this server";
    receipt_ahead =
        "La signature est celle du scrutin. La copie du registre que tient ce serveur n’a pas \
            encore cette inscription. Réessayez dans quelques instants.",
        "The signature is that of the election. This server’s copy of the log has not reached \
            this entry yet. Try again in a moment.";
    receipt_lost_title = "Le registre ne contient plus cette décision",
        "The log no longer holds this decision";
    receipt_lost =
        "Le reçu est signé par le scrutin, mais la copie du registre que tient ce serveur ne \
            contient pas ce qu’il promet. Conservez le fichier et joignez-nous\u{a0}: il en est la \
            preuve.",
        "The receipt is signed by the election, but this server’s copy of the log does not hold \
            what it promises. Keep the file and contact us: it is the evidence.";
    receipt_changed_title = "Ce reçu a été modifié", "This receipt was changed";
    receipt_changed =
        "Ce texte ne correspond pas à ce que le scrutin a signé. Il ne prouve rien. Ouvrez le \
            fichier d’origine, ou téléchargez le reçu de nouveau depuis la page de votre vote.",
        "This text does not match what the election signed. It proves nothing. Open the \
            original file, or download the receipt again from the page of your vote.";
    receipt_other_title = "Ce reçu vient d’un autre registre", "This receipt is of another log";
    receipt_other =
        "Aucun scrutin de ce site n’a signé ce reçu. Vérifiez-le sur le site où vous avez voté.",
        "No election of this site signed this receipt. Check it on the site where you voted.";
    receipt_none_title = "Ce texte n’est pas un reçu", "This text is not a receipt";
    receipt_none =
        "Collez tout le contenu du fichier, sans rien retirer. Son nom se termine par \
            «\u{a0}.tlog-proof\u{a0}».",
        "Paste the whole content of the file and leave nothing out. Its name ends in \
            “.tlog-proof”.";
    receipt_decision = "Décision", "Decision";
    receipt_accepted = "Vote accepté\u{a0}: il compte", "Vote accepted: it counts";
    receipt_duplicate(attempt: u32) =
        "Tentative numéro {attempt} avec ce code d’accès, non comptée\u{a0}: le premier vote \
            compte",
        "Attempt number {attempt} with this code, not counted: the first vote counts";
    receipt_invalid = "Vote non compté", "Vote not counted";
    receipt_invalid_because(reason: &str) = "Vote non compté\u{a0}: {reason}",
        "Vote not counted: {reason}";
    reason_unknown = "identification non reconnue", "credential unknown";
    reason_revoked = "code d’accès annulé", "code revoked";
    reason_early = "arrivé avant l’ouverture", "received before the opening";
    reason_late = "arrivé après la fermeture", "received after the close";
    receipt_election = "Scrutin", "Election";
    receipt_received = "Reçu par le serveur", "Received by the server";
    receipt_place = "Position dans le registre", "Place in the log";
    receipt_place_of(index: &str, size: &str) = "inscription {index}, sur {size}",
        "entry {index} of {size}";
    receipt_log = "Nom du registre", "Name of the log";
    receipt_proves_title = "Ce que cela prouve, et rien de plus",
        "What this proves, and no more";
    receipt_proves =
        "La demande portant ce numéro a fait l’objet de cette décision, et la décision est \
            inscrite. Cela ne révèle ni votre choix ni votre identité.",
        "The request with this number was decided as shown, and the decision is recorded. This \
            shows neither your choice nor who you are.";
    receipt_independent =
        "Cette page est une vérification par le serveur qui a délivré le reçu. Pour une \
            vérification indépendante, une personne de confiance peut exécuter cette commande, \
            avec la politique publiée du scrutin\u{a0}:",
        "This page is a check by the server that issued the receipt. For an independent check, a \
            person whom you trust can run this command, with the published policy of the election:";
    receipt_policy = "Télécharger la politique du scrutin", "Download the policy of the election";
}
