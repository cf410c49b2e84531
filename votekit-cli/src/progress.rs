//! Progress bars for long work, shown only when standard error is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that counts bytes; without a total (standard input), a spinner.
pub(crate) fn bytes(label: &'static str, total: Option<u64>) -> ProgressBar {
    bar(label, total, "{bytes} of {total_bytes}, {eta} left", "{bytes}, {elapsed}")
}

/// A bar that counts items.
pub(crate) fn count(label: &'static str, total: Option<u64>) -> ProgressBar {
    bar(label, total, "{human_pos} of {human_len}, {eta} left", "{human_pos}, {elapsed}")
}

fn bar(
    label: &'static str,
    total: Option<u64>,
    with_total: &str,
    without_total: &str,
) -> ProgressBar {
    let template = match total {
        Some(_) => format!("{{msg}} {{wide_bar}} {with_total}"),
        None => format!("{{msg}} {{spinner}} {without_total}"),
    };
    let style =
        ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    // Indicatif draws nothing when standard error is not a terminal.
    ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr())
        .with_style(style)
        .with_message(label)
}
