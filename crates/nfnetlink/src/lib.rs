//! The netfilter netlink transport: message and attribute codec, batches, sockets
