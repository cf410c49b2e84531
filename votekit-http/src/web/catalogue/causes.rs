//! Why a voter meets a problem, by its code: the help page shows the cause between what the voter
//! sees and what to do.

use super::super::lang::Lang;

macro_rules! causes {
    ($($code:literal $fr:literal, $en:literal;)*) => {
        static CAUSES: &[(&str, &str, &str)] = &[$(($code, $fr, $en)),*];
    };
}

impl Lang {
    /// The cause of a problem; empty for a code that voters do not meet.
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
        "The page was open for a long time, or the form was changed on its way.";
    "foreign-origin"
        "La session n’est plus celle de la page, ou le navigateur ne dit pas d’où vient le \
            formulaire.",
        "The session is not that of the page any more, or the browser does not say where the \
            form comes from.";
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
        "The opening time has not come.";
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
        "The failure came while the vote was being stored.";
    "too-many-connections"
        "Beaucoup d’appareils de votre réseau utilisent le site en même temps.",
        "Many devices of your network use the site at the same time.";
    "stopping"
        "L’équipe technique redémarre le serveur.",
        "The operators are restarting the server.";
    "internal"
        "Le programme du site a subi une défaillance.",
        "The program of the site has a fault.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_voters_has_a_cause_and_no_other_has_one() {
        for lang in Lang::ALL {
            let voters: Vec<_> = lang.problems_of_voters().map(|(code, _)| code).collect();
            for code in &voters {
                assert!(lang.cause(code).ends_with('.'), "{code}");
            }
            for (code, ..) in CAUSES {
                assert!(voters.contains(code), "{code}");
            }
            assert_eq!(CAUSES.len(), voters.len(), "a code is given twice");
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
