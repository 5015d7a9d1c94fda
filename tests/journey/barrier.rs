//! Stops a request at one of its steps, without a word about it in the services: a table it is about to write is locked.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::{house::House, person::eventually};

/// As long as this lives nobody writes to the table. The services give up waiting after two seconds.
pub struct Barrier {
    table: &'static str,
    holder: PgConnection,
    observer: PgConnection,
}

impl Barrier {
    pub async fn raise(house: &House, table: &'static str) -> Self {
        let (mut holder, observer) = tokio::join!(house.superuser(), house.superuser());
        let lock = AssertSqlSafe(format!("begin; lock table {table} in exclusive mode"));
        sqlx::raw_sql(lock).execute(&mut holder).await.unwrap();
        Self { table, holder, observer }
    }

    /// Waits until somebody stands in front of it.
    pub async fn is_reached(&mut self) {
        let (table, observer) = (self.table, tokio::sync::Mutex::new(&mut self.observer));
        eventually("reached", async || {
            let waiting: bool = sqlx::query_scalar(
                "select exists (select from pg_locks where relation = $1::regclass and not granted)",
            )
            .bind(table)
            .fetch_one(&mut **observer.lock().await)
            .await
            .unwrap();
            if waiting { Ok(()) } else { Err(format!("nobody writes to {table}")) }
        })
        .await;
    }

    pub async fn fall(mut self) {
        sqlx::raw_sql("rollback").execute(&mut self.holder).await.unwrap();
    }
}
