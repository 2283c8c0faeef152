//! How a command fails.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::unistd::Uid;

use crate::output;

/// Why a command has not done what it was told, and the exit status that says so.
///
/// It is no [`Error`] itself, so that every error becomes one by `?`.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    error: Box<dyn Error + Send + Sync>,
}

/// The exit status of failures that have none of their own.
const FAILED: u8 = 1;

impl Failure {
    /// The same with another exit status.
    pub(crate) fn with_status(self, status: u8) -> Self {
        Self { status, ..self }
    }

    /// The same with that exit status, unless it has one of its own.
    pub(crate) fn or_status(self, status: u8) -> Self {
        if self.status == FAILED { self.with_status(status) } else { self }
    }

    pub(crate) fn status(&self) -> u8 {
        self.status
    }

    /// Whether the kernel refuses it to this user.
    fn is_refused(&self) -> bool {
        causes(&*self.error).any(|cause| match (cause.downcast_ref::<io::Error>(), cause.downcast_ref::<Errno>()) {
            (Some(error), _) => error.kind() == ErrorKind::PermissionDenied,
            (_, Some(errno)) => matches!(errno, Errno::EACCES | Errno::EPERM),
            _ => false,
        })
    }

    /// Writes one line to stderr: the error with its causes.
    pub(crate) fn report(&self) -> ExitCode {
        self.tell();
        ExitCode::from(self.status)
    }

    /// Writes it, while the command goes on. That this user may not do it, the command itself is about to find and say.
    pub(crate) fn mention(&self) {
        if !self.is_refused() {
            output::complain(self);
        }
    }

    fn tell(&self) {
        if self.is_refused() && !Uid::effective().is_root() {
            output::complain(format_args!("{self}: this takes root, as sudo gives it"));
        } else {
            output::complain(self);
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&line(&*self.error))
    }
}

/// An error with its causes. A line is one line, whatever stood in a configuration.
pub(crate) fn line(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ").replace(['\n', '\r'], " ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error| (*error).source())
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { status: FAILED, error: error.into() }
    }
}

/// Notes failures while the work goes on with the next object: each is written at once, and the first one's status is the
/// command's.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(Option<u8>);

impl Outcomes {
    pub(crate) fn note<T>(&mut self, outcome: Result<T, Failure>) -> Option<T> {
        outcome
            .inspect_err(|failure| {
                failure.tell();
                self.0.get_or_insert(failure.status);
            })
            .ok()
    }

    pub(crate) fn any_failed(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn status(self) -> ExitCode {
        ExitCode::from(self.0.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read\nit")]
        struct Outer(#[source] std::io::Error);
        let failure = Failure::from(Outer(std::io::Error::other("no disk")));
        assert_eq!(failure.to_string(), "cannot read it: no disk");
    }

    #[test]
    fn what_the_kernel_refuses_is_told_from_the_rest() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot lock it")]
        struct Lock<E: std::error::Error + 'static>(#[source] E);
        let of = |errno: Errno| std::io::Error::from(errno);
        assert!(Failure::from(Lock(of(Errno::EACCES))).is_refused() && Failure::from(Lock(Errno::EPERM)).is_refused());
        assert!(!Failure::from(Lock(of(Errno::ENOENT))).is_refused() && !Failure::from("no").is_refused());
    }

    #[test]
    fn the_first_failure_is_the_command_s() {
        let mut outcomes = Outcomes::default();
        assert_eq!(outcomes.note(Ok(1)), Some(1));
        for status in [2, 1] {
            assert_eq!(outcomes.note::<()>(Err(Failure::from("x").with_status(status))), None);
        }
        assert_eq!(outcomes.0, Some(2));
    }
}
