//! Links without a wire.

use tests::{Host, Inside as _};

#[test]
fn the_kernel_has_it() {
    Host::new().shell("ip link add name d0 type dummy");
}
