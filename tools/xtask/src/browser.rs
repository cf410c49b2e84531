//! `cargo xtask browser`: the tests of the pages in headless Chromium. `cargo xtask test` runs them
//! too, each state in one view.

mod axe;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{packages, project};

/// Run the tests of the pages in headless Chromium, and keep a screenshot of every state.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Check every state in each width and theme instead of in one of them.
    #[arg(long)]
    all: bool,
    /// Only the tests whose names contain this text.
    name: Option<String>,
}

/// Each with its Debian package.
const PROGRAMS: [(&str, &str); 2] = [("chromium", "chromium"), ("chromedriver", "chromium-driver")];

/// The variables that the tests read.
const AXE_VARIABLE: &str = "VOTEKIT_TEST_AXE";
const VIEWS_VARIABLE: &str = "VOTEKIT_TEST_VIEWS";

/// The tools that the tests need besides the node.
pub(crate) struct BrowserTools {
    axe: PathBuf,
}

impl BrowserTools {
    /// Finds the programs and axe-core. Installs what is missing.
    ///
    /// # Errors
    /// When something is missing and cannot be installed.
    pub(crate) fn find_or_install() -> Result<Self> {
        let missing = PROGRAMS.iter().filter(|(program, _)| packages::in_path(program).is_none());
        let missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
        if !missing.is_empty() {
            packages::install(&missing)?;
        }
        Ok(Self { axe: axe::find_or_download()? })
    }

    /// Makes a `cargo test` use them, with one view of each state.
    pub(crate) fn hand_over(&self, command: &mut Command) {
        command.env(AXE_VARIABLE, &self.axe).env_remove(VIEWS_VARIABLE);
    }
}

/// Builds the node and runs the tests.
///
/// # Errors
/// When something is missing, or a test fails.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let tools = BrowserTools::find_or_install()?;
    // In the configuration of all other checks, so that nothing compiles twice.
    let build = ["build", "--quiet", "--workspace", "--bins", "--examples"];
    project::succeed(&mut project::cargo(build))?;
    let mut command = project::cargo(["test", "--workspace", "--test", "browser"]);
    tools.hand_over(&mut command);
    if arguments.all {
        command.env(VIEWS_VARIABLE, "all");
    }
    command.args(&arguments.name);
    project::succeed(&mut command)?;
    println!("screenshots are in {}", project::target_dir()?.join("browser").display());
    Ok(())
}
