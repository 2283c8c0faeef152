//! Binding container addresses to a firewalld zone
