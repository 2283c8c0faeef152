//! Sockets outlive the server.
