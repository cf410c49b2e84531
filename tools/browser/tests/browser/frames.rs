//! Pages refuse to stand in a frame of another site, which could lead voters to unseen buttons.

use anyhow::{Result, ensure};

use crate::browser::Browser;
use crate::site::Site;

/// The address that a frame shows instead of a page that refused to be framed.
const REFUSED: &str = "chrome-error://";

#[tokio::test]
async fn pages_stand_in_no_frame() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::open().await?;
    for path in ["/fr/", "/fr/vote/L2025-001", "/en/results/L2025-001", "/en/nothing"] {
        let page = format!(
            "data:text/html,<iframe src='{}{path}'></iframe><iframe srcdoc='<h1>seen</h1>'></iframe>",
            site.url
        );
        browser.open_page(&page).await?;
        browser.client.enter_frame(0).await?;
        let shown = browser.run("return document.URL;").await?;
        let is_refused = shown.as_str().is_some_and(|address| address.starts_with(REFUSED));
        ensure!(is_refused, "{path} stands in a frame: {shown}");
        // Other frames work.
        browser.client.enter_parent_frame().await?;
        browser.client.enter_frame(1).await?;
        ensure!(browser.text("h1").await? == "seen", "frames do not work at all");
        browser.client.enter_parent_frame().await?;
    }
    browser.close().await
}
