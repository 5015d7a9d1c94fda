use serde_json::json;

use crate::support::{TestApp, eventually};

#[tokio::test]
async fn a_student_reads_the_own_profile() {
    let app = TestApp::spawn().await;
    let (kelas, jurusan) = app.kelas().await;
    let fields = json!({ "username": "budi", "kelas_id": kelas, "nis": "25327", "nisn": "0098", "tahun_masuk": 2023 });
    let budi = app.user(fields).await;
    let me = budi.get("/api/v1/me").await.data(200);
    let created_at = me["created_at"].as_str().unwrap();
    assert!(created_at.ends_with('Z'));
    assert_eq!(
        me,
        json!({
            "id": budi.id, "username": "budi", "email": "budi@sekolah.sch.id", "nama": "Nama budi", "bio": null,
            "avatar_url": null, "banner_url": null, "role": "student", "nisn": "0098", "nis": "25327",
            "tahun_masuk": 2023, "tahun_lulus": 2026, "kelas": { "id": kelas, "nama": "XII-RPL-A" },
            "jurusan": { "id": jurusan, "nama": "Rekayasa Perangkat Lunak", "kode": "rpl" }, "social_links": [],
            "follower_count": 0, "following_count": 0, "special_roles": [], "capabilities": [],
            "must_change_password": true, "created_at": created_at,
        })
    );
}

#[tokio::test]
async fn only_active_special_roles_are_shown_and_their_capabilities_are_sorted() {
    let app = TestApp::spawn().await;
    let siti = app.holder("siti", &["portfolios", "moderation"]).await;
    app.give(&siti, &["moderation", "users"]).await;
    app.give(&siti, &["tags"]).await;
    app.sql("update special_roles set is_active = false where 'tags' = any(capabilities)").await;
    let me = siti.get("/api/v1/me").await.data(200);
    assert_eq!(me["capabilities"], json!(["moderation", "portfolios", "users"]));
    assert_eq!(me["special_roles"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_class_or_major_that_is_deleted_is_null() {
    let app = TestApp::spawn().await;
    let (kelas, _) = app.kelas().await;
    let budi = app.user(json!({ "username": "budi", "kelas_id": kelas })).await;
    app.sql("update jurusan set deleted_at = now()").await;
    let me = budi.get("/api/v1/me").await.data(200);
    assert_eq!((&me["kelas"], &me["jurusan"]), (&json!(null), &json!(null)));
}

#[tokio::test]
async fn guests_and_bad_tokens_get_401_with_their_codes() {
    let app = TestApp::spawn().await;
    app.get("/api/v1/me").await.fails(401, "UNAUTHORIZED");
    app.get_with_token("/api/v1/me", "Basic x").await.fails(401, "UNAUTHORIZED");
    app.get_with_token("/api/v1/me", "Bearer x").await.fails(401, "INVALID_TOKEN");
    let answer = app.admin().get("/api/v1/me").await;
    assert_eq!(answer.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn a_deactivated_owner_of_a_token_gets_401_token_revoked() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    siti.get("/api/v1/me").await.data(200);
    app.sql("update users set is_active = false where username = 'siti'").await;
    eventually("the cached state is forgotten", async || siti.get("/api/v1/me").await.status == 401).await;
    siti.get("/api/v1/me").await.fails(401, "TOKEN_REVOKED");
}

#[tokio::test]
async fn the_time_of_the_last_login_is_kept() {
    let app = TestApp::spawn().await;
    app.student("siti").await;
    eventually("the login arrives", async || {
        app.count("select count(*) from users where username = 'siti' and last_login_at is not null").await == 1
    })
    .await;
}
