//! Which feed somebody sees, and the preference that remembers it.

use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Body, Data, Envelope};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{AppState, capabilities::Caller};

/// What a feed shows and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    Smart,
    Recent,
    Following,
}

impl Algorithm {
    pub fn parse(text: &str) -> ApiResult<Self> {
        match text {
            "smart" => Ok(Self::Smart),
            "recent" => Ok(Self::Recent),
            "following" => Ok(Self::Following),
            _ => Err(ApiError::bad_request("INVALID_ALGORITHM", "Algoritma feed tidak dikenal")),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Smart => "smart",
            Self::Recent => "recent",
            Self::Following => "following",
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FeedPreferences {
    algorithm: Algorithm,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct NewPreferences {
    /// `smart`, `recent` or `following`.
    algorithm: Option<String>,
}

/// Which feed the caller prefers.
#[utoipa::path(
    get,
    path = "/api/v1/feed/preferences",
    tag = "feed",
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<FeedPreferences>)),
)]
pub async fn preferences(State(app): State<AppState>, caller: Caller) -> ApiResult<Data<FeedPreferences>> {
    Ok(Data::new(FeedPreferences { algorithm: preferred(&app.db, caller.id).await? }))
}

/// Remembers which feed the caller prefers.
#[utoipa::path(
    put,
    path = "/api/v1/feed/preferences",
    tag = "feed",
    request_body = NewPreferences,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<FeedPreferences>)),
)]
pub async fn prefer(
    State(app): State<AppState>,
    caller: Caller,
    Body(new): Body<NewPreferences>,
) -> ApiResult<Data<FeedPreferences>> {
    let algorithm = Algorithm::parse(new.algorithm.as_deref().map_or("", str::trim))?;
    sqlx::query!(
        "
        insert into feed_preferences (user_id, algorithm)
        values ($1, $2)
        on conflict on constraint feed_preferences_pkey do update set algorithm = excluded.algorithm, updated_at = now()
        ",
        caller.id,
        algorithm.as_str(),
    )
    .execute(&app.db)
    .await?;
    Ok(Data::new(FeedPreferences { algorithm }).message("Preferensi feed disimpan"))
}

/// What `user` prefers; `smart` until he says something else.
pub async fn preferred(db: &PgPool, user: Uuid) -> ApiResult<Algorithm> {
    let saved = sqlx::query_scalar!("select algorithm from feed_preferences where user_id = $1", user);
    saved.fetch_optional(db).await?.map_or(Ok(Algorithm::Smart), |saved| Algorithm::parse(&saved))
}
