//! Notifications are kept for half a year.

use sqlx::PgConnection;

/// So many go in one statement, which ends well within its time.
const BATCH: i64 = 5000;

/// Deletes what is older than 180 days with its keys, a batch at a time. True when there may be more.
pub async fn forget_old(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let gone = sqlx::query!(
        "
        delete from notifications
        where id in (
            select id
            from notifications
            where created_at < now() - interval '180 days'
            order by created_at
            limit $1
            -- What somebody is just reading goes in the next round.
            for update skip locked
        )
        ",
        BATCH,
    );
    Ok(gone.execute(connection).await?.rows_affected() > 0)
}

/// Deletes what an action that was just under way has told an account that is deleted by now.
pub async fn forget_orphans(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        delete from notifications n
        using users u
        where u.id = n.user_id and u.deleted_at > now() - interval '1 day'
        ",
    )
    .execute(connection)
    .await
    .map(drop)
}
