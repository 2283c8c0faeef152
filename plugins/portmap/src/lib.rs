//! The portmap CNI plugin
