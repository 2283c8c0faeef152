//! One iptables-restore per change, and what the host's iptables would do to a packet
