//! Rules and routes in the container.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;

use cni_plugin::{Add, AddResult, Check, Del, Difference, IpConfig, Undo};
use ipnetwork::IpNetwork;
use netlink::{Family, Netns, Route, Rule, Socket, if_found, table};

use crate::plan::{self, Interface, Plan};
use crate::{Config, Error};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Gives each of the interface's addresses a table of its own.
pub(crate) fn apply(request: &Add<Config>, result: &AddResult, undo: &mut Undo) -> Result<(), Error> {
    let ifname = &request.attachment.ifname;
    let ips: Vec<&IpConfig> = result.ips_of(ifname.as_str()).collect();
    if ips.is_empty() {
        return Err(Error::NoAddress { ifname: ifname.clone() });
    }
    let netns = Netns::open(&request.netns)?;
    // Another attachment of the same container must not choose the same table.
    let _lock = lock(&netns)?;
    let mut inside = Socket::open_in(&netns)?;
    let plan = make_plan(&mut inside, &request.network.config, ifname.as_str(), &ips)?;
    undo_additions(&plan, &request.netns, undo);
    carry_out_additions(&mut inside, &plan)?;
    undo_removals(&plan, &request.netns, undo);
    let mut batch = inside.batch();
    for route in &plan.removed {
        batch.delete_route(route);
    }
    Ok(batch.send()?)
}

/// The Go suite locks the namespace's own file as well.
fn lock(netns: &Netns) -> Result<File, Error> {
    let failed = |source| Error::Lock { path: netns.path().display().to_string(), source };
    let file = File::from(netns.as_fd().try_clone_to_owned().map_err(failed)?);
    file.lock().map_err(failed)?;
    Ok(file)
}

fn make_plan(inside: &mut Socket, config: &Config, ifname: &str, ips: &[&IpConfig]) -> Result<Plan, Error> {
    let link = inside.link(ifname)?.index;
    let mut interface = Interface { link, ips, addresses: Vec::new(), routes: Vec::new() };
    if config.table.is_some() {
        return Ok(Plan::new(config, &interface, &[]));
    }
    interface.addresses.extend(inside.addresses(link)?.iter().map(|address| address.network));
    let mut used = Vec::new();
    for family in FAMILIES {
        used.extend(inside.rules(family)?.iter().map(|rule| rule.table));
        let routes = inside.routes_in_all_tables(family, None)?;
        used.extend(routes.iter().map(|route| route.table));
        let is_own = |route: &Route| route.link == Some(link) && route.table == table::MAIN;
        interface.routes.extend(routes.into_iter().filter(is_own));
    }
    Ok(Plan::new(config, &interface, &used))
}

fn carry_out_additions(inside: &mut Socket, plan: &Plan) -> Result<(), Error> {
    let mut batch = inside.batch();
    for route in &plan.set {
        // The default route may be among those of the plugin before as well.
        batch.replace_route(route);
    }
    for rule in &plan.rules {
        batch.add_rule(rule);
    }
    Ok(batch.send()?)
}

fn undo_additions(plan: &Plan, netns: &Path, undo: &mut Undo) {
    let (rules, netns) = (plan.rules.clone(), netns.to_owned());
    let is_new = |route: &&Route| route.table != table::MAIN || route.destination.is_ipv6();
    let routes: Vec<Route> = plan.set.iter().filter(is_new).cloned().collect();
    undo.push("remove the routing rules and their tables' routes", move || {
        let mut inside = Socket::open_in(&Netns::open(netns)?)?;
        let mut outcome = Ok(());
        for rule in &rules {
            outcome = outcome.and(if_found(inside.batch().delete_rule(rule).send()).map(drop));
        }
        for route in &routes {
            outcome = outcome.and(if_found(inside.delete_route(route)).map(drop));
        }
        outcome
    });
}

fn undo_removals(plan: &Plan, netns: &Path, undo: &mut Undo) {
    let (routes, netns) = (plan.removed.clone(), netns.to_owned());
    undo.push("bring the routes of the main table back", move || {
        restore(&mut Socket::open_in(&Netns::open(netns)?)?, &routes)
    });
}

/// Takes back what ADD did for the addresses that the result says, and for those that the interface has.
pub(crate) fn remove(request: &Del<Config>) -> Result<(), Error> {
    let inside = container_interface::link::enter_own(request.netns.as_deref(), &request.attachment)?;
    let Some(mut inside) = inside else { return Ok(()) };
    let ifname = request.attachment.ifname.as_str();
    let result = request.network.prev_result.as_deref();
    let known = result.iter().flat_map(|result| result.ips_of(ifname));
    let mut sources: Vec<IpNetwork> = known.map(|ip| ip.address.ip().into()).collect();
    let link = if_found(inside.link(ifname))?.map(|link| link.index);
    if let Some(link) = link {
        let addresses = inside.addresses(link)?;
        sources.extend(addresses.iter().map(|address| IpNetwork::from(address.network.ip())));
    }
    let named = request.network.config.table;
    let is_ours = |rule: &Rule| named.map_or(rule.table >= plan::FIRST_TABLE, |table| rule.table == table);
    let mut outcome = Ok(());
    for rule in rules_for(&mut inside, &sources)?.into_iter().filter(is_ours) {
        let link = link.filter(|_| named.is_none());
        outcome = outcome.and(take_back(&mut inside, &rule, link, result));
    }
    if let (Some(link), true) = (link, request.network.config.add_source_hints) {
        outcome = outcome.and(remove_hints(&mut inside, link, result, ifname));
    }
    Ok(outcome?)
}

/// Removes the hints that stand beside the kernel's own routes.
fn remove_hints(inside: &mut Socket, link: u32, result: Option<&AddResult>, ifname: &str) -> netlink::Result<()> {
    let known = result.iter().flat_map(|result| result.ips_of(ifname));
    let mut hints = known.filter(|ip| ip.address.is_ipv6()).map(|ip| plan::subnet_route(link, ip));
    hints.try_for_each(|hint| if_found(inside.delete_route(&hint)).map(drop))
}

/// Moves a table's routes back to the main table, but for a default route that the plugin before did not make, and deletes the
/// rule last: it alone tells which table that is. Without a link there are no routes.
fn take_back(inside: &mut Socket, rule: &Rule, link: Option<u32>, result: Option<&AddResult>) -> netlink::Result<()> {
    let routes = match link {
        Some(link) => inside.routes(Family::of(rule.source.ip()), Some(link), rule.table)?,
        None => Vec::new(),
    };
    let is_known = |route: &Route| {
        let known = result.iter().flat_map(|result| &result.routes);
        known.into_iter().any(|known| known.dst.prefix() == 0 && known.dst.is_ipv4() == route.destination.is_ipv4())
    };
    let stay: Vec<Route> = routes.iter().filter(|route| !route.is_default() || is_known(route)).cloned().collect();
    let outcome = match restore(inside, &stay) {
        Err(error) if !error.is_refusal() => return Err(error),
        outcome => outcome,
    };
    for route in &routes {
        if_found(inside.delete_route(route))?;
    }
    if_found(inside.batch().delete_rule(rule).send())?;
    outcome
}

/// Puts routes into the main table, beside those that other interfaces have to the same destinations; the routes that a gateway
/// needs come first, as they did before. Those that the kernel refuses are told after all have been tried.
fn restore(inside: &mut Socket, routes: &[Route]) -> netlink::Result<()> {
    let mut present = Vec::new();
    for family in FAMILIES {
        if routes.iter().any(|route| Family::of(route.destination.ip()) == family) {
            present.extend(inside.routes(family, None, table::MAIN)?);
        }
    }
    // An ADD that was killed, or failed, may have left some where they were; the kernel would take them twice.
    let is_there = |route: &&Route| present.iter().any(|there| leads_the_same_way(there, route));
    let missing = routes.iter().filter(|route| !is_there(route));
    let (through, direct): (Vec<_>, Vec<_>) = missing.partition(|route| route.gateway.is_some());
    let mut outcome = Ok(());
    for route in direct.into_iter().chain(through) {
        let route = Route { table: table::MAIN, ..route.clone() };
        outcome = outcome.and(match inside.batch().add_parallel_route(&route).send() {
            Err(error) if error.is_exists() => Ok(()),
            Err(error) if !error.is_refusal() => return Err(error),
            outcome => outcome,
        });
    }
    outcome
}

fn leads_the_same_way(one: &Route, other: &Route) -> bool {
    (one.destination, one.link, one.gateway) == (other.destination, other.link, other.gateway)
}

fn rules_for(inside: &mut Socket, sources: &[IpNetwork]) -> Result<Vec<Rule>, Error> {
    let mut found = Vec::new();
    for family in FAMILIES {
        if sources.iter().any(|source| Family::of(source.ip()) == family) {
            found.extend(inside.rules(family)?.into_iter().filter(|rule| sources.contains(&rule.source)));
        }
    }
    Ok(found)
}

/// Each address has its rule, and unless the administrator looks after the table, the table its default route.
pub(crate) fn check(request: &Check<Config>) -> Result<(), Error> {
    let config = &request.network.config;
    let ifname = request.attachment.ifname.as_str();
    let mut inside = Socket::open_in(&Netns::open(&request.netns)?)?;
    let link = inside.link(ifname)?.index;
    let ips: Vec<&IpConfig> = request.expected.ips_of(ifname).collect();
    let sources: Vec<IpNetwork> = ips.iter().map(|ip| ip.address.ip().into()).collect();
    let rules = rules_for(&mut inside, &sources)?;
    for ip in ips {
        let source = ip.address.ip();
        let tables: Vec<u32> = rules.iter().filter(|rule| rule.source.ip() == source).map(|rule| rule.table).collect();
        let Some(&table) = tables.iter().find(|table| config.table.is_none_or(|named| **table == named)) else {
            return Err(rule_differs(config, source, &tables));
        };
        if config.table.is_none() {
            check_table(&mut inside, table, ip, plan::default_route(config, link, ip))?;
        }
    }
    Ok(())
}

fn rule_differs(config: &Config, source_address: std::net::IpAddr, tables: &[u32]) -> Error {
    let expected = config.table.map_or_else(|| "a table of its own".to_owned(), |table| format!("table {table}"));
    let found: Vec<_> = tables.iter().map(|table| format!("table {table}")).collect();
    let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
    Difference::new(format!("the rule for what is sent from {source_address}"), expected, found).into()
}

fn check_table(inside: &mut Socket, table: u32, ip: &IpConfig, default: Option<Route>) -> Result<(), Error> {
    let Some(default) = default else { return Ok(()) };
    let source_address = ip.address.ip();
    let routes = inside.routes(Family::of(source_address), default.link, table)?;
    if routes.iter().any(|route| route.is_default() && route.gateway == default.gateway) {
        return Ok(());
    }
    let gateway = default.gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
    let what = format!("table {table}, for what is sent from {source_address},");
    Err(Difference::new(what, format_args!("a default route via {gateway}"), "none").into())
}
