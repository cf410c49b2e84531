//! The texts of every problem code for the reader of a page: a title, an explanation and advice.

use super::super::lang::Lang;

/// A problem in one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProblemText {
    pub(crate) title: &'static str,
    /// An explanation, and advice.
    pub(crate) advice: &'static str,
}

/// The readers to whom a problem can occur. The help page has a section for each kind of reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Voters, and those who read results.
    Voters,
    /// Those with an account.
    Officials,
    /// Programs that call the interface.
    Programs,
}

/// A problem in both languages.
struct Entry {
    code: &'static str,
    audience: Audience,
    fr: ProblemText,
    en: ProblemText,
}

macro_rules! problems {
    ($($code:literal $audience:ident
        $fr_title:literal, $fr:literal; $en_title:literal, $en:literal;)*) => {
        static PROBLEMS: &[Entry] = &[$(Entry {
            code: $code,
            audience: Audience::$audience,
            fr: ProblemText { title: $fr_title, advice: $fr },
            en: ProblemText { title: $en_title, advice: $en },
        }),*];
    };
}

impl Lang {
    /// The text for a problem code. A test compares the codes with those of the interface.
    pub(crate) fn problem(self, code: &str) -> ProblemText {
        let entry = PROBLEMS.iter().find(|entry| entry.code == code);
        // The last entry is that of a fault.
        entry
            .or(PROBLEMS.last())
            .map_or(ProblemText { title: "", advice: "" }, |entry| self.text_of(entry))
    }

    /// The codes of problems that can occur to these readers, with their texts.
    pub(crate) fn problems_of(
        self,
        audience: Audience,
    ) -> impl Iterator<Item = (&'static str, ProblemText)> {
        PROBLEMS
            .iter()
            .filter(move |entry| entry.audience == audience)
            .map(move |entry| (entry.code, self.text_of(entry)))
    }

    fn text_of(self, entry: &Entry) -> ProblemText {
        match self {
            Self::Fr => entry.fr,
            Self::En => entry.en,
        }
    }
}

problems! {
    "malformed" Voters
        "Le formulaire contient une erreur",
        "Rien n’a été enregistré. Revenez à la page précédente et corrigez les champs.";
        "The form has an error",
        "Nothing was recorded. Go back to the previous page and correct the fields.";
    "unknown-choice" Voters
        "Ce choix n’est pas sur le bulletin",
        "Rien n’a été enregistré. Revenez au bulletin et choisissez de nouveau.";
        "This choice is not on the ballot",
        "Nothing was recorded. Go back to the ballot and choose again.";
    "unauthorized" Programs
        "Réservé à l’administration", "Cette adresse exige le jeton de l’administration.";
        "For administrators only", "This address requires the administrator’s token.";
    "not-signed-in" Voters
        "Aucune session n’est ouverte pour ce scrutin",
        "Rien n’a été enregistré. Identifiez-vous avec votre NAS et votre code d’accès, et \
            recommencez.";
        "No session is open for this election",
        "Nothing was recorded. Sign in with your SIN and your access code, and start again.";
    "sign-in-refused" Officials
        "Ouverture de session refusée",
        "Le courriel, le mot de passe ou le code n’est pas reconnu. Vérifiez-les et réessayez.";
        "Sign-in refused",
        "The e-mail address, the password or the code is not recognised. Check them and try again.";
    "token-refused" Programs
        "Réservé aux titulaires d’un compte", "Cette adresse exige le jeton d’un compte.";
        "For account holders only", "This address requires the token of an account.";
    "forbidden" Officials
        "Votre compte ne le permet pas",
        "Rien n’a été modifié. Le rôle du compte ne le permet pas, ou ce réseau n’est pas celui \
            du bureau. Adressez-vous à l’administration du scrutin.";
        "Your account does not allow this",
        "Nothing was changed. The role of the account does not allow this, or this network is \
            not that of the office. Ask the administrators of the election.";
    "foreign-origin" Voters
        "Formulaire envoyé depuis un autre site",
        "Rien n’a été enregistré. Ouvrez ce site dans un nouvel onglet et recommencez. Si le \
            message revient, essayez un autre navigateur.";
        "Form sent from another site",
        "Nothing was recorded. Open this site in a new tab and start again. If the message \
            comes back, try another browser.";
    "results-withheld" Voters
        "Les résultats ne sont pas affichés maintenant",
        "Les règles du scrutin ne montrent les résultats que plus tard, en général après la \
            fermeture.";
        "The results are not shown now",
        "The rules of the election show the results later, usually after the close.";
    "unknown-route" Voters
        "Il n’y a rien à cette adresse", "Vérifiez l’adresse, ou revenez à la page d’accueil.";
        "There is nothing at this address", "Check the address, or go to the home page.";
    "unknown-election" Voters
        "Ce scrutin n’existe pas", "Vérifiez l’adresse, ou choisissez un scrutin dans la liste.";
        "There is no such election", "Check the address, or choose an election from the list.";
    "unknown-request" Voters
        "Demande inconnue",
        "Aucun vote n’a ce numéro. Vérifiez l’adresse que vous avez conservée.";
        "Unknown request", "No vote has this number. Check the address that you kept.";
    "unknown-tile" Programs
        "Le registre n’a pas cette partie",
        "Cette adresse est faite pour les programmes de vérification.";
        "The log has no such part", "This address is meant for programs that verify the log.";
    "unknown-manifest" Programs
        "Le registre ne nomme pas ce manifeste",
        "Cette adresse est faite pour les programmes de vérification.";
        "The log names no such manifest",
        "This address is meant for programs that verify the log.";
    "unknown-roll" Officials
        "Cette liste n’est pas chargée", "Vérifiez l’empreinte de la liste.";
        "No such roll is loaded", "Check the digest of the roll.";
    "unknown-account" Officials
        "Ce compte n’existe pas", "Rien n’a été modifié. Vérifiez la liste des comptes.";
        "There is no such account", "Nothing was changed. Check the list of accounts.";
    "method-not-allowed" Voters
        "Cette page ne s’ouvre pas ainsi",
        "Rien n’a été enregistré. Revenez à la page d’accueil.";
        "This page cannot be opened in this way", "Nothing was recorded. Go to the home page.";
    "request-timeout" Voters
        "La demande n’est pas arrivée à temps",
        "Rien n’a été enregistré. Vérifiez votre connexion et réessayez.";
        "The request did not arrive in time",
        "Nothing was recorded. Check your connection and try again.";
    "not-open-yet" Voters
        "Le scrutin n’est pas encore ouvert",
        "Rien n’a été enregistré. Revenez à l’heure d’ouverture, indiquée dans la liste des \
            scrutins.";
        "The poll is not open yet",
        "Nothing was recorded. Come back at the opening time, which the list of elections shows.";
    "closed" Voters
        "Le scrutin est fermé", "Rien n’a été enregistré. On ne peut plus voter à ce scrutin.";
        "The poll is closed",
        "Nothing was recorded. Votes in this election are no longer accepted.";
    "already-cast" Voters
        "Vous avez déjà voté à ce scrutin pendant cette session",
        "Le vote que vous avez transmis est inchangé. Rien d’autre n’a été enregistré.";
        "You have voted in this election in this session",
        "The vote that you cast is unchanged. Nothing else was recorded.";
    "not-recorded-yet" Voters
        "Votre vote n’est pas encore inscrit",
        "Il est conservé en lieu sûr. Le reçu sera prêt dans quelques instants.";
        "Your vote is not recorded yet",
        "It is stored safely. The receipt will be ready in a moment.";
    "election-exists" Officials
        "Ce scrutin existe déjà", "Choisissez un autre identifiant.";
        "The election already exists", "Choose another identifier.";
    "wrong-state" Officials
        "L’état du scrutin ne le permet pas", "Vérifiez l’état du scrutin.";
        "The state of the election does not allow this", "Check the state of the election.";
    "early-close" Officials
        "L’heure de fermeture prévue n’est pas encore arrivée", "Confirmez la fermeture anticipée.";
        "The planned closing time has not been reached", "Confirm the early close.";
    "witnesses-missing" Officials
        "Des témoins externes n’ont pas encore signé le registre",
        "Réessayez dans quelques minutes. Sans eux, l’administration doit donner un motif.";
        "Outside witnesses have not signed the log yet",
        "Try again in a few minutes. Without them the administrators have to give a reason.";
    "roll-conflict" Officials
        "Une autre liste ou un scrutin empêche cette opération", "Vérifiez les listes chargées.";
        "Another roll or an election prevents this", "Check the rolls that are loaded.";
    "refused-by-log" Officials
        "Le registre refuse cette opération", "Vérifiez l’état du scrutin.";
        "The log refuses this", "Check the state of the election.";
    "admin-busy" Officials
        "Une autre opération est en cours", "Réessayez dans quelques instants.";
        "Another operation is in progress", "Try again in a moment.";
    "not-leading" Officials
        "Un autre nœud dirige le scrutin", "Adressez-vous au nœud qui dirige.";
        "Another node leads the election", "Address the node that leads.";
    "not-safe" Officials
        "Il manque une condition d’un scrutin exécutoire", "Corrigez les points nommés.";
        "A binding election lacks a condition", "Correct the points that are named.";
    "account-exists" Officials
        "Un compte a déjà ce courriel", "Rien n’a été modifié. Vérifiez la liste des comptes.";
        "An account has this e-mail address already",
        "Nothing was changed. Check the list of accounts.";
    "account-state" Officials
        "L’état du compte ne le permet pas",
        "Rien n’a été modifié. Le compte est désactivé, ou c’est le dernier compte actif de \
            l’administration.";
        "The state of the account does not allow this",
        "Nothing was changed. The account is disabled, or it is the last active account of the \
            administration.";
    "invitation-void" Officials
        "Ce lien n’est plus valable",
        "Il a servi, il a expiré ou un autre lien l’a remplacé. Demandez un nouveau lien à \
            l’administration du scrutin.";
        "This link no longer works",
        "It was used, it has expired, or another link has replaced it. Ask the administrators of \
            the election for a new one.";
    "body-too-large" Voters
        "Le formulaire est trop long",
        "Rien n’a été enregistré. Revenez à la page précédente et recommencez.";
        "The form is too long",
        "Nothing was recorded. Go back to the previous page and start again.";
    "uri-too-long" Voters
        "L’adresse est trop longue", "Revenez à la page d’accueil.";
        "The address is too long", "Go to the home page.";
    "not-json" Programs
        "Le contenu doit être en JSON", "Cette adresse est faite pour les programmes.";
        "The body must be JSON", "This address is meant for programs.";
    "content-coding" Programs
        "Le contenu ne doit pas être compressé", "Cette adresse est faite pour les programmes.";
        "The body must not be compressed", "This address is meant for programs.";
    "not-served-here" Voters
        "Un autre serveur donne cette page",
        "Rien n’a été enregistré. Revenez à la page d’accueil.";
        "Another server has this page", "Nothing was recorded. Go to the home page.";
    "roll-refused" Officials
        "La liste n’a pas été chargée", "Corrigez la liste et recommencez.";
        "The roll was not loaded", "Correct the roll and start again.";
    "roll-not-hashed" Officials
        "La liste électorale n’est pas hachée",
        "Rien n’a été conservé. Hachez la liste avec votekit hashgen sur un poste hors ligne, \
            puis téléversez le résultat.";
        "The roll is not hashed",
        "Nothing was kept. Hash the roll with votekit hashgen on an offline machine, then \
            upload the result.";
    "upgrade-required" Programs
        "Adresse réservée aux WebSocket", "Cette adresse est faite pour les programmes.";
        "This address takes WebSockets only", "This address is meant for programs.";
    "too-many-readers" Voters
        "Trop de personnes suivent les résultats en direct",
        "Les chiffres restent lisibles sans mise à jour en direct\u{a0}: actualisez la page.";
        "Too many people follow the live results",
        "The figures can still be read without live updates: reload the page.";
    "too-many-downloads" Officials
        "Trop de dossiers de publication sont en cours de téléchargement",
        "Attendez la fin d’un téléchargement et réessayez. Chaque compte en fait un à la fois.";
        "Too many publication bundles are being downloaded",
        "Wait until a download has finished and try again. Each account downloads one at a time.";
    "rate-limited" Voters
        "Trop de demandes en même temps",
        "Cette tentative n’a pas été enregistrée. Attendez quelques secondes et réessayez.";
        "Too many requests at once",
        "This attempt was not recorded. Wait a few seconds and try again.";
    "address-share" Voters
        "Trop de votes en même temps depuis votre réseau",
        "Cette tentative n’a pas été enregistrée. Attendez quelques secondes et réessayez.";
        "Too many votes at once from your network",
        "This attempt was not recorded. Wait a few seconds and try again.";
    "back-off" Voters
        "Trop de codes erronés",
        "Cette tentative n’a pas été enregistrée. Attendez avant de réessayer. Depuis un autre \
            réseau, il n’y a pas d’attente.";
        "Too many wrong codes",
        "This attempt was not recorded. Wait before you try again. From another network there \
            is no wait.";
    "not-recognised" Voters
        "Identification non reconnue",
        "Rien n’a été enregistré. Vérifiez votre NAS et votre code d’accès, et réessayez.";
        "Sign-in not recognised",
        "Nothing was recorded. Check your SIN and your access code, and try again.";
    "too-many-duplicates" Voters
        "Ce code d’accès a déjà voté plusieurs fois",
        "Le premier vote compte et il est inchangé. Cette tentative n’a pas été enregistrée.";
        "This access code has voted several times",
        "The first vote counts and is unchanged. This attempt was not recorded.";
    "headers-too-large" Voters
        "La demande est trop longue", "Effacez les témoins (cookies) de ce site et réessayez.";
        "The request is too long", "Delete the cookies of this site and try again.";
    "transfer-coding" Programs
        "Codage de transfert inconnu", "Cette adresse est faite pour les programmes.";
        "Unknown transfer coding", "This address is meant for programs.";
    "busy" Voters
        "Beaucoup de demandes arrivent en même temps",
        "Cette tentative n’a pas été enregistrée. Réessayez dans quelques secondes\u{a0}: votre \
            vote compte une seule fois.";
        "Many requests are arriving at once",
        "This attempt was not recorded. Try again in a few seconds: your vote counts once.";
    "unavailable" Voters
        "Le service est interrompu",
        "Cette tentative n’a pas été enregistrée. Les votes déjà confirmés sont en sûreté. \
            Réessayez dans quelques instants.";
        "The service is interrupted",
        "This attempt was not recorded. Votes that were confirmed are safe. Try again in a \
            moment.";
    "clock" Voters
        "Le service est interrompu",
        "Cette tentative n’a pas été enregistrée\u{a0}: l’horloge du serveur est en cause. \
            Réessayez dans quelques instants.";
        "The service is interrupted",
        "This attempt was not recorded: the server’s clock is at fault. Try again in a moment.";
    "halted" Voters
        "Le scrutin est suspendu sur ce serveur",
        "Cette tentative n’a pas été enregistrée. Les votes déjà confirmés sont en sûreté. \
            Réessayez plus tard.";
        "The election is halted on this server",
        "This attempt was not recorded. Votes that were confirmed are safe. Try again later.";
    "outcome-unknown" Voters
        "On ne sait pas si votre vote a été enregistré",
        "Réessayez avec le même bouton\u{a0}: votre vote compte une seule fois.";
        "It is unknown whether your vote was recorded",
        "Try again with the same button: your vote counts once.";
    "too-many-connections" Voters
        "Trop de connexions depuis votre réseau", "Attendez quelques secondes et réessayez.";
        "Too many connections from your network", "Wait a few seconds and try again.";
    "stopping" Voters
        "Le serveur redémarre", "Rien n’a été enregistré. Réessayez dans une minute.";
        "The server is restarting", "Nothing was recorded. Try again in a minute.";
    "storage-full" Officials
        "Le disque du serveur est presque plein",
        "Rien n’a été conservé. Libérez de l’espace sur le serveur et recommencez.";
        "The server’s disk is almost full",
        "Nothing was kept. Free space on the server and start again.";
    "internal" Voters
        "Le serveur a subi une défaillance",
        "Réessayez dans quelques instants. Si le message revient, joignez-nous.";
        "Something failed on the server",
        "Try again in a moment. If the message comes back, contact us.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::problem::KINDS;

    #[test]
    fn every_code_of_the_interface_has_a_text_and_no_other_has_one() {
        let known: BTreeSet<_> = KINDS.iter().map(|kind| kind.code).collect();
        let written: BTreeSet<_> = PROBLEMS.iter().map(|entry| entry.code).collect();
        assert_eq!(written, known);
        assert_eq!(PROBLEMS.len(), known.len(), "a code is given twice");
        assert_eq!(PROBLEMS.last().map(|entry| entry.code), Some("internal"));
    }

    #[test]
    fn texts_are_sentences_and_titles_are_not() {
        for entry in PROBLEMS {
            for text in [entry.fr, entry.en] {
                assert!(!text.title.is_empty() && !text.title.ends_with('.'), "{}", entry.code);
                assert!(text.advice.ends_with('.'), "{}", entry.code);
            }
            for mark in [" :", " ;", " ?", " !", " %"] {
                let french = [entry.fr.title, entry.fr.advice].concat();
                assert!(!french.contains(mark), "{}", entry.code);
            }
        }
        assert_eq!(Lang::En.problem("closed").title, "The poll is closed");
        assert_eq!(Lang::Fr.problem("?"), Lang::Fr.problem("internal"));
        assert!(Lang::Fr.problems_of(Audience::Voters).count() > 10);
    }
}
