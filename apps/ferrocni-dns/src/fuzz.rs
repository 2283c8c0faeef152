//! What holds for whatever a container or another server sends: nothing panics, and what is answered is well formed.
//!
//! Each test run changes what is in `corpus/` in many ways, at random, for as many seconds as `FERROCNI_FUZZ_SECONDS` says (one,
//! unless it says more). `scripts/fuzz.sh` has the same checked by a fuzzer that follows the program's branches. What makes a check
//! fail is written into `corpus/`, and so is tried first from then on.

use cni::Attachment;
use domain::base::Message;
use domain::base::iana::OptRcode;
use domain::rdata::AllRecordData;
use names::{Host, Name, Port, Protocol, Record};
use netlink::{Namespace, Netns};
use tokio::io::AsyncWriteExt as _;

use crate::directory::{Directory, Entry};
use crate::query::{Query, Unfit};
use crate::reply::{self, Reply};
use crate::resolve::{Resolution, resolve};
use crate::tcp;
use crate::upstream::Question;

thread_local! {
    static DIRECTORY: Directory = directory();
}

/// A query is answered in good form or not at all.
///
/// # Panics
/// If not.
pub fn queries(bytes: &[u8]) {
    match Query::parse(bytes) {
        Err(Unfit::Noise) => {}
        Err(Unfit::Refused(code)) => {
            assert_readable(&reply::refusal(Message::from_slice(bytes).unwrap(), code), bytes, 512);
        }
        Ok(query) => {
            let reply =
                match DIRECTORY.with(|directory| resolve(directory, asker(directory), &query.name, query.kind())) {
                    Resolution::Known { answers, additional, ttl } => {
                        Reply { answers, additional, ttl, ..Reply::of(OptRcode::NOERROR) }
                    }
                    Resolution::Unknown { .. } => Reply::of(OptRcode::NXDOMAIN),
                };
            assert_readable(&reply.for_udp(&query), bytes, query.size().min(1232));
            assert_readable(&reply.for_tcp(&query), bytes, usize::from(u16::MAX));
            assert_eq!(Question::new(&query).bytes(), bytes);
        }
    }
}

/// An answer is taken only if it answers the question. Input: the question behind its length in one byte, then the answer.
///
/// # Panics
/// If not.
pub fn answers(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first() else { return };
    let Some((asked, answered)) = rest.split_at_checked((*length).into()) else { return };
    let Ok(query) = Query::parse(asked) else { return };
    if Question::new(&query).is_answered(asked, answered) {
        let [asked, answered] = [asked, answered].map(|bytes| Message::from_slice(bytes).unwrap());
        assert_eq!(answered.sole_question().unwrap(), asked.sole_question().unwrap());
        assert!(answered.header().qr() && answered.header().id() == asked.header().id());
    }
}

/// However a stream is cut into pieces, its messages are the same, and end where it ends. Input: the size of the pieces in one byte,
/// then the stream.
///
/// # Panics
/// If not.
pub fn streams(bytes: &[u8]) {
    let Some((size, stream)) = bytes.split_first() else { return };
    let mut expected = Vec::new();
    let mut rest = stream;
    while let Some((length, after)) = rest.split_first_chunk::<2>()
        && let Some((message, after)) = after.split_at_checked(u16::from_be_bytes(*length).into())
    {
        expected.push(message.to_vec());
        rest = after;
    }
    assert_eq!(read_in_pieces(stream, 1 + usize::from(*size)), expected);
}

fn read_in_pieces(stream: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (mut writer, mut reader) = tokio::io::duplex(size);
    let writing = async move { writer.write_all(stream).await };
    let reading = async {
        let mut messages = Vec::new();
        while let Ok(message) = tcp::read(&mut reader).await {
            messages.push(message);
        }
        messages
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { tokio::join!(writing, reading).1 })
}

/// A network with a hundred containers of the same name, all in this namespace.
fn directory() -> Directory {
    let name = |text| Name::new(text).unwrap();
    let here = Namespace::of(&Netns::current().unwrap()).unwrap();
    let mut directory = Directory::default();
    for number in 0..100 {
        let mut record = Record::new(here.clone());
        record.name = Some(name("web"));
        record.aliases = vec![name("www"), name("db.internal")];
        record.addresses = vec![[10, 1, 0, number].into(), [0xfd00, 0, 0, 0, 0, 0, 0, number.into()].into()];
        record.domain = Some(name("dns.podman"));
        record.pod_namespace = Some(name("default"));
        record.ports = vec![Port { protocol: Protocol::Tcp, port: 80 }];
        record.hosts = vec![Host { name: name("printer"), addresses: vec![[192, 0, 2, 9].into()] }];
        let attachment = Attachment::new("net", &format!("0123456789abc{number}"), "eth0").unwrap();
        directory.insert(Entry::new(attachment, record));
    }
    directory
}

fn asker(directory: &Directory) -> &[std::rc::Rc<Entry>] {
    directory.of_namespace(Netns::current().unwrap().id())
}

/// What is well formed can be read to its end.
fn assert_readable(answer: &[u8], query: &[u8], most: usize) {
    assert!(answer.len() <= most, "{} bytes", answer.len());
    assert_eq!(answer[..2], query[..2]);
    let message = Message::from_slice(answer).unwrap();
    assert!(message.header().qr() && message.question().all(|question| question.is_ok()));
    for record in message.answer().unwrap() {
        record.unwrap().into_any_record::<AllRecordData<_, _>>().unwrap();
    }
    assert!(message.additional().unwrap().all(|record| record.is_ok()));
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};
    use std::{fs, iter};

    fn corpus(kind: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(kind)
    }

    /// Runs `check` on everything in the corpus, and on what can be made of it.
    fn tamper(kind: &str, check: impl Fn(&[u8])) {
        let files = fs::read_dir(corpus(kind)).unwrap().map(|entry| entry.unwrap().path());
        let seeds: Vec<_> = files.map(|path| fs::read(path).unwrap()).collect();
        assert!(seeds.len() > 3, "a corpus");
        seeds.iter().for_each(|seed| check(seed));
        let seconds = std::env::var("FERROCNI_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            for input in iter::repeat_with(|| mutated(&seeds)).take(256) {
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&input))) {
                    let path = corpus(kind).join(format!("found-{:016x}", fastrand::u64(..)));
                    fs::write(&path, &input).unwrap();
                    eprintln!("{} makes it fail", path.display());
                    resume_unwind(panic);
                }
            }
        }
    }

    fn mutated(seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = fastrand::choice(seeds).unwrap().clone();
        for _ in 0..fastrand::usize(1..6) {
            let at = fastrand::usize(..=input.len());
            match fastrand::u8(..8) {
                0 => input.truncate(at),
                1 => input.insert(at, fastrand::u8(..)),
                2 => drop(input.splice(at.., fastrand::choice(seeds).unwrap().iter().copied())),
                3 => input.extend_from_within(at..),
                4 if at < input.len() => drop(input.remove(at)),
                5 if at < input.len() => input[at] = *fastrand::choice(&[0, 1, 12, 63, 64, 0x80, 0xc0, 0xff]).unwrap(),
                _ if at < input.len() => input[at] ^= 1 << fastrand::u8(..8),
                _ => {}
            }
        }
        input
    }

    #[test]
    fn a_tampered_query_is_answered_in_good_form_or_not_at_all() {
        tamper("queries", super::queries);
    }

    #[test]
    fn a_tampered_answer_is_taken_only_if_it_answers_the_question() {
        tamper("answers", super::answers);
    }

    #[test]
    fn a_tampered_stream_is_cut_into_the_same_messages_however_it_arrives() {
        tamper("streams", super::streams);
    }
}
