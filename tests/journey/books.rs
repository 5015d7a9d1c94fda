//! What must be true of the three schemas after any trouble: nothing lost, nothing half done, nothing applied twice.

use sqlx::PgPool;

use crate::person::eventually;

/// Publisher, its events, and the consumer of portfolio that applies them.
const DELIVERIES: [(Schema, &str, &str); 3] = [
    (Schema::Auth, "account.%", "portfolio_accounts"),
    (Schema::Auth, "session.started", "portfolio_logins"),
    (Schema::Media, "upload.confirmed", "portfolio_uploads"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schema {
    Auth,
    Media,
}

/// A connection to each schema, as its own role.
pub struct Books {
    pub auth: PgPool,
    pub portfolio: PgPool,
    pub media: PgPool,
}

impl Books {
    /// Waits until every event is published and applied, then compares what the services know.
    pub async fn balance(&self, students: usize, published: usize) {
        eventually("settled", async || self.settled().await.map_err(|error| error.to_string())?).await;
        let accounts: Vec<(uuid::Uuid, i64, String, String, bool)> = sqlx::query_as(
            "select id, version, username, role, is_active from accounts where deleted_at is null order by id",
        )
        .fetch_all(&self.auth)
        .await
        .unwrap();
        let users: Vec<(uuid::Uuid, i64, String, String, bool)> = sqlx::query_as(
            "select id, account_version, username, role, is_active from users where deleted_at is null order by id",
        )
        .fetch_all(&self.portfolio)
        .await
        .unwrap();
        assert_eq!(accounts, users, "auth and portfolio disagree");
        assert_eq!(accounts.len(), students + 1, "students and the admin: {accounts:?}");

        let published = i64::try_from(published).unwrap();
        for (what, sql) in [
            ("published portfolios", "select count(*) from portfolios where is_public"),
            ("the total of the feed", "select total from list_totals where list = 'public_portfolios'"),
            ("notices of approval", "select count(*) from notifications where kind = 'portfolio_approved'"),
        ] {
            assert_eq!(count(&self.portfolio, sql).await.unwrap(), published, "{what}");
        }
    }

    async fn settled(&self) -> Result<Result<(), String>, sqlx::Error> {
        for (service, pool) in [("auth", &self.auth), ("portfolio", &self.portfolio), ("media", &self.media)] {
            let unpublished = count(pool, "select count(*) from outbox where published_at is null").await?;
            if unpublished > 0 {
                return Ok(Err(format!("{service} has {unpublished} unpublished events")));
            }
            let dead = count(pool, "select count(*) from dead_letters").await?;
            assert_eq!(dead, 0, "{service} could not apply an event");
        }
        for (publisher, events, consumer) in DELIVERIES {
            let pool = if publisher == Schema::Auth { &self.auth } else { &self.media };
            let sent: i64 = sqlx::query_scalar("select count(distinct id) from outbox where event_type like $1")
                .bind(events)
                .fetch_one(pool)
                .await?;
            let applied: i64 = sqlx::query_scalar("select count(*) from inbox where consumer = $1")
                .bind(consumer)
                .fetch_one(&self.portfolio)
                .await?;
            assert!(applied <= sent, "{consumer} applied {applied} of {sent} events");
            if applied < sent {
                return Ok(Err(format!("{consumer} applied {applied} of {sent} events")));
            }
        }
        let open = self.open_commands().await?;
        Ok(if open == 0 { Ok(()) } else { Err(format!("{open} commands are open")) })
    }

    /// Creations of users that are neither done nor undone yet, on either side.
    pub async fn open_commands(&self) -> Result<i64, sqlx::Error> {
        let intents = count(&self.portfolio, "select count(*) from account_intents where state = 'open'").await?;
        let commands = count(&self.auth, "select count(*) from commands where state = 'pending'").await?;
        let pending = count(&self.auth, "select count(*) from accounts where is_pending").await?;
        Ok(intents + commands + pending)
    }

    /// Whether the user is in auth, and in portfolio.
    pub async fn halves_of(&self, username: &str) -> (bool, bool) {
        let there = async |pool: &PgPool, sql: &'static str| -> bool {
            sqlx::query_scalar(sql).bind(username).fetch_one(pool).await.unwrap()
        };
        (
            there(
                &self.auth,
                "select exists (select from accounts where username = $1 and deleted_at is null and not is_pending)",
            )
            .await,
            there(&self.portfolio, "select exists (select from users where username = $1 and deleted_at is null)")
                .await,
        )
    }
}

async fn count(pool: &PgPool, sql: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sql).fetch_one(pool).await
}
