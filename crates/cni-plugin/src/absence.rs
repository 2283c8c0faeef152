//! Files that are not there.

use std::io::{Error, ErrorKind};

/// Whether a file is not there. Any other failure says nothing of that.
pub(crate) fn is_absence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
