//! Values that a link works without: where they cannot be set, that is said, and all goes on.

use crate::{Error, is_same, read, write};

/// Has the host ignore who says to be a router on a link: a container must not be able to give it a default route
/// (CVE-2020-10749).
///
/// # Errors
/// As [`take_precaution`].
pub fn refuse_router_advertisements(link: &str) -> Result<(), Error> {
    take_precaution(&["ipv6", "conf", link, "accept_ra"], "0")
}

/// Has the host use its IPv6 addresses on a link at once, if this is said before the link goes up. Neighbour discovery for
/// what the host forwards speaks from its link-local address (`ndisc_solicit`, net/ipv6/ndisc.c): while the kernel makes
/// sure that no other host has that, which takes one to two seconds, nothing it forwards finds a container. An administrator
/// who wants it made sure everywhere says so in `conf/all/accept_dad`.
///
/// # Errors
/// As [`take_precaution`].
pub fn skip_duplicate_address_detection(link: &str) -> Result<(), Error> {
    take_precaution(&["ipv6", "conf", link, "accept_dad"], "0")
}

/// Sets a sysctl of IPv6. A host without IPv6 needs none; where /proc/sys cannot be written, and the value is another,
/// standard error is told.
///
/// It is written without being read first, because it is for new links, which have the kernel's own values.
///
/// # Errors
/// As for [`write()`], but for [`Error::NotFound`] and [`Error::Forbidden`].
pub fn take_precaution(key: &[&str], value: &str) -> Result<(), Error> {
    match write(key, value) {
        Err(Error::NotFound { .. }) => Ok(()),
        Err(error @ Error::Forbidden { .. }) => {
            // A sysctl that cannot be read either is reported too. Neither case is an error.
            if !read(key).is_ok_and(|found| is_same(&found, value)) {
                eprintln!("{error}; going on without");
            }
            Ok(())
        }
        outcome => outcome,
    }
}
