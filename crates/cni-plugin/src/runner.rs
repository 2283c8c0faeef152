//! From the environment and stdin to a plugin's verbs, and from their outcome to stdout.

use std::env::VarError;
use std::io::{IsTerminal, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use cni::{AddResult, Code, Error, SpecVersion, Verb};
use serde::Serialize;
use serde_json::{Value, json};

use crate::call::Call;
use crate::configuration::Configuration;
use crate::host_network::{Admission, admit};
use crate::plugin::Plugin;
use crate::request::Add;
use crate::suite::Suite;
use crate::undo::Undo;

/// The most a configuration may have, in bytes: far more than any real one, far less than would hurt the host.
const MAX_CONFIG: u64 = 4 << 20;

/// What a verb needs of memory, but for configurations of unusual size. It costs nothing until it is used.
const MEMORY: usize = 1 << 20;

/// Runs the plugin `P`.
///
/// Reads the call from the environment and stdin, prints the answer on stdout, and returns 0 or, after an error JSON, 1.
/// Without `CNI_COMMAND` it says on stderr what the program is.
#[must_use]
pub fn run<P: Plugin>(suite: &Suite) -> ExitCode {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    match variable("CNI_COMMAND").as_str() {
        "" => about::<P>(suite),
        "VERSION" => version::<P>(),
        command => answer::<P>(suite, command, variable),
    }
}

/// The first line is read by clients, such as nerdctl; the last one is the reference's too.
fn about<P: Plugin>(suite: &Suite) -> ExitCode {
    eprintln!("CNI {} plugin v{}", P::NAME, suite.release);
    eprintln!("{} {}: {}", suite.name, suite.version, P::ABOUT);
    eprintln!("CNI protocol versions supported: {}", version_list::<P>().join(", "));
    ExitCode::SUCCESS
}

fn version_list<P: Plugin>() -> Vec<&'static str> {
    P::VERSIONS.iter().map(|version| version.as_str()).collect()
}

fn version<P: Plugin>() -> ExitCode {
    // Runtimes write a configuration here too; unread, their write could fail.
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let _ = std::io::copy(&mut stdin.lock().take(MAX_CONFIG), &mut std::io::sink());
    }
    let reply = json!({"cniVersion": SpecVersion::LATEST.as_str(), "supportedVersions": version_list::<P>()});
    match print(&reply) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, SpecVersion::LATEST.as_str()),
    }
}

fn answer<P: Plugin>(suite: &Suite, command: &str, variable: impl Fn(&str) -> String) -> ExitCode {
    let mut version = SpecVersion::LATEST.as_str().to_owned();
    let mut undo = Undo::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        reserve_memory()?;
        let mut call = read_call(command, variable)?;
        keep_living(suite, &mut call)?;
        if let Some(text) = call.config.version_text() {
            text.clone_into(&mut version);
        }
        let idle = admit(&call, P::HOST_NETWORK)? == Admission::Idle;
        let result = match (call.verb, idle) {
            (Verb::Add, false) => P::add(&admitted::<P>(suite, &call)?, &mut undo).map_err(Into::into)?,
            // It has nothing to do, but its configuration still has to be valid.
            (Verb::Add, true) => admitted::<P>(suite, &call)?.network.chained_on()?.clone(),
            (_, false) => return other::<P>(&call),
            (_, true) => return Ok(()),
        };
        let asked = SpecVersion::negotiate(call.config.version_text().unwrap_or_default(), P::VERSIONS)?;
        print(&result.to_json(asked)?)
    }));
    match outcome.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))) {
        Ok(()) => {
            undo.commit();
            ExitCode::SUCCESS
        }
        Err(mut error) => {
            for failure in undo.roll_back() {
                error.add_detail(&failure);
            }
            fail(&error, &version)
        }
    }
}

/// Plugins that this one calls get the longer list too. What is wrong with the configuration is told later.
fn keep_living(suite: &Suite, call: &mut Call) -> Result<(), Error> {
    if call.verb != Verb::Gc {
        return Ok(());
    }
    let Ok(network) = call.config.protocol_keys().and_then(|keys| keys.name()) else { return Ok(()) };
    call.config.extend_valid(&suite.kept(&network)?);
    Ok(())
}

/// What ADD is asked, unless the suite cannot have such an attachment.
fn admitted<P: Plugin>(suite: &Suite, call: &Call) -> Result<Add<P::Config>, Error> {
    let request = call.add::<P>()?;
    suite.admit(&request.attachment)?;
    Ok(request)
}

pub(crate) fn add<P: Plugin>(call: &Call, undo: &mut Undo) -> Result<AddResult, Error> {
    P::add(&call.add::<P>()?, undo).map_err(Into::into)
}

pub(crate) fn other<P: Plugin>(call: &Call) -> Result<(), Error> {
    match call.verb {
        Verb::Add => add::<P>(call, &mut Undo::new()).map(drop),
        Verb::Del => P::del(&call.del::<P>()?).map_err(Into::into),
        Verb::Check => P::check(&call.check::<P>()?).map_err(Into::into),
        Verb::Gc => call.gc::<P>()?.map_or(Ok(()), |request| P::gc(&request).map_err(Into::into)),
        Verb::Status => {
            call.status::<P>().and_then(|request| P::status(&request).map_err(Into::into)).map_err(unavailable)
        }
    }
}

/// Whatever would keep an ADD from succeeding is code 50 to STATUS, unless the request itself cannot be right.
fn unavailable(error: Error) -> Error {
    match error.code() {
        Code::UnknownContainer | Code::Io | Code::TryAgainLater | Code::Internal | Code::Other(_) => {
            error.with_code(Code::Unavailable)
        }
        _ => error,
    }
}

/// Has the allocator take the memory from the system at once. When it is refused here, that is an error like any other; later,
/// in the middle of things, it would be the end of the process. (That is, with an allocator that keeps what is given back.)
fn reserve_memory() -> Result<(), Error> {
    let mut memory = Vec::<u8>::new();
    memory.try_reserve_exact(MEMORY).map_err(|refusal| {
        Error::new(Code::TryAgainLater, format!("the system has no {} KiB of memory for the plugin", MEMORY >> 10))
            .with_details(refusal.to_string())
    })?;
    // An unused allocation may be optimised away.
    std::hint::black_box(&mut memory);
    Ok(())
}

fn read_call(command: &str, variable: impl Fn(&str) -> String) -> Result<Call, Error> {
    let verb = command.parse()?;
    check_environment()?;
    let mut call = Call::from_env(verb, variable)?;
    call.config = read_config()?;
    Ok(call)
}

/// A variable that is no text reads like one that is not set, and a DEL without `CNI_NETNS` takes nothing back inside.
fn check_environment() -> Result<(), Error> {
    let is_unreadable = |name: &&&str| matches!(std::env::var(name), Err(VarError::NotUnicode(_)));
    ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"]
        .iter()
        .find(is_unreadable)
        .map_or(Ok(()), |name| {
            Err(Error::new(Code::InvalidEnvironment, format!("environment variable {name} is not UTF-8")))
        })
}

fn read_config() -> Result<Configuration, Error> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MAX_CONFIG + 1).read_to_end(&mut bytes).map_err(|error| {
        Error::new(Code::Io, "read the network configuration from stdin").with_details(error.to_string())
    })?;
    let undecodable = |why: String| {
        Error::new(Code::Decode, "stdin holds no network configuration")
            .with_details(format!("{why}; expected a JSON object with \"cniVersion\", \"name\" and \"type\""))
    };
    if bytes.len() as u64 > MAX_CONFIG {
        return Err(undecodable(format!("it is longer than {} MiB", MAX_CONFIG >> 20)));
    }
    match serde_json::from_slice(&bytes) {
        Ok(value @ Value::Object(_)) => Ok(Configuration { value: value.into(), text: Some(bytes.into()) }),
        Ok(_) => Err(undecodable("it is JSON, but not an object".into())),
        Err(error) => Err(undecodable(error.to_string())),
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Error::new(Code::Internal, "the plugin has a bug and stopped")
        .with_details(format!("{text}; what it had changed was taken back; please report this with the stderr output"))
}

fn fail(error: &Error, version: &str) -> ExitCode {
    if let Err(unprinted) = print(&error.to_json(version)) {
        eprintln!("{error}; {unprinted}");
    }
    ExitCode::FAILURE
}

/// Writes a reply to stdout, indented by four as the reference does, in one piece.
fn print(reply: &Value) -> Result<(), Error> {
    let cannot =
        |error: std::io::Error| Error::new(Code::Io, "write the reply to stdout").with_details(error.to_string());
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    reply
        .serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))
        .map_err(|error| cannot(error.into()))?;
    text.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&text).and_then(|()| stdout.flush()).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_an_add_from_succeeding_is_code_50_to_status() {
        let code = |code| unavailable(Error::new(code, "no")).code();
        for failure in [Code::Internal, Code::Io, Code::TryAgainLater, Code::Other(123)] {
            assert_eq!(code(failure), Code::Unavailable);
        }
        for kept in [Code::InvalidConfig, Code::LimitedConnectivity, Code::UnsupportedField] {
            assert_eq!(code(kept), kept);
        }
    }
}
