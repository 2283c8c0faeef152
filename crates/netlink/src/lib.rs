//! Links, addresses, routes, neighbours and traffic control over blocking netlink sockets
