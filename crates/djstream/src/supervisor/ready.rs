//! Whether all children answer.

use std::path::Path;
use std::time::Duration;

use kit::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::role::Role;

const ASK_AGAIN_AFTER: Duration = Duration::from_millis(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const QUESTION: &[u8] = b"GET /internal/health HTTP/1.1\r\nhost: djstream\r\nconnection: close\r\n\r\n";

/// Waits until each of them answers on its socket.
pub(super) async fn wait_for_all(context: &Context, roles: &[Role]) {
    for role in roles {
        let socket = context.data.socket(&role.name());
        while !matches!(tokio::time::timeout(ANSWER_WITHIN, answers(&socket)).await, Ok(Ok(true))) {
            tokio::time::sleep(ASK_AGAIN_AFTER).await;
        }
    }
}

/// One question of one line is not worth a client.
async fn answers(socket: &Path) -> std::io::Result<bool> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(QUESTION).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(status.starts_with(b"HTTP/1.1 2"))
}
