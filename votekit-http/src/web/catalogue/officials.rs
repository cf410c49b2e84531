//! The texts of the pages on which officials follow and change elections.

use super::super::lang::Lang;

// The list of elections to manage, and the matters that need attention.
messages! {
    HOME:
    officials_title = "Scrutins à gérer", "Elections to manage";
    attention_title = "À faire", "To do";
    attention_none = "Rien ne presse en ce moment.", "Nothing is urgent at this time.";
    attention_halted =
        "Suspendu sur ce nœud par une défaillance\u{a0}: appelez l’équipe technique.",
        "Halted on this node by a fault: call the operators.";
    attention_close_late =
        "L’heure de fermeture est passée\u{a0}: le nœud refuse les votes, fermez le scrutin.",
        "The closing time has passed: the node refuses votes, close the poll.";
    attention_close_unfinished = "La fermeture n’est pas achevée\u{a0}: reprenez-la.",
        "The close is not finished: resume it.";
    attention_certify = "Dépouillé, pas encore certifié.", "Counted, not certified yet.";
    attention_open_late = "L’heure d’ouverture est passée, et le scrutin n’est pas ouvert.",
        "The opening time has passed, and the poll is not open.";
    attention_no_roll = "Aucune liste électorale n’est chargée.", "No electoral roll is loaded.";
    officials_caption = "Scrutins de ce nœud", "Elections of this node";
    officials_none = "Il n’y a encore aucun scrutin sur ce nœud.",
        "This node holds no election yet.";
    column_election = "Scrutin", "Election";
    column_state = "État", "State";
    column_turnout = "Participation", "Turnout";
    turnout_of(accepted: &str, registered: &str) = "{accepted} sur {registered}",
        "{accepted} of {registered}";
    official_draft = "Brouillon", "Draft";
    official_open = "Ouvert", "Open";
    official_closing = "Fermeture en cours", "Closing";
    official_closed = "Fermé et dépouillé", "Closed and counted";
    official_certified = "Certifié", "Certified";
    official_annulled = "Annulé", "Annulled";
    official_halted = "Suspendu", "Halted";
    turnout_unknown = "Inconnue", "Not known";
    action_open = "Ouvrir", "Open";
    action_close = "Fermer", "Close";
    action_resume = "Reprendre la fermeture", "Resume the close";
    action_certify = "Certifier", "Certify";
    action_annul = "Annuler le scrutin", "Annul the election";
    action_amend = "Modifier", "Amend";
    action_roll = "Charger la liste", "Load the roll";
    action_on(action: &str, title: &str) = "{action}\u{a0}: {title}", "{action}: {title}";
}

// One election: timeline, accounts, files, audit.
messages! {
    ELECTION:
    law_id_label = "Identifiant", "Identifier";
    timeline_title = "Étapes", "Steps";
    timeline_opening = "Ouverture", "Opening";
    timeline_close = "Fermeture", "Close";
    timeline_count = "Dépouillement", "Count";
    timeline_certification = "Certification", "Certification";
    timeline_annulment = "Annulation", "Annulment";
    timeline_planned = "Prévu", "Planned";
    timeline_now = "étape actuelle", "present step";
    next_step_title = "Prochaine étape", "Next step";
    next_step_none = "Il ne reste aucune étape.", "No step remains here.";
    next_step_observer = "Votre rôle permet de consulter, pas de modifier.",
        "Your role allows you to read, not to change.";
    account_title_election = "Décompte du scrutin", "Ballot accounting";
    account_open_note = "Le scrutin est ouvert\u{a0}: ces nombres changent encore.",
        "The poll is open: these numbers still move.";
    account_caption = "Conciliation des envois", "Reconciliation of envelopes";
    account_received = "Reçus", "Received";
    account_accepted = "= acceptés", "= accepted";
    account_duplicate = "+ en double, non comptés", "+ duplicate, not counted";
    account_invalid = "+ invalides, non comptés", "+ invalid, not counted";
    account_replayed = "+ envois répétés, déjà traités", "+ envelopes replayed, already decided";
    account_balances = "Les comptes concordent.", "The figures balance.";
    account_unbalanced =
        "Les comptes ne concordent pas. Ne changez rien, et prévenez l’équipe technique et les \
         personnes qui observent le scrutin.",
        "The figures do not balance. Change nothing, and call the operators and the observers.";
    counts_caption = "Votes acceptés, par choix", "Accepted votes, by choice";
    counts_sum = "Somme des choix et des illisibles", "Sum of choices and unreadable votes";
    counts_withheld = "Les votes par choix sont affichés après la fermeture.",
        "The votes by choice are shown after the close.";
    definition_title = "Définition", "Definition";
    definition_nature = "Nature", "Nature";
    definition_policy = "Affichage des résultats", "Display of results";
    definition_every(votes: &str) = "par tranches de {votes} votes", "in steps of {votes} votes";
    definition_planned = "Heures prévues", "Planned times";
    definition_created_by = "Créé par", "Created by";
    planned_between(opens: &str, closes: &str) = "de {opens} à {closes}", "from {opens} to {closes}";
    files_title = "Résultats et publication", "Results and publication";
    files_results = "Page des résultats", "Page of the results";
    files_csv = "Résultats en CSV, pour un tableur", "Results as CSV, for a spreadsheet";
    files_json = "Résultats en JSON, pour les programmes", "Results as JSON, for programs";
    files_nist = "Résultats au format NIST SP 1500-100", "Results in the format NIST SP 1500-100";
    files_after_close = "Les fichiers de résultats sont accessibles après la fermeture.",
        "The files of the results are available after the close.";
    files_bundle = "Dossier de publication (ZIP)", "Publication bundle (ZIP)";
    bundle_text =
        "Le dossier de publication permet à toute personne de vérifier le scrutin. Téléchargez-le \
         après la fermeture, vérifiez-le et publiez-le avec l’empreinte. Pour un grand scrutin, le \
         téléchargement met un moment à commencer\u{a0}: le nœud relit d’abord tout le registre.",
        "With the publication bundle anyone can verify the election. Download it after the close, \
         verify it and publish it with the fingerprint. For a large election, the download takes a \
         moment to begin: the node reads the whole log first.";
    bundle_machine = "L’écrire sur la machine du nœud", "Write it on the node’s machine";
    audit_title = "Vérification", "Audit";
    audit_origin = "Nom du registre", "Name of the log";
    audit_size = "Feuilles du registre", "Leaves in the log";
    audit_fingerprint = "Empreinte à publier", "Fingerprint to publish";
    audit_fingerprint_note =
        "Publiez l’empreinte sur papier avant l’ouverture\u{a0}: toute vérification en dépend.",
        "Publish the fingerprint in print before the opening: every verification depends on it.";
    audit_checkpoint = "Tête signée du registre", "Signed head of the log";
    audit_policy = "Politique des signatures", "Policy of the signatures";
    audit_log_of_draft =
        "Le registre est public dès l’ouverture, avec chaque version du brouillon.",
        "The log is public from the opening, with each version of the draft.";
    nodes_title = "Nœuds qui reçoivent des votes", "Nodes that take votes";
    nodes_none = "Les nœuds sont admis à l’ouverture.", "Nodes are admitted at the opening.";
    nodes_away = "La liste des nœuds ne peut pas être lue maintenant.",
        "The list of nodes cannot be read now.";
    column_node = "Nœud", "Node";
    column_answering = "Répond au public", "Answers voters";
    column_batches = "Lots inscrits", "Batches in the log";
    answer_yes = "Oui", "Yes";
    answer_no = "Non", "No";
    notice_created = "Le scrutin est créé. C’est un brouillon\u{a0}: il ne reçoit aucun vote.",
        "The election is created. It is a draft: it takes no votes.";
    notice_amended = "Le brouillon est modifié.", "The draft is amended.";
    notice_opened = "Le scrutin est ouvert, et le relevé à zéro est inscrit au registre.",
        "The poll is open, and the zero report is in the log.";
    notice_closed = "Le scrutin est fermé, concilié et dépouillé.",
        "The poll is closed, reconciled and counted.";
    notice_certified = "Le résultat est officiel.", "The result is official.";
    notice_annulled = "Le scrutin est annulé.", "The election is annulled.";
    notice_loaded = "La liste électorale est chargée.", "The electoral roll is loaded.";
}

// The steps that cannot be undone.
messages! {
    STEPS:
    step_final_title = "Cette étape est irréversible", "This step cannot be undone";
    step_back = "Revenir sans rien changer", "Go back and change nothing";
    confirm_label(law_id: &str) =
        "Pour confirmer, entrez l’identifiant du scrutin\u{a0}: {law_id}",
        "To confirm, type the identifier of the election: {law_id}";
    confirm_wrong(law_id: &str) = "L’identifiant à entrer est\u{a0}: {law_id}",
        "The identifier to type is: {law_id}";
    step_not_now = "Cette étape n’est pas possible maintenant", "This step is not possible now";
    step_not_now_text(state: &str) = "État du scrutin\u{a0}: {state}.",
        "State of the election: {state}.";
    discard_title = "Si ce scrutin ne doit pas avoir lieu", "If this election is not to be held";
    discard_draft =
        "Un brouillon ne peut pas être supprimé\u{a0}: son registre en garde chaque version. Ne \
         l’ouvrez pas, tout simplement\u{a0}: il ne reçoit aucun vote, et le public ne le voit \
         pas. Vous pouvez aussi le modifier pour un autre scrutin. Pour que la page d’accueil ne \
         rappelle plus son ouverture, retirez-en les heures prévues.",
        "A draft cannot be deleted: its log keeps each version. Simply do not open it: it takes no \
         votes, and the public does not see it. You can also amend it for another election. To \
         stop the reminders of its opening, remove its planned times.";
    annul_after_close =
        "Seul un scrutin fermé peut être annulé\u{a0}: fermez-le d’abord, avec un motif si l’heure \
         prévue n’est pas venue.",
        "Only a closed election can be annulled: close it first, with a reason if the planned time \
         has not come.";
    open_effect =
        "L’ouverture inscrit le relevé à zéro au registre public. Dès l’heure d’ouverture, le nœud \
         reçoit les votes. La définition ne change plus, et seuls des suppléments peuvent \
         s’ajouter à la liste.",
        "The opening writes the zero report into the public log. The node takes votes from the \
         opening time. The definition no longer changes, and the roll takes only supplements.";
    open_needs_roll = "Chargez d’abord la liste électorale.", "Load the electoral roll first.";
    open_missing_title = "Le scrutin ne remplit pas toutes les conditions d’un scrutin exécutoire",
        "The election does not meet all the conditions of a binding election";
    zero_title = "Relevé à zéro", "Zero report";
    waive_label =
        "J’écarte la règle «\u{a0}résultats après la fermeture\u{a0}»\u{a0}; le registre public \
         l’indiquera.",
        "I waive the rule “results after the close”; the public log will say so.";
    close_effect =
        "Le nœud refuse aussitôt les nouveaux votes, traite ceux qu’il a reçus, concilie les \
         comptes et ouvre les totaux. Un scrutin fermé ne se rouvre pas.",
        "The node refuses new votes at once, decides those it has received, reconciles the \
         accounts and opens the totals. A closed poll does not open again.";
    close_early(closes: &str) =
        "La fermeture est prévue le {closes}. Une fermeture anticipée exige un motif.",
        "The close is planned for {closes}. An earlier close requires a reason.";
    close_resume_effect =
        "La fermeture a commencé et n’est pas achevée. La reprendre permet de traiter et de \
         dépouiller le reste.",
        "The close has begun and is not finished. Resuming it decides and counts the rest.";
    certify_effect =
        "Le registre public déclare le résultat officiel, avec son empreinte. Faites d’abord le \
         recomptage et la vérification.",
        "The public log declares the result official, with its digest. Recount and verify first.";
    annul_effect =
        "Le registre public déclare le scrutin sans effet, avec le motif. Aucune étape ne suit.",
        "The public log declares the election void, with the reason. No step follows.";
    reason_label = "Motif", "Reason";
    reason_hint =
        "Le registre public le conserve tel quel\u{a0}: une ligne, 500 caractères au plus, aucun \
         renseignement personnel.",
        "The public log keeps it as it is: one line, at most 500 characters, no personal \
         information.";
    rule_pepper = "La liste doit être hachée avec un poivre (clé secrète).",
        "The roll must be hashed under a pepper (a secret key).";
    rule_results = "Les résultats doivent attendre la fermeture.",
        "The results must wait for the close.";
    rule_confidential = "Les votes doivent parvenir au nœud par TLS.",
        "Votes must reach the node over TLS.";
    rule_test_base(base: &str) =
        "Le registre ne doit pas porter le nom d’un essai, et celui de ce dossier est {base}.",
        "The log must not have the name of a test, and this folder has {base}.";
    rule_default_base = "Le registre doit porter le nom de votre organisation (--log-base).",
        "The log must be named after your organisation (--log-base).";
    rule_short_codes(length: u32, minimum: u32) =
        "Les codes d’accès doivent avoir {minimum} caractères ou plus\u{a0}; le plus court en a \
         {length}.",
        "Access codes must have {minimum} characters or more; the shortest has {length}.";
}
