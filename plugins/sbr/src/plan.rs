//! Computes the changes from the present state, without any request to the kernel.

use std::net::{IpAddr, Ipv6Addr};

use cni_plugin::IpConfig;
use ipnetwork::IpNetwork;
use netlink::{Route, Rule, scope, table};

use crate::Config;

/// The first table that is looked at for being free.
pub(crate) const FIRST_TABLE: u32 = 100;

/// What the kernel gives an IPv6 route for which no priority is asked (include/uapi/linux/ipv6_route.h).
const IP6_RT_PRIO_USER: u32 = 1024;

/// Changes, in the order in which they can be made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// One for each address.
    pub(crate) rules: Vec<Rule>,
    /// Routes of the tables that the rules lead to, and those of the main table that get a source.
    pub(crate) set: Vec<Route>,
    /// Routes that leave the main table.
    pub(crate) removed: Vec<Route>,
}

/// The interface, as it is in the container and as the plugin before says.
#[derive(Debug)]
pub(crate) struct Interface<'a> {
    /// Its index in the container's namespace.
    pub(crate) link: u32,
    /// The addresses in the previous plugin's result.
    pub(crate) ips: &'a [&'a IpConfig],
    /// All addresses that it has in the kernel.
    pub(crate) addresses: Vec<IpNetwork>,
    /// Its routes in the main table.
    pub(crate) routes: Vec<Route>,
}

impl Plan {
    /// Each address gets a table that is not `used`, with those of the routes that are its own; or a rule alone if the
    /// configuration names a table.
    pub(crate) fn new(config: &Config, interface: &Interface<'_>, used: &[u32]) -> Self {
        let (link, ips) = (interface.link, interface.ips);
        if let Some(table) = config.table {
            let rules = ips.iter().map(|ip| Rule::from_address(ip.address.ip(), table)).collect();
            return Self { rules, ..Self::default() };
        }
        let routes: Vec<&Route> = interface.routes.iter().filter(|route| !is_link_local(route.destination)).collect();
        let mut plan = Self::default();
        for (ip, table) in ips.iter().zip((FIRST_TABLE..).filter(|table| !used.contains(table))) {
            plan.rules.push(Rule::from_address(ip.address.ip(), table));
            let default = default_route(config, link, ip);
            let is_wanted = |route: &Route| match &default {
                Some(default) if route.is_default() => route.gateway == default.gateway,
                _ => interface.is_route_of(route, ip),
            };
            let own: Vec<&Route> = routes.iter().filter(|route| is_wanted(route)).copied().collect();
            // What the plugin before made may say more, as an MTU.
            let missing = default.as_ref().filter(|_| !own.iter().any(|route| route.is_default()));
            plan.set.extend(missing.into_iter().chain(own).map(|route| Route { table, ..route.clone() }));
        }
        if config.add_source_hints {
            plan.set.extend(ips.iter().map(|ip| subnet_route(link, ip)));
        }
        let stays = |route: &Route| config.add_source_hints && route.gateway.is_none();
        let is_taken_over = |route: &Route| ips.iter().any(|ip| interface.is_route_of(route, ip));
        plan.removed.extend(routes.into_iter().filter(|route| is_taken_over(route) && !stays(route)).cloned());
        plan
    }
}

impl Interface<'_> {
    /// Whether a route is for what is sent from this address: it leads into or through its subnet, or is for every source, as one
    /// through a gateway that is in no address's subnet.
    fn is_route_of(&self, route: &Route, ip: &IpConfig) -> bool {
        if route.destination.is_ipv4() != ip.address.is_ipv4() {
            return false;
        }
        let is_near = |address: IpAddr| ip.address.contains(address);
        match (route.source, route.gateway) {
            (Some(source), _) if is_near(source) => true,
            (_, Some(gateway)) if is_near(gateway) => true,
            (None, gateway) => !gateway.is_some_and(|gateway| self.is_near_an_address(gateway)),
            _ => false,
        }
    }

    /// Link-local addresses are near every router that has one as well, whatever it routes.
    fn is_near_an_address(&self, gateway: IpAddr) -> bool {
        self.addresses.iter().any(|address| !is_link_local(*address) && address.contains(gateway))
    }
}

/// The plugin before may have left it out.
pub(crate) fn default_route(config: &Config, link: u32, ip: &IpConfig) -> Option<Route> {
    let own = ip.gateway.filter(|gateway| gateway.is_ipv4() == ip.address.is_ipv4());
    let gateway = config.gateways.of_family(ip.address.ip()).or(own).filter(|gateway| !gateway.is_unspecified())?;
    Some(Route { onlink: !ip.address.contains(gateway), ..Route::default_via(gateway, link) })
}

/// What others on the link are sent from, if a program does not say. In IPv4 it takes the place of the kernel's own route to
/// the subnet, in IPv6 it is another one.
pub(crate) fn subnet_route(link: u32, ip: &IpConfig) -> Route {
    Route {
        priority: ip.address.is_ipv6().then_some(IP6_RT_PRIO_USER),
        link: Some(link),
        source: Some(ip.address.ip()),
        scope: Some(scope::LINK),
        table: table::MAIN,
        ..Route::new(ip.address)
    }
}

/// fe80::/10 is for talking to the link itself, whatever is sent from where.
fn is_link_local(destination: IpNetwork) -> bool {
    const FE80: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
    matches!(destination, IpNetwork::V6(network) if network.prefix() >= 10 && network.ip().segments()[0] & 0xffc0 == FE80.segments()[0])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    const LINK: u32 = 7;

    fn config(value: &serde_json::Value) -> Config {
        cni_plugin::json::from_value(value).unwrap()
    }

    fn ip(address: &str, gateway: Option<&str>) -> IpConfig {
        let gateway = gateway.map(|gateway| gateway.parse().unwrap());
        IpConfig::new(address.parse().unwrap(), gateway)
    }

    fn route(to: &str) -> Route {
        Route { link: Some(LINK), ..Route::new(to.parse().unwrap()) }
    }

    fn through(to: &str, gateway: &str) -> Route {
        Route { gateway: Some(gateway.parse().unwrap()), ..route(to) }
    }

    fn connected(to: &str, source: &str) -> Route {
        Route { source: Some(source.parse().unwrap()), ..route(to) }
    }

    /// An interface that has the addresses which the plugin before says.
    fn interface<'a>(ips: &'a [&'a IpConfig], routes: &[Route]) -> Interface<'a> {
        let addresses = ips.iter().map(|ip| ip.address).collect();
        Interface { link: LINK, ips, addresses, routes: routes.to_vec() }
    }

    fn tables_and_destinations(routes: &[Route]) -> Vec<(u32, String)> {
        routes.iter().map(|route| (route.table, route.destination.to_string())).collect()
    }

    #[test]
    fn each_address_gets_a_table_with_its_routes() {
        let (four, six) = (ip("10.1.0.2/24", Some("10.1.0.1")), ip("fd00::2/64", None));
        let routes = [
            connected("10.1.0.0/24", "10.1.0.2"),
            through("10.9.0.0/16", "10.1.0.3"),
            route("fd00::/64"),
            route("fe80::/64"),
        ];
        let plan = Plan::new(&Config::default(), &interface(&[&four, &six], &routes), &[100, 102]);
        let rules: Vec<_> = plan.rules.iter().map(|rule| (rule.source.to_string(), rule.table)).collect();
        assert_eq!(rules, [("10.1.0.2/32".to_owned(), 101), ("fd00::2/128".to_owned(), 103)]);
        let expected = [(101, "0.0.0.0/0"), (101, "10.1.0.0/24"), (101, "10.9.0.0/16"), (103, "fd00::/64")];
        assert_eq!(tables_and_destinations(&plan.set), expected.map(|(table, to)| (table, to.to_owned())));
        assert_eq!(plan.removed, routes[..3], "link-local routes stay");
    }

    #[test]
    fn a_configured_gateway_wins() {
        let four = ip("10.1.0.2/24", Some("10.1.0.1"));
        let plan = Plan::new(&config(&json!({"gateways": ["10.1.0.254"]})), &interface(&[&four], &[]), &[]);
        assert_eq!(plan.set, [Route { table: 100, ..through("0.0.0.0/0", "10.1.0.254") }]);
    }

    #[test]
    fn a_gateway_of_the_other_family_is_none_and_neither_is_the_unspecified_address() {
        for six in [ip("fd00::2/64", Some("10.1.0.1")), ip("fd00::2/64", Some("::"))] {
            assert!(Plan::new(&Config::default(), &interface(&[&six], &[]), &[]).set.is_empty());
        }
    }

    #[test]
    fn of_the_default_routes_only_that_of_the_gateway_is_taken_over() {
        let four = ip("10.1.0.2/24", Some("10.1.0.1"));
        let small = Route { mtu: Some(1400), ..through("0.0.0.0/0", "10.1.0.1") };
        let routes = [small.clone(), through("0.0.0.0/0", "10.1.0.9")];
        let plan = Plan::new(&Config::default(), &interface(&[&four], &routes), &[]);
        assert_eq!(plan.set, [Route { table: 100, ..small }]);
        let config = config(&json!({"gateways": ["10.1.0.254"]}));
        let plan = Plan::new(&config, &interface(&[&four], &routes), &[]);
        assert_eq!(plan.set, [Route { table: 100, ..through("0.0.0.0/0", "10.1.0.254") }]);
        assert_eq!(plan.removed, routes);
    }

    #[test]
    fn a_named_table_gets_rules_alone() {
        let four = ip("10.1.0.2/24", Some("10.1.0.1"));
        let plan = Plan::new(&config(&json!({"table": 42})), &interface(&[&four], &[route("10.1.0.0/24")]), &[42]);
        assert_eq!(plan, Plan { rules: vec![Rule::from_address(four.address.ip(), 42)], ..Plan::default() });
    }

    #[test]
    fn with_source_hints_the_subnet_stays_in_the_main_table() {
        let four = ip("10.1.0.2/24", Some("10.1.0.1"));
        let routes = [connected("10.1.0.0/24", "10.1.0.2"), through("0.0.0.0/0", "10.1.0.1")];
        let plan = Plan::new(&config(&json!({"addSourceHints": true})), &interface(&[&four], &routes), &[]);
        let hint = Route { scope: Some(scope::LINK), ..connected("10.1.0.2/24", "10.1.0.2") };
        assert_eq!(plan.set.last(), Some(&hint));
        assert_eq!(plan.removed, routes[1..]);
    }

    #[test]
    fn routes_of_addresses_that_are_not_asked_about_stay() {
        let six = ip("fd00::2/64", None);
        let routes = [connected("10.1.0.0/24", "10.1.0.2"), route("fd00::/64")];
        let plan = Plan::new(&Config::default(), &interface(&[&six], &routes), &[]);
        assert_eq!(plan.removed, routes[1..]);
    }

    #[test]
    fn routes_of_another_subnet_are_not_this_addresss() {
        let (one, other) = (ip("10.1.0.2/24", None), ip("10.2.0.2/24", None));
        let routes = [connected("10.1.0.0/24", "10.1.0.2"), through("10.9.0.0/16", "10.2.0.1")];
        let plan = Plan::new(&Config::default(), &interface(&[&one, &other], &routes), &[]);
        let expected = [(100, "10.1.0.0/24"), (101, "10.9.0.0/16")].map(|(table, to)| (table, to.to_owned()));
        assert_eq!(tables_and_destinations(&plan.set), expected);
    }

    #[test]
    fn a_gateway_in_no_subnet_serves_every_address_of_its_family() {
        let (four, six) = (ip("10.1.0.2/32", None), ip("2001:db8::5/64", None));
        let routes = [through("0.0.0.0/0", "169.254.1.1"), through("::/0", "fe80::1")];
        let ips = [&four, &six];
        let mut interface = interface(&ips, &routes);
        interface.addresses.push("fe80::5/64".parse().unwrap());
        let plan = Plan::new(&Config::default(), &interface, &[]);
        let expected = [(100, "0.0.0.0/0"), (101, "::/0")].map(|(table, to)| (table, to.to_owned()));
        assert_eq!(tables_and_destinations(&plan.set), expected);
        assert_eq!(plan.removed, routes);
    }

    #[test]
    fn a_gateway_in_the_subnet_of_somebody_else_s_address_is_that_one_s() {
        let four = ip("10.1.0.2/24", None);
        let routes = [through("10.9.0.0/16", "10.2.0.1")];
        let ips = [&four];
        let mut interface = interface(&ips, &routes);
        interface.addresses.push("10.2.0.9/24".parse().unwrap());
        assert_eq!(Plan::new(&Config::default(), &interface, &[]).removed, []);
    }

    #[test]
    fn a_gateway_of_the_address_may_be_outside_of_its_subnet() {
        let four = ip("10.1.0.2/32", Some("10.1.0.1"));
        let plan = Plan::new(&Config::default(), &interface(&[&four], &[]), &[]);
        assert_eq!(plan.set, [Route { table: 100, onlink: true, ..through("0.0.0.0/0", "10.1.0.1") }]);
    }
}
