use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, DeferredBody, Envelope, FieldErrors, required_text};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Status,
    detail::{self, PortfolioDetail},
    events, fields, filters, slug,
};
use crate::{AppState, capabilities::Caller};

const MOST_PORTFOLIOS: i64 = 200;

#[derive(Debug, Deserialize, ToSchema)]
pub struct NewPortfolio {
    /// 1 to 200 characters.
    judul: Option<String>,
    /// At most 20.
    tag_ids: Option<Vec<Uuid>>,
    /// An active series.
    #[serde(default, deserialize_with = "filters::clearable_uuid")]
    #[schema(value_type = Option<Uuid>)]
    series_id: Option<Option<Uuid>>,
    /// The owner, if it is not the caller: for managers only.
    user_id: Option<Uuid>,
}

/// Begins a portfolio, always as a draft.
#[utoipa::path(
    post,
    path = "/api/v1/portfolios",
    tag = "portfolios",
    request_body = NewPortfolio,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<PortfolioDetail>)),
)]
pub async fn create(
    State(app): State<AppState>,
    caller: Caller,
    body: DeferredBody<NewPortfolio>,
) -> ApiResult<Data<PortfolioDetail>> {
    let new = body.read().await?;
    let owner = new.user_id.unwrap_or(caller.id);
    if owner != caller.id && !caller.is_manager() {
        return Err(ApiError::forbidden());
    }
    let mut tx = app.db.begin().await?;
    let mut errors = FieldErrors::new();
    let judul = required_text(&mut errors, "judul", "Judul", new.judul.as_deref(), 1..=200);
    let tags = fields::tags(&mut tx, &mut errors, new.tag_ids.unwrap_or_default()).await?;
    let series = new.series_id.flatten();
    if let Some(series) = series {
        fields::series(&mut tx, &mut errors, series, None).await?;
    }
    // The owner's row orders his creations: each counts those before it and chooses its slug after them.
    let owner_row =
        sqlx::query!("select is_active from users where id = $1 and deleted_at is null for no key update", owner,)
            .fetch_optional(&mut *tx)
            .await?;
    if owner_row.is_none() {
        errors.add("user_id", "Pengguna tidak ditemukan");
    }
    errors.finish()?;
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from portfolios where user_id = $1 and deleted_at is null"#,
        owner,
    )
    .fetch_one(&mut *tx)
    .await?;
    if count >= MOST_PORTFOLIOS {
        return Err(ApiError::conflict(
            "PORTFOLIO_LIMIT_REACHED",
            format!("Jumlah portofolio sudah mencapai batas {MOST_PORTFOLIOS}"),
        ));
    }
    let id = Uuid::now_v7();
    let owner_hidden = owner_row.is_none_or(|row| !row.is_active);
    insert(&mut tx, id, owner, owner_hidden, &judul, series).await?;
    sqlx::query!("insert into portfolio_tags (portfolio_id, tag_id) select $1, unnest($2::uuid[])", id, &tags,)
        .execute(&mut *tx)
        .await?;
    events::created(&mut tx, events::State { id, owner, version: 1, status: Status::Draft }).await?;
    let created = detail::load(&mut *tx, id, &caller).await?;
    tx.commit().await?;
    Ok(Data::created(created))
}

/// Inserts the row under the first free slug. A change of another portfolio's title may take the slug in between: the
/// index decides, and the next number is tried.
async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    owner: Uuid,
    owner_hidden: bool,
    judul: &str,
    series: Option<Uuid>,
) -> ApiResult<()> {
    let base = slug::base(judul);
    for _ in 0..10 {
        let taken = taken_slugs(connection, owner, id).await?;
        let inserted = sqlx::query!(
            "
            insert into portfolios (id, user_id, owner_hidden, judul, slug, series_id)
            values ($1, $2, $3, $4, $5, $6)
            on conflict (user_id, slug) where deleted_at is null do nothing
            ",
            id,
            owner,
            owner_hidden,
            judul,
            slug::unique(&base, &taken),
            series,
        )
        .execute(&mut *connection)
        .await?;
        if inserted.rows_affected() == 1 {
            return Ok(());
        }
    }
    Err(ApiError::unavailable())
}

/// The slugs of the owner's other portfolios: 200 at the most.
pub async fn taken_slugs(connection: &mut PgConnection, owner: Uuid, except: Uuid) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select slug from portfolios where user_id = $1 and id <> $2 and deleted_at is null",
        owner,
        except,
    )
    .fetch_all(connection)
    .await
}
