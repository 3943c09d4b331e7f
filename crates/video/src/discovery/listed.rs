//! The search index among the projections that the admin sees: it follows this service's own log.

use std::future::ready;

use kit::logs::{Asked, Listed};
use proto::api::projection::{Projection, ProjectionState};
use proto::events::EVENTS;
use store::{ReadError, Store};

use super::Discovery;
use crate::data::LOG;
use crate::search::CONSUMER;

impl Listed for Discovery {
    fn owner(&self) -> &str {
        "video"
    }

    fn view(&self, store: &Store) -> Result<Projection, ReadError> {
        let at = self.search.standpoint();
        Ok(Projection {
            service: String::new(),
            owner: self.owner().to_owned(),
            log: EVENTS.to_owned(),
            consumer: CONSUMER.to_owned(),
            cursor: at.sequence,
            behind: store.log(LOG).head().saturating_sub(at.sequence),
            dead: 0,
            state: if at.rebuilds { ProjectionState::Refilling } else { ProjectionState::Following },
            note: Some(format!("{} videos", self.search.len())),
        })
    }

    fn rebuild<'a>(&'a self, _: &'a Store) -> Asked<'a> {
        self.search.rebuild();
        Box::pin(ready(Ok(())))
    }
}
