use grafikarsa_config::Secret;
use grafikarsa_http::account_rules as rules;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Account, NewAccount, announce_created, insert};
use crate::{passwords::Passwords, settings::AdminSettings};

/// Number of the advisory lock under which the first admin is made; only this service's role uses it in its database.
const LOCK: i64 = 0x6175_7468_0001;

/// Makes the first admin from the settings if there is no admin yet. Of two replicas that start at once one makes it.
pub(crate) async fn ensure(pool: &PgPool, passwords: &Passwords, admin: Option<&AdminSettings>) -> anyhow::Result<()> {
    let exists = sqlx::query_scalar!(
        r#"select exists (select from accounts where role = 'admin' and deleted_at is null) as "exists!""#,
    );
    if exists.fetch_one(pool).await? {
        return Ok(());
    }
    let Some(admin) = admin else {
        tracing::warn!("there is no admin; set ADMIN_PASSWORD and ADMIN_EMAIL, or run create-admin");
        return Ok(());
    };
    let hash = passwords.hash(admin.password.expose().into()).await.map_err(plain)?;
    let mut tx = pool.begin().await?;
    sqlx::query!("select pg_advisory_xact_lock($1)", LOCK).execute(&mut *tx).await?;
    let exists = sqlx::query_scalar!(
        r#"select exists (select from accounts where role = 'admin' and deleted_at is null) as "exists!""#,
    );
    if exists.fetch_one(&mut *tx).await? {
        return Ok(());
    }
    let account = insert(&mut tx, new(admin, &hash)).await.map_err(plain)?;
    announce_created(&mut tx, &account).await?;
    tx.commit().await?;
    tracing::info!(username = account.username, "the first admin was created");
    Ok(())
}

/// Makes an admin, whether there are others or not.
pub(crate) async fn create(pool: &PgPool, passwords: &Passwords, admin: &AdminSettings) -> anyhow::Result<Account> {
    let hash = passwords.hash(admin.password.expose().into()).await.map_err(plain)?;
    let mut tx = pool.begin().await?;
    let account = insert(&mut tx, new(admin, &hash)).await.map_err(plain)?;
    announce_created(&mut tx, &account).await?;
    tx.commit().await?;
    Ok(account)
}

/// Reads what was typed on the command line.
pub(crate) fn parse(username: String, email: &str, password: Secret) -> anyhow::Result<AdminSettings> {
    let admin = AdminSettings { username, email: rules::normal_email(email), password };
    let broken = rules::username_form(&admin.username)
        .and(rules::email(&admin.email))
        .and(rules::new_password(admin.password.expose()));
    broken.map_err(anyhow::Error::msg)?;
    Ok(admin)
}

fn new<'a>(admin: &'a AdminSettings, hash: &'a str) -> NewAccount<'a> {
    NewAccount {
        id: Uuid::now_v7(),
        username: &admin.username,
        email: &admin.email,
        password_hash: hash,
        role: "admin",
        must_change_password: false,
        is_pending: false,
    }
}

/// For commands there is no envelope, only the code.
fn plain(error: grafikarsa_http::ApiError) -> anyhow::Error {
    anyhow::anyhow!("the admin was not created: {}", error.code())
}
