//! Rules of the fields that creating and changing a portfolio share.

use grafikarsa_http::{ApiResult, FieldErrors};
use sqlx::PgConnection;
use uuid::Uuid;

const MOST_TAGS: usize = 20;

/// The tags without duplicates; each must exist.
pub async fn tags(connection: &mut PgConnection, errors: &mut FieldErrors, mut ids: Vec<Uuid>) -> ApiResult<Vec<Uuid>> {
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > MOST_TAGS {
        errors.add("tag_ids", format!("Maksimal {MOST_TAGS} tag"));
        return Ok(ids);
    }
    // Locked, so that a tag deleted at the same time is either gone or still there for all of this transaction.
    let found = sqlx::query_scalar!(
        "select id from tags where id = any($1) and deleted_at is null order by id for key share",
        &ids,
    )
    .fetch_all(connection)
    .await?;
    if found.len() < ids.len() {
        errors.add("tag_ids", "Tag tidak ditemukan");
    }
    Ok(ids)
}

/// The series must exist and be active, unless the portfolio has it already.
pub async fn series(
    connection: &mut PgConnection,
    errors: &mut FieldErrors,
    id: Uuid,
    current: Option<Uuid>,
) -> ApiResult<()> {
    let found = sqlx::query_scalar!(
        "select id from series where id = $1 and deleted_at is null and (is_active or id = $2) for key share",
        id,
        current,
    )
    .fetch_optional(connection)
    .await?;
    if found.is_none() {
        errors.add("series_id", "Series tidak ditemukan atau tidak aktif");
    }
    Ok(())
}
