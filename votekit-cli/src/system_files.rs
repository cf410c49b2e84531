//! Files that operating systems add to the folders they show; they are not part of the content.

use crate::context::Context;

/// Warns of these files. They do not affect the result.
pub(crate) fn warn(context: &Context, names: &[String]) {
    for name in names {
        context
            .output
            .warning(format_args!("{name} was created by the operating system; delete it"));
    }
}
