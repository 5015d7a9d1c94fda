//! Content blocks: the pieces a portfolio is made of, in their order.

use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, FieldErrors};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{AppState, portfolios::access::Loaded, storage};
use payload::{BlockType, Context, Normalised};

mod create;
mod delete;
mod order;
pub mod payload;
mod reorder;
mod update;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create::create))
        .routes(routes!(reorder::reorder))
        .routes(routes!(update::update, delete::delete))
}

/// A block of a portfolio.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ContentBlock {
    pub id: Uuid,
    pub block_type: String,
    pub block_order: i32,
    #[schema(value_type = Object)]
    pub payload: Value,
    /// Instruction of the template block with the same order and type.
    pub series_instruksi: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl ContentBlock {
    async fn find(executor: impl PgExecutor<'_>, portfolio: Uuid, id: Uuid) -> Result<Option<Self>, sqlx::Error> {
        sqlx::query_as!(
            Self,
            r#"
            select
                b.id,
                b.block_type,
                b.block_order,
                b.payload,
                t.instruksi as "series_instruksi?",
                b.created_at,
                b.updated_at
            from content_blocks b
            join portfolios p on p.id = b.portfolio_id
            left join (series_blocks t join series s on s.id = t.series_id and s.deleted_at is null)
                on t.series_id = p.series_id and t.block_order = b.block_order and t.block_type = b.block_type
            where b.portfolio_id = $1 and b.id = $2
            "#,
            portfolio,
            id,
        )
        .fetch_optional(executor)
        .await
    }
}

fn not_found() -> ApiError {
    ApiError::not_found("NOT_FOUND", "Blok konten tidak ditemukan")
}

/// Normalises a payload, and asks for the upload behind a stored document.
async fn normalise(
    app: &AppState,
    connection: &mut PgConnection,
    errors: &mut FieldErrors,
    portfolio: &Loaded,
    block_type: BlockType,
    value: &Value,
    before: Option<&Value>,
) -> ApiResult<Normalised> {
    let rules = &app.rules;
    let context =
        Context { portfolio: portfolio.id, storage_base: &rules.storage_base, own_hosts: &rules.own_hosts, before };
    let normalised = payload::normalise(errors, block_type, value, &context);
    if let Some((key, content_types)) = &normalised.document {
        let object = storage::confirmed_object(app, connection, key).await?;
        let fits = object.is_some_and(|object| {
            object.kind == "document"
                && object.portfolio_id == Some(portfolio.id)
                && content_types.contains(&object.content_type.as_str())
        });
        if !fits {
            errors.add("payload.url", "Dokumen belum diunggah atau jenisnya tidak sesuai");
        }
    }
    Ok(normalised)
}

/// What `payload` shows of our own storage.
fn stored_path(payload: &Value, storage_base: &str) -> Option<String> {
    storage::path_of(storage_base, payload.get("url")?.as_str()?)
}

/// The address of what a changed or removed block showed, if no block of the portfolio refers to it any more: blocks
/// can be duplicated in the editor, and show the same object at another width.
async fn unreferenced(
    connection: &mut PgConnection,
    portfolio: Uuid,
    before: &Value,
    storage_base: &str,
) -> Result<Vec<String>, sqlx::Error> {
    let Some(path) = stored_path(before, storage_base) else { return Ok(Vec::new()) };
    let used = refer_to(connection, portfolio, &path, storage_base).await?;
    Ok(if used { Vec::new() } else { vec![format!("{storage_base}/{path}")] })
}

/// Whether a block of the portfolio refers to what lies at `path` of the public storage, in whatever spelling.
pub async fn refer_to(
    connection: &mut PgConnection,
    portfolio: Uuid,
    path: &str,
    storage_base: &str,
) -> Result<bool, sqlx::Error> {
    let payloads = sqlx::query!(
        r#"
        select payload ->> 'url' as url, strpos(payload::text, $2) > 0 as "mentions_it!"
        from content_blocks
        where portfolio_id = $1
        "#,
        portfolio,
        path,
    )
    .fetch_all(connection)
    .await?;
    let refers = |url: &str| storage::path_of(storage_base, url).as_deref() == Some(path);
    Ok(payloads.iter().any(|row| row.mentions_it || row.url.as_deref().is_some_and(refers)))
}
