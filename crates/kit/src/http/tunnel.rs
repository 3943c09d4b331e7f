//! Tunnels: after an upgrade, bytes go both ways untouched until one side ends.

use std::io;

use http::header::{CONNECTION, HeaderMap, UPGRADE};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio_util::sync::CancellationToken;

use crate::limits::TUNNEL_BUFFER_BYTES;

/// Whether the client asks to speak another protocol on this connection (RFC 9110 §7.8).
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    headers.contains_key(UPGRADE)
        && named.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

/// Copies both ways until both sides have ended, one breaks, or `end` is cancelled.
///
/// The buffers are small on purpose: there is one pair for every open websocket.
///
/// # Errors
/// Whatever the sockets say.
pub async fn copy<L, R>(mut left: L, mut right: R, end: &CancellationToken) -> io::Result<()>
where
    L: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + AsyncWrite + Unpin,
{
    let both = copy_bidirectional_with_sizes(&mut left, &mut right, TUNNEL_BUFFER_BYTES, TUNNEL_BUFFER_BYTES);
    tokio::select! {
        result = both => result.map(|_| ()),
        () = end.cancelled() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn bytes_go_both_ways_until_it_is_ended() {
        let ((mut client, left), (right, mut service)) = (duplex(64), duplex(64));
        let end = CancellationToken::new();
        let tunnel = tokio::spawn({
            let end = end.clone();
            async move { copy(left, right, &end).await }
        });
        client.write_all(b"question").await.unwrap();
        let mut buffer = [0; 8];
        service.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"question");
        service.write_all(b"answer").await.unwrap();
        client.read_exact(&mut buffer[..6]).await.unwrap();
        assert_eq!(&buffer[..6], b"answer");
        end.cancel();
        tunnel.await.unwrap().unwrap();
        assert_eq!(client.read(&mut buffer).await.unwrap(), 0);
    }

    #[test]
    fn only_a_named_upgrade_counts() {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, "websocket".parse().unwrap());
        assert!(!is_upgrade(&headers));
        headers.insert(CONNECTION, "keep-alive, Upgrade".parse().unwrap());
        assert!(is_upgrade(&headers));
    }
}
