//! The texts of the form that defines an election, and of the page of its roll.

use super::super::lang::Lang;

// The fields.
messages! {
    FORM:
    form_new_title = "Créer un scrutin", "Create an election";
    form_new_lead =
        "Le scrutin est d’abord un brouillon\u{a0}: il ne reçoit aucun vote, et vous pouvez encore \
         le modifier.",
        "The election begins as a draft: it takes no votes, and you can still amend it.";
    form_amend_lead =
        "L’identifiant et la nature ne changent pas. Le registre public conserve chaque version.",
        "The identifier and the nature cannot change. The public log keeps each version.";
    form_identity = "Identité", "Identity";
    law_id_hint =
        "L’identifiant de la loi, comme dans la liste électorale\u{a0}: de 1 à 50 lettres sans \
         accent, chiffres, points ou traits. Exemple\u{a0}: L2026-001. Il ne pourra plus être \
         changé.",
        "The identifier of the law, as in the electoral roll: 1 to 50 letters without accents, \
         digits, dots, hyphens. Example: L2026-001. It cannot change later.";
    law_id_wrong =
        "Un identifiant a de 1 à 50 lettres sans accent, chiffres, points, traits d’union ou \
         traits de soulignement.",
        "An identifier has 1 to 50 letters without accents, digits, dots, hyphens or underscores.";
    title_fr_label = "Titre en français", "Title in French";
    title_en_label = "Titre en anglais", "Title in English";
    title_hint =
        "La question ou le nom de la loi, comme sur le bulletin de vote. 500 caractères au plus.",
        "The question or the name of the law, as on the ballot. At most 500 characters.";
    description_fr_label = "Description en français (facultative)",
        "Description in French (optional)";
    description_en_label = "Description en anglais (facultative)",
        "Description in English (optional)";
    description_hint = "2\u{a0}000 caractères au plus, en un seul paragraphe.",
        "At most 2,000 characters, in one paragraph.";
    form_choices = "Choix du bulletin de vote", "Choices on the ballot";
    choices_hint =
        "De 2 à 100 choix, dans l’ordre du bulletin. Les rangées vides ne comptent pas.",
        "2 to 100 choices, in ballot order. Empty rows do not count.";
    choice_number(number: usize) = "Choix {number}", "Choice {number}";
    choice_id_label = "Identifiant du choix", "Identifier of the choice";
    choice_fr_label = "Libellé français", "French label";
    choice_en_label = "Libellé anglais", "English label";
    choice_id_wrong =
        "L’identifiant d’un choix a de 1 à 50 lettres minuscules sans accent, chiffres, points, \
         traits d’union ou traits de soulignement.",
        "The identifier of a choice has 1 to 50 lower-case letters without accents, digits, dots, \
         hyphens or underscores.";
    choice_add = "Ajouter un choix", "Add a choice";
    choice_remove = "Retirer", "Remove";
    choice_remove_label(number: usize) = "Retirer le choix {number}", "Remove choice {number}";
    blank_label = "Offrir un bulletin blanc", "Offer a blank ballot";
    blank_choice_hint = "Permet de participer sans choisir.",
        "An elector can take part without choosing.";
    form_nature = "Nature du scrutin", "Nature of the election";
    nature_test = "Essai ou consultation", "Test or consultation";
    nature_test_hint =
        "Le résultat est sans effet exécutoire. Chaque page le dit, et le nom du registre contient \
         «\u{a0}test\u{a0}».",
        "The result is not binding. Every page says so, and the name of the log contains “test”.";
    nature_binding = "Scrutin exécutoire", "Binding election";
    nature_binding_hint =
        "Le résultat compte. L’ouverture exige un poivre (clé secrète), des codes de 8 caractères, \
         TLS, un registre au nom de votre organisation et les résultats après la fermeture.",
        "The result counts. The opening requires a pepper, codes of 8 characters, TLS, a log named \
         after your organisation, and results after the close.";
    nature_missing = "Choisissez la nature du scrutin.", "Choose the nature of the election.";
    form_results = "Affichage des résultats", "Display of results";
    policy_after_close = "Après la fermeture", "After the close";
    policy_after_close_hint = "Le plus sûr\u{a0}: aucun résultat partiel pendant le scrutin.",
        "The safest: no partial count while the poll is open.";
    policy_after_vote = "Aux personnes qui ont voté", "To those who have voted";
    policy_after_vote_hint =
        "Chaque personne les voit après avoir voté\u{a0}; tout le monde, après la fermeture.",
        "Each person sees them after voting; everyone, after the close.";
    policy_live = "En direct, à tout le monde", "Live, to everyone";
    policy_live_hint = "Les résultats changent pendant le scrutin, par tranches de votes.",
        "The counts move while the poll is open, in steps.";
    policy_missing = "Choisissez l’affichage des résultats.", "Choose the display of results.";
    every_label = "Votes par tranche", "Votes in a step";
    every_hint =
        "Les résultats affichés changent quand il y a ce nombre de nouveaux votes et que le même \
         nombre reste en réserve. La valeur 20 convient. Avec 1, chaque vote se lit dans les \
         résultats\u{a0}: seulement pour une démonstration.",
        "Counts move when this number of votes is new and as many are held back. 20 is fine. \
         With 1 each vote can be read from the counts: for a demonstration only.";
    every_wrong = "Entrez un nombre entier, 1 ou plus.", "Enter a whole number, 1 or more.";
    every_reveals(votes: &str) =
        "Avec des tranches de {votes}, comparer les résultats avant et après révèle des votes. \
         Pour une démonstration seulement.",
        "With a step of {votes}, comparing the counts before and after reveals votes. For a \
         demonstration only.";
    form_times = "Heures prévues", "Planned times";
    times_hint =
        "Facultatives. Au Québec, le décalage est −05:00 du premier dimanche de novembre au \
         deuxième dimanche de mars, et −04:00 le reste de l’année.",
        "Optional. In Québec the offset is −05:00 from the first Sunday of November to the second \
         Sunday of March, and −04:00 for the rest of the year.";
    opens_label = "Ouverture", "Opening";
    closes_label = "Fermeture", "Closing";
    local_label = "Date et heure", "Date and time";
    local_hint = "AAAA-MM-JJ HH:MM", "YYYY-MM-DD HH:MM";
    offset_label = "Décalage avec l’heure universelle", "Offset from universal time";
    offset_choose = "Choisissez", "Choose";
    time_wrong = "Écrivez la date et l’heure ainsi\u{a0}: 2026-11-21 08:00.",
        "Write date and time like 2026-11-21 08:00.";
    times_hint_zone =
        "Facultatives. Entrez l’heure locale du scrutin\u{a0}: le décalage avec l’heure \
         universelle suit la date.",
        "Optional. Type the local time of the poll: the offset from universal time follows from \
         the date.";
    offset_changes =
        "Les horloges changent à cette heure-là\u{a0}: choisissez le décalage vous-même.",
        "The clocks change at this time: choose the offset yourself.";
    offset_missing = "Choisissez le décalage de cette heure.", "Choose the offset of this time.";
    opens_past =
        "Cette heure d’ouverture est déjà passée. Laissez ces champs vides pour ouvrir le scrutin \
         vous-même.",
        "This opening time has passed. Leave it empty to open by hand.";
    closes_past = "Cette heure de fermeture est déjà passée.", "This closing time has passed.";
    times_order = "La fermeture doit suivre l’ouverture.",
        "The closing must come after the opening.";
    form_create_button = "Créer le brouillon", "Create the draft";
    form_amend_button = "Enregistrer le brouillon", "Save the draft";
    field_missing = "Remplissez ce champ.", "Fill in this field.";
    field_refused = "Ce champ n’est pas accepté.", "This field is not accepted.";
    text_length(length: usize, maximum: usize) =
        "Ce texte a {length} caractères\u{a0}; {maximum} au plus sont permis.",
        "This text has {length} characters; at most {maximum} are allowed.";
    text_character(position: usize, code: &str) =
        "Le caractère {position} ({code}) est invisible et n’est pas permis. Entrez le texte de \
         nouveau.",
        "Character {position} ({code}) is invisible and not allowed. Type the text again.";
    text_blank = "Ce texte n’a que des espaces.", "This text has only spaces.";
    choice_count(count: usize) = "Un bulletin a de 2 à 100 choix\u{a0}; celui-ci en a {count}.",
        "A ballot has 2 to 100 choices; this one has {count}.";
    choice_twice(choice: &str) = "Le choix {choice} est donné deux fois.",
        "The choice {choice} is given twice.";
    label_twice(first: &str, second: &str) = "Les choix {first} et {second} ont le même libellé.",
        "The choices {first} and {second} have the same label.";
    definition_too_long = "La définition est trop longue pour le registre\u{a0}: raccourcissez les \
         textes.",
        "The definition is too long for the log: shorten the texts.";
}

// The zones of planned times.
messages! {
    ZONES:
    zone_of_poll = "Heure locale du scrutin", "Local time of the poll";
    zone_utc = "+00:00 – heure universelle (UTC)", "+00:00 – universal time (UTC)";
    zone_0230 = "−02:30 – Terre-Neuve, heure avancée (été)",
        "−02:30 – Newfoundland, daylight time (summer)";
    zone_0300 = "−03:00 – Atlantique, heure avancée (été)",
        "−03:00 – Atlantic, daylight time (summer)";
    zone_0330 = "−03:30 – Terre-Neuve, heure normale (hiver)",
        "−03:30 – Newfoundland, standard time (winter)";
    zone_0400 = "−04:00 – Québec et Est, heure avancée (été)\u{a0}; Atlantique, heure normale",
        "−04:00 – Québec and Eastern, daylight time (summer); Atlantic, standard time";
    zone_0500 = "−05:00 – Québec et Est, heure normale (hiver)\u{a0}; Centre, heure avancée",
        "−05:00 – Québec and Eastern, standard time (winter); Central, daylight time";
    zone_0600 = "−06:00 – Centre, heure normale (hiver)\u{a0}; Rocheuses, heure avancée",
        "−06:00 – Central, standard time (winter); Mountain, daylight time";
    zone_0700 = "−07:00 – Rocheuses, heure normale (hiver)\u{a0}; Pacifique, heure avancée",
        "−07:00 – Mountain, standard time (winter); Pacific, daylight time";
    zone_0800 = "−08:00 – Pacifique, heure normale (hiver)",
        "−08:00 – Pacific, standard time (winter)";
}

// The page of the roll of an election.
messages! {
    ROLL:
    roll_title(title: &str) = "Liste électorale\u{a0}: {title}", "Electoral roll: {title}";
    roll_lead =
        "Le nœud ne reçoit que la liste hachée, produite sur un poste hors ligne avec votekit \
         hashgen. Un fichier qui contient des NAS est refusé, et rien n’en est conservé.",
        "The node takes the hashed roll only, made on an offline machine with votekit hashgen. A \
         file with SINs is refused, and nothing of it is kept.";
    roll_in_effect = "Listes en vigueur", "Rolls in effect";
    roll_none = "Aucune liste n’est en vigueur.", "No roll is in effect.";
    roll_registered(count: &str) = "Électeurs inscrits\u{a0}: {count}",
        "Registered electors: {count}";
    roll_uploaded = "Fichiers téléversés, pas encore chargés", "Files uploaded, not loaded yet";
    roll_uploaded_caption = "Fichiers téléversés", "Uploaded files";
    roll_uploaded_none = "Aucun fichier n’est téléversé pour ce scrutin.",
        "No file is uploaded for this election.";
    roll_uploaded_away = "Les fichiers téléversés ne peuvent pas être lus maintenant.",
        "The uploaded files cannot be read now.";
    column_file = "Fichier", "File";
    column_bytes = "Octets", "Bytes";
    roll_manifest = "Manifeste (SHA-256)", "Manifest (SHA-256)";
    roll_manifest_note =
        "Comparez cette empreinte avec le procès-verbal avant de charger la liste.",
        "Compare this number with the minutes before you load the roll.";
    roll_missing = "Fichiers nommés par le manifeste, pas encore téléversés",
        "Files that the manifest names, not uploaded yet";
    roll_unlisted = "Fichiers que le manifeste ne nomme pas\u{a0}; ils ne seront pas chargés",
        "Files that the manifest does not name; they will not be loaded";
    roll_more(count: &str) = "et {count} de plus", "and {count} more";
    roll_load_note =
        "Le chargement inscrit la liste au registre public. Une loi a une seule liste\u{a0}; plus \
         tard, seuls des suppléments peuvent s’y ajouter.",
        "Loading the roll writes it into the public log. A law has one roll; later, only \
         supplements change it.";
    roll_replace =
        "Remplacer la liste actuelle du brouillon\u{a0}; le registre conservera les deux.",
        "Replace the present roll of the draft; the log keeps both.";
    roll_load = "Charger la liste", "Load the roll";
    roll_discard = "Supprimer les fichiers téléversés", "Discard the uploaded files";
    roll_discarded = "Les fichiers téléversés sont supprimés.", "The uploaded files are discarded.";
    back_to_election = "Retour au scrutin", "Back to the election";
    roll_closed = "Dans cet état, le scrutin ne reçoit plus de liste.",
        "In this state the election takes no roll.";
    upload_title = "Téléverser la liste hachée", "Upload the hashed roll";
    upload_label = "Fichiers du dossier haché", "Files of the hashed folder";
    upload_hint =
        "Le manifeste (manifest.json), sa signature (manifest.note) s’il y en a une, et tous les \
         fichiers que le manifeste nomme. Choisissez-les ensemble ou en plusieurs fois\u{a0}; un \
         fichier du même nom est remplacé.",
        "The manifest (manifest.json), its signature (manifest.note) if there is one, and every \
         file that the manifest names. Choose them together or in several steps; a file of \
         the same name is replaced.";
    upload_button = "Téléverser les fichiers", "Upload the files";
    upload_stop = "Arrêter l’envoi", "Stop the upload";
    upload_progress = "Progression de l’envoi", "Progress of the upload";
    upload_sending = "Fichier {number} sur {count}\u{a0}: {name}",
        "File {number} of {count}: {name}";
    upload_stopped =
        "L’envoi est arrêté. Les fichiers complets sont conservés, le dernier ne l’est pas.",
        "The upload is stopped. Complete files are kept, the last one is not.";
    upload_lost =
        "La connexion a été coupée. Les fichiers complets sont conservés\u{a0}: téléversez les \
         autres de nouveau.",
        "The connection was cut. Complete files are kept: upload the others again.";
    upload_done = "Les fichiers sont téléversés.", "The files are uploaded.";
    upload_none = "Choisissez les fichiers à téléverser.", "Choose the files to upload.";
    upload_cut =
        "L’envoi n’est pas arrivé en entier. Les fichiers complets sont conservés\u{a0}: \
         téléversez les autres de nouveau.",
        "The upload was incomplete. Complete files are kept: upload the others again.";
    upload_refused(file: &str, reason: &str) = "{file}\u{a0}: {reason}", "{file}: {reason}";
    upload_file_number(number: u64) = "fichier {number}", "file {number}";
    upload_not_hashed =
        "cette liste n’est pas hachée, et rien n’en est conservé. Hachez-la avec votekit hashgen \
         sur un poste hors ligne, puis téléversez les fichiers produits.",
        "this roll is not hashed, and nothing of it was kept. Hash it with votekit hashgen on an \
         offline machine, and upload the resulting files.";
    upload_wrong_name =
        "ce n’est pas le nom d’un fichier de votekit hashgen. Téléversez les fichiers sous leur \
         nom d’origine.",
        "votekit hashgen makes no file with this name. Upload the files under their original \
         names.";
    upload_wrong_beginning =
        "le contenu n’est pas celui d’une liste hachée. Téléversez le fichier tel que votekit \
         hashgen l’a produit.",
        "the content is not that of a hashed roll. Upload the file unchanged, as votekit hashgen \
         made it.";
    upload_wrong_digest =
        "le contenu n’est pas celui que nomme le manifeste. Téléversez le fichier du même \
         dossier, ou supprimez tout et recommencez par le manifeste.",
        "the content is not what the manifest states. Upload the file from the same folder, or \
         discard everything and begin with the manifest.";
    upload_wrong_manifest = "ce manifeste n’est pas valide.", "this manifest is not valid.";
    upload_other_law =
        "ce manifeste est celui d’un autre scrutin, ou de plusieurs. Hachez la liste de cette loi \
         à part.",
        "this manifest is for another election, or for several. Hash only the roll of this law.";
    upload_too_large = "l’envoi est trop volumineux, et rien de ce fichier n’est conservé.",
        "the upload is too large, and nothing of this file was kept.";
    upload_no_room =
        "le disque du serveur est presque plein, et rien de ce fichier n’est conservé.",
        "the server’s disk is almost full, and nothing of this file was kept.";
    upload_busy =
        "ce fichier est déjà en cours d’envoi, ou trop de fichiers le sont à la fois. Réessayez \
         dans quelques instants.",
        "this file is already being uploaded, or too many are at once. Try again in a moment.";
    roll_how_title = "Autres façons de téléverser", "Other ways to upload";
    roll_how_curl =
        "Par l’interface de programmation, avec le jeton d’accès de votre compte, un fichier à la \
         fois, le manifeste en premier\u{a0}:",
        "Through the interface, with the access token of your account, file by file, the manifest \
         first:";
    roll_how_machine =
        "Ou sur la machine du nœud, avec le poivre s’il y en a un (le poivre ne passe jamais par \
         le Web)\u{a0}:",
        "Or on the node’s machine, with the pepper if there is one (the pepper never passes \
         through the web):";
}
