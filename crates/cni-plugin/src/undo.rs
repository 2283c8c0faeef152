//! Rollback: every step that changes the world says how to take it back.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// On a thread inside the container's namespace, one may be pushed too.
type Step = Box<dyn FnOnce() -> Result<(), Box<dyn std::error::Error>> + Send>;

/// What an ADD has changed so far, and how to take it back.
///
/// A step is pushed before the change that it undoes, because the change may be made and the answer to it get lost; so it has
/// to bear that nothing was changed. Only where it needs to know what the change made, it is pushed right after it. The runner alone decides: once the reply is on stdout the steps are
/// forgotten; after an error, a panic or a failed print they run, last first.
///
/// ```
/// use cni_plugin::Undo;
/// let mut undo = Undo::new();
/// undo.push("remove /tmp/undo-example", || std::fs::remove_dir("/tmp/undo-example"));
/// std::fs::create_dir("/tmp/undo-example").unwrap();
/// assert!(undo.roll_back().is_empty());
/// assert!(!std::path::Path::new("/tmp/undo-example").exists());
/// ```
#[derive(Default)]
pub struct Undo {
    steps: Vec<(String, Step)>,
    /// Those that run before all others.
    first: Vec<(String, Step)>,
}

impl Undo {
    /// Nothing to take back yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers how to take back what is about to be done; `label` says what the step does, for the report when it fails.
    pub fn push<E>(&mut self, label: impl Into<String>, step: impl FnOnce() -> Result<(), E> + Send + 'static)
    where
        E: Into<Box<dyn std::error::Error>>,
    {
        self.steps.push((label.into(), Box::new(move || step().map_err(Into::into))));
    }

    /// The same for what can be taken back only as long as everything else is as it is now, whatever will be done after it.
    pub(crate) fn push_first<E>(
        &mut self,
        label: impl Into<String>,
        step: impl FnOnce() -> Result<(), E> + Send + 'static,
    ) where
        E: Into<Box<dyn std::error::Error>>,
    {
        self.first.push((label.into(), Box::new(move || step().map_err(Into::into))));
    }

    /// Takes everything back, last first, going on past failures and panics; says which steps failed and why.
    #[must_use]
    pub fn roll_back(&mut self) -> Vec<String> {
        let mut failures = Vec::new();
        while let Some((label, step)) = self.first.pop().or_else(|| self.steps.pop()) {
            match catch_unwind(AssertUnwindSafe(step)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failures.push(format!("could not {label}: {error}")),
                Err(_) => failures.push(format!("could not {label}: a bug, see stderr")),
            }
        }
        failures
    }

    /// The reply is out: what was done stays.
    pub(crate) fn commit(self) {
        drop((self.steps, self.first));
    }
}

impl fmt::Debug for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.steps.iter().chain(&self.first).map(|(label, _)| label)).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn steps_run_last_first_and_past_failures() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut undo = Undo::new();
        for i in 0..3 {
            let order = Arc::clone(&order);
            undo.push(format!("undo {i}"), move || {
                order.lock().unwrap().push(i);
                if i == 1 { Err(std::io::Error::other("stuck")) } else { Ok(()) }
            });
        }
        assert_eq!(undo.roll_back(), ["could not undo 1: stuck"]);
        assert_eq!(*order.lock().unwrap(), [2, 1, 0]);
        assert!(undo.roll_back().is_empty(), "each step runs once");
    }

    #[test]
    fn what_depends_on_all_the_rest_is_taken_back_before_it() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |word| {
            let order = Arc::clone(&order);
            move || {
                order.lock().unwrap().push(word);
                Ok::<_, std::io::Error>(())
            }
        };
        let mut undo = Undo::new();
        undo.push("undo", note("link"));
        undo.push_first("undo", note("lease"));
        undo.push("undo", note("rule"));
        assert!(undo.roll_back().is_empty());
        assert_eq!(*order.lock().unwrap(), ["lease", "rule", "link"]);
    }

    #[test]
    fn a_step_that_panics_does_not_keep_the_others_from_running() {
        let ran = Arc::new(Mutex::new(false));
        let mut undo = Undo::new();
        let flag = Arc::clone(&ran);
        undo.push("run", move || -> Result<(), std::io::Error> {
            *flag.lock().unwrap() = true;
            Ok(())
        });
        undo.push("panic", || -> Result<(), std::io::Error> { panic!("a bug") });
        assert_eq!(undo.roll_back(), ["could not panic: a bug, see stderr"]);
        assert!(*ran.lock().unwrap());
    }

    #[test]
    fn a_commit_forgets() {
        let mut undo = Undo::new();
        undo.push("fail", || -> Result<(), std::io::Error> { panic!("must not run") });
        undo.commit();
    }
}
