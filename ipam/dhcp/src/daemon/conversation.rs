//! The daemon's end of the conversation with a plugin.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use cni_plugin::{Attachment, Code};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;

use super::leases::{Leases, Unclaimed};
use crate::lease::Settings;
use crate::protocol::{Answer, Holder, Line, MAX_LINE, Request, VERSION, line};
use crate::store::Key;
use crate::wishes::Wishes;
use ip::Family;

/// A plugin asks as soon as it is connected.
const QUESTION: Duration = Duration::from_secs(5);
/// Whatever is not an ADD is done in less.
const USUALLY: Duration = Duration::from_secs(5);
/// To the reference's plugin, which speaks HTTP; it quotes the status in its error.
const NOT_HTTP: &[u8] =
    b"HTTP/1.0 400 this is the dhcp daemon of ferrocni, which talks to the dhcp plugin of ferrocni\r\n\r\n";

/// Answers one plugin.
pub(super) async fn hold(stream: UnixStream, leases: Rc<Leases>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let Some(text) = question(&mut reader).await else { return };
    if !text.starts_with(b"{") {
        let _ = writer.write_all(NOT_HTTP).await;
        return;
    }
    let request = match understand(&text) {
        Ok(request) => request,
        Err(error) => {
            let _ = writer.write_all(&line(Answer::Failed(error.into()))).await;
            return;
        }
    };
    let patience = if let Request::Allocate { .. } = request { leases.flags().resend_timeout } else { USUALLY };
    if writer.write_all(&line(Answer::Wait { seconds: patience.as_secs() + 1 })).await.is_err() {
        return;
    }
    tokio::select! {
        (answer, added) = answer(request, &leases) => {
            if writer.write_all(&line(answer)).await.is_ok() {
                added.into_iter().for_each(Unclaimed::claim);
            }
        }
        // What is being added is taken back when it is dropped here.
        () = hung_up(&mut reader) => {}
    }
}

async fn question(reader: &mut BufReader<OwnedReadHalf>) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut limited = reader.take(MAX_LINE as u64);
    let read = tokio::time::timeout(QUESTION, limited.read_until(b'\n', &mut text)).await;
    matches!(read, Ok(Ok(_))).then_some(text)
}

fn understand(text: &[u8]) -> Result<Request, cni_plugin::Error> {
    let wrong = |why: String| {
        cni_plugin::Error::new(Code::Decode, "the dhcp daemon does not understand the plugin").with_details(why)
    };
    let line: Line<Value> = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
    if line.version != VERSION {
        return Err(wrong(format!("the plugin speaks version {}, the daemon {VERSION}", line.version)));
    }
    Request::deserialize(line.body).map_err(|error| wrong(error.to_string()))
}

async fn hung_up(reader: &mut BufReader<OwnedReadHalf>) {
    let mut rest = [0; 64];
    while let Ok(1..) = reader.read(&mut rest).await {}
}

async fn answer(request: Request, leases: &Rc<Leases>) -> (Answer, Vec<Unclaimed>) {
    let answer = match request {
        Request::Allocate { attachment, netns, families, wishes } => {
            return match allocate(leases, attachment, &netns, &families, &wishes).await {
                Ok((settings, added)) => (Answer::Allocated { leases: settings, fresh: !added.is_empty() }, added),
                Err(error) => (Answer::Failed(error.into()), Vec::new()),
            };
        }
        Request::Release { attachment } => match leases.release(&attachment).await {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Failed(cni_plugin::Error::from(error).into()),
        },
        Request::Check { attachment } => Answer::Held(leases.held(&attachment).await),
        Request::List { network } => Answer::Holders(leases.holders(&network).into_iter().map(Holder).collect()),
        Request::Ping => Answer::Done,
    };
    (answer, Vec::new())
}

/// A lease of each family, or none: the families are asked for at the same time.
async fn allocate(
    leases: &Rc<Leases>,
    attachment: Attachment,
    netns: &Path,
    families: &[Family],
    wishes: &Wishes,
) -> Result<(Vec<Settings>, Vec<Unclaimed>), cni_plugin::Error> {
    let place = leases.place(netns, &attachment.ifname, families)?;
    let one = |family: Family| {
        let (key, place, wanted) =
            (Key { attachment: attachment.clone(), family }, place.clone(), families.contains(&family));
        async move { if wanted { leases.allocate(&key, place, wishes).await.map(Some) } else { Ok(None) } }
    };
    let (v4, v6) = tokio::try_join!(one(Family::V4), one(Family::V6))?;
    let (settings, added): (Vec<_>, Vec<_>) = [v4, v6].into_iter().flatten().unzip();
    Ok((settings, added.into_iter().flatten().collect()))
}
