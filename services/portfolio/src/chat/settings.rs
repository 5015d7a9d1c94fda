//! Who may write to a user, and what others see of him.

use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, DeferredBody, Envelope, FieldErrors};
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{AppState, capabilities::Caller};

/// Who may open a conversation with a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum DmPrivacy {
    /// Everybody.
    Open,
    /// Who follows him.
    Followers,
    /// Who follows him and whom he follows.
    Mutual,
    /// Nobody, not even to answer.
    Closed,
}

impl DmPrivacy {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "open" => Self::Open,
            "followers" => Self::Followers,
            "mutual" => Self::Mutual,
            "closed" => Self::Closed,
            _ => return None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DmSettings {
    dm_privacy: DmPrivacy,
    /// Whether others see what the user has read.
    show_read_receipts: bool,
    /// Whether others see that the user types.
    show_typing_indicator: bool,
}

impl Default for DmSettings {
    fn default() -> Self {
        Self { dm_privacy: DmPrivacy::Followers, show_read_receipts: true, show_typing_indicator: true }
    }
}

/// Absent or `null` is unchanged.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SettingsChange {
    /// `open`, `followers`, `mutual` or `closed`.
    dm_privacy: Option<String>,
    show_read_receipts: Option<bool>,
    show_typing_indicator: Option<bool>,
}

/// The caller's settings of direct messages.
#[utoipa::path(
    get,
    path = "/api/v1/dm/settings",
    tag = "chat",
    operation_id = "dm_settings",
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<DmSettings>)),
)]
pub async fn settings(State(app): State<AppState>, caller: Caller) -> ApiResult<Data<DmSettings>> {
    Ok(Data::new(load(&app.db, caller.id).await?))
}

/// Changes the caller's settings of direct messages.
#[utoipa::path(
    patch,
    path = "/api/v1/dm/settings",
    tag = "chat",
    operation_id = "change_dm_settings",
    request_body = SettingsChange,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<DmSettings>, description = "All settings as they are now")),
)]
pub async fn update(
    State(app): State<AppState>,
    caller: Caller,
    body: DeferredBody<SettingsChange>,
) -> ApiResult<Data<DmSettings>> {
    app.limits.dm_changes(caller.id).hit(&app.db).await?;
    let change = body.read().await?;
    let mut errors = FieldErrors::new();
    let privacy = change.dm_privacy.as_deref().and_then(|text| {
        let privacy = DmPrivacy::parse(text);
        if privacy.is_none() {
            errors.add("dm_privacy", "Privasi harus open, followers, mutual, atau closed");
        }
        privacy
    });
    errors.finish()?;
    let message = "Pengaturan pesan disimpan";
    if privacy.is_none() && change.show_read_receipts.is_none() && change.show_typing_indicator.is_none() {
        return Ok(Data::new(load(&app.db, caller.id).await?).message(message));
    }
    let defaults = DmSettings::default();
    // Only what is given is written: changes of different fields at once both stay.
    let settings = sqlx::query_as!(
        DmSettings,
        r#"
        insert into dm_settings as known (user_id, dm_privacy, show_read_receipts, show_typing_indicator)
        values ($1, coalesce($2, $5), coalesce($3::boolean, $6), coalesce($4::boolean, $7))
        on conflict on constraint dm_settings_pkey do update set
            dm_privacy = coalesce($2, known.dm_privacy),
            show_read_receipts = coalesce($3::boolean, known.show_read_receipts),
            show_typing_indicator = coalesce($4::boolean, known.show_typing_indicator),
            updated_at = now()
        returning dm_privacy as "dm_privacy: DmPrivacy", show_read_receipts, show_typing_indicator
        "#,
        caller.id,
        privacy as Option<DmPrivacy>,
        change.show_read_receipts,
        change.show_typing_indicator,
        defaults.dm_privacy as DmPrivacy,
        defaults.show_read_receipts,
        defaults.show_typing_indicator,
    )
    .fetch_one(&app.db)
    .await?;
    Ok(Data::new(settings).message(message))
}

/// Of a user who never changed them: the defaults.
async fn load(executor: impl PgExecutor<'_>, user: Uuid) -> Result<DmSettings, sqlx::Error> {
    let stored = sqlx::query_as!(
        DmSettings,
        r#"
        select dm_privacy as "dm_privacy: DmPrivacy", show_read_receipts, show_typing_indicator
        from dm_settings
        where user_id = $1
        "#,
        user,
    );
    Ok(stored.fetch_optional(executor).await?.unwrap_or_default())
}
