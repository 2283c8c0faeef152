//! What goes over the server's socket: one line of JSON each way for each request, and as many requests as the client likes.
//!
//! ```text
//! → {"serve":"net:c1:eth0"}                                             ← "done"
//! → {"forget":"net:c1:eth0"}                                            ← "done"
//! → {"lookup":{"container":"c1","name":"web","type":"A"}}               ← {"lookup":{"code":"NOERROR","records":[…]}}
//! → {"status":null}                                                     ← {"status":{"version":"0.1.0",…}}
//!                                                                       ← {"error":"there is no record net:c1:eth0"}
//! ```

use std::net::SocketAddr;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The most that a line may have, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// That the record in this file is read, its names answered and its namespace listened in.
    Serve(String),
    /// That nobody gets this record's names any more, and that the sockets in its namespace are closed if it was the last there.
    Forget(String),
    /// To know what a container would be answered.
    Lookup(Question),
    /// To know how the server is.
    Status(()),
}

/// What a container could ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// The id of the container.
    pub container: String,
    /// The name, or the address in its form for reverse questions.
    pub name: String,
    /// The type of record, such as `A`, `AAAA`, `PTR`, `SRV`, `TYPE65`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// It is done.
    Done,
    /// What the container would be answered.
    Lookup(Lookup),
    /// How the server is.
    Status(Status),
    /// It could not be done.
    Error(String),
}

/// What a container would be answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Lookup {
    /// The response code's name, such as `NOERROR` or `NXDOMAIN`.
    pub code: String,
    /// The answer section.
    pub records: Vec<Answered>,
    /// The server that the answer came from; nothing if it is ferrocni's own.
    pub server: Option<SocketAddr>,
    /// What the answer says of itself (RFC 8914), such as "Prohibited".
    pub reason: Option<String>,
}

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// The name that it belongs to.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// How long it may be kept, in seconds.
    pub ttl: u32,
    /// What it says, as in a zone file.
    pub data: String,
}

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process, as the host numbers it; 0 if it does not say.
    pub process: u32,
    /// How many namespaces it listens in.
    pub namespaces: usize,
    /// How many records it answers from.
    pub records: usize,
    /// How many names it knows.
    pub names: usize,
    /// The host's servers, which it asks for what it does not know.
    pub upstreams: Vec<SocketAddr>,
    /// What keeps it from doing its work.
    pub problems: Vec<String>,
}

/// A message and the line feed behind it.
#[must_use]
pub fn line(message: &impl Serialize) -> Vec<u8> {
    // None of the messages above can fail to be written.
    let mut bytes = serde_json::to_vec(message).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Reads a line.
///
/// # Errors
/// It is no such message.
pub fn read<T: DeserializeOwned>(line: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn assert_is(message: &(impl Serialize + DeserializeOwned + PartialEq + std::fmt::Debug), text: &str) {
        assert_eq!(String::from_utf8(line(message)).unwrap(), format!("{text}\n"));
        assert_eq!(&read::<serde_json::Value>(text.as_bytes()).unwrap(), &serde_json::to_value(message).unwrap());
    }

    #[test]
    fn each_message_is_one_line() {
        assert_is(&Request::Serve("n:c:e".into()), r#"{"serve":"n:c:e"}"#);
        assert_is(&Request::Forget("n:c:e".into()), r#"{"forget":"n:c:e"}"#);
        assert_is(&Request::Status(()), r#"{"status":null}"#);
        let question = Question { container: "c".into(), name: "web\n".into(), kind: "A".into() };
        assert_is(&Request::Lookup(question), r#"{"lookup":{"container":"c","name":"web\n","type":"A"}}"#);
        assert_is(&Answer::Done, r#""done""#);
        assert_is(&Answer::Error("no".into()), r#"{"error":"no"}"#);
    }

    #[test]
    fn what_another_version_says_is_understood() {
        let status: Answer = read(br#"{"status":{"version":"9","moons":2}}"#).unwrap();
        assert_eq!(status, Answer::Status(Status { version: "9".into(), ..Status::default() }));
    }
}
