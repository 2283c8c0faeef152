//! The loopback CNI plugin
