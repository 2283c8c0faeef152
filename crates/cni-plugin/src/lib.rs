//! The CNI protocol for plugin authors
