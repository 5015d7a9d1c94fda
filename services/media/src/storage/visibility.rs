use grafikarsa_http::ApiResult;
use uuid::Uuid;

use crate::{app::AppState, uploads::rights};

/// Whether guests may see a portfolio: it is published, and its owner's account is active. Answered from the copies that
/// events keep; what is missing there is asked for.
pub(super) async fn is_public(app: &AppState, portfolio: Uuid) -> ApiResult<bool> {
    let known = sqlx::query!(
        r#"
        select
            portfolio.status = 'published' and not portfolio.deleted as "published!",
            account.is_active and not account.deleted as "active"
        from portfolios portfolio
        left join accounts account on account.id = portfolio.owner_id
        where portfolio.id = $1
        "#,
        portfolio,
    )
    .fetch_optional(&app.db)
    .await?;
    match known {
        Some(row) if !row.published => Ok(false),
        Some(row) if row.active.is_some() => Ok(row.active.unwrap_or_default()),
        _ => match rights::ask(app, portfolio, None).await {
            Ok(rights) => Ok(rights.visible),
            Err(error) if error.status().is_client_error() => Ok(false),
            Err(error) => Err(error),
        },
    }
}
