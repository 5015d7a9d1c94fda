//! Who sent which text in the last 24 hours.

use grafikarsa_http::{ApiError, ApiResult};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

/// Notes that `author` sends `pesan`. Of two at once the second waits for the first.
///
/// # Errors
/// 409 if he sent the same within the last 24 hours.
pub async fn note(connection: &mut PgConnection, author: &str, pesan: &str) -> ApiResult<()> {
    let noted = sqlx::query!(
        "
        insert into recent_feedback as known (author, pesan_hash)
        values ($1, $2)
        on conflict on constraint recent_feedback_pkey do update set sent_at = excluded.sent_at
        where known.sent_at <= now() - interval '24 hours'
        ",
        author,
        &hash(pesan),
    )
    .execute(connection)
    .await?;
    if noted.rows_affected() == 1 {
        Ok(())
    } else {
        Err(ApiError::conflict("DUPLICATE_FEEDBACK", "Anda sudah mengirim pesan yang sama dalam 24 jam terakhir"))
    }
}

/// Forgets what was sent more than 24 hours ago, and with it which guest it was.
pub async fn forget_old(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    // What is just sent once more is young again.
    let old = sqlx::query!(
        "
        delete from recent_feedback
        where (author, pesan_hash) in (
            select author, pesan_hash
            from recent_feedback
            where sent_at <= now() - interval '24 hours'
            for update skip locked
        )
        ",
    );
    old.execute(connection).await.map(drop)
}

/// The same for texts that differ in case and white space only.
fn hash(pesan: &str) -> Vec<u8> {
    let essence: String = pesan.to_lowercase().split_whitespace().collect();
    Sha256::digest(essence.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_white_space_make_no_other_text() {
        let text = hash("Tombol Édit rusak");
        for same in ["tombol édit rusak", "  TOMBOL\u{a0}ÉDIT\n\n rusak ", "Tom bol Édit rusak"] {
            assert_eq!(hash(same), text, "{same}");
        }
        assert_ne!(hash("Tombol Édit rusak!"), text);
    }
}
