//! Addresses from ranges, reserved in files on this host
