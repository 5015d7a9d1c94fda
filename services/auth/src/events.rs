//! What auth learns from portfolio.

use anyhow::Context as _;
use futures_util::FutureExt as _;
use grafikarsa_events::{Bus, Consumer, Message};
use grafikarsa_jwt::Role;
use proto_events::portfolio::v1::{ProfileChanged, StudentGraduated};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    accounts,
    revocations::{Kept, Revocations},
};

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

/// Makes alumni of the students who have left their last class.
pub(crate) async fn follow_graduations(bus: Bus, pool: PgPool, revocations: Revocations, shutdown: CancellationToken) {
    Consumer::new(&bus, pool, "auth", "graduations", "portfolio", "student.graduated")
        .run(shutdown, move |connection, message| {
            let revocations = revocations.clone();
            async move { graduated(connection, message, &revocations).await }.boxed()
        })
        .await;
}

/// Who is no student any more keeps his role. In either case the account repeats the number of the graduation, which
/// tells portfolio that the role it carries is newer.
async fn graduated(connection: &mut PgConnection, message: &Message, revocations: &Revocations) -> anyhow::Result<()> {
    let event: StudentGraduated = message.decode()?;
    let user = Uuid::parse_str(&event.user_id).context("the user id is no UUID")?;
    let account = sqlx::query!(
        "
        select role
        from accounts
        where id = $1 and graduation < $2 and deleted_at is null and not is_pending
        for update
        ",
        user,
        event.version,
    )
    .fetch_optional(&mut *connection)
    .await?;
    // Gone, or an admin has corrected the graduation before it came here.
    let Some(account) = account else { return Ok(()) };
    let leaves = account.role == Role::Student.as_str();
    let epoch = sqlx::query_scalar!(
        "
        update accounts
        set
            graduation = $2,
            role = case when $3 then 'alumni' else role end,
            token_epoch = token_epoch + case when $3 then 1 else 0 end,
            version = version + 1
        where id = $1
        returning token_epoch
        ",
        user,
        event.version,
        leaves,
    )
    .fetch_one(&mut *connection)
    .await?;
    if leaves {
        // Announced by the background work, within a second of the commit that comes after this.
        let _announced_later = revocations.of_epoch(connection, user, epoch, None, Kept::All).await?;
    }
    let account = accounts::load(connection, user).await?;
    Ok(accounts::announce_changed(connection, &account).await?)
}
