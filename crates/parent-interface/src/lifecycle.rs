//! The verbs that are the same for every interface that a plugin makes inside the container, on a link of the host.

use cni_plugin::{Del, Error, Failures, Gc, Sibling};

use crate::{detach, detach_stale};

/// DEL: the interface, which is of `kind`, then its addresses, then what the attachment holds of the link under it.
///
/// # Errors
/// Everything that failed; the rest is done nevertheless.
pub fn del<C>(request: &Del<C>, siblings: &[Sibling], kind: &str) -> Result<(), Error> {
    let mut failures = Failures::new();
    request.network.delete_and_release(siblings, &mut failures, || {
        container_interface::link::delete(request.netns.as_deref(), &request.attachment, kind)
    });
    failures.note(detach(&request.attachment));
    failures.into_result()
}

/// GC: links that only stale attachments hold, then addresses. The interfaces went with their containers' namespaces.
///
/// # Errors
/// As [`del`].
pub fn gc<C>(request: &Gc<C>, siblings: &[Sibling]) -> Result<(), Error> {
    let mut failures = Failures::new();
    failures.note(detach_stale(|holder| request.is_stale(holder)));
    failures.note(request.network.forward_to_ipam(siblings));
    failures.into_result()
}
