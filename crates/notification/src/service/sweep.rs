//! Takes what is gone out of everybody's inbox: rows about a video, and people out of rows that name them.
//!
//! Rows are found by their recipient only. So one walk through all of them serves all that is to be forgotten when it
//! begins: an index would cost every notification what a rare walk of seconds gives.

use std::collections::HashSet;

use proto::NotificationId;
use store::{Batch, Leased, ReadError, Scan, WriteError};

use super::Inboxes;
use crate::data::{Bytes16, ENTRIES, INBOX, Job, LIKES, Row, TO_FORGET, UNREAD};
use crate::error::Error;
use crate::limits::{FORGOTTEN_AT_ONCE, ROWS_PER_BATCH, SWEPT_ROWS, WRITE_ATTEMPTS};

/// Where a row is.
type Place = (Bytes16, Bytes16);

/// What is left of a row.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    /// It has nothing to do with it.
    All,
    /// This.
    Some(Row),
    Nothing,
}

/// What is left of a row when these are forgotten.
fn without(row: &Row, gone: &HashSet<Bytes16>) -> Left {
    if row.video.is_some_and(|video| gone.contains(&video.bytes())) {
        return Left::Nothing;
    }
    let actors: Vec<_> = row.actors.iter().copied().filter(|actor| !gone.contains(&actor.bytes())).collect();
    let fewer = (row.actors.len() - actors.len()) as u64;
    match (fewer, row.count.saturating_sub(fewer)) {
        (0, _) => Left::All,
        (_, 0) => Left::Nothing,
        (_, count) => Left::Some(Row { actors, count, ..row.clone() }),
    }
}

impl Inboxes {
    /// One walk. Done again from its beginning after a crash: what it did is done.
    pub(super) async fn sweep(&self, leased: &Leased<Job>) -> Result<(), Error> {
        let gone = self.store.scan_keys(TO_FORGET, Scan::all()).take(FORGOTTEN_AT_ONCE);
        let gone = gone.collect::<Result<HashSet<Bytes16>, _>>()?;
        let mut after = None;
        while !gone.is_empty() {
            let (places, next) = self.rows_about(&gone, after).await?;
            for places in places.chunks(ROWS_PER_BATCH) {
                self.take_out(places, &gone).await?;
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        let batch = gone.iter().fold(Batch::new(), |batch, id| batch.delete(TO_FORGET, id));
        self.store.write(batch.complete(leased)).await?;
        Ok(())
    }

    /// Some rows from behind `after` on: those that have to do with what is gone, and where to go on.
    async fn rows_about(
        &self,
        gone: &HashSet<Bytes16>,
        after: Option<Place>,
    ) -> Result<(Vec<Place>, Option<Place>), Error> {
        let (store, gone) = (self.store.clone(), gone.clone());
        let walk = move || -> Result<(Vec<Place>, Option<Place>), ReadError> {
            let scan = after.map_or_else(Scan::all, |after| Scan::all().after(&after));
            let (mut places, mut last, mut seen) = (Vec::new(), None, 0);
            for entry in store.scan(INBOX, scan).take(SWEPT_ROWS) {
                let (place, row) = entry?;
                if without(&row, &gone) != Left::All {
                    places.push(place);
                }
                (last, seen) = (Some(place), seen + 1);
            }
            Ok((places, last.filter(|_| seen == SWEPT_ROWS)))
        };
        Ok(tokio::task::spawn_blocking(walk).await.map_err(|_| Error::TaskLost)??)
    }

    async fn take_out(&self, places: &[Place], gone: &HashSet<Bytes16>) -> Result<(), Error> {
        for _ in 0..WRITE_ATTEMPTS {
            let mut batch = Batch::new();
            for place in places {
                batch = batch.merge(self.taken_out(*place, gone)?);
            }
            match self.store.write(batch).await {
                Ok(_) => return Ok(()),
                // Somebody has just read one of them.
                Err(WriteError::Assertion { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contention)
    }

    fn taken_out(&self, place: Place, gone: &HashSet<Bytes16>) -> Result<Batch, ReadError> {
        let Some(row) = self.store.get(INBOX, &place)? else { return Ok(Batch::new()) };
        let batch = Batch::new().assert_equal(INBOX, &place, &row);
        match without(&row, gone) {
            Left::All => Ok(Batch::new()),
            Left::Some(left) => Ok(batch.put(INBOX, &place, &left)),
            Left::Nothing => {
                let mut batch = batch.delete(INBOX, &place).add(ENTRIES, &place.0, -1);
                if !row.read {
                    batch = batch.add(UNREAD, &place.0, -1);
                }
                if let Some(video) = row.video {
                    let likes = (place.0, video.bytes());
                    if self.store.get(LIKES, &likes)? == Some(NotificationId::from_bytes(place.1)) {
                        batch = batch.delete(LIKES, &likes);
                    }
                }
                Ok(batch)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proto::api::notification::NotificationKind;
    use proto::{Timestamp, UserId, VideoId};

    use super::*;

    fn row(video: VideoId, actors: &[UserId], count: u64) -> Row {
        let mut row = Row::new(NotificationKind::Like, Timestamp::from_ms(1));
        (row.video, row.actors, row.count) = (Some(video), actors.to_vec(), count);
        row
    }

    #[test]
    fn a_row_loses_people_and_goes_with_the_last_of_them_or_its_video() {
        let (video, ada, bob) = (VideoId::generate(), UserId::generate(), UserId::generate());
        let gone = |ids: &[[u8; 16]]| ids.iter().copied().collect::<HashSet<_>>();
        let both = row(video, &[ada, bob], 2);
        assert_eq!(without(&both, &gone(&[UserId::generate().bytes()])), Left::All);
        assert_eq!(without(&both, &gone(&[ada.bytes()])), Left::Some(row(video, &[bob], 1)));
        assert_eq!(without(&both, &gone(&[ada.bytes(), bob.bytes()])), Left::Nothing);
        assert_eq!(without(&both, &gone(&[video.bytes()])), Left::Nothing);
        // Of many, only the last are named; the others still count.
        assert_eq!(without(&row(video, &[ada], 12), &gone(&[ada.bytes()])), Left::Some(row(video, &[], 11)));
    }
}
