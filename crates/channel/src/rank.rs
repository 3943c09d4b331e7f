//! The order of a playlist's items: a number each, with room between them.
//!
//! Neighbours start 2⁶⁴ apart, so a move writes one row: the middle between its new neighbours. After some
//! sixty moves into one gap the room there is used up; then a few items around it are spread out anew.

/// The distance between neighbours that were appended.
pub(crate) const STEP: u128 = 1 << 64;

/// The rank of the first item of a playlist.
pub(crate) const FIRST: u128 = 1 << 127;

/// The least distance after spreading out.
const ROOM: u128 = 1 << 32;

/// A rank between two neighbours; `None` when there is no room.
pub(crate) fn between(before: Option<u128>, after: Option<u128>) -> Option<u128> {
    match (before, after) {
        (None, None) => Some(FIRST),
        (Some(before), None) => before.checked_add(STEP),
        (None, Some(after)) => after.checked_sub(STEP),
        (Some(before), Some(after)) => {
            let middle = before + after.checked_sub(before)? / 2;
            (middle > before).then_some(middle)
        }
    }
}

/// New ranks that make room at `gap` (the place before the item with that index).
///
/// Answers the index of the first item that moves and the new ranks from there on, the gap's own rank
/// left out of them and given apart.
pub(crate) fn spread(ranks: &[u128], gap: usize) -> Option<Spread> {
    let mut width = 16;
    loop {
        let start = gap.saturating_sub(width);
        let end = (gap + width).min(ranks.len());
        let low = if start == 0 { 0 } else { ranks[start - 1] };
        let high = if end == ranks.len() { u128::MAX } else { ranks[end] };
        let places = (end - start) as u128 + 1;
        let distance = (high.checked_sub(low)? / (places + 1)).min(STEP);
        if distance >= ROOM {
            // Where an end is open, the ranks stay close to what is there instead of far out.
            let low = match (start == 0, end == ranks.len()) {
                (true, true) => FIRST - STEP,
                (true, false) => high - distance * (places + 1),
                (false, _) => low,
            };
            let mut all = (1..=places).map(|place| low + distance * place);
            let before: Vec<u128> = all.by_ref().take(gap - start).collect();
            let middle = all.next()?;
            let moved = before.into_iter().chain(all).collect();
            return Some(Spread { start, moved, middle });
        }
        if start == 0 && end == ranks.len() {
            return None;
        }
        width *= 2;
    }
}

/// What [`spread`] answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spread {
    /// The index of the first item that moves.
    pub start: usize,
    /// The new ranks from there on.
    pub moved: Vec<u128>,
    /// The rank in the gap.
    pub middle: u128,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// Inserts at an index, as the service does, and answers how many rows it wrote.
    fn insert(ranks: &mut Vec<u128>, at: usize) -> usize {
        let before = at.checked_sub(1).map(|index| ranks[index]);
        if let Some(rank) = between(before, ranks.get(at).copied()) {
            ranks.insert(at, rank);
            return 1;
        }
        let Spread { start, moved, middle } = spread(ranks, at).unwrap();
        let written = moved.len() + 1;
        ranks[start..start + moved.len()].copy_from_slice(&moved);
        ranks.insert(at, middle);
        written
    }

    proptest! {
        #[test]
        fn any_insertions_keep_the_order(places in proptest::collection::vec(any::<prop::sample::Index>(), 1..400)) {
            let mut ranks = Vec::new();
            for place in places {
                let at = place.index(ranks.len() + 1);
                insert(&mut ranks, at);
                prop_assert!(ranks.is_sorted_by(|a, b| a < b));
            }
        }
    }

    #[test]
    fn a_thousand_insertions_into_one_gap_write_few_rows_each() {
        for gap in [0, 1, 50, 100] {
            let mut ranks: Vec<u128> = (0..100).map(|place| FIRST + STEP * place).collect();
            for _ in 0..1000 {
                assert!(insert(&mut ranks, gap) <= 600);
                assert!(ranks.is_sorted_by(|a, b| a < b));
            }
        }
    }
}
