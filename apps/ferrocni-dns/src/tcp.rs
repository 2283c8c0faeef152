//! Answering over connections, each with as many queries as it likes, in the order in which answers are known (RFC 7766).

use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use netlink::NetnsId;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use crate::answer::Outcome;
use crate::log;
use crate::place::Place;
use crate::server::Server;
use crate::tasks::Tasks;
use crate::upstream::Transport;

/// The most connections of one place. Others wait until one is closed.
const CONNECTIONS: usize = 32;
/// How many queries of a connection may be under way. Others are read later.
const PIPELINED: usize = 16;
/// A query has to arrive in that time after the one before, and an answer to be taken.
const IDLE: Duration = Duration::from_secs(10);
/// When no connection can be accepted, descriptors are used up, and will be free in a moment.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers whoever connects to a place, until it is dropped.
pub(crate) async fn serve(server: Rc<Server>, place: Place, listener: TcpListener, tasks: Weak<Tasks>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(connection) = Arc::clone(&connections).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, from)) => {
                if let Some(asker) = server.asker(place, from.ip())
                    && let Some(running) = tasks.upgrade()
                {
                    running.spawn(converse(Rc::clone(&server), asker, stream, connection, Weak::clone(&tasks)));
                }
            }
            Err(error) => {
                log::trouble(&format!("cannot accept a connection: {error}"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(
    server: Rc<Server>,
    asker: NetnsId,
    stream: TcpStream,
    _connection: OwnedSemaphorePermit,
    tasks: Weak<Tasks>,
) {
    let (mut reader, mut writer) = stream.into_split();
    let (answers, mut queue) = mpsc::channel::<Vec<u8>>(PIPELINED);
    let reading = async move {
        while let Ok(Ok(query)) = timeout(IDLE, read(&mut reader)).await
            && let Ok(slot) = answers.clone().reserve_owned().await
        {
            match server.answer(asker, &query, Transport::Tcp) {
                Outcome::Silence => break,
                Outcome::Answer(answer) => drop(slot.send(answer)),
                Outcome::Forward(forward) => {
                    let Some(tasks) = tasks.upgrade() else { break };
                    tasks.spawn(async move { drop(slot.send(forward.answer().await.0)) });
                }
            }
        }
    };
    let writing = async move {
        while let Some(answer) = queue.recv().await {
            if !matches!(timeout(IDLE, write(&mut writer, &answer)).await, Ok(Ok(()))) {
                return;
            }
        }
    };
    // Who has no more questions still gets the answers; who takes no answers has no more questions.
    tokio::pin!(reading, writing);
    tokio::select! {
        () = &mut writing => {}
        () = &mut reading => writing.await,
    }
}

/// Reads a message behind its length. Room is made as it arrives.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = Vec::new();
    stream.take(length.into()).read_to_end(&mut message).await?;
    if message.len() < length.into() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(message) }
}

/// Writes a message behind its length.
pub(crate) async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await
}
