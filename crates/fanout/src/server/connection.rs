//! One connection's reading and writing.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

use super::Session;
use super::outbox::Outbox;
use crate::command::{self, Flow};
use crate::frame::{Frame, FrameDecoder, ProtocolError};

/// Room for reading that a connection starts with.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// About how much goes into one write.
const WRITE_BUFFER_BYTES: usize = 32 * 1024;

/// Serves one connection until either side has had enough.
pub(crate) async fn run<S>(stream: S, mut session: Session, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (reader, writer) = tokio::io::split(stream);
    let outbox = session.outbox().clone();
    let drain = Duration::from_millis(session.shared.limits.drain_timeout_ms);
    let write = write_replies(writer, &outbox);
    tokio::pin!(write);
    tokio::select! {
        () = read_commands(reader, &mut session) => {
            session.unsubscribe_all();
            outbox.close();
            // Whoever does not read his last replies in time does without.
            let _ = tokio::time::timeout(drain, &mut write).await;
        }
        () = &mut write => {}
        () = outbox.cut() => {
            tracing::warn!(
                id = session.id,
                limit_bytes = session.shared.limits.buffered_bytes_per_connection,
                "the fan-out cut a connection that reads too slowly"
            );
        }
        () = stop.cancelled() => {}
    }
}

/// Returns at the end of the stream, at `QUIT`, and after an error of the protocol.
async fn read_commands<R: AsyncRead>(mut reader: ReadHalf<R>, session: &mut Session) {
    let limits = session.shared.limits.clone();
    let deadline = tokio::time::Instant::now() + Duration::from_millis(limits.authentication_timeout_ms);
    let mut decoder = FrameDecoder::for_commands(limits.frame_bytes, limits.frame_elements);
    let mut buffer = BytesMut::with_capacity(READ_BUFFER_BYTES);
    loop {
        let allowed = if session.authenticated {
            limits.frame_bytes
        } else {
            limits.unauthenticated_frame_bytes.min(limits.frame_bytes)
        };
        decoder.set_maximal_bytes(allowed);
        match decoder.decode(&mut buffer) {
            Ok(Some(frame)) => match execute(session, frame) {
                Flow::Continue => session.outbox().wait_for_room().await,
                Flow::Close => return,
            },
            Ok(None) => {
                buffer.reserve(READ_BUFFER_BYTES);
                let read = reader.read_buf(&mut buffer);
                let read = if session.authenticated {
                    read.await
                } else {
                    match tokio::time::timeout_at(deadline, read).await {
                        Ok(read) => read,
                        Err(_) => return,
                    }
                };
                if !matches!(read, Ok(1..)) {
                    return;
                }
            }
            Err(error) => {
                session.reply(&Frame::error(format!("ERR Protocol error: {error}")));
                return;
            }
        }
    }
}

fn execute(session: &mut Session, frame: Frame) -> Flow {
    match arguments(frame) {
        Ok(arguments) if arguments.is_empty() => Flow::Continue,
        Ok(arguments) => command::execute(session, &arguments),
        Err(error) => {
            session.reply(&Frame::error(format!("ERR Protocol error: {error}")));
            Flow::Close
        }
    }
}

/// A command is an array of bulk strings and nothing else.
fn arguments(frame: Frame) -> Result<Vec<Bytes>, ProtocolError> {
    match frame {
        Frame::Null => Ok(Vec::new()),
        Frame::Array(items) => items
            .into_iter()
            .map(|item| match item {
                Frame::Bulk(bytes) => Ok(bytes),
                _ => Err(ProtocolError::InvalidValue),
            })
            .collect(),
        _ => Err(ProtocolError::InvalidValue),
    }
}

async fn write_replies<W: AsyncWrite>(mut writer: WriteHalf<W>, outbox: &Outbox) {
    let mut out = Vec::new();
    while outbox.take(&mut out, WRITE_BUFFER_BYTES).await.is_some() {
        if writer.write_all(&out).await.is_err() {
            return;
        }
        outbox.written(out.len());
        out.clear();
        // One large message does not keep its room for ever.
        out.shrink_to(WRITE_BUFFER_BYTES);
    }
    // The peer may be gone already.
    let _ = writer.shutdown().await;
}
