//! The steps that lead to a state of a page.

/// The button of the form in the content of a page.
pub(crate) const SUBMIT: &str = "main form[method=post] .actions button[type=submit]";

/// An action of a person.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Opens the page at a path; the language comes before it.
    Open(&'static str),
    /// Types a text into the field with a name.
    Type(&'static str, &'static str),
    /// Presses a button or a link, and waits for the next page.
    Press(&'static str),
    /// Selects a choice by its selector.
    Select(&'static str),
    /// Signs in to an election as a voter who has not voted.
    SignIn(&'static str),
    /// Signs in to a further election as the voter who signed in last.
    AddElection(&'static str),
    /// Types the credential of the voter who signed in last into the form of this page, and sends
    /// it.
    SendCredential,
    /// Sends wrong codes for one NAS until the node refuses to look at more.
    SendWrongCodes(&'static str),
    /// Opens the one-time link of the account with an e-mail address.
    OpenLink(&'static str),
    /// Chooses password and second factor on the page of that link.
    ChoosePassword(&'static str),
    /// Has a session of that account, and the first page open.
    UseAccount(&'static str),
    /// Types the e-mail address, the password and a code of that account into the form of this
    /// page, and sends it.
    SignInAccount(&'static str),
    /// Loses the sessions.
    ClearCookies,
    /// Sends a form to a path from a page of another origin.
    PostFromElsewhere(&'static str),
    /// Waits until an element is shown.
    Await(&'static str),
}
