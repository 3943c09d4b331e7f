//! INFO and COMMAND: what clients ask before they start.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Answer, Flow};
use crate::frame::Frame;
use crate::server::Session;

/// The Redis whose publish/subscribe this is; clients read features off it.
const REDIS_VERSION: &str = "7.0.0";

/// `COMMAND …`: nothing is described. `redis-cli` then completes from its own list.
pub(super) fn command(session: &mut Session, _: &[Bytes]) -> Answer {
    session.reply(&Frame::Array(Vec::new()));
    Ok(Flow::Continue)
}

/// `INFO [section…]`: always all sections, there are few.
pub(super) fn info(session: &mut Session, _: &[Bytes]) -> Answer {
    let shared = &session.shared;
    let text = format!(
        "# Server\r\n\
         redis_version:{REDIS_VERSION}\r\n\
         server_name:djstream-fanout\r\n\
         djstream_version:{}\r\n\
         redis_mode:standalone\r\n\
         process_id:{}\r\n\
         uptime_in_seconds:{}\r\n\
         \r\n# Clients\r\n\
         connected_clients:{}\r\n\
         maxclients:{}\r\n\
         \r\n# Persistence\r\n\
         loading:0\r\n\
         \r\n# Stats\r\n\
         total_connections_received:{}\r\n\
         total_commands_processed:{}\r\n\
         pubsub_channels:{}\r\n\
         pubsub_patterns:{}\r\n\
         \r\n# Replication\r\n\
         role:master\r\n",
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        shared.started.elapsed().as_secs(),
        shared.connected.load(Ordering::Relaxed),
        shared.limits.connections,
        shared.accepted.load(Ordering::Relaxed),
        shared.commands.load(Ordering::Relaxed),
        shared.hub.channel_count(),
        shared.hub.pattern_count(),
    );
    session.reply(&Frame::Bulk(Bytes::from(text)));
    Ok(Flow::Continue)
}
