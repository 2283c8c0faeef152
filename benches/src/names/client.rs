//! Asks for names, as a container's resolver does.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use super::server::{KNOWN, Server};
use crate::error::{Error, Result};
use crate::statistics::Summary;

/// How many questions one measurement of an answer's time asks.
const QUESTIONS: u16 = 1000;

/// How long answers are counted.
const COUNTED: Duration = Duration::from_millis(500);

/// How many questions are under way meanwhile.
const WINDOW: u16 = 32;

/// When a question is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// Longer than any answer should take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Seconds from a question to its answer, the median of many.
pub(super) fn answer(server: &Server) -> Result<f64> {
    let times = ask(server, |socket| {
        let time = |id| {
            let started = Instant::now();
            exchange(socket, &question(id, KNOWN))?;
            Ok(started.elapsed().as_secs_f64())
        };
        (0..QUESTIONS).map(time).collect::<Result<Vec<_>>>()
    })?;
    Ok(Summary::of(&times).ok_or(Error::NothingMeasured)?.median)
}

/// Answers in a second, where a question is asked as soon as another one is answered.
pub(super) fn rate(server: &Server) -> Result<f64> {
    ask(server, |socket| {
        let question = question(0, KNOWN);
        (0..WINDOW).try_for_each(|_| socket.send(&question).map(drop)).map_err(failed())?;
        let (started, mut answered) = (Instant::now(), 0_u32);
        while started.elapsed() < COUNTED {
            receive(socket)?;
            socket.send(&question).map_err(failed())?;
            answered += 1;
        }
        Ok(f64::from(answered) / started.elapsed().as_secs_f64())
    })
}

/// Asks until the name has an address.
pub(super) fn wait_for(server: &Server, name: &str) -> Result<()> {
    wait(server, name, true)
}

/// Asks until it has none.
pub(super) fn wait_until_gone(server: &Server, name: &str) -> Result<()> {
    wait(server, name, false)
}

fn wait(server: &Server, name: &str, is_known: bool) -> Result<()> {
    ask(server, |socket| {
        // One that is starting loses questions.
        socket.set_read_timeout(Some(AGAIN)).map_err(failed())?;
        let (question, started) = (question(1, name), Instant::now());
        loop {
            let found = exchange(socket, &question).is_ok_and(|answer| answers(&answer) > 0);
            if found == is_known {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                return Err(Error::Name { server: server.address, name: name.to_owned() });
            }
        }
    })
}

fn ask<T: Send>(server: &Server, work: impl FnOnce(&UdpSocket) -> Result<T> + Send) -> Result<T> {
    server.host.inside(&server.asker, || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(failed())?;
        socket.connect(server.address).map_err(failed())?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(failed())?;
        work(&socket)
    })
}

fn exchange(socket: &UdpSocket, question: &[u8]) -> Result<Vec<u8>> {
    socket.send(question).map_err(failed())?;
    receive(socket)
}

fn receive(socket: &UdpSocket) -> Result<Vec<u8>> {
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).map_err(failed())?;
    Ok(answer[..length].to_vec())
}

fn failed() -> impl FnOnce(std::io::Error) -> Error {
    Error::file("a question for a name")
}

/// A question for the address of a name (RFC 1035, section 4.1), with recursion desired.
#[expect(clippy::cast_possible_truncation, reason = "a label has 63 bytes at the most")]
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}

/// How many records answer.
fn answers(message: &[u8]) -> u16 {
    message.get(6..8).map_or(0, |count| u16::from_be_bytes([count[0], count[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_its_header_and_the_labels_with_their_lengths() {
        let expected = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x03net\x00\x00\x01\x00\x01";
        assert_eq!(question(7, "web.net"), expected);
    }

    #[test]
    fn the_records_of_an_answer_are_counted_and_rubbish_has_none() {
        assert_eq!(answers(b"\x00\x07\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00"), 2);
        assert_eq!(answers(b"\x00\x07"), 0);
    }
}
