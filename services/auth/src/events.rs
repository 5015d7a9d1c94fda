//! What auth learns from portfolio.

use anyhow::Context as _;
use futures_util::FutureExt as _;
use grafikarsa_events::{Bus, Consumer, Message};
use proto_events::portfolio::v1::ProfileChanged;
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Keeps the copies of name and picture that the answer to a login shows.
pub(crate) async fn follow_profiles(bus: Bus, pool: PgPool, shutdown: CancellationToken) {
    Consumer::new(&bus, pool, "auth", "profiles", "portfolio", "profile.changed")
        .apply_again()
        .run(shutdown, |connection, message| profile_changed(connection, message).boxed())
        .await;
}

/// The event carries the full state: a lower version is late, an equal one is the same.
async fn profile_changed(connection: &mut PgConnection, message: &Message) -> anyhow::Result<()> {
    let profile: ProfileChanged = message.decode()?;
    let user = Uuid::parse_str(&profile.user_id).context("the user id is no UUID")?;
    sqlx::query!(
        r#"
        update accounts
        set nama = $2, avatar_url = $3, profile_version = $4
        where id = $1 and profile_version <= $4
        "#,
        user,
        profile.nama,
        profile.avatar_url,
        profile.version,
    )
    .execute(connection)
    .await?;
    Ok(())
}
