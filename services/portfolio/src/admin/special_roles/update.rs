use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id, OnConstraint as _, nullable};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    SpecialRole,
    definition::{self, Definition, NAME_KEY},
};
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

#[derive(Debug, Deserialize, ToSchema)]
pub struct RolePatch {
    /// 1 to 100 characters.
    nama: Option<String>,
    /// At most 500 characters; `null` and the empty text clear it.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    /// `#rrggbb`
    color: Option<String>,
    /// At least one key of the catalogue. Replaces the whole set.
    capabilities: Option<Vec<String>>,
    is_active: Option<bool>,
}

impl RolePatch {
    /// The role after the change; what is absent stays as it was.
    fn apply(self, before: &Definition) -> ApiResult<Definition> {
        let mut after = before.clone();
        let mut errors = FieldErrors::new();
        if let Some(nama) = self.nama {
            after.nama = definition::nama(&mut errors, Some(&nama));
        }
        if let Some(description) = self.description {
            after.description = definition::description(&mut errors, description.as_deref());
        }
        if let Some(color) = self.color {
            after.color = definition::color(&mut errors, &color);
        }
        if let Some(keys) = self.capabilities {
            after.capabilities = definition::capabilities(&mut errors, &keys);
        }
        after.is_active = self.is_active.unwrap_or(before.is_active);
        errors.finish()?;
        Ok(after)
    }
}

/// Changes a special role, for all its users at once.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/special-roles/{id}",
    tag = "special roles",
    params(("id" = Uuid, Path)),
    request_body = RolePatch,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<SpecialRole>)),
)]
pub async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<RolePatch>,
) -> ApiResult<Data<SpecialRole>> {
    caller.require(Capability::SpecialRoles)?;
    Definition::find(&app.db, id).await?.must_be_within(&caller)?;
    let patch = body.read().await?;

    let mut tx = app.db.begin().await?;
    let before = Definition::lock(&mut tx, id).await?;
    before.must_be_within(&caller)?;
    let after = patch.apply(&before)?;
    after.must_be_within(&caller)?;
    let changed = after.differences(&before);
    if !changed.is_empty() {
        write(&mut tx, id, &after).await.on_constraint(NAME_KEY, definition::duplicate)?;
        audit::record(&mut tx, caller.id, "special_role.update", id, &changed).await?;
    }
    let role = SpecialRole::one(&mut *tx, id).await?;
    tx.commit().await?;
    if changed.iter().any(|field| matches!(*field, "capabilities" | "is_active")) {
        app.callers.forget_all();
    }
    Ok(Data::new(role).message("Special role berhasil diperbarui"))
}

async fn write(connection: &mut PgConnection, id: Uuid, after: &Definition) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        update special_roles
        set nama = $2,
            description = $3,
            color = $4,
            capabilities = $5,
            is_active = $6,
            updated_at = now()
        where id = $1
        ",
        id,
        after.nama,
        after.description,
        after.color,
        &after.capabilities,
        after.is_active,
    )
    .execute(connection)
    .await?;
    Ok(())
}
