//! The texts of the pages of accounts: sign-in, invitation, second factor, recovery codes.

use super::super::lang::Lang;

// The bar of signed-in officials, and the roles.
messages! {
    BAR:
    menu_officials = "Responsables", "Officials";
    official_menu = "Menu des responsables", "Officials’ menu";
    official_home = "Scrutins à gérer", "Elections to manage";
    official_new = "Créer un scrutin", "Create an election";
    official_accounts = "Comptes", "Accounts";
    signed_in_as = "Session de", "Signed in as";
    account_sign_out = "Fermer la session", "Sign out";
    role_administrator = "Administration", "Administrator";
    role_auditor = "Vérification", "Auditor";
    role_observer = "Observation", "Observer";
    role_member = "Membre", "Member";
    official_session_detail =
        "Elle se termine dans deux minutes. Ce que vous avez entré sans l’envoyer sera perdu.",
        "It ends in two minutes. What you typed and did not send will be lost.";
    official_session_over =
        "Votre session est terminée. Ouvrez-en une nouvelle avant d’envoyer un formulaire.",
        "Your session has ended. Sign in again before you send a form.";
    official_not_extended =
        "La session n’a pas été prolongée. Vérifiez votre connexion et réessayez.",
        "The session was not extended. Check the connection and try again.";
    technical_detail = "Détail technique", "Technical detail";
}

// The sign-in of officials and members.
messages! {
    ACCOUNT_SIGN_IN:
    account_title = "Ouvrir une session", "Sign in to an account";
    account_lead =
        "Pour les responsables et les membres. Pour voter avec le code d’accès d’une lettre, \
         choisissez plutôt un scrutin.",
        "For officials and members. To vote with a letter, choose an election instead.";
    account_needed =
        "Cette page est réservée. Ouvrez une session, et vous y reviendrez aussitôt.",
        "This page is for account holders. Sign in, and you return to it at once.";
    email_label = "Courriel", "E-mail";
    email_missing = "Entrez votre adresse de courriel.", "Enter your e-mail address.";
    password_label = "Mot de passe", "Password";
    password_missing = "Entrez votre mot de passe.", "Enter your password.";
    factor_label = "Code à usage unique", "One-time code";
    factor_hint =
        "Les six chiffres de votre application d’authentification, ou un code de récupération. Les \
         membres sans second facteur laissent ce champ vide.",
        "The six digits from your authenticator app, or a recovery code. Members without a \
         second factor leave this field empty.";
    account_button = "Ouvrir la session", "Sign in";
    account_refused =
        "Le courriel, le mot de passe ou le code n’est pas reconnu. Un code de l’application ne \
         sert qu’une fois\u{a0}: attendez le suivant et vérifiez les trois champs.",
        "E-mail, password or code not recognised. A code from the app works once: wait for the \
         next one, and check all three fields.";
    account_back_off(wait: &str) =
        "Trop de tentatives échouées pour ce compte depuis votre réseau. Réessayez dans {wait}.",
        "Too many failed attempts for this account from your network. Try again in {wait}.";
    recovery_help_title = "Vous n’avez plus l’application\u{a0}?",
        "You no longer have the app?";
    recovery_help =
        "Entrez un de vos codes de récupération à la place des six chiffres. Chaque code ne sert \
         qu’une fois. Si vous n’en avez plus, demandez à l’administration du nœud de réinitialiser \
         votre compte (votekit user reset).",
        "Type one of your recovery codes in place of the six digits. Each code works once. If \
         you have none left, ask the administrator of the node to reset your account (votekit \
         user reset).";
    account_ended_title = "Votre session est fermée", "You are signed out";
    account_ended_text = "Rien de votre session ne reste sur ce navigateur.",
        "Nothing of your session remains in this browser.";
}

// The invitation: a password, a second factor, recovery codes.
messages! {
    INVITATION:
    invitation_title = "Activer votre compte", "Activate your account";
    invitation_lead(role: &str) = "Cette invitation vous donne le rôle «\u{a0}{role}\u{a0}».",
        "You are invited with the role “{role}”.";
    invitation_once =
        "Ce lien ne sert qu’une fois\u{a0}: il n’est plus valable dès que le compte est actif.",
        "This link works once: it becomes void when the account is active.";
    new_password_label = "Nouveau mot de passe", "New password";
    new_password_hint =
        "De 12 à 128 caractères. Une phrase de plusieurs mots convient, et vous pouvez coller le \
         mot de passe que votre gestionnaire de mots de passe propose.",
        "12 to 128 characters. A phrase of several words is fine, and you may paste what your \
         password manager suggests.";
    repeat_password_label = "Confirmation du nouveau mot de passe",
        "Confirm the new password";
    password_weak =
        "Ce mot de passe est refusé\u{a0}: il est trop court, trop long ou trop facile à deviner.",
        "This password is not accepted: it is too short, too long or too easy to guess.";
    passwords_differ = "Les deux mots de passe sont différents.", "The two passwords differ.";
    factor_title = "Second facteur", "Second factor";
    factor_why =
        "À chaque ouverture de session, une application sur votre téléphone ou votre ordinateur \
         donne un code de six chiffres.",
        "At each sign-in an app on your phone or computer gives a code of six digits.";
    factor_scan = "Balayez ce code QR avec l’application d’authentification.",
        "Scan this QR code with the authenticator app.";
    factor_qr = "Code QR du second facteur\u{a0}; la clé ci-dessous contient la même information",
        "QR code of the second factor; the key below holds the same information";
    factor_link = "Ouvrir dans l’application de cet appareil", "Open in the app on this device";
    factor_secret = "Ou entrez cette clé dans l’application", "Or type this key into the app";
    factor_secret_kind = "Type\u{a0}: fondé sur l’heure, 6 chiffres, 30 secondes.",
        "Type: time-based, 6 digits, 30 seconds.";
    factor_confirm_label = "Code affiché par l’application", "Code shown by the app";
    factor_confirm_hint = "Six chiffres. Ce code confirme que l’application est bien réglée.",
        "Six digits. It confirms that the app is set up.";
    factor_missing = "Entrez les six chiffres de l’application.",
        "Enter the six digits from the app.";
    factor_wrong =
        "Ce code ne correspond pas. Vérifiez l’heure de votre appareil et entrez le code suivant.",
        "This code does not match. Check the time of your device and type the next code.";
    invitation_button = "Activer le compte", "Activate the account";
    recovery_title = "Vos codes de récupération", "Your recovery codes";
    recovery_active = "Votre compte est actif.", "Your account is active.";
    recovery_text =
        "Si vous perdez votre appareil, chacun de ces codes remplace une fois le code de \
         l’application. Ils ne seront plus jamais affichés\u{a0}: imprimez-les ou copiez-les en \
         lieu sûr, loin de votre mot de passe.",
        "Each code replaces the code from the app once, if you lose your device. They will never \
         be shown again: print them or copy them to a safe place, away from your password.";
    recovery_list = "Codes de récupération", "Recovery codes";
    recovery_next =
        "Pour ouvrir la session, attendez que l’application affiche un nouveau code\u{a0}: celui \
         que vous venez d’entrer a servi.",
        "To sign in, wait until the app shows a new code: the one that you just typed is used.";
    recovery_kept = "J’ai conservé mes codes\u{a0}: ouvrir la session",
        "I have kept my codes: sign in";
}

// The list of accounts, for administrators and auditors.
messages! {
    ACCOUNTS:
    accounts_title = "Comptes", "Accounts";
    accounts_lead =
        "Les personnes qui peuvent gérer, vérifier ou observer les scrutins de ce nœud.",
        "Who may manage, audit or observe the elections of this node.";
    accounts_caption = "Comptes, par courriel", "Accounts, by e-mail";
    column_email = "Courriel", "E-mail";
    column_role = "Rôle", "Role";
    column_account_state = "État", "State";
    column_created = "Créé le", "Created";
    column_actions = "Actions", "Actions";
    account_invited = "Invitation en attente", "Invited";
    account_active = "Actif", "Active";
    account_disabled = "Désactivé", "Disabled";
    account_you = "vous", "you";
    account_disable = "Désactiver", "Disable";
    account_disable_label(email: &str) = "Désactiver {email}", "Disable {email}";
    account_enable = "Réactiver", "Enable";
    account_enable_label(email: &str) = "Réactiver {email}", "Enable {email}";
    accounts_more = "Comptes suivants", "Next accounts";
    account_disabled_notice = "Le compte est désactivé, et ses sessions sont fermées.",
        "The account is disabled, and its sessions are ended.";
    account_enabled_notice = "Le compte est réactivé.", "The account is enabled again.";
    invite_title = "Inviter une personne", "Invite a person";
    invite_lead =
        "Le nœud n’envoie pas de courriel\u{a0}: il affiche un lien à usage unique, que vous \
         remettez vous-même à la personne.",
        "The node sends no e-mail: it shows a one-time link that you give to the person yourself.";
    email_wrong = "Ce n’est pas une adresse de courriel.", "This is not an e-mail address.";
    email_taken = "Un compte a déjà cette adresse.", "An account has this address already.";
    role_missing = "Choisissez un rôle.", "Choose a role.";
    role_administrator_hint =
        "Crée, ouvre, ferme et certifie les scrutins\u{a0}; invite d’autres personnes.",
        "Creates, opens, closes and certifies elections; invites others.";
    role_auditor_hint = "Consulte tout ce que voit l’administration, et ne modifie rien.",
        "Reads everything that administrators see, and changes nothing.";
    role_observer_hint = "Consulte les scrutins, leur état et leur participation.",
        "Reads the elections, their states and their turnout.";
    invite_button = "Créer le lien", "Create the link";
    link_title = "Lien à usage unique", "One-time link";
    link_text(email: &str) =
        "Remettez ce lien à {email}. Il ne sera plus affiché, il ne sert qu’une fois, et il \
         expire.",
        "Give this link to {email}. It will not be shown again, works once, and expires.";
    link_channel =
        "Choisissez un moyen sûr\u{a0}: toute personne qui a le lien peut activer le compte.",
        "Choose a safe channel: anyone who has the link can activate the account.";
    link_label = "Lien", "Link";
    link_expires = "Expiration", "Expires";
    back_to_accounts = "Retour aux comptes", "Back to the accounts";
}
