//! Ended sessions and raised epochs on their way to everybody who verifies tokens.
//!
//! The row is written in the transaction of the event. After the commit it goes to the bucket at once; if NATS is down
//! the background work brings it there later, and it restores what the bucket has lost.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use grafikarsa_jwt::{Revocation, RevocationList, RevocationWriter};
use sqlx::{PgConnection, PgPool};
use tokio::time::timeout;
use uuid::Uuid;

/// A request waits no longer than this for NATS; the background work goes on.
const PATIENCE: Duration = Duration::from_millis(800);
/// Most revocations published at once.
const BATCH: i64 = 500;

/// Makes and spreads revocations. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Revocations {
    pool: PgPool,
    list: RevocationList,
    writer: RevocationWriter,
}

/// Revocations written in a transaction and not announced yet.
#[must_use = "announce after the commit"]
#[derive(Debug, Default)]
pub(crate) struct Unannounced(Vec<(Uuid, Revocation)>);

impl Revocations {
    pub(crate) fn new(pool: PgPool, list: RevocationList, writer: RevocationWriter) -> Self {
        Self { pool, list, writer }
    }

    /// Refuses the access tokens of `sessions`, from the commit on.
    pub(crate) async fn of_sessions(
        &self,
        connection: &mut PgConnection,
        sessions: &[Uuid],
    ) -> Result<Unannounced, sqlx::Error> {
        let expires_at = self.writer.expiry(Utc::now());
        let ids: Vec<Uuid> = sessions.iter().map(|_| Uuid::now_v7()).collect();
        sqlx::query!(
            r#"
            insert into revocations (id, session_id, expires_at)
            select id, session_id, $3
            from unnest($1::uuid[], $2::uuid[]) as ended (id, session_id)
            "#,
            &ids,
            sessions,
            expires_at,
        )
        .execute(connection)
        .await?;
        let revocations = sessions.iter().map(|&session| Revocation::Session { session, expires_at });
        Ok(Unannounced(ids.into_iter().zip(revocations).collect()))
    }

    /// Refuses the access tokens of `account` that carry less than `epoch`, from the commit on.
    pub(crate) async fn of_epoch(
        &self,
        connection: &mut PgConnection,
        account: Uuid,
        epoch: i64,
        spared: Option<Uuid>,
    ) -> Result<Unannounced, sqlx::Error> {
        let (id, expires_at) = (Uuid::now_v7(), self.writer.expiry(Utc::now()));
        sqlx::query!(
            "insert into revocations (id, account_id, epoch, spared, expires_at) values ($1, $2, $3, $4, $5)",
            id,
            account,
            epoch,
            spared,
            expires_at,
        )
        .execute(connection)
        .await?;
        Ok(Unannounced(vec![(id, Revocation::Epoch { user: account, epoch, spared, expires_at })]))
    }

    /// Tells everybody. The change is committed, so a failure here is not the caller's: it is tried again.
    pub(crate) async fn announce(&self, unannounced: Unannounced) {
        let (ids, revocations): (Vec<_>, Vec<_>) = unannounced.0.into_iter().unzip();
        for revocation in &revocations {
            self.list.apply(*revocation);
        }
        let published = timeout(PATIENCE, self.publish(&ids, &revocations)).await;
        match published.context("NATS did not answer in time").flatten() {
            Ok(()) => {}
            Err(error) => tracing::warn!(error = format!("{error:#}"), "a revocation will be published later"),
        }
    }

    /// Publishes what could not be published at once. `connection` holds the lock of the leader.
    pub(crate) async fn catch_up(&self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let rows = sqlx::query_as!(
            Row,
            r#"
            select id, session_id, account_id, epoch, spared, expires_at
            from revocations
            where published_at is null
            order by id
            limit $1
            "#,
            BATCH,
        )
        .fetch_all(connection)
        .await?;
        let (ids, revocations): (Vec<_>, Vec<_>) =
            rows.into_iter().filter_map(|row| Some((row.id, row.revocation()?))).unzip();
        self.publish(&ids, &revocations).await
    }

    /// Makes sure that the bucket exists and holds every unexpired revocation.
    pub(crate) async fn restore(&self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let rows = sqlx::query_as!(
            Row,
            r#"
            select id, session_id, account_id, epoch, spared, expires_at
            from revocations
            where expires_at > now()
            "#,
        )
        .fetch_all(connection)
        .await?;
        let unexpired: Vec<Revocation> = rows.into_iter().filter_map(Row::revocation).collect();
        self.writer.restore(&unexpired).await
    }

    async fn publish(&self, ids: &[Uuid], revocations: &[Revocation]) -> anyhow::Result<()> {
        if revocations.is_empty() {
            return Ok(());
        }
        self.writer.publish(revocations).await?;
        sqlx::query!("update revocations set published_at = now() where id = any($1)", ids).execute(&self.pool).await?;
        Ok(())
    }
}

struct Row {
    id: Uuid,
    session_id: Option<Uuid>,
    account_id: Option<Uuid>,
    epoch: Option<i64>,
    spared: Option<Uuid>,
    expires_at: DateTime<Utc>,
}

impl Row {
    /// The constraint of the table promises one kind or the other.
    fn revocation(self) -> Option<Revocation> {
        let expires_at = self.expires_at;
        match self {
            Self { session_id: Some(session), .. } => Some(Revocation::Session { session, expires_at }),
            Self { account_id: Some(user), epoch: Some(epoch), spared, .. } => {
                Some(Revocation::Epoch { user, epoch, spared, expires_at })
            }
            _ => None,
        }
    }
}
