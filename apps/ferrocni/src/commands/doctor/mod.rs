//! `ferrocni doctor`.

mod bridge_netfilter;
mod configuration;
mod finding;
mod forward_drop;
mod forwarding;
mod ingress;
mod intact;
pub(crate) mod leftovers;
mod listening;
mod localnet;
mod mtu;
mod names;
mod overlap;
mod plugins;
pub(crate) mod ranges;
mod ready;
pub(crate) mod survey;
mod sweep;

use std::process::ExitCode;

use serde_json::Value;

use crate::USAGE;
use crate::failure::{Failure, Outcomes};
use crate::host::Host;
use crate::output::{Form, List, Progress, print, print_line};
use finding::Finding;
use survey::Survey;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// table, json, or a Go template
    ///
    /// Fields are Check, Object, Problem and Command.
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Remove what containers that are gone have left: records, addresses, rules
    #[arg(long, conflicts_with = "format")]
    sweep: bool,
    /// Look at these only
    #[arg(value_name = "NETWORK|CONTAINER")]
    targets: Vec<String>,
}

type Check = fn(&Survey<'_>) -> Result<Vec<Finding>, Failure>;

/// What is looked at, in the order in which a person would mend it.
const CHECKS: [(&str, Check); 15] = [
    ("configuration", configuration::check),
    ("plugins", plugins::check),
    ("ready", ready::check),
    ("overlap", overlap::check),
    ("leftovers", leftovers::check),
    ("ranges", ranges::check),
    ("forwarding", forwarding::check),
    ("forward-drop", forward_drop::check),
    ("bridge-netfilter", bridge_netfilter::check),
    ("intact", intact::check),
    ("listening", listening::check),
    ("ingress", ingress::check),
    ("localnet", localnet::check),
    ("mtu", mtu::check),
    ("names", names::check),
];

const LIST: List =
    List { columns: &[("Object", "OBJECT"), ("Problem", "PROBLEM"), ("Command", "COMMAND")], key: "Object" };

/// Something is wrong.
const WRONG: u8 = 1;

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let survey = Survey::of(host)?.narrowed_to(&args.targets).map_err(|failure| failure.with_status(USAGE))?;
    if args.sweep {
        return Ok(sweep::run(&survey)?.status());
    }
    let (mut outcomes, mut findings) = (Outcomes::default(), Vec::new());
    let progress = Progress::new("looking at this host", CHECKS.len());
    for (name, check) in CHECKS {
        progress.step();
        let found = outcomes.note(check(&survey)).unwrap_or_default();
        findings.extend(found.iter().map(|finding| finding.to_json(name)));
    }
    drop(progress);
    show(&survey, &Form::new(args.format.as_deref(), false), &findings, &outcomes)?;
    Ok(if findings.is_empty() { outcomes.status() } else { ExitCode::from(WRONG) })
}

fn show(survey: &Survey<'_>, form: &Form, findings: &[Value], outcomes: &Outcomes) -> Result<(), Failure> {
    if *form != Form::Table {
        return LIST.print(form, findings);
    }
    if findings.is_empty() && outcomes.any_failed() {
        return print_line("what could be looked at is well, but not everything could: see the errors");
    }
    if findings.is_empty() {
        let (networks, containers) = (survey.wanted().count(), survey.living().count());
        return print_line(format_args!("nothing is wrong: {networks} networks, {containers} attached interfaces"));
    }
    print(findings.iter().map(paragraph).collect::<String>())
}

/// Whole sentences fit into no column.
fn paragraph(finding: &Value) -> String {
    let field = |name: &str| finding[name].as_str().unwrap_or_default();
    let command = field("Command");
    let command = if command.is_empty() { String::new() } else { format!("    {command}\n") };
    format!("{}: {}\n{command}", field("Object"), field("Problem"))
}
