//! Rollback: every step that changes the world says how to take it back.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How to take one change back.
struct Step {
    turn: Turn,
    label: String,
    /// On a thread inside the container's namespace, one may be pushed too.
    run: Box<dyn FnOnce() -> Result<(), Box<dyn std::error::Error>> + Send>,
}

/// In which order: the greatest comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    AfterAllElse,
    #[default]
    Usual,
    BeforeAllElse,
}

/// What an ADD has changed so far, and how to take it back.
///
/// A step is pushed before the change that it undoes, because the change may be made and the answer to it get lost; so it has
/// to bear that nothing was changed. Only where it needs to know what the change made, it is pushed right after it. The runner
/// alone decides: once the reply is on stdout the steps are forgotten; after an error, a panic or a failed print they run, last
/// first.
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
    steps: Vec<Step>,
    /// That of what is pushed now.
    turn: Turn,
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
        let run = Box::new(move || step().map_err(Into::into));
        self.steps.push(Step { turn: self.turn, label: label.into(), run });
    }

    /// Does what can be taken back only as long as everything else is as it is now, whatever will be done after it: what `change`
    /// pushes runs before all else.
    pub fn before_all_else<T>(&mut self, change: impl FnOnce(&mut Self) -> T) -> T {
        self.at(Turn::BeforeAllElse, change)
    }

    /// Does what may belong to another container once it is taken back, so that nothing made with it may be left by then, whenever that
    /// was made: what `change` pushes runs after all else, and not at all if something could not be taken back.
    pub fn after_all_else<T>(&mut self, change: impl FnOnce(&mut Self) -> T) -> T {
        self.at(Turn::AfterAllElse, change)
    }

    fn at<T>(&mut self, turn: Turn, change: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.turn, turn);
        let outcome = change(self);
        self.turn = before;
        outcome
    }

    /// Takes everything back, last first, going on past failures and panics; says which steps failed and why, and which were left
    /// out for that ([`Undo::after_all_else`]).
    #[must_use]
    pub fn roll_back(&mut self) -> Vec<String> {
        let mut steps = std::mem::take(&mut self.steps);
        // It keeps the order of those that have the same turn.
        steps.sort_by_key(|step| step.turn);
        let (mut failures, mut is_all_gone) = (Vec::new(), true);
        for Step { turn, label, run } in steps.into_iter().rev() {
            if turn == Turn::AfterAllElse && !is_all_gone {
                failures.push(format!("did not {label}, because of that"));
                continue;
            }
            let before = failures.len();
            match catch_unwind(AssertUnwindSafe(run)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failures.push(format!("could not {label}: {error}")),
                Err(_) => failures.push(format!("could not {label}: a bug, see stderr")),
            }
            is_all_gone &= turn != Turn::Usual || failures.len() == before;
        }
        failures
    }

    /// The reply is out: what was done stays.
    pub fn commit(self) {
        drop(self.steps);
    }
}

impl fmt::Debug for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.steps.iter().map(|step| &step.label)).finish()
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
    fn what_depends_on_all_the_rest_is_taken_back_before_it_and_what_all_the_rest_depends_on_after_it() {
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
        undo.before_all_else(|undo| undo.push("undo", note("lease")));
        undo.after_all_else(|undo| {
            undo.push("undo", note("file"));
            undo.push("undo", note("address"));
        });
        undo.push("undo", note("rule"));
        assert!(undo.roll_back().is_empty());
        assert_eq!(*order.lock().unwrap(), ["lease", "rule", "link", "address", "file"]);
    }

    #[test]
    fn what_the_rest_depends_on_stays_if_not_all_the_rest_is_taken_back() {
        let step = |result: Result<(), &'static str>| move || result;
        let rolled_back = |lease, rule| {
            let mut undo = Undo::new();
            undo.after_all_else(|undo| undo.push("release the address", step(Ok(()))));
            undo.before_all_else(|undo| undo.push("release the lease", step(lease)));
            undo.push("remove the rule", step(rule));
            undo.push("delete the link", step(Ok(())));
            undo.roll_back()
        };
        let stuck = ["could not remove the rule: stuck", "did not release the address, because of that"];
        assert_eq!(rolled_back(Ok(()), Err("stuck")), stuck);
        assert_eq!(rolled_back(Err("no server"), Ok(())), ["could not release the lease: no server"]);
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
