//! Lengths of filtered lists. Counting one for every page would cost more than the page itself, so each replica remembers
//! what it has counted, together with the number `list_changes.lists` at that moment. Every page reads the number in its
//! own snapshot: what was counted at the same number is exact, on every replica.

use std::hash::Hash;

use grafikarsa_http::PageWindow;
use moka::future::Cache;

/// So many different filters are remembered.
const MOST: u64 = 2_000;

/// A length, and the number at which it was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Counted {
    pub total: i64,
    pub changes: i64,
}

/// The lengths of one kind of list, by its filters.
#[derive(Clone)]
pub struct Totals<F>(Cache<F, Counted>);

impl<F: Hash + Eq + Clone + Send + Sync + 'static> Default for Totals<F> {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl<F: Hash + Eq + Clone + Send + Sync + 'static> Totals<F> {
    /// The length of the list of `filters`, if it was counted at this number.
    pub async fn at(&self, filters: &F, changes: i64) -> Option<i64> {
        let counted = self.0.get(filters).await?;
        (counted.changes == changes).then_some(counted.total)
    }

    pub async fn keep(&self, filters: &F, counted: Counted) {
        self.0.insert(filters.clone(), counted).await;
    }
}

/// The length of a list whose last page has `rows` rows; `None` if the page may not be the last, or is beyond it.
pub fn of_last_page(window: PageWindow, rows: usize) -> Option<i64> {
    let rows = i64::try_from(rows).ok()?;
    let is_last = rows < window.limit() && (rows > 0 || window.offset() == 0);
    is_last.then(|| window.offset() + rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_not_full_tells_the_length() {
        let window = |page| PageWindow { page, per_page: 20 };
        assert_eq!(of_last_page(window(1), 0), Some(0));
        assert_eq!(of_last_page(window(1), 7), Some(7));
        assert_eq!(of_last_page(window(3), 7), Some(47));
        assert_eq!(of_last_page(window(1), 20), None);
        assert_eq!(of_last_page(window(3), 0), None);
    }

    #[tokio::test]
    async fn what_was_counted_before_a_change_is_not_known_after_it() {
        let totals = Totals::default();
        totals.keep(&"tag", Counted { total: 3, changes: 7 }).await;
        assert_eq!(totals.at(&"tag", 7).await, Some(3));
        assert_eq!(totals.at(&"tag", 8).await, None);
        assert_eq!(totals.at(&"other", 7).await, None);
    }
}
