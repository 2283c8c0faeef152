//! What a plugin says when it cannot do what it was asked: a code, a message, and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::json;
use crate::name::InvalidName;

/// The error codes of the specification ("Error"), and the few that the reference library adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
#[non_exhaustive]
pub enum Code {
    /// 1: the configuration's CNI version is not one this plugin speaks.
    IncompatibleVersion,
    /// 2: a field of the configuration is not supported; key and value belong into the message.
    UnsupportedField,
    /// 3: the container is unknown or gone; the runtime need not clean up.
    UnknownContainer,
    /// 4: an environment variable is missing or wrong.
    InvalidEnvironment,
    /// 5: reading or writing failed.
    Io,
    /// 6: the configuration or a delegated plugin's answer is not the JSON it should be.
    Decode,
    /// 7: the configuration is JSON, but its values cannot be right.
    InvalidConfig,
    /// 8: CNI_NETNS is the host's own namespace (the reference library's code, not in the spec).
    InvalidNetns,
    /// 11: something transient is in the way; the runtime should try again later.
    TryAgainLater,
    /// 50: STATUS: an ADD could not succeed now.
    Unavailable,
    /// 51: STATUS: an ADD could not succeed now, and containers already attached have limited connectivity.
    LimitedConnectivity,
    /// 999: anything else.
    Internal,
    /// A code of another plugin's own, from 100 on.
    Other(u32),
}

impl From<u32> for Code {
    fn from(code: u32) -> Self {
        match code {
            1 => Self::IncompatibleVersion,
            2 => Self::UnsupportedField,
            3 => Self::UnknownContainer,
            4 => Self::InvalidEnvironment,
            5 => Self::Io,
            6 => Self::Decode,
            7 => Self::InvalidConfig,
            8 => Self::InvalidNetns,
            11 => Self::TryAgainLater,
            50 => Self::Unavailable,
            51 => Self::LimitedConnectivity,
            999 => Self::Internal,
            other => Self::Other(other),
        }
    }
}

impl From<Code> for u32 {
    fn from(code: Code) -> u32 {
        match code {
            Code::IncompatibleVersion => 1,
            Code::UnsupportedField => 2,
            Code::UnknownContainer => 3,
            Code::InvalidEnvironment => 4,
            Code::Io => 5,
            Code::Decode => 6,
            Code::InvalidConfig => 7,
            Code::InvalidNetns => 8,
            Code::TryAgainLater => 11,
            Code::Unavailable => 50,
            Code::LimitedConnectivity => 51,
            Code::Internal => 999,
            Code::Other(other) => other,
        }
    }
}

/// An error as the protocol carries it.
///
/// `msg` says what was being done to which object, `details` why it failed and what to do about it. A plugin's own error
/// enum becomes one with [`Error::from_chain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    code: Code,
    msg: String,
    details: String,
}

impl Error {
    /// An error with a message and no details.
    #[must_use]
    pub fn new(code: Code, msg: impl Into<String>) -> Self {
        Self { code, msg: msg.into(), details: String::new() }
    }

    /// The same with details: the cause and the remedy.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// An error and its causes: the outermost becomes the message, its sources the details.
    #[must_use]
    pub fn from_chain(code: Code, error: &dyn std::error::Error) -> Self {
        let causes: Vec<String> =
            std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string).collect();
        Self::new(code, error.to_string()).with_details(causes.join(": "))
    }

    /// The configuration cannot be right (code 7).
    #[must_use]
    pub fn config(msg: impl Into<String>) -> Self {
        Self::new(Code::InvalidConfig, msg)
    }

    /// The error's code, by which a runtime decides how to go on (spec, "Error").
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What was being done to which object.
    #[must_use]
    pub fn msg(&self) -> &str {
        &self.msg
    }

    /// The cause and the remedy; may be empty.
    #[must_use]
    pub fn details(&self) -> &str {
        &self.details
    }

    /// The same error under another code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// The error as a plugin prints it, in the version that the configuration asked for.
    #[must_use]
    pub fn to_json(&self, version: &str) -> Value {
        let mut printed = json!({"cniVersion": version, "code": u32::from(self.code), "msg": self.msg});
        if !self.details.is_empty() {
            printed["details"] = self.details.as_str().into();
        }
        printed
    }

    /// Reads what a plugin printed that failed; `None` if that says nothing of an error.
    #[must_use]
    pub fn from_json(printed: &Value) -> Option<Self> {
        let Printed { code, msg, details } = json::from_value(printed).ok()?;
        (!msg.is_empty()).then_some(Self { code: code.into(), msg, details })
    }

    /// The same error about something that has a name: it goes before the message.
    pub fn within(mut self, name: &str) -> Self {
        self.msg = format!("{name}: {}", self.msg);
        self
    }

    /// Appends a sentence to the details, after a semicolon if there are any already.
    pub fn add_detail(&mut self, detail: &str) {
        if !self.details.is_empty() {
            self.details.push_str("; ");
        }
        self.details.push_str(detail);
    }
}

/// The JSON object of an error. Absent keys count as empty, an absent code as 999 ([`Code::Internal`]).
#[derive(Deserialize)]
#[serde(default)]
struct Printed {
    code: u32,
    msg: String,
    details: String,
}

impl Default for Printed {
    fn default() -> Self {
        Self { code: Code::Internal.into(), msg: String::new(), details: String::new() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.msg)?;
        if !self.details.is_empty() {
            write!(f, ": {}", self.details)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<InvalidName> for Error {
    fn from(error: InvalidName) -> Self {
        Self::config(error.to_string())
    }
}

/// Failures collected by a verb that goes on past them: DEL and GC do everything they can and then tell all of it.
#[derive(Debug, Default)]
pub struct Failures(Vec<Error>);

impl Failures {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing has failed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a step's outcome: its value, or `None` after noting why there is none.
    pub fn note<T, E: Into<Error>>(&mut self, outcome: Result<T, E>) -> Option<T> {
        outcome.map_err(|error| self.0.push(error.into())).ok()
    }

    /// Nothing failed: `Ok`. Otherwise one error with the first one's code and every message.
    ///
    /// # Errors
    /// What was noted.
    pub fn into_result(self) -> Result<(), Error> {
        let mut failures = self.0.into_iter();
        let Some(mut first) = failures.next() else { return Ok(()) };
        for other in failures {
            first.add_detail(&format!("and also: {other}"));
        }
        Err(first)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("read /x")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_chain_becomes_message_and_details() {
        let error = Error::from_chain(Code::Io, &Outer(std::io::Error::other("disk on fire")));
        assert_eq!((error.msg(), error.details()), ("read /x", "disk on fire"));
    }

    #[test]
    fn codes_survive_the_round_trip() {
        for code in [1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51, 100, 999] {
            assert_eq!(u32::from(Code::from(code)), code);
        }
    }

    #[test]
    fn a_printed_error_reads_back() {
        let error = Error::new(Code::Other(123), "one").with_details("two");
        assert_eq!(error.to_json("1.0.0"), json!({"cniVersion": "1.0.0", "code": 123, "msg": "one", "details": "two"}));
        assert_eq!(Error::from_json(&error.to_json("1.0.0")), Some(error));
        let bare = Error::new(Code::Io, "one");
        assert_eq!(bare.to_json("").get("details"), None);
        assert_eq!(Error::from_json(&bare.to_json("")), Some(bare));
    }

    #[test]
    fn what_says_nothing_is_no_error() {
        for nothing in [json!({}), json!({"code": 7}), json!({"msg": ""}), json!("msg"), json!({"msg": 5})] {
            assert_eq!(Error::from_json(&nothing), None, "{nothing}");
        }
        assert_eq!(Error::from_json(&json!({"Msg": "no"})).map(|error| error.code()), Some(Code::Internal));
    }

    #[test]
    fn failures_are_all_told() {
        let mut failures = Failures::new();
        assert_eq!(failures.note::<_, Error>(Ok(3)), Some(3));
        failures.note::<(), _>(Err(Error::new(Code::Io, "one")));
        failures.note::<(), _>(Err(Error::new(Code::Internal, "two")));
        let error = failures.into_result().unwrap_err();
        assert_eq!(error.code(), Code::Io);
        assert_eq!(error.to_string(), "one: and also: two");
        assert!(Failures::new().into_result().is_ok());
    }
}
