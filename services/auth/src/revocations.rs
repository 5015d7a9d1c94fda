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
pub(crate) struct Unannounced {
    rows: Vec<Uuid>,
    revocations: Vec<Revocation>,
}

impl Unannounced {
    /// Both, to be announced together.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self.revocations.extend(other.revocations);
        self
    }
}

/// Which sessions live on although the account's epoch was raised, with new access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// None, but for a spared one.
    Nobody,
    One(Uuid),
    All,
}

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
        let revocations = sessions.iter().map(|&session| Revocation::Session { session, expires_at }).collect();
        Ok(Unannounced { rows: ids, revocations })
    }

    /// Tells that `session` has ended, from the commit on, and refuses none of its access tokens.
    pub(crate) async fn of_ended(
        &self,
        connection: &mut PgConnection,
        session: Uuid,
    ) -> Result<Unannounced, sqlx::Error> {
        let (id, expires_at) = (Uuid::now_v7(), self.writer.expiry(Utc::now()));
        sqlx::query!(
            "insert into revocations (id, ended_session_id, expires_at) values ($1, $2, $3)",
            id,
            session,
            expires_at,
        )
        .execute(connection)
        .await?;
        Ok(Unannounced { rows: vec![id], revocations: vec![Revocation::Ended { session, expires_at }] })
    }

    /// Refuses the access tokens of `account` that carry less than `epoch`, from the commit on.
    pub(crate) async fn of_epoch(
        &self,
        connection: &mut PgConnection,
        account: Uuid,
        epoch: i64,
        spared: Option<Uuid>,
        kept: Kept,
    ) -> Result<Unannounced, sqlx::Error> {
        let row = Row {
            id: Uuid::now_v7(),
            session_id: None,
            ended_session_id: None,
            account_id: Some(account),
            epoch: Some(epoch),
            spared,
            keeps_sessions: kept == Kept::All,
            kept_session: if let Kept::One(session) = kept { Some(session) } else { None },
            expires_at: self.writer.expiry(Utc::now()),
        };
        sqlx::query!(
            r#"
            insert into revocations (id, account_id, epoch, spared, keeps_sessions, kept_session, expires_at)
            values ($1, $2, $3, $4, $5, $6, $7)
            "#,
            row.id,
            account,
            epoch,
            spared,
            row.keeps_sessions,
            row.kept_session,
            row.expires_at,
        )
        .execute(connection)
        .await?;
        Ok(Unannounced { rows: vec![row.id], revocations: row.revocations() })
    }

    /// Tells everybody. The change is committed, so a failure here is not the caller's: it is tried again.
    pub(crate) async fn announce(&self, unannounced: Unannounced) {
        let Unannounced { rows, revocations } = unannounced;
        for revocation in &revocations {
            self.list.apply(*revocation);
        }
        let published = timeout(PATIENCE, self.publish(&rows, &revocations)).await;
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
            select
                id,
                session_id,
                ended_session_id,
                account_id,
                epoch,
                spared,
                keeps_sessions,
                kept_session,
                expires_at
            from revocations
            where published_at is null
            order by id
            limit $1
            "#,
            BATCH,
        )
        .fetch_all(connection)
        .await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let revocations: Vec<Revocation> = rows.iter().flat_map(Row::revocations).collect();
        self.publish(&ids, &revocations).await
    }

    /// Makes sure that the bucket exists and holds every unexpired revocation.
    pub(crate) async fn restore(&self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let rows = sqlx::query_as!(
            Row,
            r#"
            select
                id,
                session_id,
                ended_session_id,
                account_id,
                epoch,
                spared,
                keeps_sessions,
                kept_session,
                expires_at
            from revocations
            where expires_at > now()
            "#,
        )
        .fetch_all(connection)
        .await?;
        let unexpired: Vec<Revocation> = rows.iter().flat_map(Row::revocations).collect();
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
    ended_session_id: Option<Uuid>,
    account_id: Option<Uuid>,
    epoch: Option<i64>,
    spared: Option<Uuid>,
    keeps_sessions: bool,
    kept_session: Option<Uuid>,
    expires_at: DateTime<Utc>,
}

impl Row {
    /// One entry of the list or two, in the order in which they are told. The constraint of the table promises one kind
    /// of row or the other.
    fn revocations(&self) -> Vec<Revocation> {
        let expires_at = self.expires_at;
        match *self {
            Self { session_id: Some(session), .. } => vec![Revocation::Session { session, expires_at }],
            Self { ended_session_id: Some(session), .. } => vec![Revocation::Ended { session, expires_at }],
            Self {
                account_id: Some(user), epoch: Some(epoch), spared, keeps_sessions, kept_session: session, ..
            } => {
                let kept = Revocation::Kept { user, epoch, session, expires_at };
                let kept = (keeps_sessions || session.is_some()).then_some(kept);
                kept.into_iter().chain([Revocation::Epoch { user, epoch, spared, expires_at }]).collect()
            }
            _ => Vec::new(),
        }
    }
}
