//! Removal of connection tracking entries
