//! Headless Chromium with its own profile, driven by chromedriver.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::cookies::Cookie;
use fantoccini::elements::Element;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::devtools;
use crate::process::Process;
use crate::view::View;

/// Upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How often chromedriver is started for one browser.
const START_ATTEMPTS: u32 = 5;

/// The line that chromedriver prints once it listens.
const STARTED: &str = "ChromeDriver was started successfully on port ";

/// Headless, without a sandbox (which root cannot have), and without a network beyond this machine.
const ARGUMENTS: [&str; 18] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-quic",
    "--disable-sync",
];

/// How a browser differs from one as installed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Setup {
    /// Whether pages run no scripts.
    pub(crate) is_without_scripts: bool,
    /// Whether it accepts any certificate.
    pub(crate) accepts_any_certificate: bool,
}

/// A running browser.
pub(crate) struct Browser {
    pub(crate) client: Client,
    /// Chromium itself, until it is closed.
    process: Option<Pid>,
    _driver: Process,
    /// Removed after the browser has ended.
    _profile: TempDir,
}

/// Starts chromedriver. Returns the port on which it listens.
fn start_driver(profile: &TempDir) -> Result<(Process, u16)> {
    let mut attempts = 0;
    loop {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stderr(Stdio::null());
        // Whatever they write is removed with the profile.
        command.env("HOME", profile.path()).env("TMPDIR", profile.path());
        let mut driver = Process::start(&mut command)
            .context("no chromedriver: run these tests by `cargo xtask browser`")?;
        attempts += 1;
        // It takes a port that is free for IPv6, and ends if another program has it for IPv4.
        match listening_port(&mut driver) {
            Err(_) if attempts < START_ATTEMPTS => {}
            port => return Ok((driver, port.context("chromedriver did not start")?)),
        }
    }
}

fn listening_port(driver: &mut Process) -> Result<u16> {
    loop {
        let line = driver.read_line()?;
        if let Some(port) = line.strip_prefix(STARTED) {
            return Ok(port.trim_end_matches('.').parse()?);
        }
    }
}

impl Browser {
    /// Starts a browser as installed.
    pub(crate) async fn open() -> Result<Self> {
        Self::open_with(Setup::default()).await
    }

    /// Starts a browser.
    pub(crate) async fn open_with(setup: Setup) -> Result<Self> {
        let profile = TempDir::new()?;
        let (driver, port) = start_driver(&profile)?;
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(setup, &profile))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .context("no browser: run these tests by `cargo xtask browser`")?;
        let process = client
            .capabilities()
            .and_then(|found| i32::try_from(found.get("goog:processID")?.as_i64()?).ok())
            .and_then(Pid::from_raw);
        let browser = Self { client, process, _driver: driver, _profile: profile };
        browser.set_view(View::PHONE).await?;
        Ok(browser)
    }

    /// Opens an address.
    pub(crate) async fn open_page(&self, url: &str) -> Result<()> {
        self.client.goto(url).await.with_context(|| format!("opening {url}"))
    }

    /// The path of the page, without its language.
    pub(crate) async fn path(&self) -> Result<String> {
        let url = self.client.current_url().await?;
        let path = url.path();
        Ok(["/fr", "/en"]
            .iter()
            .find_map(|lang| path.strip_prefix(lang))
            .unwrap_or(path)
            .to_owned())
    }

    /// The first element that matches a selector.
    pub(crate) async fn find(&self, selector: &str) -> Result<Element> {
        let path = self.path().await?;
        let found = self.client.find(Locator::Css(selector)).await;
        found.with_context(|| format!("no {selector} at {path}"))
    }

    /// The text of an element, as it is shown.
    pub(crate) async fn text(&self, selector: &str) -> Result<String> {
        Ok(self.find(selector).await?.text().await?)
    }

    /// Replaces the text of the field with a name.
    pub(crate) async fn fill(&self, name: &str, text: &str) -> Result<()> {
        let field = self.find(&format!("[name={name}]")).await?;
        field.clear().await?;
        field.send_keys(text).await.with_context(|| format!("typing into {name}"))
    }

    /// Presses a button or a link, and waits for the page that follows.
    pub(crate) async fn press(&self, selector: &str) -> Result<()> {
        let button = self.find(selector).await?;
        self.mark_page().await?;
        button.click().await.with_context(|| format!("pressing {selector}"))?;
        self.await_next_page().await
    }

    /// Marks the page, so that [`Self::await_next_page`] recognises another one.
    pub(crate) async fn mark_page(&self) -> Result<()> {
        self.run("window.isLeft = true;").await.map(drop)
    }

    /// Waits until the marked page is replaced and the new one is loaded.
    pub(crate) async fn await_next_page(&self) -> Result<()> {
        self.until("the next page", "!window.isLeft && document.readyState === 'complete'").await
    }

    /// Waits until an element is shown.
    pub(crate) async fn until_shown(&self, selector: &str) -> Result<()> {
        let selector = json!(selector);
        self.until("an element", &format!("document.querySelector({selector})?.checkVisibility()"))
            .await
    }

    /// Waits until an expression is true in the page.
    pub(crate) async fn until(&self, what: &str, condition: &str) -> Result<()> {
        let script = format!("return Boolean({condition});");
        let begun = Instant::now();
        loop {
            // Between two pages there is none that could answer.
            let answer = self.client.execute(&script, Vec::new()).await;
            if matches!(answer, Ok(Value::Bool(true))) {
                return Ok(());
            }
            if begun.elapsed() > WAIT_TIMEOUT {
                let path = self.path().await?;
                bail!("waited for {what} ({condition}) at {path}: {answer:?}");
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Runs a script in the page, and returns what it returns.
    pub(crate) async fn run(&self, script: &str) -> Result<Value> {
        self.run_with(script, Vec::new()).await
    }

    /// Runs a script with arguments.
    pub(crate) async fn run_with(&self, script: &str, arguments: Vec<Value>) -> Result<Value> {
        Ok(self.client.execute(script, arguments).await?)
    }

    /// Runs a script that passes its result to its last argument.
    pub(crate) async fn run_async(&self, script: &str, arguments: Vec<Value>) -> Result<Value> {
        Ok(self.client.execute_async(script, arguments).await?)
    }

    /// Runs a script at the beginning of each page from now on.
    pub(crate) async fn run_in_each_page(&self, script: &str) -> Result<()> {
        let source = json!({ "source": script });
        devtools::run(&self.client, "Page.addScriptToEvaluateOnNewDocument", source).await.map(drop)
    }

    /// The cookies that the page's address is sent.
    pub(crate) async fn cookies(&self) -> Result<Vec<Cookie<'static>>> {
        Ok(self.client.get_all_cookies().await?)
    }

    /// Removes all cookies.
    pub(crate) async fn clear_cookies(&self) -> Result<()> {
        devtools::run(&self.client, "Network.clearBrowserCookies", json!({})).await.map(drop)
    }

    /// Changes width and theme of the page.
    pub(crate) async fn set_view(&self, view: View) -> Result<()> {
        devtools::run(&self.client, "Emulation.setDeviceMetricsOverride", view.metrics()).await?;
        self.set_media(view.media()).await
    }

    /// Changes the medium and the wishes of the system: the parameters of
    /// `Emulation.setEmulatedMedia`.
    pub(crate) async fn set_media(&self, media: Value) -> Result<()> {
        devtools::run(&self.client, "Emulation.setEmulatedMedia", media).await.map(drop)
    }

    /// Changes the time zone of the pages from now on.
    pub(crate) async fn set_time_zone(&self, zone: &str) -> Result<()> {
        let zone = json!({ "timezoneId": zone });
        devtools::run(&self.client, "Emulation.setTimezoneOverride", zone).await.map(drop)
    }

    /// An image of the whole page, as PNG.
    pub(crate) async fn screenshot(&self) -> Result<Vec<u8>> {
        const SIZE: &str = "const root = document.documentElement; \
             return { x: 0, y: 0, width: innerWidth, height: root.scrollHeight, scale: 1 };";
        self.capture(self.run(SIZE).await?).await
    }

    /// An image of the content of a page, as PNG, cut off at a height in pixels.
    pub(crate) async fn content_screenshot(&self, height_max: u32) -> Result<Vec<u8>> {
        const SIZE: &str = "const box = document.querySelector('main').getBoundingClientRect(); \
             const height = Math.min(Math.round(box.height), arguments[0]); \
             const y = Math.round(box.top + scrollY); \
             return { x: 0, y, width: innerWidth, height, scale: 1 };";
        self.capture(self.run_with(SIZE, vec![json!(height_max)]).await?).await
    }

    async fn capture(&self, clip: Value) -> Result<Vec<u8>> {
        let capture = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let image = devtools::run(&self.client, "Page.captureScreenshot", capture).await?;
        let image = image["data"].as_str().context("a screenshot without data")?;
        Ok(STANDARD.decode(image)?)
    }

    /// The errors in the console since the last call.
    pub(crate) async fn console_errors(&self) -> Result<Vec<String>> {
        devtools::console_errors(&self.client).await
    }

    /// Ends the browser in order.
    pub(crate) async fn close(mut self) -> Result<()> {
        self.client.clone().close().await.context("closing the browser")?;
        self.process = None;
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // After a failed test it still runs: it does not end with its driver.
        if let Some(process) = self.process {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

fn capabilities(setup: Setup, profile: &TempDir) -> Capabilities {
    let folder = format!("--user-data-dir={}", profile.path().join("profile").display());
    let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([folder.as_str()]).collect();
    // 1 allows, 2 blocks.
    let scripts = if setup.is_without_scripts { 2 } else { 1 };
    let options = json!({
        "binary": "/usr/bin/chromium",
        "args": arguments,
        "prefs": { "profile.managed_default_content_settings.javascript": scripts },
    });
    Capabilities::from_iter([
        ("browserName".to_owned(), json!("chrome")),
        ("acceptInsecureCerts".to_owned(), json!(setup.accepts_any_certificate)),
        ("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" })),
        ("goog:chromeOptions".to_owned(), options),
    ])
}
