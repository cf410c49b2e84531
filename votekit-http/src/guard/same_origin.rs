//! Refuses forms that a page of another site sends.
//!
//! Browsers state the origin of a request: `Sec-Fetch-Site`, or at least `Origin`. A form is
//! accepted from this node's own pages only. `SameSite=Strict` and the token of the form are
//! further defences; this check also protects the sign-in, where there is no session yet.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName};

use crate::problem::Problem;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Requires that a form was sent by a page of this origin.
///
/// # Errors
/// [`Problem::ForeignOrigin`].
pub(crate) fn check_same_origin(headers: &HeaderMap, is_confidential: bool) -> Result<(), Problem> {
    let is_own = match single(headers, &SEC_FETCH_SITE) {
        Some(site) => site == b"same-origin",
        None if headers.contains_key(&SEC_FETCH_SITE) => false,
        None => is_own_origin(headers, is_confidential),
    };
    if is_own { Ok(()) } else { Err(Problem::ForeignOrigin) }
}

/// Whether `Origin` names this node as `Host` does. Without TLS an origin is `http` on this
/// machine; with TLS an `http` origin of the same name may be an attacker's in the network.
fn is_own_origin(headers: &HeaderMap, is_confidential: bool) -> bool {
    let scheme: &[u8] = if is_confidential { b"https://" } else { b"http://" };
    match (single(headers, &ORIGIN), single(headers, &HOST)) {
        (Some(origin), Some(host)) => origin
            .strip_prefix(scheme)
            .is_some_and(|authority| !host.is_empty() && authority.eq_ignore_ascii_case(host)),
        _ => false,
    }
}

/// The value of a header field that is given exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn is_accepted(fields: &[(&HeaderName, &'static str)], is_confidential: bool) -> bool {
        let mut headers =
            HeaderMap::from_iter([(HOST, HeaderValue::from_static("a.example:8443"))]);
        for (name, value) in fields {
            headers.append((*name).clone(), HeaderValue::from_static(value));
        }
        check_same_origin(&headers, is_confidential).is_ok()
    }

    #[test]
    fn origin_of_a_form_is_taken_from_the_browser_headers() {
        assert!(is_accepted(&[(&SEC_FETCH_SITE, "same-origin")], true));
        for site in ["cross-site", "same-site", "none", "", "same-origin, cross-site"] {
            assert!(!is_accepted(&[(&SEC_FETCH_SITE, site)], true), "{site}");
        }
        let own = (&ORIGIN, "https://a.example:8443");
        let (same, cross) = ((&SEC_FETCH_SITE, "same-origin"), (&SEC_FETCH_SITE, "cross-site"));
        assert!(!is_accepted(&[cross, own], true));
        assert!(!is_accepted(&[same, cross], true), "given twice");
    }

    #[test]
    fn an_older_browser_names_the_origin() {
        assert!(is_accepted(&[(&ORIGIN, "https://a.example:8443")], true));
        assert!(is_accepted(&[(&ORIGIN, "https://A.example:8443")], true));
        assert!(is_accepted(&[(&ORIGIN, "http://a.example:8443")], false));
        for origin in [
            "http://a.example:8443",
            "https://a.example",
            "https://a.example:8443.evil.example",
            "https://evil.example",
            "null",
            "",
        ] {
            assert!(!is_accepted(&[(&ORIGIN, origin)], true), "{origin}");
        }
        assert!(!is_accepted(&[], true), "a form without either is refused");
        assert!(!is_accepted(&[], false));
    }
}
