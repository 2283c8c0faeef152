//! The socket where plugins and the command ask: for root alone, one question a connection.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::sys::stat::{Mode, umask};
use overlay::{Places, Reply, Request};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::{Error, log};

/// The longest question, in bytes.
const LONGEST: u64 = 1 << 20;

/// A question, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) request: Request,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// Listens; the file of an agent that was killed is replaced.
pub(crate) fn start(places: &Places) -> Result<UnboundedReceiver<Question>, Error> {
    let listener = bind(&places.socket()).map_err(|source| Error::Listen { path: places.socket(), source })?;
    let (ask, questions) = unbounded_channel();
    tokio::spawn(accept(listener, ask));
    Ok(questions)
}

fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let usual = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    umask(usual);
    listener
}

async fn accept(listener: UnixListener, ask: UnboundedSender<Question>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, ask.clone()))),
            Err(error) => {
                log::say(&format!("cannot accept a connection: {error}"));
                // Out of descriptors, most likely: others are let go meanwhile.
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn serve(stream: UnixStream, ask: UnboundedSender<Question>) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    if BufReader::new(read.take(LONGEST)).read_line(&mut line).await.is_err() || line.is_empty() {
        return;
    }
    let reply = match serde_json::from_str(&line) {
        Ok(request) => answer(request, &ask).await,
        Err(error) => Reply::Failed { message: format!("the question cannot be read: {error}"), temporary: false },
    };
    let mut text = serde_json::to_vec(&reply).unwrap_or_default();
    text.push(b'\n');
    // Who has asked may have gone.
    let _ = write.write_all(&text).await;
}

async fn answer(request: Request, ask: &UnboundedSender<Question>) -> Reply {
    let (reply, answer) = oneshot::channel();
    let ended = || Reply::Failed { message: "the agent ends".to_owned(), temporary: true };
    if ask.send(Question { request, reply }).is_err() {
        return ended();
    }
    answer.await.unwrap_or_else(|_| ended())
}
