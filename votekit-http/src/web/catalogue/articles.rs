//! The texts of the articles: the meaning of a receipt, accessibility, help.

use super::super::lang::Lang;

/// A section of an article: its heading, and its paragraphs.
pub(crate) struct Section {
    pub(crate) heading: &'static str,
    pub(crate) paragraphs: &'static [&'static str],
}

macro_rules! articles {
    ($($name:ident: $(
        $fr_heading:literal [$($fr:literal),+], $en_heading:literal [$($en:literal),+];
    )+)+) => {
        impl Lang {
            $(pub(crate) fn $name(self) -> &'static [Section] {
                match self {
                    Self::Fr => &[$(Section { heading: $fr_heading, paragraphs: &[$($fr),+] }),+],
                    Self::En => &[$(Section { heading: $en_heading, paragraphs: &[$($en),+] }),+],
                }
            })+
        }
    };
}

articles! {
    article_receipts:
        "Ce qu’il prouve" [
            "Le reçu prouve qu’une décision sur votre demande est inscrite au registre public du \
                scrutin\u{a0}: vote accepté, en double ou invalide.",
            "Toute personne peut le vérifier, sans nous faire confiance, avec la commande \
                «\u{a0}votekit verify receipt\u{a0}» et la politique publiée du scrutin.",
            "Si l’on retirait votre vote du registre après coup, votre reçu ne concorderait plus \
                avec le registre publié."
        ],
        "What it proves" [
            "The receipt proves that a decision on your request is in the public log of the \
                election: vote accepted, duplicate or invalid.",
            "Anyone can verify it, without trusting us, with the command “votekit verify \
                receipt” and the published policy of the election.",
            "If your vote were removed from the log afterwards, your receipt would no longer \
                verify against the published log."
        ];
        "Ce qu’il ne prouve pas" [
            "Le reçu ne montre pas votre choix. Personne ne peut s’en servir pour savoir \
                comment vous avez voté, ni vous pour le prouver à quelqu’un.",
            "Il ne révèle pas votre identité. La personne qui détient le fichier sait seulement \
                qu’une demande portant ce numéro a fait l’objet d’une décision.",
            "Il ne prouve pas que votre appareil a transmis le choix que vous aviez à \
                l’esprit\u{a0}: vérifiez votre choix avant de voter."
        ],
        "What it does not prove" [
            "The receipt does not show your choice. No one can use it to learn how you voted, \
                nor can you use it to prove it to anyone.",
            "It does not say who you are. The holder of the file knows only that a request with \
                this number was decided.",
            "It does not prove that your device sent the choice that you had in mind: check \
                your choice before you vote."
        ];
        "Conserver le reçu" [
            "Enregistrez le fichier ou imprimez la page de confirmation. Vous n’en avez pas \
                besoin pour que votre vote compte."
        ],
        "Keeping the receipt" [
            "Save the file or print the confirmation page. You do not need it for your vote to \
                count."
        ];
    article_accessibility:
        "Notre engagement" [
            "Ces pages visent le niveau AA des Règles pour l’accessibilité des contenus Web (WCAG) \
                2.2 et le respect du Standard sur l’accessibilité des sites Web (SGQRI 008 3.0) du \
                gouvernement du Québec."
        ],
        "Our commitment" [
            "These pages aim at level AA of the Web Content Accessibility Guidelines (WCAG) 2.2 \
                and at the standard SGQRI 008 3.0 of the Government of Québec."
        ];
        "Comment les pages se comportent" [
            "On peut voter au clavier seulement, avec un lecteur d’écran, sur un téléphone, à \
                400\u{a0}% d’agrandissement, et sans JavaScript.",
            "Les pages suivent les réglages de votre appareil\u{a0}: thème clair ou sombre, \
                couleurs forcées, animations réduites.",
            "Le bulletin de vote n’expire pas. Si votre session se termine, votre choix est \
                conservé pendant que vous vous identifiez de nouveau. Une page ouverte vous \
                prévient deux minutes avant la fin, et un bouton prolonge la session."
        ],
        "How the pages behave" [
            "You can vote with the keyboard alone, with a screen reader, on a phone, at 400% \
                zoom, and without JavaScript.",
            "The pages follow the settings of your device: light or dark theme, forced colours, \
                reduced motion.",
            "The ballot does not expire. If your session ends, your choice is kept while you \
                sign in again. An open page warns you two minutes before the end, and a button \
                extends the session."
        ];
        "Limites connues" [
            "Les titres et les choix d’un scrutin sont écrits par l’organisation qui le tient. \
                Le fichier du reçu est un texte technique, fait pour être vérifié par un \
                programme."
        ],
        "Known limits" [
            "The titles and choices of an election are written by the organisation that holds \
                it. The file of the receipt is technical text, made to be verified by a program."
        ];
        "Signaler un obstacle" [
            "Si une page vous empêche de voter, joignez-nous\u{a0}: une autre façon de voter peut \
                vous être offerte."
        ],
        "Reporting a barrier" [
            "If a page keeps you from voting, contact us: another way to vote may be offered to \
                you."
        ];
    article_privacy:
        "Ce que le site traite" [
            "Pour voter, vous donnez votre numéro d’assurance sociale, votre code d’accès et \
                votre choix. Le serveur les transforme aussitôt\u{a0}: le NAS et le code \
                deviennent une empreinte, et le choix est chiffré. Ni le NAS, ni le code, ni le \
                choix en clair ne sont enregistrés.",
            "Le registre public du scrutin montre, pour chaque vote, la décision, la minute où il \
                est arrivé et, s’il est accepté, l’empreinte. Il ne montre ni votre nom, ni votre \
                NAS, ni votre choix. Avec la liste électorale et une clé secrète, les responsables \
                peuvent vérifier qui a voté, comme sur une liste électorale cochée au bureau de \
                vote."
        ],
        "What the site processes" [
            "To vote, you give your social insurance number, your access code and your choice. \
                The server transforms them at once: SIN and code become a digest, and the choice \
                is encrypted. Neither SIN, nor code, nor the choice in clear is stored.",
            "The public log of the election shows, for each vote, the decision, the minute in \
                which it arrived and, if it is accepted, the digest. It shows neither your name, \
                nor your SIN, nor your choice. With the electoral roll and a secret key, the \
                officials can verify who voted, as on a marked list."
        ];
        "Témoin (cookie) et session" [
            "Pendant que vous votez, un seul témoin chiffré garde votre session ouverte. Il ne \
                contient ni votre NAS ni votre code d’accès. Il est supprimé quand vous fermez la \
                session, et ne sert plus 30 minutes après votre dernière page.",
            "Il n’y a ni mesure d’audience, ni publicité, ni contenu d’un autre site."
        ],
        "Cookie and session" [
            "While you vote, a single encrypted cookie keeps your session open. It holds neither \
                your SIN nor your code. It is removed when you sign out, and is void 30 minutes \
                after your last page.",
            "There is no audience measurement, no advertising and no content of another site."
        ];
        "Adresses et journaux" [
            "Le serveur compte les demandes par adresse pour arrêter les abus. Il garde ces \
                comptes en mémoire seulement, sous une forme qui ne montre pas l’adresse. Il ne \
                tient aucun journal des accès.",
            "Un code d’assistance désigne un message affiché. Il ne révèle pas qui l’a vu."
        ],
        "Addresses and logs" [
            "The server counts requests by address to stop abuse. It keeps these counts in memory \
                only, in a form that does not show the address. It keeps no access log.",
            "A support code names a message that was shown. It does not say who saw it."
        ];
    article_help:
        "Je n’ai pas reçu de code d’accès" [
            "Joignez l’organisation qui tient le scrutin. Elle peut annuler le code de la lettre \
                perdue et vous en donner un nouveau\u{a0}; l’ancien ne fonctionne alors plus."
        ],
        "I have not received an access code" [
            "Contact the organisation that holds the vote. It can revoke the code of the lost \
                letter and give you a new one; the old one then no longer works."
        ];
        "Mon vote a-t-il été compté\u{a0}?" [
            "Votre vote compte quand la page de confirmation est verte et affiche «\u{a0}Votre \
                vote est enregistré\u{a0}». Conservez l’adresse de cette page\u{a0}: vous pourrez \
                y revenir plus tard."
        ],
        "Was my vote counted?" [
            "Your vote counts when the confirmation page is green and says “Your vote is \
                recorded”. Keep the address of that page: you can come back to it later."
        ];
        "La connexion a été coupée pendant que je votais" [
            "Revenez à la page et appuyez de nouveau sur le bouton, ou recommencez depuis \
                l’accueil. Un vote envoyé deux fois n’est compté qu’une fois."
        ],
        "The connection was cut while I was voting" [
            "Go back to the page and press the button again, or start again from the home page. A \
                vote that is sent twice is counted once."
        ];
        "Puis-je changer mon vote\u{a0}?" [
            "Non. Le premier vote accepté est définitif. Avant d’appuyer sur «\u{a0}Voter \
                maintenant\u{a0}», vous pouvez changer votre choix autant de fois que vous le \
                voulez."
        ],
        "Can I change my vote?" [
            "No. The first vote accepted is final. Before you press “Vote now”, you can change \
                your choice as many times as you like."
        ];
}
