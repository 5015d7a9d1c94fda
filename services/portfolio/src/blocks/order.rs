//! Positions of blocks: always 0, 1, 2, … without gaps. Pure functions on the ids in order.

use uuid::Uuid;

/// Where a new block goes among `count` others: at `wanted`, or at the end.
pub fn insertion(count: usize, wanted: Option<i64>) -> usize {
    wanted.and_then(|wanted| usize::try_from(wanted).ok()).map_or(count, |wanted| wanted.min(count))
}

/// The order after some blocks have been sorted: the listed ones take, by their `order` values, the positions that the
/// listed ones have now; the others stay. `None` when an id is no block of this portfolio.
pub fn reordered(current: &[Uuid], listed: &[(Uuid, i64)]) -> Option<Vec<Uuid>> {
    if listed.iter().any(|(id, _)| !current.contains(id)) {
        return None;
    }
    let mut sorted = listed.to_vec();
    sorted.sort_by_key(|&(_, order)| order);
    let mut next = sorted.into_iter();
    let is_listed = |id: &Uuid| listed.iter().any(|(listed, _)| listed == id);
    Some(current.iter().map(|id| if is_listed(id) { next.next().map_or(*id, |(id, _)| id) } else { *id }).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(numbers: &[u128]) -> Vec<Uuid> {
        numbers.iter().map(|&number| Uuid::from_u128(number)).collect()
    }

    #[test]
    fn a_new_block_goes_where_it_is_wanted_or_to_the_end() {
        assert_eq!(insertion(3, Some(0)), 0);
        assert_eq!(insertion(3, Some(3)), 3);
        assert_eq!(insertion(3, Some(4)), 3);
        assert_eq!(insertion(3, None), 3);
    }

    #[test]
    fn a_subset_is_sorted_within_its_own_positions() {
        let current = ids(&[1, 2, 3, 4]);
        let listed = [(Uuid::from_u128(4), 0), (Uuid::from_u128(2), 7)];
        assert_eq!(reordered(&current, &listed), Some(ids(&[1, 4, 3, 2])));
        assert_eq!(reordered(&current, &[(Uuid::from_u128(9), 0)]), None);
    }

    /// What the editor does on save, step by step, on the model of a plain vector.
    fn save(stored: &mut Vec<Uuid>, screen: &[Uuid]) {
        let existing = stored.clone();
        stored.retain(|id| screen.contains(id));
        for (position, id) in screen.iter().enumerate() {
            if !existing.contains(id) {
                let at = insertion(stored.len(), i64::try_from(position).ok());
                stored.insert(at, *id);
            }
        }
        let kept: Vec<(Uuid, i64)> = screen.iter().filter(|id| existing.contains(id)).copied().zip(0..).collect();
        if !kept.is_empty() {
            *stored = reordered(stored, &kept).expect("all are blocks");
        }
    }

    proptest! {
        #[test]
        fn a_save_of_the_editor_always_ends_in_the_order_on_screen(
            before in prop::collection::hash_set(0_u128..40, 0..12),
            screen in prop::collection::vec(0_u128..40, 0..12),
        ) {
            let mut stored: Vec<Uuid> = before.into_iter().map(Uuid::from_u128).collect();
            let mut wanted = ids(&screen);
            let mut seen = std::collections::HashSet::new();
            wanted.retain(|id| seen.insert(*id));
            save(&mut stored, &wanted);
            prop_assert_eq!(stored, wanted);
        }

        #[test]
        fn unlisted_blocks_keep_their_position(
            count in 1_usize..12,
            picks in prop::collection::vec((any::<prop::sample::Index>(), 0_i64..1000), 1..12),
        ) {
            let current: Vec<Uuid> = (0..count).map(|n| Uuid::from_u128(n as u128)).collect();
            let mut listed: Vec<(Uuid, i64)> = Vec::new();
            for (index, order) in picks {
                let id = *index.get(&current);
                if listed.iter().all(|&(other, taken)| other != id && taken != order) {
                    listed.push((id, order));
                }
            }
            let after = reordered(&current, &listed).expect("all are blocks");
            let mut sorted = after.clone();
            sorted.sort_unstable();
            prop_assert_eq!(&sorted, &current);
            for (position, id) in current.iter().enumerate() {
                if listed.iter().all(|(listed, _)| listed != id) {
                    prop_assert_eq!(&after[position], id);
                }
            }
            let placed: Vec<i64> = after
                .iter()
                .filter_map(|id| listed.iter().find(|(listed, _)| listed == id).map(|&(_, order)| order))
                .collect();
            prop_assert!(placed.is_sorted());
        }
    }
}
