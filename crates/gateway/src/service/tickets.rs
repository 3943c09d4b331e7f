//! One-use tickets for the notification socket: a browser cannot send a header with a WebSocket, and a token in
//! an address would be written into logs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto::{SessionId, Timestamp, UserId};

use crate::error::GatewayError;
use crate::limits::{TICKET_TTL_MS, TICKETS_MAX};

/// Who may open a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
}

/// The tickets that were not used yet.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    open: Mutex<HashMap<[u8; 24], (Holder, Timestamp)>>,
}

impl Tickets {
    /// A ticket, and when it ends.
    pub(crate) fn make(&self, holder: Holder, now: Timestamp) -> Result<(String, Timestamp), GatewayError> {
        let expires_at = now.plus_ms(TICKET_TTL_MS);
        let ticket: [u8; 24] = rand::random();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= TICKETS_MAX {
            return Err(GatewayError::Overloaded);
        }
        open.insert(ticket, (holder, expires_at));
        Ok((URL_SAFE_NO_PAD.encode(ticket), expires_at))
    }

    /// Takes a ticket; it is good once.
    pub(crate) fn redeem(&self, ticket: &str, now: Timestamp) -> Result<Holder, GatewayError> {
        let bytes = URL_SAFE_NO_PAD.decode(ticket).ok().and_then(|bytes| <[u8; 24]>::try_from(bytes).ok());
        let bytes = bytes.ok_or(GatewayError::TicketInvalid)?;
        let found = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&bytes);
        match found {
            Some((holder, expires_at)) if now < expires_at => Ok(holder),
            _ => Err(GatewayError::TicketInvalid),
        }
    }

    /// Forgets tickets that have run out.
    pub(crate) fn sweep(&self, now: Timestamp) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, (_, expires_at)| now < *expires_at);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_795_000_000_000);

    #[test]
    fn a_ticket_is_good_once_and_for_thirty_seconds() {
        let tickets = Tickets::default();
        let holder = Holder { user: UserId::generate(), session: SessionId::generate() };
        let (first, _) = tickets.make(holder, NOW).unwrap();
        let (second, expires_at) = tickets.make(holder, NOW).unwrap();
        assert_eq!(expires_at, NOW.plus_ms(30_000));
        assert_eq!(tickets.redeem(&first, NOW.plus_ms(29_999)).unwrap(), holder);
        assert!(tickets.redeem(&first, NOW.plus_ms(29_999)).is_err());
        assert!(tickets.redeem(&second, NOW.plus_ms(30_000)).is_err());
        assert!(tickets.redeem("nonsense", NOW).is_err());
        tickets.make(holder, NOW).unwrap();
        tickets.sweep(NOW.plus_ms(30_000));
        assert!(tickets.open.lock().unwrap().is_empty());
    }
}
