//! `scripts/vm-run.sh`: a command there is like one here, and nothing is left of it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// The first run on a machine downloads a kernel and says so. That run is not a test's.
fn vm_run(argv: &[&str]) -> Command {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| assert!(vm_run_unprepared(&["true"]).status().unwrap().success()));
    vm_run_unprepared(argv)
}

fn vm_run_unprepared(argv: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/vm-run.sh"));
    command.args(argv);
    command
}

#[test]
fn a_command_runs_there_as_it_would_here_and_changes_nothing_here() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vm run");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("ours"), "written here").unwrap();
    let script = "uname -r; pwd; cat ours; printf '<%s>' \"$GIVEN\" \"$@\"; echo; cat; echo complaint >&2
        echo changed >ours; sleep 1000 & seq 100000; exit 7";
    let mut command = vm_run(&["sh", "-c", script, "sh", "two words", "", "a\n'line'"]);
    let output = command.current_dir(&folder).env("GIVEN", "$value").stdin(Stdio::inherit()).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(7), "{stdout}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "complaint\n");
    let (kernel, stdout) = stdout.split_once('\n').unwrap();
    assert!(kernel.ends_with("-cloud-amd64"), "{kernel}");
    let numbers: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    let expected = format!("{}\nwritten here<$value><two words><><a\n'line'>\n{numbers}", folder.display());
    assert!(stdout == expected, "{} bytes instead of {}: {stdout:.200}", stdout.len(), expected.len());
    assert_eq!(fs::read_to_string(folder.join("ours")).unwrap(), "written here");
}

/// A reader that comes when the machine is already off: what it had not read by then was in neither of them.
#[test]
fn no_output_is_lost_on_a_reader_that_takes_its_time() {
    let mark = format!("VM_RUN_READ_LATE={}", std::process::id());
    let (name, value) = mark.split_once('=').unwrap();
    let mut command = vm_run(&["sh", "-c", "seq 150000; seq 150000 >&2; echo the end"]);
    let script = command.env(name, value).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| processes_with(&mark, "qemu") > 0);
    wait_until(|| processes_with(&mark, "qemu") == 0);
    let output = script.wait_with_output().unwrap();
    assert!(output.status.success());
    let numbers: String = (1..=150_000).map(|number| format!("{number}\n")).collect();
    for (stream, said, expected) in
        [("stderr", output.stderr, &numbers), ("stdout", output.stdout, &(numbers.clone() + "the end\n"))]
    {
        assert!(said == expected.as_bytes(), "{} bytes on {stream} instead of {}", said.len(), expected.len());
    }
}

#[test]
fn a_command_that_is_killed_has_the_status_that_a_shell_gives_it() {
    let status = vm_run(&["sh", "-c", "kill -9 $$"]).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(128 + 9));
}

#[test]
fn its_time_is_limited() {
    let output = vm_run(&["sleep", "1000"]).env("VM_RUN_TIMEOUT", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(124));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "vm-run.sh: 1 s are over (VM_RUN_TIMEOUT): sleep 1000\n");
}

#[test]
fn a_virtual_machine_that_breaks_down_shows_its_last_words() {
    let output = vm_run(&["sh", "-c", "echo c >/proc/sysrq-trigger; sleep 1000"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("sysrq triggered crash"), "{said}");
}

#[test]
fn nothing_of_it_outlives_the_script() {
    let mark = format!("VM_RUN_TEST={}", std::process::id());
    let (name, value) = mark.split_once('=').unwrap();
    let mut command = vm_run(&["sh", "-c", "echo up; sleep 1000"]);
    let mut script = command.env(name, value).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(script.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    assert!(processes_with(&mark, "") > 3, "the script, its namespaces' first process, virtiofsd and qemu at least");
    script.kill().unwrap();
    script.wait().unwrap();
    wait_until(|| processes_with(&mark, "") == 0);
}

#[track_caller]
fn wait_until(it_is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !it_is_so() {
        assert!(start.elapsed() < PATIENCE, "that takes too long");
        thread::sleep(Duration::from_millis(10));
    }
}

/// How many processes have this in their environment, and a name that begins so.
fn processes_with(variable: &str, name: &str) -> usize {
    let has_it = |environment: Vec<u8>| environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes());
    let is_it = |process: &Path| {
        fs::read(process.join("environ")).is_ok_and(has_it)
            && fs::read_to_string(process.join("comm")).is_ok_and(|comm| comm.starts_with(name))
    };
    fs::read_dir("/proc").unwrap().flatten().filter(|process| is_it(&process.path())).count()
}
