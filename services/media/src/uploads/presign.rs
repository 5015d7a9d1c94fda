use axum::extract::State;
use grafikarsa_http::{
    ApiError, ApiResult, Counter, CurrentUser, Data, DeferredBody, Envelope, FieldErrors, Limit, required_text,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{keys, kinds::Kind, rights};
use crate::{app::AppState, store::PRESIGNED};

/// Requests of a user.
const PRESIGNS: Limit = Limit::new(120, 60);
/// Uploads of a user that wait for their confirmation.
const MAX_OPEN: i64 = 60;

#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct PresignRequest {
    /// `avatar`, `banner`, `thumbnail`, `portfolio_image`, `document` or `chat_image`.
    upload_type: Option<String>,
    filename: Option<String>,
    content_type: Option<String>,
    /// Bytes.
    file_size: Option<i64>,
    portfolio_id: Option<Uuid>,
    block_id: Option<Uuid>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Presigned {
    upload_id: Uuid,
    /// Absolute; for one PUT of this file and nothing else.
    presigned_url: String,
    object_key: String,
    /// Seconds.
    expires_in: u64,
    method: &'static str,
    headers: PresignedHeaders,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PresignedHeaders {
    #[serde(rename = "Content-Type")]
    content_type: String,
}

/// A request that follows the rules.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    kind: Kind,
    filename: String,
    content_type: String,
    file_size: i64,
    portfolio: Option<Uuid>,
    block: Option<Uuid>,
}

/// Promises to take a file and says where to PUT it.
#[utoipa::path(
    post,
    path = "/api/v1/uploads/presign",
    tag = "uploads",
    request_body = PresignRequest,
    responses((status = 200, body = Envelope<Presigned>)),
    security(("bearer" = []))
)]
pub(crate) async fn presign(
    State(app): State<AppState>,
    user: CurrentUser,
    body: DeferredBody<PresignRequest>,
) -> ApiResult<Data<Presigned>> {
    Counter::new("presign", PRESIGNS, user.id).hit(&app.db).await?;
    let wanted = check(body.read().await?)?;
    if let Some(portfolio) = wanted.portfolio {
        rights::require_edit(&app, portfolio, user.id).await?;
        if let Some(block) = wanted.block {
            rights::require_block(&app, portfolio, block).await?;
        }
    }

    let id = Uuid::now_v7();
    let scope = wanted.portfolio.unwrap_or(user.id);
    let object_key = keys::new(wanted.kind, scope, &wanted.content_type).ok_or_else(bad_type)?;
    let url = app.store.presign_put(&keys::staging(id), &wanted.content_type, wanted.file_size).await?;
    insert(&app, id, user.id, &wanted, &object_key).await?;
    tracing::info!(
        upload = %id, kind = wanted.kind.as_str(), content_type = wanted.content_type, size = wanted.file_size,
        "an upload was promised"
    );
    Ok(Data::new(Presigned {
        upload_id: id,
        presigned_url: url,
        object_key,
        expires_in: PRESIGNED.as_secs(),
        method: "PUT",
        headers: PresignedHeaders { content_type: wanted.content_type },
    }))
}

fn check(request: PresignRequest) -> ApiResult<Wanted> {
    let mut errors = FieldErrors::new();
    let kind = request.upload_type.as_deref().and_then(|name| Kind::of_upload_type(name.trim()));
    if kind.is_none() {
        errors.add("upload_type", "Jenis unggahan tidak dikenal");
    }
    let filename = required_text(&mut errors, "filename", "Nama file", request.filename.as_deref(), 1..=255);
    let content_type = request.content_type.unwrap_or_default().trim().to_ascii_lowercase();
    if content_type.is_empty() {
        errors.add("content_type", "Tipe file wajib diisi");
    }
    let file_size = request.file_size.unwrap_or_default();
    if file_size < 1 {
        errors.add("file_size", "Ukuran file minimal 1 byte");
    }
    let portfolio = request.portfolio_id.filter(|_| kind.is_some_and(Kind::needs_portfolio));
    if kind.is_some_and(Kind::needs_portfolio) && portfolio.is_none() {
        errors.add("portfolio_id", "Portofolio wajib diisi");
    }
    errors.finish()?;
    let kind = kind.ok_or_else(bad_type)?;
    if file_size > kind.max_bytes() {
        let message = format!("Ukuran file maksimal {} MB", kind.max_bytes() / (1024 * 1024));
        return Err(ApiError::bad_request("FILE_TOO_LARGE", message.clone()).detail("file_size", message));
    }
    if !kind.content_types().contains(&content_type.as_str()) {
        return Err(bad_type());
    }
    let block = request.block_id.filter(|_| portfolio.is_some());
    Ok(Wanted { kind, filename, content_type, file_size, portfolio, block })
}

fn bad_type() -> ApiError {
    let message = "Tipe file tidak diperbolehkan";
    ApiError::bad_request("INVALID_CONTENT_TYPE", message).detail("content_type", message)
}

/// Counts and inserts under a lock of the user, so that requests at the same time cannot pass the limit together.
async fn insert(app: &AppState, id: Uuid, user: Uuid, wanted: &Wanted, object_key: &str) -> ApiResult<()> {
    let mut tx = app.db.begin().await?;
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('uploads ' || $1::text, 0))", user.to_string())
        .execute(&mut *tx)
        .await?;
    // After half an hour an upload cannot be confirmed any more and does not count.
    let open = sqlx::query!(
        r#"
        select
            count(*) as "count!",
            ceil(extract(epoch from min(created_at) + interval '30 minutes' - now()))::bigint as seconds
        from uploads
        where owner_id = $1
          and state = 'issued'
          and created_at > now() - interval '30 minutes'
        "#,
        user,
    )
    .fetch_one(&mut *tx)
    .await?;
    if open.count >= MAX_OPEN {
        return Err(ApiError::too_many(open.seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(60)));
    }
    sqlx::query!(
        "
        insert into uploads
            (id, kind, owner_id, portfolio_id, block_id, filename, declared_type, declared_size, object_key)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ",
        id,
        wanted.kind.as_str(),
        user,
        wanted.portfolio,
        wanted.block,
        wanted.filename,
        wanted.content_type,
        wanted.file_size,
        object_key,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: &str, content_type: &str, size: i64) -> PresignRequest {
        PresignRequest {
            upload_type: Some(kind.to_owned()),
            filename: Some("foto.jpg".to_owned()),
            content_type: Some(content_type.to_owned()),
            file_size: Some(size),
            portfolio_id: Some(Uuid::nil()),
            block_id: None,
        }
    }

    fn code(request: PresignRequest) -> (u16, String) {
        let error = check(request).unwrap_err();
        (error.status().as_u16(), error.code().to_owned())
    }

    #[test]
    fn sizes_up_to_the_maximum_of_the_type_are_taken() {
        assert!(check(request("avatar", "image/png", 5_242_880)).is_ok());
        assert_eq!(code(request("avatar", "image/png", 5_242_881)), (400, "FILE_TOO_LARGE".to_owned()));
        assert_eq!(code(request("avatar", "image/png", 0)), (422, "VALIDATION_ERROR".to_owned()));
        assert_eq!(code(request("avatar", "image/png", -1)), (422, "VALIDATION_ERROR".to_owned()));
    }

    #[test]
    fn only_types_of_the_kind_are_taken() {
        for (kind, content_type) in
            [("avatar", "image/gif"), ("thumbnail", "image/svg+xml"), ("document", "text/html"), ("banner", "x")]
        {
            assert_eq!(code(request(kind, content_type, 1)), (400, "INVALID_CONTENT_TYPE".to_owned()));
        }
        assert!(check(request("banner", "image/gif", 1)).is_ok());
    }

    #[test]
    fn a_portfolio_is_asked_for_where_it_matters_and_ignored_elsewhere() {
        let without = |kind| PresignRequest { portfolio_id: None, ..request(kind, "image/png", 1) };
        assert_eq!(code(without("thumbnail")).0, 422);
        assert!(check(without("avatar")).is_ok());
        assert_eq!(check(request("chat_image", "image/png", 1)).unwrap().portfolio, None);
    }

    #[test]
    fn a_request_without_anything_names_every_field() {
        let empty: PresignRequest = serde_json::from_str("{}").unwrap();
        assert_eq!(code(empty), (422, "VALIDATION_ERROR".to_owned()));
    }
}
