//! What is measured, in which order, and the row each figure gets.

use crate::error::{Error, Failure, Result};
use crate::host::Host;
use crate::lane::{Lane, Verbs, take_turns};
use crate::netavark::{self, Program, Side};
use crate::options::Options;
use crate::packets::Paid;
use crate::parallel::{Rush, rush};
use crate::statistics::{Pairs, Summary};
use crate::suite::{Network, Suite};
use crate::table::{Goal, Row, Table, figure, spread};
use crate::{footprint, names, networks, overlay, packets, scale, waiting};

const MILLI: f64 = 1e3;

const MEGABYTE: f64 = 1e6;

/// Measures everything on both sides, ours first, and tells on stderr how far it is.
pub(crate) fn measure(sides: &[Suite; 2], options: &Options) -> Result<Table> {
    let mut table = Table::default();
    let [ours, theirs] = sides;
    let at_least = Goal::RatioAtLeast;
    let rounds = options.rounds;
    let chain = |table: &mut Table, name, network, goals| chain(table, sides, name, &network, goals, rounds);
    if options.ipvlan {
        chain(&mut table, "ipvlan+host-local", networks::ipvlan(), [at_least(4.0), Goal::None])?;
        return Ok(table);
    }
    chain(&mut table, "(a) bridge(ipMasq)+host-local", networks::masqueraded(), [at_least(8.0), Goal::None])?;
    chain(&mut table, "(a') bridge+host-local", networks::plain(), [at_least(4.0), Goal::None])?;
    let b = "(b) (a)+portmap(2)+firewall+tuning";
    chain(&mut table, b, networks::published(), [at_least(20.0), at_least(25.0)])?;
    blocked(&mut table, ours, rounds)?;
    chain(&mut table, "macvlan+host-local", networks::macvlan(), [at_least(4.0), Goal::None])?;
    chain(&mut table, "ptp+host-local", networks::ptp(), [at_least(4.0), Goal::None])?;
    for (name, network) in [
        ("tuning, after a bridge", networks::tuning()),
        ("bandwidth, after a bridge", networks::bandwidth()),
        ("sbr, after a bridge", networks::sbr()),
        ("static, alone", networks::named_address()),
    ] {
        chain(&mut table, name, network, [at_least(3.0), Goal::None])?;
    }
    full_against_empty(&mut table, ours, options)?;
    packets(&mut table, sides, options)?;
    footprints(&mut table, ours, theirs)?;
    all_at_once(&mut table, sides, options)?;
    Ok(table)
}

/// Measures netavark, ours first.
pub(crate) fn measure_netavark(sides: &[Program; 2], options: &Options) -> Result<Table> {
    let mut table = Table::default();
    let [ours, theirs] = sides;
    progress("netavark: setup and teardown");
    let verbs = netavark::take_turns([&Side::new(ours)?, &Side::new(theirs)?], options.rounds)?;
    table.heading("netavark: bridge, two ports", "ours, ms", "Debian 13's, ms");
    comings_and_goings(&mut table, &verbs, 6.0)?;
    let others = options.others;
    progress(&format!("netavark beside {others} other containers"));
    let crowded = [Side::crowded(ours, others)?, Side::crowded(theirs, others)?];
    let verbs = netavark::take_turns([&crowded[0], &crowded[1]], options.rounds.div_ceil(8))?;
    let mark =
        table.note("Debian's netavark did not connect them: the rules of one are repeated, and there are no links");
    table.heading(&format!("the same beside {others} containers{mark}"), "ours, ms", "Debian 13's, ms");
    comings_and_goings(&mut table, &verbs, 300.0)?;
    drop(crowded);
    netavark_at_once(&mut table, sides, options)?;
    Ok(table)
}

fn comings_and_goings(table: &mut Table, verbs: &netavark::Verbs, ratio: f64) -> Result<()> {
    for (name, pairs) in [("setup", &verbs.setup), ("teardown", &verbs.teardown)] {
        table.row(&times(name, pairs, Goal::RatioAtLeast(ratio))?);
    }
    Ok(())
}

fn netavark_at_once(table: &mut Table, [ours, theirs]: &[Program; 2], options: &Options) -> Result<()> {
    let count = options.rush;
    progress(&format!("netavark: {count} at once"));
    let number = u16::try_from(count).unwrap_or(u16::MAX);
    let [(mine, _host), (other, _other_host)] = [netavark::rush(ours, number)?, netavark::rush(theirs, number)?];
    table.heading(&format!("{count} at once"), "ours, s", "Debian 13's, s");
    for (name, mine, other) in
        [("setup, wall time", mine.setup, other.setup), ("teardown, wall time", mine.teardown, other.teardown)]
    {
        let ratio = Some(other / mine);
        table.row(&Row { name: name.into(), left: figure(mine), right: figure(other), ratio, ..Row::default() });
    }
    let told = |table: &mut Table, rush: &netavark::Rush| {
        let mark = rush.failure.as_ref().map(|failure| table.note(&failure.to_string())).unwrap_or_default();
        let [set_up, torn_down] = rush.succeeded;
        format!("{set_up} / {torn_down} of {count}{mark}")
    };
    let (left, right) = (told(table, &mine), told(table, &other));
    let goal = Goal::Told("all".into(), mine.succeeded == [count; 2]);
    table.row(&Row { name: "set up / torn down".into(), left, right, ratio: None, goal });
    Ok(())
}

/// Measures the three verbs of a chain; the goals are those of ADD and of DEL.
fn chain(
    table: &mut Table,
    sides: &[Suite; 2],
    name: &str,
    network: &Network,
    [add, del]: [Goal; 2],
    rounds: usize,
) -> Result<()> {
    progress(&format!("{name}: ADD, CHECK, DEL"));
    let verbs = compare(sides, network, rounds)?;
    table.heading(name, "ours, ms", "reference, ms");
    table.row(&times("ADD", &verbs.add, add)?);
    let mut check = times("CHECK", &verbs.check, Goal::None)?;
    mark_complaints(table, &mut check, &verbs.complaints);
    table.row(&check);
    table.row(&times("DEL", &verbs.del, del)?);
    Ok(())
}

fn compare(sides: &[Suite; 2], network: &Network, rounds: usize) -> Result<Verbs> {
    take_turns(&Lane::new(&sides[0], network.clone())?, &Lane::new(&sides[1], network.clone())?, rounds)
}

/// The row of a verb, where the second side is expected to take longer.
fn times(name: &str, pairs: &Pairs, goal: Goal) -> Result<Row> {
    Ok(Row {
        name: name.into(),
        left: spread(&known(pairs.first())?, MILLI),
        right: spread(&known(pairs.second())?, MILLI),
        ratio: pairs.second_to_first(),
        goal,
    })
}

fn mark_complaints(table: &mut Table, check: &mut Row, complaints: &[Option<Failure>; 2]) {
    for (complaint, cell) in complaints.iter().zip([&mut check.left, &mut check.right]) {
        if let Some(failure) = complaint {
            cell.push_str(table.note(&format!("stops here, later plugins unmeasured: {failure}")));
        }
    }
}

fn blocked(table: &mut Table, ours: &Suite, passes: usize) -> Result<()> {
    progress("(b) DEL under strace");
    let passes = waiting::blocked_in_del(ours, passes)?;
    let (waiting, whole) = (known(passes.first())?, known(passes.second())?);
    let share = 100.0 * passes.first_to_second().unwrap_or_default();
    let mark = table.note(
        "calls of close, sendto and sendmsg that last 1 ms or more, in passes of their own under strace; \
         the share is of what the plugins took there",
    );
    table.row(&Row {
        name: format!("DEL, the kernel's own waiting{mark}"),
        left: spread(&waiting, MILLI),
        right: format!("{share:.0} % of {}", figure(whole.median * MILLI)),
        ..Row::default()
    });
    Ok(())
}

fn full_against_empty(table: &mut Table, ours: &Suite, options: &Options) -> Result<()> {
    let Options { ports, reservations, rounds, .. } = *options;
    progress(&format!("(b) with {ports} published ports against none"));
    let published = scale::published_ports(ours, ports, rounds)?;
    progress(&format!("host-local with {reservations} reservations against none"));
    let reserved = scale::reservations(ours, reservations, rounds)?;
    table.heading("ours, on a full and on an empty host", "full, ms", "empty, ms");
    table.row(&growth(format!("(b) ADD, {ports} published ports"), &published.add)?);
    table.row(&growth(format!("(b) DEL, {ports} published ports"), &published.del)?);
    table.row(&growth(format!("host-local ADD, {reservations} reservations"), &reserved.add)?);
    table.row(&growth(format!("host-local DEL, {reservations} reservations"), &reserved.del)?);
    ports_of_one(table, ours, options)
}

/// Twenty times as many ports of one container may take twenty-five times as long.
fn ports_of_one(table: &mut Table, ours: &Suite, options: &Options) -> Result<()> {
    let (many, few) = (options.ports_of_one, options.ports_of_one / 20);
    progress(&format!("(b) of a container with {many} ports against one with {few}"));
    let published = scale::ports_of_one(ours, many, few, options.rounds.div_ceil(4))?;
    table.heading("ours, many ports of one container", "many, ms", "few, ms");
    for (verb, pairs) in [("ADD", &published.add), ("CHECK", &published.check), ("DEL", &published.del)] {
        let goal = if verb == "ADD" { Goal::RatioAtMost(25.0) } else { Goal::None };
        table.row(&Row { goal, ..growth(format!("(b) {verb}, {many} and {few} ports"), pairs)? });
    }
    Ok(())
}

/// The row of a verb, where the first side must not take much longer.
fn growth(name: String, pairs: &Pairs) -> Result<Row> {
    Ok(Row {
        name,
        left: spread(&known(pairs.first())?, MILLI),
        right: spread(&known(pairs.second())?, MILLI),
        ratio: pairs.first_to_second(),
        goal: Goal::RatioAtMost(1.3),
    })
}

fn packets(table: &mut Table, sides: &[Suite; 2], options: &Options) -> Result<()> {
    /// Microseconds in a second, and a gigabit in bits.
    const MICRO: f64 = 1e6;
    const GIGABIT: f64 = 1e-9;
    let mut measured = Vec::new();
    for others in options.crowds {
        progress(&format!("packets beside {others} other containers"));
        measured.push((others, packets::paid(sides, others, options.rounds.div_ceil(8))?));
    }
    let row = |name, pairs: &Pairs, unit, ratio| -> Result<Row> {
        let (left, right) = (spread(&known(pairs.first())?, unit), spread(&known(pairs.second())?, unit));
        Ok(Row { name, left, right, ratio, goal: Goal::None })
    };
    table.heading("connecting to a published port", "ours, µs", "reference, µs");
    for (others, Paid { connect, .. }) in &measured {
        table.row(&row(format!("beside {others} other containers"), connect, MICRO, connect.second_to_first())?);
    }
    table.heading("throughput of one TCP stream", "ours, Gbit/s", "reference, Gbit/s");
    for (others, paid) in &measured {
        for (way, pairs) in [("host to container", &paid.inward), ("container to container", &paid.across)] {
            table.row(&row(format!("{way}, beside {others}"), pairs, GIGABIT, pairs.first_to_second())?);
        }
    }
    Ok(())
}

fn footprints(table: &mut Table, ours: &Suite, theirs: &Suite) -> Result<()> {
    progress("memory and sizes");
    table.heading("peak memory (ru_maxrss, with children)", "ours, MB", "reference, MB");
    for (mine, other) in footprint::peak_memory(ours)?.iter().zip(footprint::peak_memory(theirs)?) {
        table.row(&megabytes(*mine, other.1, 8.0));
    }
    table.heading("file size", "ours, MB", "reference, MB");
    for (mine, other) in footprint::sizes(ours)?.iter().zip(footprint::sizes(theirs)?) {
        table.row(&megabytes(*mine, other.1, 2.5));
    }
    Ok(())
}

fn megabytes((program, ours): (&str, u64), theirs: u64, most: f64) -> Row {
    let [mine, other] = [ours, theirs].map(|bytes| bytes as f64 / MEGABYTE);
    Row {
        name: program.into(),
        left: figure(mine),
        right: figure(other),
        ratio: Some(other / mine),
        goal: Goal::Told(format!("≤ {most} MB"), mine <= most),
    }
}

fn all_at_once(table: &mut Table, sides: &[Suite; 2], options: &Options) -> Result<()> {
    let count = options.rush;
    let (mut adds, mut dels) = (Pairs::default(), Pairs::default());
    let mut outcomes: [Vec<Rush>; 2] = Default::default();
    let mut hosts: Vec<Host> = Vec::new();
    for turn in 1..=options.rushes {
        progress(&format!("{count} parallel ADDs and DELs of (b), {turn} of {}", options.rushes));
        let [ours, theirs] = [rush(&sides[0], count)?, rush(&sides[1], count)?];
        adds.push(ours.0.add, theirs.0.add);
        dels.push(ours.0.del, theirs.0.del);
        outcomes[0].push(ours.0);
        outcomes[1].push(theirs.0);
        hosts.extend([ours.1, theirs.1]);
    }
    table.heading(&format!("{count} of (b) in parallel"), "ours, s", "reference, s");
    let whole = outcomes[0].iter().all(|rush| rush.distinct == count && rush.succeeded == count);
    table.row(&Row { goal: Goal::None, ..wall_time("ADD, wall time", &adds)? });
    let del = Goal::RatioAtLeast(12.0);
    table.row(&Row { goal: del, ..wall_time("DEL, wall time", &dels)? });
    let [left, right] = [&outcomes[0], &outcomes[1]].map(|rushes| tell(table, rushes, count));
    let name = "succeeded / distinct addresses".into();
    table.row(&Row { name, left, right, goal: Goal::Told("all".into(), whole), ratio: None });
    Ok(())
}

fn wall_time(name: &str, walls: &Pairs) -> Result<Row> {
    let (left, right) = (spread(&known(walls.first())?, 1.0), spread(&known(walls.second())?, 1.0));
    Ok(Row { name: name.into(), left, right, ratio: walls.second_to_first(), ..Row::default() })
}

/// The worst of several rushes, and why something failed in it.
fn tell(table: &mut Table, rushes: &[Rush], count: usize) -> String {
    let Some(worst) = rushes.iter().min_by_key(|rush| rush.distinct.min(rush.succeeded)) else {
        return String::new();
    };
    let mark = worst.failure.as_ref().map(|failure| table.note(&failure.to_string())).unwrap_or_default();
    format!("{} / {} of {count}{mark}", worst.succeeded, worst.distinct)
}

/// Measures names: ours against dnsmasq, and against aardvark-dns.
pub(crate) fn measure_names(ours: Suite, theirs: &Suite, options: &Options) -> Result<Table> {
    let ours = names::Kind::Ours(ours);
    let others = [
        ("dnsmasq", names::Kind::Dnsmasq(theirs.clone())),
        ("aardvark-dns", names::Kind::Aardvark(theirs.clone(), AARDVARK.into())),
    ];
    let mut table = Table::default();
    for (name, theirs) in &others {
        progress(&format!("names, against {name}"));
        let (named, many) = (options.named, options.names_of_one);
        let compared = names::compared([&ours, theirs], named, many, options.rounds)?;
        table.heading(&format!("{named} containers on 20 networks"), "ours", name);
        let row = |name: &str, pairs: &Pairs, unit, ratio, goal| -> Result<Row> {
            let (left, right) = (spread(&known(pairs.first())?, unit), spread(&known(pairs.second())?, unit));
            Ok(Row { name: name.into(), left, right, ratio, goal })
        };
        let names::Compared { answer, rate, memory, new_beside_few, new_beside_many } = &compared;
        let most = |goal: &str, pairs: &Pairs, most: f64| -> Result<Goal> {
            Ok(Goal::Told(goal.into(), known(pairs.first())?.median <= most))
        };
        let soon = most("≤ 50 µs", answer, 50e-6)?;
        table.row(&row("a name's answer, µs", answer, 1e6, answer.second_to_first(), soon)?);
        table.row(&row("answers a second, thousands", rate, 1e-3, rate.first_to_second(), Goal::None)?);
        let small = most("≤ 15 MB", memory, 15.0 * MEGABYTE)?;
        table.row(&row("memory, MB", memory, 1.0 / MEGABYTE, memory.second_to_first(), small)?);
        let mark = table.note(
            "from the start of the plugin (aardvark-dns: from the change of its files) until a container's question has an answer; \
             a question that is lost is asked again after 50 ms",
        );
        for (count, pairs) in [(names::FEW, new_beside_few), (many, new_beside_many)] {
            let name = format!("a new name beside {count}, ms{mark}");
            table.row(&row(&name, pairs, MILLI, pairs.second_to_first(), Goal::None)?);
        }
        let [few, most] = [known(new_beside_few.first())?.median, known(new_beside_many.first())?.median];
        table.row(&Row {
            name: format!("the same beside {many} and {}", names::FEW),
            ratio: Some(most / few),
            goal: Goal::RatioAtMost(1.3),
            ..Row::default()
        });
    }
    Ok(table)
}

/// Measures networks over many hosts, between two of them.
pub(crate) fn measure_overlay(ours: &Suite, options: &Options) -> Result<Table> {
    /// Microseconds in a second, and a gigabit in bits.
    const MICRO: f64 = 1e6;
    const GIGABIT: f64 = 1e-9;
    let mut table = Table::default();
    let compared = overlay::compared(ours, options, progress)?;
    let row = |name: &str, pairs: &Pairs, unit, goal| -> Result<Row> {
        let (left, right) = (spread(&known(pairs.first())?, unit), spread(&known(pairs.second())?, unit));
        Ok(Row { name: name.into(), left, right, ratio: pairs.first_to_second(), goal })
    };
    let bare =
        table.note("a VXLAN device in each of the two containers' own namespaces: nothing is routed or filtered");
    let by_hand = table
        .note("two containers with a pair of links each, and routes over a VXLAN device of the hosts, made by hand");
    table.heading("between two hosts", "overlay", "VXLAN");
    let (streams, answers) = (&compared.streams_of_hosts, &compared.answers_of_hosts);
    table.row(&row("a TCP stream, Gbit/s", streams, GIGABIT, Goal::RatioAtLeast(0.97))?);
    table.row(&row("an answer over UDP, µs", answers, MICRO, Goal::RatioAtMost(1.05))?);
    table.heading("between containers on them", "overlay", "VXLAN");
    let streams = &compared.streams_by_hand;
    table.row(&row(&format!("a TCP stream, Gbit/s{bare}"), &compared.streams, GIGABIT, Goal::None)?);
    table.row(&row(&format!("a TCP stream, Gbit/s{by_hand}"), streams, GIGABIT, Goal::RatioAtLeast(0.97))?);
    table.row(&row(&format!("an answer over UDP, µs{bare}"), &compared.answers, MICRO, Goal::None)?);
    let answers = &compared.answers_by_hand;
    table.row(&row(&format!("an answer over UDP, µs{by_hand}"), answers, MICRO, Goal::RatioAtMost(1.05))?);
    for (name, verbs) in [("etcd is up", &compared.verbs), ("etcd is down", &compared.verbs_without_etcd)] {
        table.heading(name, "overlay, ms", "ptp(ipMasq), ms");
        table.row(&row("ADD", &verbs.add, MILLI, Goal::RatioAtMost(1.3))?);
        table.row(&row("CHECK", &verbs.check, MILLI, Goal::None)?);
        table.row(&row("DEL", &verbs.del, MILLI, Goal::None)?);
    }
    Ok(table)
}

/// Measures them with many hosts, which are simulated.
pub(crate) fn measure_many(ours: &Suite, options: &Options) -> Result<Table> {
    let mut table = Table::default();
    if options.peers > 0 {
        many_peers(&mut table, ours, options)?;
    }
    if options.agents > 0 {
        many_agents(&mut table, options)?;
    }
    Ok(table)
}

fn many_peers(table: &mut Table, ours: &Suite, options: &Options) -> Result<()> {
    let peers = options.peers;
    progress(&format!("one agent with {peers} other hosts"));
    let many = overlay::many(ours, options)?;
    let [routes, neighbours, forwarding] = many.entries;
    let mark = table.note(&format!(
        "in the kernel: {routes} routes, {neighbours} neighbours, {forwarding} forwarding entries; what an event costs is time that the agent \
         had a processor"
    ));
    let [elsewhere, host, here] = many.event;
    table.heading(&format!("one agent{mark}"), &format!("{peers} others"), "none");
    two(table, "memory, MB", many.memory, 1.0 / MEGABYTE);
    two(table, "a container starts elsewhere, µs", elsewhere, 1e6);
    two(table, "a host comes, µs", host, 1e6);
    two(table, "ADD and DEL here, µs", here, 1e6);
    table.heading(&format!("with {peers} others"), "first", "again");
    two(table, "the agent's start, s", many.start, 1.0);
    Ok(())
}

fn many_agents(table: &mut Table, options: &Options) -> Result<()> {
    let Options { agents, starts, .. } = options;
    progress(&format!("{agents} simulated agents, {starts} starts a second in all"));
    let heard = overlay::simulated(options)?;
    let mark = table.note(&format!("{:.0} deliveries a second, all to one program", heard.deliveries));
    table.heading(&format!("{agents} simulated agents, {starts} starts/s{mark}"), "median", "99 %");
    two(table, "heard of elsewhere after, ms", heard.delay, MILLI);
    table.heading("etcd, one member", "with starts", "without");
    two(table, "share of a processor, %", heard.processor, 100.0);
    table.heading("etcd, one member", "with agents", "without");
    two(table, "memory, MB", heard.memory, 1.0 / MEGABYTE);
    Ok(())
}

fn two(table: &mut Table, name: &str, values: [f64; 2], unit: f64) {
    let [left, right] = values.map(|value| figure(value * unit));
    table.row(&Row { name: name.into(), left, right, ..Row::default() });
}

/// Where Debian has it.
const AARDVARK: &str = "/usr/lib/podman/aardvark-dns";

fn known(summary: Option<Summary>) -> Result<Summary> {
    summary.ok_or(Error::NothingMeasured)
}

#[expect(clippy::print_stderr, reason = "the measurements take minutes; the table alone goes to stdout")]
fn progress(what: &str) {
    eprintln!("bench: {what}");
}
