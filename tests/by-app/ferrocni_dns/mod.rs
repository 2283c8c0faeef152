//! `ferrocni-dns`: containers ask, over real packets, in namespaces of their own.
//!
//! - `answers`: what is answered to whom, by every kind of question
//! - `forwarding`: what is not known here goes to the right server, from the right place, and liars are not heard
//! - `hostile`: malformed, huge, slow and too many questions
//! - `lifetime`: names, sockets and namespaces come and go, and so does the server
//! - `load`: nothing is lost or stale while containers come and go
//! - `systemd`: sockets outlive the server
//!
//! `scene` makes hosts with a server and containers with records, `client` asks, `upstream` is another server.

mod answers;
mod client;
mod forwarding;
mod hostile;
mod lifetime;
mod load;
mod scene;
mod systemd;
mod upstream;
