//! A browser without JavaScript: its requests, over real connections.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use crate::http_support::{Answer, Client, Served};

/// A browser: one connection, the cookie, and the page that is shown.
pub struct Browser {
    client: Client,
    pub cookie: String,
    pub page: Answer,
    pub path: String,
}

impl Browser {
    /// Opens the first page, as a reader who types the address.
    pub async fn open(served: &Served, wish: &str) -> Self {
        let mut client = Client::connect(served.at.public).await;
        let page = client.send("GET", "/", &[("accept-language", wish)], "").await;
        let mut browser = Self { client, cookie: String::new(), page, path: "/".to_owned() };
        browser.follow().await;
        browser
    }

    pub async fn get(&mut self, path: &str) {
        let cookie = self.cookie.clone();
        self.page = self.client.send("GET", path, &[("cookie", &cookie)], "").await;
        self.path = path.to_owned();
        self.keep_cookie();
    }

    /// Presses a link of the page.
    pub async fn press(&mut self, href: &str) {
        assert!(self.page.text().contains(&format!("href=\"{href}\"")), "{}", self.page.text());
        self.get(href).await;
    }

    /// Sends the form with this action: its hidden fields, and the typed values.
    pub async fn submit(&mut self, action: &str, typed: &[(&str, &str)]) {
        let mut fields = hidden_fields(self.page.text(), action);
        fields.extend(typed.iter().map(|(name, value)| format!("{name}={value}")));
        let cookie = self.cookie.clone();
        let headers = [
            ("cookie", cookie.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
            // An older browser, which sends no `Sec-Fetch-Site`.
            ("origin", "http://localhost"),
        ];
        self.page = self.client.send("POST", action, &headers, fields.join("&")).await;
        self.path = action.to_owned();
        self.keep_cookie();
        self.follow().await;
    }

    pub async fn follow(&mut self) {
        if self.page.status == 303 {
            let path = self.page.header("location").to_owned();
            assert!(path.starts_with("/fr/") || path.starts_with("/en/"), "{path}");
            Box::pin(self.get(&path)).await;
        }
    }

    fn keep_cookie(&mut self) {
        let set = self.page.header("set-cookie");
        if let Some(pair) = set.split(';').next().filter(|pair| !pair.is_empty()) {
            self.cookie = pair.to_owned();
        }
    }

    pub fn shows(&self, text: &str) {
        assert!(self.page.text().contains(text), "no {text:?} in {}", self.page.text());
    }
}

/// The hidden fields of the form with this action, as `name=value`.
fn hidden_fields(html: &str, action: &str) -> Vec<String> {
    let (_, form) = html.split_once(&format!("action=\"{action}\"")).expect("the form");
    let (form, _) = form.split_once("</form>").expect("its end");
    let fields = form.split("type=\"hidden\" name=\"").skip(1);
    let field = |text: &str| {
        let (name, rest) = text.split_once("\" value=\"").expect("a value");
        format!("{name}={}", rest.split('"').next().expect("its end"))
    };
    fields.map(field).collect()
}

/// NAS and code of the elector with index `index`, as a voter types them.
pub fn typed(index: u32) -> (String, String) {
    let nas = format!("0{index:08}");
    (format!("{}-{}-{}", &nas[..3], &nas[3..6], &nas[6..]), format!("code{index:04}"))
}
