//! The bridge CNI plugin
