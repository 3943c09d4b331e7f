//! Whether all children answer, and not another instance's on the same data folder.

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
    if !stream.peer_cred()?.pid().is_some_and(is_child) {
        return Ok(false);
    }
    stream.write_all(QUESTION).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(status.starts_with(b"HTTP/1.1 2"))
}

/// Whether a process was started by this one. Another instance that holds the folder, or what is left of a
/// supervisor that was killed, would answer too.
fn is_child(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // `pid (name) state parent …`; the name may hold anything.
    let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
    parent == Some(std::process::id())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn children_are_told_from_other_processes() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let is_ours = is_child(i32::try_from(child.id()).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_ours);
        assert!(!is_child(i32::try_from(std::process::id()).unwrap()));
        assert!(!is_child(1) && !is_child(i32::MAX));
    }

    #[tokio::test]
    async fn an_answer_of_another_instance_does_not_count() {
        let folder = std::env::temp_dir().join(format!("djstream-ready-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("gateway.sock");
        // This process is not its own child: to the question, it is another instance.
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let other = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            stream
        });
        let counts = answers(&socket).await;
        drop(other.await);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(counts, Ok(false)), "{counts:?}");
    }
}
