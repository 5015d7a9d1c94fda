use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiResult, ClientIp, Counter, Data, DeferredBody, Envelope, FieldErrors, required_text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{FeedbackStatus, Kategori, recent};
use crate::{AppState, capabilities::Viewer};

#[derive(Debug, Deserialize, ToSchema)]
pub struct NewFeedback {
    /// `bug`, `saran` or `lainnya`.
    kategori: Option<String>,
    /// 10 to 2000 characters.
    pesan: Option<String>,
}

/// What its author sees of a message.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeedbackReceipt {
    id: Uuid,
    /// `null` for guests.
    user_id: Option<Uuid>,
    kategori: Kategori,
    pesan: String,
    status: FeedbackStatus,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Tells the school something. Guests may, too.
#[utoipa::path(
    post,
    path = "/api/v1/feedback",
    tag = "feedback",
    operation_id = "send_feedback",
    request_body = NewFeedback,
    security((), ("bearer" = [])),
    responses((status = 201, body = Envelope<FeedbackReceipt>)),
)]
pub async fn send(
    State(app): State<AppState>,
    viewer: Viewer,
    address: ClientIp,
    body: DeferredBody<NewFeedback>,
) -> ApiResult<Data<FeedbackReceipt>> {
    let (author, counters) = author(&app, &viewer, address);
    for counter in &counters {
        counter.check(&app.db).await?;
    }
    let body = body.read().await?;
    let mut errors = FieldErrors::new();
    let kategori = Kategori::parse(body.kategori.as_deref().unwrap_or_default().trim()).unwrap_or_else(|| {
        errors.add("kategori", "Kategori harus bug, saran, atau lainnya");
        Kategori::Lainnya
    });
    let pesan = required_text(&mut errors, "pesan", "Pesan", body.pesan.as_deref(), 10..=2000);
    errors.finish()?;

    let mut tx = app.db.begin().await?;
    recent::note(&mut tx, &author, &pesan).await?;
    let receipt = sqlx::query_as!(
        FeedbackReceipt,
        r#"
        insert into feedback (id, user_id, kategori, pesan)
        values ($1, $2, $3, $4)
        returning
            id,
            user_id,
            kategori as "kategori: Kategori",
            pesan,
            status as "status: FeedbackStatus",
            created_at,
            updated_at
        "#,
        Uuid::now_v7(),
        viewer.id(),
        kategori.as_str(),
        pesan,
    )
    .fetch_one(&mut *tx)
    .await?;
    // Last, and in the same transaction: what is refused is not counted.
    for counter in &counters {
        counter.hit_within(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(Data::created(receipt).message("Terima kasih, pesan Anda sudah kami terima"))
}

/// Who sends, as far as two messages of the same author are told to be that. No address is stored.
fn author(app: &AppState, viewer: &Viewer, ClientIp(address): ClientIp) -> (String, [Counter; 2]) {
    if let Some(user) = viewer.id() {
        return (user.to_string(), app.limits.feedback_of_user(user));
    }
    let guest = app.guests.address("feedback", address);
    let counters = app.limits.feedback_of_guest(&guest);
    (guest, counters)
}
