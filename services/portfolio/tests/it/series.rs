use serde_json::json;
use uuid::Uuid;

use crate::support::TestApp;

#[tokio::test]
async fn active_templates_are_listed_by_name_with_their_blocks() {
    let app = TestApp::spawn().await;
    let second = app.series("PJBL Semester 2", true).await;
    let first = app.series("PJBL Semester 1", true).await;
    let inactive = app.series("Lama", false).await;
    sqlx::query(
        "insert into series_blocks (id, series_id, block_type, block_order, instruksi)
         values ($1, $3, 'image', 1, 'Foto proyek'), ($2, $3, 'text', 0, 'Judul')",
    )
    .bind(Uuid::from_u128(1))
    .bind(Uuid::from_u128(2))
    .bind(first)
    .execute(&app.pool)
    .await
    .unwrap();
    let answer = app.get("/api/v1/series").await;
    assert_eq!(answer.column("nama"), ["PJBL Semester 1", "PJBL Semester 2"]);
    let item = &answer.data(200)[0];
    let expected = json!({
        "id": first, "nama": "PJBL Semester 1", "deskripsi": null, "is_active": true, "block_count": 2,
        "created_at": item["created_at"],
        "blocks": [
            { "id": Uuid::from_u128(2), "block_type": "text", "block_order": 0, "instruksi": "Judul" },
            { "id": Uuid::from_u128(1), "block_type": "image", "block_order": 1, "instruksi": "Foto proyek" },
        ],
    });
    assert_eq!(item, &expected);
    assert_eq!(app.get(&format!("/api/v1/series/{first}")).await.data(200), expected);
    assert_eq!(app.get(&format!("/api/v1/series/{second}")).await.data(200)["blocks"], json!([]));
    // Public: whatever header is sent.
    app.get_with_token("/api/v1/series", "Bearer x").await.data(200);

    app.sql("update series set deleted_at = now() where nama = 'PJBL Semester 2'").await;
    assert_eq!(app.get("/api/v1/series").await.column("nama"), ["PJBL Semester 1"]);
    for gone in [second, inactive, Uuid::nil()] {
        app.get(&format!("/api/v1/series/{gone}")).await.fails(404, "SERIES_NOT_FOUND");
    }
    app.get("/api/v1/series/x").await.fails(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn tags_are_listed_by_name_and_searched() {
    let app = TestApp::spawn().await;
    for nama in ["Web", "Animasi 100%", "Desain_Grafis"] {
        app.tag(nama).await;
    }
    let gone = app.tag("Lama").await;
    sqlx::query("update tags set deleted_at = now() where id = $1").bind(gone).execute(&app.pool).await.unwrap();
    let found = async |query: &str| app.get(&format!("/api/v1/tags{query}")).await.column("nama");
    assert_eq!(found("").await, ["Animasi 100%", "Desain_Grafis", "Web"]);
    assert_eq!(found("?search=GRAF").await, ["Desain_Grafis"]);
    assert_eq!(found("?search=%25").await, ["Animasi 100%"]);
    assert_eq!(found("?search=_").await, ["Desain_Grafis"]);
    assert_eq!(found("?search=%20").await.len(), 3);
    app.get(&format!("/api/v1/tags?search={}", "x".repeat(101))).await.fails(400, "VALIDATION_ERROR");
    app.get_with_token("/api/v1/tags", "Bearer x").await.data(200);
}
