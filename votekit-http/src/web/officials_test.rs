//! The pages of officials, requested from the router: status, language, errors at their fields,
//! kept values, visibility by role.

use axum::http::StatusCode;
use votekit_node::OpenElection;
use votekit_store::AccountRole;

use super::lang::Lang;
use super::official_site::{LAW, Site, law};

/// Text that a page must never contain as it is.
const NASTY: &str = "<script>alert(1)</script>\"'&";
const ESCAPED: &str = "&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#39;&#38;";

#[tokio::test]
async fn each_page_of_officials_is_complete_in_both_languages() {
    let site = Site::with_draft().await;
    let cookie = site.administrator().await;
    for lang in Lang::ALL {
        for page in [
            "officials",
            "officials/new",
            "officials/accounts",
            &format!("officials/elections/{LAW}"),
            &format!("officials/elections/{LAW}/amend"),
            &format!("officials/elections/{LAW}/roll"),
            &format!("officials/elections/{LAW}/open"),
            &format!("officials/elections/{LAW}/close"),
            &format!("officials/elections/{LAW}/certify"),
            &format!("officials/elections/{LAW}/annul"),
        ] {
            let answer = site.get(&format!("/{}/{page}", lang.code()), &cookie).await;
            assert_eq!(answer.status, StatusCode::OK, "{page}: {}", answer.html);
            answer.check_page(lang);
            let other = format!("href=\"/{}/{page}\" lang=", lang.other().code());
            assert!(answer.html.contains(&other), "{page}: {}", answer.html);
            assert!(answer.html.contains("admin@example.ca"), "{page}: the session is named");
        }
        let sign_in = site.get(&format!("/{}/accounts/sign-in", lang.code()), "").await;
        assert_eq!(sign_in.status, StatusCode::OK);
        sign_in.check_page(lang);
        for autocomplete in ["username", "current-password", "one-time-code"] {
            let attribute = format!("autocomplete=\"{autocomplete}\"");
            assert!(sign_in.html.contains(&attribute), "{}", sign_in.html);
        }
    }
    let new = site.get("/fr/officials/elections/new", &cookie).await;
    assert_eq!(new.header("location"), "/fr/officials/new");
    site.end().await;
}

#[tokio::test]
async fn auditors_and_observers_read_and_see_no_actions() {
    let site = Site::with_draft().await;
    let election = format!("/fr/officials/elections/{LAW}");
    for (email, role, reads_accounts) in [
        ("auditor@example.ca", AccountRole::Auditor, true),
        ("observer@example.ca", AccountRole::Observer, false),
    ] {
        let cookie = site.sign_in(email, role).await;
        for page in ["/fr/officials", &election] {
            let answer = site.get(page, &cookie).await;
            assert_eq!(answer.status, StatusCode::OK, "{page}");
            for action in ["/open", "/close", "/amend", "/officials/new"] {
                assert!(!answer.html.contains(&format!("{action}\"")), "{email} {page} {action}");
            }
        }
        let readable = if reads_accounts { StatusCode::OK } else { StatusCode::FORBIDDEN };
        for page in ["/fr/officials/accounts", &format!("{election}/roll")] {
            let answer = site.get(page, &cookie).await;
            assert_eq!(answer.status, readable, "{email} {page}");
            answer.check_page(Lang::Fr);
            assert!(!answer.html.contains("name=\"role\""), "no invitation for {email}");
        }
        let refused = site.get(&format!("{election}/open"), &cookie).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{email}");
        refused.check_page(Lang::Fr);
    }
    site.end().await;
}

#[tokio::test]
async fn a_form_with_errors_names_each_field_and_keeps_what_was_typed() {
    let site = Site::with_draft().await;
    let cookie = site.administrator().await;
    let new = "/fr/officials/new";
    let typed = [
        ("law_id", "pas un id"),
        ("title_fr", NASTY),
        ("title_en", ""),
        ("description_fr", NASTY),
        ("rows", "2"),
        ("choice_0_id", "oui"),
        ("choice_0_fr", NASTY),
        ("choice_0_en", NASTY),
        ("choice_1_id", "NON"),
        ("choice_1_fr", "Non"),
        ("choice_1_en", "No"),
        ("nature", ""),
        ("results", "live"),
        ("publish_every", "0"),
        ("opens", "2036-11-21T08:00"),
        ("opens_offset", ""),
    ];
    let answer = site.submit(new, new, &cookie, &typed).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    answer.check_page(Lang::Fr);
    answer.reports(&[
        "law_id",
        "nature",
        "publish_every",
        "opens_offset",
        "choice_1_id",
        "title_en",
    ]);
    assert!(answer.html.matches(ESCAPED).count() >= 4, "{}", answer.html);
    assert!(answer.html.contains("value=\"pas un id\"") && answer.html.contains("value=\"NON\""));
    assert!(answer.html.contains("value=\"2036-11-21T08:00\""), "{}", answer.html);
    assert_eq!(site.api.node.elections().len(), 1, "nothing was created");
    site.end().await;
}

#[tokio::test]
async fn choices_are_added_and_removed_without_a_script_and_without_errors() {
    let site = Site::with_draft().await;
    let cookie = site.administrator().await;
    let new = "/fr/officials/new";
    let row = [("rows", "2"), ("choice_0_id", "oui"), ("choice_1_id", "non"), ("step", "add")];
    let answer = site.submit(new, new, &cookie, &row).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.html.contains("name=\"rows\" value=\"3\""), "{}", answer.html);
    assert!(answer.html.contains("id=\"choice_2_id\""), "{}", answer.html);
    assert!(!answer.title().starts_with("Erreur"), "nothing was checked");
    let (_, last) = answer.html.split_once("id=\"choice_2_id\"").expect("the new row");
    assert!(last.split('>').next().expect("its end").contains("autofocus"), "{last}");
    let rows = [("rows", "3"), ("choice_0_id", "a"), ("choice_1_id", "b"), ("choice_2_id", "c")];
    let fields = [&rows[..], &[("step", "remove-1")]].concat();
    let answer = site.submit(new, new, &cookie, &fields).await;
    assert!(answer.html.contains("name=\"rows\" value=\"2\""), "{}", answer.html);
    assert!(answer.html.contains("value=\"c\"") && !answer.html.contains("value=\"b\""));
    site.end().await;
}

#[tokio::test]
async fn texts_of_an_election_are_escaped_on_every_page_of_officials() {
    let site = Site::with_draft().await;
    let cookie = site.administrator().await;
    let new = "/fr/officials/new";
    let second = format!("{NASTY}2");
    let typed = [
        ("law_id", "L2"),
        ("title_fr", NASTY),
        ("title_en", NASTY),
        ("description_fr", NASTY),
        ("description_en", NASTY),
        ("rows", "2"),
        ("choice_0_id", "oui"),
        ("choice_0_fr", NASTY),
        ("choice_0_en", NASTY),
        ("choice_1_id", "non"),
        ("choice_1_fr", second.as_str()),
        ("choice_1_en", second.as_str()),
        ("nature", "test"),
        ("results", "after_close"),
        ("publish_every", "20"),
    ];
    let created = site.submit(new, new, &cookie, &typed).await;
    assert_eq!(created.header("location"), "/fr/officials/elections/L2?done=created");
    for page in ["", "/elections/L2?done=created", "/elections/L2/amend", "/elections/L2/roll"] {
        let answer = site.get(&format!("/fr/officials{page}"), &cookie).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}");
        answer.check_page(Lang::Fr);
        assert!(answer.html.contains(ESCAPED), "{page}: {}", answer.html);
    }
    let claim = site.get("/fr/officials/elections/L2?done=certify", &cookie).await;
    assert!(!claim.html.contains("Le résultat est officiel"), "an address makes no claim");
    site.end().await;
}

#[tokio::test]
async fn a_step_asks_for_the_id_and_a_reason_where_the_log_does() {
    let site = Site::with_draft().await;
    let cookie = site.administrator().await;
    let page = format!("/fr/officials/elections/{LAW}");
    let open = format!("{page}/open");
    let zero = site.get(&open, &cookie).await;
    assert!(zero.html.contains("Relevé à zéro"), "{}", zero.html);
    for wrong in ["", "l2025-001", "oui"] {
        let refused = site.submit(&open, &open, &cookie, &[("confirm", wrong)]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        refused.reports(&["confirm"]);
    }
    assert_eq!(site.api.node.election(&law()).expect("it").state, "draft");
    let opened = site.submit(&open, &open, &cookie, &[("confirm", LAW)]).await;
    assert_eq!(opened.header("location"), format!("{page}?done=open"), "{}", opened.html);
    assert!(site.get(&format!("{page}?done=open"), &cookie).await.html.contains("relevé à zéro"));
    // The second press of the button, from another tab.
    let again = site.get(&open, &cookie).await;
    assert!(again.html.contains("pas possible maintenant"), "{}", again.html);
    let close = format!("{page}/close");
    let closed = site.submit(&close, &close, &cookie, &[("confirm", LAW)]).await;
    assert_eq!(closed.header("location"), format!("{page}?done=close"), "{}", closed.html);
    let shown = site.get(&page, &cookie).await.html;
    assert!(shown.contains("Les comptes concordent") && shown.contains("/results/csv"), "{shown}");
    let csv = site.get(&format!("{page}/results/csv"), &cookie).await;
    assert!(csv.html.starts_with("law_id,kind,id,"), "{}", csv.html);
    assert!(csv.header("content-disposition").contains(&format!("{LAW}-results.csv")));
    let annul = format!("{page}/annul");
    let refused = site.submit(&annul, &annul, &cookie, &[("confirm", LAW)]).await;
    refused.reports(&["reason"]);
    let link = "<a href=\"#reason\">Motif\u{a0}: ";
    assert!(refused.html.contains(link), "the summary names the field: {}", refused.html);
    let certify = format!("{page}/certify");
    let certified = site.submit(&certify, &certify, &cookie, &[("confirm", LAW)]).await;
    assert_eq!(certified.header("location"), format!("{page}?done=certify"));
    let typed = [("confirm", LAW), ("reason", "ordonnance du 3 décembre")];
    let annulled = site.submit(&annul, &annul, &cookie, &typed).await;
    assert_eq!(annulled.header("location"), format!("{page}?done=annul"), "{}", annulled.html);
    assert_eq!(site.api.node.election(&law()).expect("it").state, "annulled");
    site.end().await;
}

#[tokio::test]
async fn draft_cannot_be_annulled_and_its_pages_name_the_alternative() {
    let site = Site::with_draft().await;
    let cookie = site.administrator().await;
    for lang in Lang::ALL {
        let page = format!("/{}/officials/elections/{LAW}", lang.code());
        let shown = site.get(&page, &cookie).await;
        assert!(shown.html.contains(lang.discard_title()), "{}", shown.html);
        assert!(shown.html.contains(lang.discard_draft()), "{}", shown.html);
        // Its log is not public, so a link from a page would lead nowhere.
        assert!(shown.html.contains(lang.audit_log_of_draft()), "{}", shown.html);
        assert!(!shown.html.contains("/log/"), "{}", shown.html);
        let annul = site.get(&format!("{page}/annul"), &cookie).await;
        annul.check_page(lang);
        assert!(annul.html.contains(lang.discard_draft()), "{}", annul.html);
        assert!(!annul.html.contains("name=\"confirm\""), "{}", annul.html);
    }
    site.api.node.open(&law(), OpenElection::default()).await.expect("opened");
    let page = format!("/fr/officials/elections/{LAW}");
    let shown = site.get(&page, &cookie).await;
    assert!(!shown.html.contains(Lang::Fr.discard_title()), "{}", shown.html);
    assert!(shown.html.contains(&format!("/log/{LAW}/policy")), "{}", shown.html);
    let annul = site.get(&format!("{page}/annul"), &cookie).await;
    assert!(annul.html.contains(Lang::Fr.annul_after_close()), "{}", annul.html);
    site.end().await;
}

#[tokio::test]
async fn results_are_not_downloaded_while_the_poll_is_open() {
    let site = Site::with_draft().await;
    site.api.node.open(&law(), OpenElection::default()).await.expect("opened");
    let cookie = site.administrator().await;
    for format in ["csv", "json", "nist"] {
        let path = format!("/fr/officials/elections/{LAW}/results/{format}");
        let answer = site.get(&path, &cookie).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{format}");
        answer.check_page(Lang::Fr);
    }
    let early = site.get(&format!("/fr/officials/elections/{LAW}/bundle.zip"), &cookie).await;
    assert_eq!(early.status, StatusCode::CONFLICT);
    early.check_page(Lang::Fr);
    let page = site.get(&format!("/fr/officials/elections/{LAW}"), &cookie).await.html;
    assert!(page.contains("affichés après la fermeture"), "{page}");
    assert!(!page.contains("bundle.zip"), "{page}");
    let unknown = site.get(&format!("/fr/officials/elections/{LAW}/results/exe"), &cookie).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    site.end().await;
}

#[tokio::test]
async fn a_draft_is_amended_within_its_rules() {
    let site = Site::with_draft().await;
    let cookie = site.administrator().await;
    let page = format!("/fr/officials/elections/{LAW}");
    let amend = format!("{page}/amend");
    let shown = site.get(&amend, &cookie).await.html;
    assert!(shown.contains("Loi sur l’eau") && !shown.contains("name=\"law_id\""), "{shown}");
    let typed = [
        ("title_fr", "Loi sur l’air"),
        ("title_en", "Air Act"),
        ("rows", "2"),
        ("choice_0_id", "oui"),
        ("choice_0_fr", "Oui"),
        ("choice_0_en", "Yes"),
        ("choice_1_id", "non"),
        ("choice_1_fr", "Non"),
        ("choice_1_en", "No"),
        ("results", "live"),
        ("publish_every", "5"),
    ];
    let amended = site.submit(&amend, &amend, &cookie, &typed).await;
    assert_eq!(amended.header("location"), format!("{page}?done=amended"), "{}", amended.html);
    let shown = site.get(&page, &cookie).await.html;
    assert!(shown.contains("Loi sur l’air") && shown.contains("révèle des votes"), "{shown}");
    site.api.node.open(&law(), OpenElection::default()).await.expect("opened");
    assert_eq!(site.get(&amend, &cookie).await.status, StatusCode::CONFLICT);
    site.end().await;
}
