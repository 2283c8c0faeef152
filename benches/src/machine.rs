//! Where the figures come from.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use crate::error::{Error, Result};

/// Kernel, processors and how busy they are (the load average of a minute), and both sides' plugins.
pub(crate) fn describe(ours: &Path, theirs: &Path) -> Result<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").map_err(Error::file("/proc/sys/kernel/osrelease"))?;
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let models = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor(&models).unwrap_or("unknown processor");
    let loads = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = busyness(&loads, processors);
    Ok(format!(
        "machine:   Linux {}, {processors} × {model}\n           {load}\nours:      {}\nreference: {}",
        kernel.trim(),
        ours.display(),
        reference(theirs)
    ))
}

/// The load average of the last minute, and what to do about it when others are at work too.
fn busyness(loads: &str, processors: usize) -> String {
    let load = loads.split(' ').next().unwrap_or_default();
    let busy = load.parse::<f64>().is_ok_and(|load| load > processors as f64 / 2.0);
    let advice = if busy { " (busy: repeat this when it is idle)" } else { "" };
    format!("load {load} at the start{advice}")
}

fn processor(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// The package that brought the reference, or else what its bridge says about itself.
fn reference(directory: &Path) -> String {
    let bridge = directory.join("bridge");
    let package = output(Command::new("dpkg-query").arg("--search").arg(&bridge))
        .and_then(|owner| owner.split(':').next().map(str::to_owned))
        .and_then(|name| {
            output(Command::new("dpkg-query").args(["--show", "--showformat=${Package} ${Version}", &name]))
        });
    package.map_or_else(|| bridge.display().to_string(), |package| format!("{package} in {}", directory.display()))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_is_called_so() {
        assert_eq!(busyness("0.90 0.1 0.1 1/2 3\n", 2), "load 0.90 at the start");
        assert_eq!(busyness("1.10 0.1 0.1 1/2 3\n", 2), "load 1.10 at the start (busy: repeat this when it is idle)");
    }

    #[test]
    fn processor_is_named_after_the_colon() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n"), Some("Some CPU @ 3 GHz"));
        assert_eq!(processor(""), None);
    }
}
