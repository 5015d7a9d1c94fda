use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, DeferredBody, Envelope, FieldErrors, OnConstraint as _};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    SpecialRole,
    definition::{self, DEFAULT_COLOR, Definition, NAME_KEY},
};
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

#[derive(Debug, Deserialize, ToSchema)]
pub struct NewRole {
    /// 1 to 100 characters.
    nama: Option<String>,
    /// At most 500 characters.
    description: Option<String>,
    /// `#rrggbb`; absent: `#6366f1`.
    color: Option<String>,
    /// At least one key of the catalogue.
    capabilities: Option<Vec<String>>,
    /// Absent: true.
    is_active: Option<bool>,
}

impl NewRole {
    fn check(&self) -> ApiResult<Definition> {
        let mut errors = FieldErrors::new();
        let checked = Definition {
            nama: definition::nama(&mut errors, self.nama.as_deref()),
            description: definition::description(&mut errors, self.description.as_deref()),
            color: definition::color(&mut errors, self.color.as_deref().unwrap_or(DEFAULT_COLOR)),
            capabilities: definition::capabilities(&mut errors, self.capabilities.as_deref().unwrap_or_default()),
            is_active: self.is_active.unwrap_or(true),
        };
        errors.finish()?;
        Ok(checked)
    }
}

/// Creates a special role, which nobody holds yet.
#[utoipa::path(
    post,
    path = "/api/v1/admin/special-roles",
    tag = "special roles",
    request_body = NewRole,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<SpecialRole>)),
)]
pub async fn create(
    State(app): State<AppState>,
    caller: Caller,
    body: DeferredBody<NewRole>,
) -> ApiResult<Data<SpecialRole>> {
    caller.require(Capability::SpecialRoles)?;
    let new = body.read().await?.check()?;
    new.must_be_within(&caller)?;

    let id = Uuid::now_v7();
    let mut tx = app.db.begin().await?;
    insert(&mut tx, id, &new).await.on_constraint(NAME_KEY, definition::duplicate)?;
    let fields = ["nama", "description", "color", "capabilities", "is_active"];
    audit::record(&mut tx, caller.id, "special_role.create", id, &fields).await?;
    let role = SpecialRole::one(&mut *tx, id).await?;
    tx.commit().await?;
    Ok(Data::created(role).message("Special role berhasil dibuat"))
}

async fn insert(connection: &mut PgConnection, id: Uuid, new: &Definition) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        insert into special_roles (id, nama, description, color, capabilities, is_active)
        values ($1, $2, $3, $4, $5, $6)
        ",
        id,
        new.nama,
        new.description,
        new.color,
        &new.capabilities,
        new.is_active,
    )
    .execute(connection)
    .await?;
    Ok(())
}
