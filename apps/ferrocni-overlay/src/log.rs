//! What the agent says, on stderr, which systemd keeps: one line a matter.

use std::error::Error;

pub(crate) fn say(what: &str) {
    // In one piece, and one line whatever stood in etcd.
    let line = format!("{}\n", what.replace(['\n', '\r'], " "));
    eprint!("{line}");
}

/// An error with its causes. gRPC repeats a cause's words in its own: they are said once.
pub(crate) fn line(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |cause| (*cause).source()).map(ToString::to_string);
    causes.fold(String::new(), |said, cause| match &said[..] {
        "" => cause,
        _ if said.contains(&cause) => said,
        _ => format!("{said}: {cause}"),
    })
}

/// Matters that last: each is said when it comes up, and again when it is over.
#[derive(Debug, Default)]
pub(crate) struct Matters(std::collections::BTreeSet<String>);

impl Matters {
    /// These are the matters now.
    pub(crate) fn are(&mut self, now: std::collections::BTreeSet<String>) {
        for new in now.difference(&self.0) {
            say(new);
        }
        for over in self.0.difference(&now) {
            say(&format!("over: {over}"));
        }
        self.0 = now;
    }

    pub(crate) fn list(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}
