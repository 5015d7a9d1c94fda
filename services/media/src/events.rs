//! What media learns from the others: who may see documents, and what nobody needs any more.

use anyhow::Context as _;
use grafikarsa_events::Message;
use proto_events::{
    auth::v1::{Account, AccountChanged, AccountCreated, AccountDeleted},
    portfolio::v1::{MediaReleased, PortfolioCreated, PortfolioDeleted, PortfolioState, PortfolioStatusChanged},
};
use sqlx::PgConnection;
use uuid::Uuid;

/// Keeps the copy of accounts: a deactivated owner's documents are hidden.
pub(crate) async fn account_changed(connection: &mut PgConnection, message: &Message) -> anyhow::Result<()> {
    let account: Option<Account> = match message.name.as_str() {
        "account.created" => message.decode::<AccountCreated>()?.account,
        "account.changed" => message.decode::<AccountChanged>()?.account,
        "account.deleted" => message.decode::<AccountDeleted>()?.account,
        _ => return Ok(()),
    };
    let account = account.context("an account event without an account")?;
    let id: Uuid = account.id.parse()?;
    sqlx::query!(
        "
        insert into accounts as account (id, version, is_active, deleted)
        values ($1, $2, $3, $4)
        on conflict (id) do update set
            version = excluded.version,
            is_active = excluded.is_active,
            deleted = excluded.deleted
        where account.version <= excluded.version
        ",
        id,
        account.version,
        account.is_active,
        account.deleted,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps the copy of portfolios.
pub(crate) async fn portfolio_changed(connection: &mut PgConnection, message: &Message) -> anyhow::Result<()> {
    let portfolio: Option<PortfolioState> = match message.name.as_str() {
        "portfolio.created" => message.decode::<PortfolioCreated>()?.portfolio,
        "portfolio.status_changed" => message.decode::<PortfolioStatusChanged>()?.portfolio,
        "portfolio.deleted" => message.decode::<PortfolioDeleted>()?.portfolio,
        _ => return Ok(()),
    };
    let portfolio = portfolio.context("a portfolio event without a portfolio")?;
    let id: Uuid = portfolio.id.parse()?;
    let owner: Uuid = portfolio.owner_id.parse()?;
    sqlx::query!(
        "
        insert into portfolios as portfolio (id, owner_id, version, status, deleted)
        values ($1, $2, $3, $4, $5)
        on conflict (id) do update set
            owner_id = excluded.owner_id,
            version = excluded.version,
            status = excluded.status,
            deleted = excluded.deleted
        where portfolio.version <= excluded.version
        ",
        id,
        owner,
        portfolio.version,
        portfolio.status,
        portfolio.deleted,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes what portfolio does not refer to any more, if it belongs to whom the event names.
pub(crate) async fn media_released(
    connection: &mut PgConnection,
    message: &Message,
    storage_base: &str,
) -> anyhow::Result<()> {
    let released: MediaReleased = message.decode()?;
    let owner: Uuid = released.owner_id.parse()?;
    let portfolio: Option<Uuid> = released.portfolio_id.as_deref().map(str::parse).transpose()?;
    let of_urls = released.urls.iter().filter_map(|url| url.strip_prefix(storage_base)?.strip_prefix('/'));
    let keys: Vec<String> = released.object_keys.iter().map(String::as_str).chain(of_urls).map(str::to_owned).collect();
    sqlx::query!(
        "
        update objects
        set released_at = now(),
            look_again_at = now() + grace(kind)
        where object_key = any($1)
          and (owner_id = $2 or portfolio_id = $3)
        ",
        &keys,
        owner,
        portfolio,
    )
    .execute(connection)
    .await?;
    Ok(())
}
