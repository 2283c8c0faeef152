//! `ferrocni topology`.

mod collect;
mod graph;
mod links;
mod mermaid;
#[cfg(test)]
mod sample;
mod svg;
mod text;
mod tree;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use crate::failure::{Failure, Outcomes};
use crate::host::Host;
use crate::output::{complain, print};
use graph::Graph;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to draw: by default what FILE is called after (.svg, .json, .mmd), else a tree
    #[arg(short, long, value_enum)]
    format: Option<Format>,
    /// Write to a file instead of the standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only these networks, by name, id or beginning of an id
    #[arg(value_name = "NETWORK")]
    networks: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For the terminal; cut to its width there
    Tree,
    /// A flowchart for Markdown
    Mermaid,
    /// A picture
    Svg,
    /// For programs
    Json,
}

/// A picture that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
struct WriteError {
    path: PathBuf,
    source: io::Error,
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let mut outcomes = Outcomes::default();
    let graph = collect::collect(host, &args.networks, &mut outcomes)?;
    let format = args.format.unwrap_or_else(|| Format::of_file(args.output.as_deref()));
    let text = draw(&graph, format, args.output.is_none())?;
    match &args.output {
        None => print(text)?,
        Some(path) => std::fs::write(path, text).map_err(|source| WriteError { path: path.clone(), source })?,
    }
    Ok(outcomes.status())
}

impl Format {
    fn of_file(path: Option<&Path>) -> Self {
        match path.and_then(Path::extension).and_then(|extension| extension.to_str()) {
            Some("svg") => Self::Svg,
            Some("json") => Self::Json,
            Some("mmd" | "mermaid") => Self::Mermaid,
            _ => Self::Tree,
        }
    }
}

fn draw(graph: &Graph, format: Format, to_stdout: bool) -> Result<String, Failure> {
    Ok(match format {
        Format::Tree => tree::draw(graph, to_stdout.then(screen).unwrap_or_default()),
        Format::Mermaid => {
            let chart = mermaid::draw(graph);
            if let Some(limit) = mermaid::exceeded(&chart) {
                complain(format_args!("GitHub will not show it, because it has {limit}: name fewer networks"));
            }
            chart
        }
        Format::Svg => svg::draw(graph),
        Format::Json => serde_json::to_string_pretty(graph)? + "\n",
    })
}

/// What a tree on the standard output may use.
fn screen() -> tree::Screen {
    let has_no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if !io::stdout().is_terminal() {
        return tree::Screen::default();
    }
    let width = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    tree::Screen { is_colored: !has_no_color, width: width.filter(|width| *width > 0) }
}
