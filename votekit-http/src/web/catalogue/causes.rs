//! The causes of problems, by code: the help page shows the cause between the text of the problem
//! and the advice.

use super::super::lang::Lang;

macro_rules! causes {
    ($($code:literal $fr:literal, $en:literal;)*) => {
        static CAUSES: &[(&str, &str, &str)] = &[$(($code, $fr, $en)),*];
    };
}

impl Lang {
    /// The cause of a problem; empty for an unknown code.
    pub(crate) fn cause(self, code: &str) -> &'static str {
        let cause = CAUSES.iter().find(|(known, ..)| *known == code);
        cause.map_or("", |&(_, fr, en)| match self {
            Self::Fr => fr,
            Self::En => en,
        })
    }
}

causes! {
    "malformed"
        "Un champ est vide ou mal rempli, ou la page d’un autre site a envoyé le formulaire.",
        "A field is empty or filled in wrongly, or the page of another site sent the form.";
    "unknown-choice"
        "La page était ouverte depuis longtemps, ou le formulaire a été modifié en chemin.",
        "The page was open for a long time, or the form was changed in transit.";
    "foreign-origin"
        "La session n’est plus celle de la page, ou le navigateur ne dit pas d’où vient le \
            formulaire.",
        "The page belongs to an earlier session, or the browser does not say where the form \
            comes from.";
    "results-withheld"
        "Les règles du scrutin gardent les résultats secrets pour n’influencer personne.",
        "The rules of the election keep the results secret, so that no one is influenced.";
    "unknown-route"
        "L’adresse est mal copiée, ou la page n’existe plus.",
        "The address was copied wrongly, or the page does not exist any more.";
    "unknown-election"
        "L’adresse est mal copiée, ou le scrutin a lieu sur un autre site.",
        "The address was copied wrongly, or the election is held on another site.";
    "unknown-request"
        "L’adresse est mal copiée, ou le vote a été envoyé à un autre site.",
        "The address was copied wrongly, or the vote was sent to another site.";
    "method-not-allowed"
        "La page s’ouvre seulement avec un bouton du site.",
        "The page opens only with a button of the site.";
    "request-timeout"
        "La connexion est lente ou a été coupée pendant l’envoi.",
        "The connection is slow, or was cut while the form was sent.";
    "not-signed-in"
        "La session a pris fin, ou elle n’a jamais été ouverte pour ce scrutin.",
        "The session has ended, or was never opened for this election.";
    "already-cast"
        "Un vote a déjà été envoyé pour ce scrutin pendant cette session.",
        "A vote was already sent for this election in this session.";
    "not-open-yet"
        "L’heure d’ouverture n’est pas encore arrivée.",
        "It is not the opening time yet.";
    "closed"
        "L’heure de la fermeture est passée, ou les responsables ont fermé le scrutin.",
        "The closing time has passed, or the officials have closed the poll.";
    "not-recorded-yet"
        "L’inscription d’un vote au registre prend quelques instants.",
        "Recording a vote in the log takes a moment.";
    "body-too-large"
        "Le texte envoyé est plus long que ce que le site accepte.",
        "The text that was sent is longer than the site accepts.";
    "uri-too-long"
        "L’adresse est mal copiée, ou un lien est fautif.",
        "The address was copied wrongly, or a link is at fault.";
    "not-served-here"
        "Le site a plusieurs serveurs, et celui-ci n’a pas cette page.",
        "The site has several servers, and this one does not have the page.";
    "too-many-readers"
        "Beaucoup de personnes suivent les résultats en même temps.",
        "Many people follow the results at the same time.";
    "rate-limited"
        "Beaucoup de demandes arrivent en même temps, de votre réseau ou de partout.",
        "Many requests arrive at the same time, from your network or from everywhere.";
    "address-share"
        "Beaucoup de personnes votent depuis le même réseau que vous.",
        "Many people vote from the same network as you.";
    "back-off"
        "Trop de codes erronés ont été entrés pour votre NAS depuis votre réseau. L’attente \
            protège votre vote contre une personne qui essaierait de deviner votre code d’accès.",
        "Too many wrong codes were tried for your SIN from your network. The wait protects your \
            vote against a person who guesses your code.";
    "not-recognised"
        "Une faute de frappe dans le NAS ou le code d’accès, le code d’un autre scrutin, ou un \
            code qui a été remplacé.",
        "A typing error in the SIN or the code, a code of another election, or a code that was \
            replaced.";
    "too-many-duplicates"
        "Ce code d’accès a servi à voter, puis à d’autres tentatives.",
        "This access code was used to vote, and then for further attempts.";
    "headers-too-large"
        "Le navigateur envoie trop de témoins (cookies) avec la demande.",
        "The browser sends too many cookies with the request.";
    "busy"
        "Les votes arrivent plus vite qu’ils ne peuvent être mis en sûreté.",
        "Votes arrive faster than they can be stored safely.";
    "unavailable"
        "Une partie du service est arrêtée ou en panne.",
        "A part of the service is stopped or has failed.";
    "clock"
        "L’horloge du serveur a reculé, et le serveur refuse d’inscrire une heure fausse.",
        "The clock of the server went back, and the server refuses to record a wrong time.";
    "halted"
        "Le serveur a trouvé une anomalie dans ce scrutin et n’y prend plus de votes, par \
            prudence.",
        "The server found a fault in this election and takes no more votes in it, as a \
            precaution.";
    "outcome-unknown"
        "La panne est survenue pendant que le vote était mis en sûreté.",
        "The failure happened while the vote was being stored.";
    "too-many-connections"
        "Beaucoup d’appareils de votre réseau utilisent le site en même temps.",
        "Many devices of your network use the site at the same time.";
    "stopping"
        "L’équipe technique redémarre le serveur.",
        "The operators are restarting the server.";
    "internal"
        "Le programme du site a subi une défaillance.",
        "The site has a technical fault.";

    // Those with an account.
    "sign-in-refused"
        "Un des trois champs est erroné, le code a déjà servi, le compte est désactivé ou le \
            réseau n’est pas celui du bureau.",
        "One of the three fields is wrong, the code was used before, the account is disabled, or \
            the network is not that of the office.";
    "forbidden"
        "Le rôle du compte ne donne pas accès à cette page, ou le réseau n’est pas celui du \
            bureau.",
        "The role of the account does not include this page, or the network is not that of the \
            office.";
    "unknown-roll"
        "L’empreinte est mal copiée, ou la liste n’a jamais été chargée.",
        "The digest was copied wrongly, or the roll was never loaded.";
    "unknown-account"
        "L’adresse est mal copiée, ou la liste des comptes était ouverte depuis longtemps.",
        "The address was copied wrongly, or the list of accounts was open for a long time.";
    "election-exists"
        "Un scrutin, peut-être un brouillon, porte déjà cet identifiant.",
        "An election, perhaps a draft, has this identifier already.";
    "wrong-state"
        "Le scrutin a changé d’état depuis que la page est ouverte, ou l’étape précédente n’est \
            pas franchie.",
        "The state of the election changed while the page was open, or the step before was not \
            taken.";
    "early-close"
        "La fermeture est demandée avant l’heure prévue, sans motif.",
        "The close was requested before its planned time, without a reason.";
    "witnesses-missing"
        "Un témoin externe ne répond pas, ou n’a pas encore reçu la tête du registre.",
        "An outside witness does not answer, or has not received the head of the log yet.";
    "roll-conflict"
        "Le scrutin a déjà une liste, ou un scrutin se sert de la liste à retirer.",
        "The election has a roll already, or an election uses the roll that is to be removed.";
    "refused-by-log"
        "La demande est contraire à une règle du registre, ou à ce qui y est inscrit.",
        "The request contradicts a rule of the log, or what is in the log.";
    "admin-busy"
        "Une autre personne ou un autre onglet modifie le même scrutin.",
        "Another person or another tab is changing the same election.";
    "not-leading"
        "Quand il y a plusieurs nœuds, un seul à la fois inscrit les changements.",
        "Of several nodes, only one at a time records changes.";
    "not-safe"
        "Un scrutin exécutoire exige un poivre, des codes assez longs, TLS, un registre au nom de \
            l’organisation et des résultats affichés après la fermeture.",
        "A binding election requires a pepper, codes that are long enough, TLS, a log named after \
            the organisation, and results after the close.";
    "account-exists"
        "Cette personne a déjà un compte actif ou désactivé.",
        "This person has an active or a disabled account already.";
    "account-state"
        "Le compte a été désactivé ou réactivé entre-temps, ou il est le dernier de \
            l’administration.",
        "The account was disabled or enabled meanwhile, or is the last one of the administration.";
    "invitation-void"
        "Un lien ne sert qu’une fois, et il expire.",
        "A link works once, and it expires.";
    "roll-refused"
        "Un fichier est incomplet, ou il ne correspond pas au manifeste.",
        "A file is cut off, or does not match the manifest.";
    "roll-not-hashed"
        "Le fichier a une colonne de NAS.",
        "The file has a column of SINs.";
    "too-many-downloads"
        "Le téléchargement d’un dossier fait relire tout le registre\u{a0}: le serveur en fait peu \
            à la fois.",
        "A download reads the whole log again: the server permits few of them at once.";
    "storage-full"
        "Il reste trop peu d’espace libre pour ce fichier.",
        "Too little space is free for this file.";

    // Programs that call the interface.
    "unauthorized"
        "Le jeton manque, ou il n’est pas celui de ce nœud.",
        "The token is missing, or is not that of this node.";
    "token-refused"
        "Le jeton manque, il a expiré, ou il est destiné à un autre usage.",
        "The token is missing, has expired, or is meant for another use.";
    "unknown-tile"
        "Le registre est encore trop court, ou l’adresse est mal formée.",
        "The log is still too short, or the address is malformed.";
    "unknown-manifest"
        "L’empreinte est mal copiée, ou la liste est celle d’un autre scrutin.",
        "The digest was copied wrongly, or the roll is that of another election.";
    "not-json"
        "L’en-tête Content-Type annonce un autre format.",
        "The header Content-Type names another format.";
    "content-coding"
        "La demande a un en-tête Content-Encoding.",
        "The request has a header Content-Encoding.";
    "upgrade-required"
        "La demande n’ouvre pas de WebSocket.",
        "The request does not open a WebSocket.";
    "transfer-coding"
        "L’en-tête Transfer-Encoding annonce un codage que le serveur ne connaît pas.",
        "The header Transfer-Encoding names a coding that the server does not know.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::KINDS;

    #[test]
    fn every_problem_has_a_cause_and_nothing_else_has_one() {
        for lang in Lang::ALL {
            for kind in KINDS {
                assert!(lang.cause(kind.code).ends_with('.'), "{}", kind.code);
            }
            assert_eq!(CAUSES.len(), KINDS.len(), "a code is given twice, or unknown");
        }
    }

    #[test]
    fn french_has_its_no_break_spaces() {
        for (code, fr, _) in CAUSES {
            for mark in [" :", " ;", " ?", " !", " %"] {
                assert!(!fr.contains(mark), "{code}");
            }
        }
    }
}
