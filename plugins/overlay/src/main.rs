//! The `overlay` CNI plugin.

suite::main!(overlay_plugin::Overlay);
