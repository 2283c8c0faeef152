//! The firewall CNI plugin
