use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn majors_and_classes_of_the_active_year_are_public() {
    let app = TestApp::spawn().await;
    assert_eq!(app.get("/api/v1/kelas").await.data(200), json!([]), "no year is active");
    let (kelas, jurusan) = app.kelas().await;
    let rpl = json!({ "id": jurusan, "nama": "Rekayasa Perangkat Lunak", "kode": "rpl" });
    // A stale token does not matter on a public route.
    let majors = app.get_with_token("/api/v1/jurusan", "Bearer stale").await;
    assert_eq!(majors.data(200), json!([rpl]));
    let expected = json!([{ "id": kelas, "nama": "XII-RPL-A", "tingkat": 12, "jurusan": rpl }]);
    assert_eq!(app.get("/api/v1/kelas").await.data(200), expected);
    assert_eq!(app.get(&format!("/api/v1/kelas?jurusan_id={jurusan}&tingkat=12")).await.data(200), expected);
    assert_eq!(app.get("/api/v1/kelas?tingkat=10").await.data(200), json!([]));
    app.get("/api/v1/kelas?tingkat=13").await.fails(400, "VALIDATION_ERROR");
    app.get("/api/v1/kelas?jurusan_id=x").await.fails(400, "VALIDATION_ERROR");
    app.sql("update tahun_ajaran set is_active = false").await;
    assert_eq!(app.get("/api/v1/kelas").await.data(200), json!([]));
    app.sql("update tahun_ajaran set is_active = true; update jurusan set deleted_at = now()").await;
    assert_eq!(app.get("/api/v1/kelas").await.data(200), json!([]));
    assert_eq!(app.get("/api/v1/jurusan").await.data(200), json!([]));
}

#[tokio::test]
async fn tags_are_public_and_searchable() {
    let app = TestApp::spawn().await;
    app.tag("Web").await;
    app.tag("Animasi 3D").await;
    assert_eq!(app.get("/api/v1/tags").await.column("nama"), ["Animasi 3D", "Web"]);
    assert_eq!(app.get("/api/v1/tags?search=web").await.column("nama"), ["Web"]);
    assert_eq!(app.get("/api/v1/tags?search=%25").await.column("nama").len(), 0);
    app.get(&format!("/api/v1/tags?search={}", "x".repeat(101))).await.fails(400, "VALIDATION_ERROR");
}
