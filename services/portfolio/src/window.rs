//! One page of an ordered query.

use grafikarsa_http::PageWindow;
use sqlx::{Postgres, QueryBuilder};

/// Ends `query` with the limit and the offset of `window`.
///
/// The limit stands in the text, and an offset of zero is left out. Of a parameter PostgreSQL does not know how small it
/// is, so that it finds the plan for all values too dear and makes a new one for every request, which takes it as long as
/// the page itself.
pub fn push(query: &mut QueryBuilder<Postgres>, window: PageWindow) {
    query.push(" limit ").push(window.limit());
    if window.offset() > 0 {
        query.push(" offset ").push_bind(window.offset());
    }
}
