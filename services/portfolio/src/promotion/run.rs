use anyhow::Context as _;
use chrono::NaiveDate;
use sqlx::{PgConnection, PgPool, PgTransaction};

use super::{
    due::Year,
    steps::{self, Promotion},
};
use crate::admin::tahun_ajaran;

/// Promotes every year that is due on the day `as_of`, or today, each in a transaction of its own. A second run, be it of
/// another replica at the same time, changes nothing.
///
/// # Errors
/// Those of the database; the year at hand is as it was before, and is tried again by the next run.
pub async fn run(db: &PgPool, as_of: Option<NaiveDate>) -> anyhow::Result<Vec<Promotion>> {
    let mut promotions = Vec::new();
    loop {
        let mut tx = begin(db).await?;
        let as_of = day(&mut tx, as_of).await?;
        let Some(year) = next_due(&mut tx, as_of).await? else { return Ok(promotions) };
        let promotion = steps::carry_out(&mut tx, &year, as_of).await?;
        tx.commit().await?;
        promotion.log();
        promotions.push(promotion);
    }
}

/// Tells what [`run`] would do, by doing it and taking it back.
///
/// # Errors
/// Those of the database.
pub async fn rehearse(db: &PgPool, as_of: Option<NaiveDate>) -> anyhow::Result<Vec<Promotion>> {
    let mut promotions = Vec::new();
    let mut tx = begin(db).await?;
    let as_of = day(&mut tx, as_of).await?;
    while let Some(year) = next_due(&mut tx, as_of).await? {
        promotions.push(steps::carry_out(&mut tx, &year, as_of).await?);
    }
    tx.rollback().await?;
    Ok(promotions)
}

/// One at a time, over all replicas, and not while somebody switches years.
async fn begin(db: &PgPool) -> Result<PgTransaction<'static>, sqlx::Error> {
    let mut tx = db.begin().await?;
    sqlx::query("set local lock_timeout = '10s'").execute(&mut *tx).await?;
    sqlx::query("set local statement_timeout = '60s'").execute(&mut *tx).await?;
    tahun_ajaran::serialise(&mut tx).await?;
    Ok(tx)
}

async fn day(connection: &mut PgConnection, as_of: Option<NaiveDate>) -> anyhow::Result<NaiveDate> {
    match as_of {
        Some(day) => Ok(day),
        None => sqlx::query_scalar!(r#"select (now() at time zone 'Asia/Jakarta')::date as "today!""#)
            .fetch_one(connection)
            .await
            .context("the day is unknown"),
    }
}

/// The oldest year that is due, with its row locked.
async fn next_due(connection: &mut PgConnection, as_of: NaiveDate) -> Result<Option<Year>, sqlx::Error> {
    let armed = sqlx::query_as!(
        Year,
        r#"
        select
            t.id,
            t.tahun_mulai,
            t.is_active,
            t.promotion_month,
            t.promotion_day,
            (t.armed_at at time zone 'Asia/Jakarta')::date as "armed_on!"
        from tahun_ajaran t
        where t.deleted_at is null
            and t.armed_at is not null
            and not exists (select from promotion_runs r where r.from_tahun_ajaran_id = t.id)
        order by t.tahun_mulai
        for no key update of t
        "#,
    )
    .fetch_all(connection)
    .await?;
    Ok(armed.into_iter().find(|year| year.is_due(as_of)))
}
