use serde_json::json;

use crate::support::{TestApp, eventually};

/// Announces the account's state as an admin route of auth will.
async fn auth_changes(app: &TestApp, set: &str, event: &str) {
    let pool = app.stack.pool("auth").await;
    let sql = format!("update accounts set {set}, version = version + 1 where username = 'siti'");
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    let account: (uuid::Uuid, i64, String, String, String, bool, bool, chrono::DateTime<chrono::Utc>) = sqlx::query_as(
        "select id, version, username, email, role, is_active, must_change_password, created_at
         from accounts where username = 'siti'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    let state = proto_events::auth::v1::Account {
        id: account.0.to_string(),
        version: account.1,
        username: account.2,
        email: account.3,
        role: account.4,
        is_active: account.5,
        must_change_password: account.6,
        deleted: event == "deleted",
        created_at_ms: account.7.timestamp_millis(),
    };
    let mut connection = pool.acquire().await.unwrap();
    let (id, version) = (account.0, account.1);
    if event == "deleted" {
        let event = proto_events::auth::v1::AccountDeleted { account: Some(state) };
        grafikarsa_events::outbox::append(&mut connection, &event, id, version).await.unwrap();
    } else {
        let event = proto_events::auth::v1::AccountChanged { account: Some(state) };
        grafikarsa_events::outbox::append(&mut connection, &event, id, version).await.unwrap();
    }
}

#[tokio::test]
async fn the_work_of_a_deactivated_owner_is_hidden_and_comes_back() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.published("Karya", app.admin()).await;
    let listed = async || app.get("/api/v1/portfolios").await.body["meta"]["total_count"].as_i64().unwrap();
    auth_changes(&app, "is_active = false", "changed").await;
    eventually("the work is hidden", async || listed().await == 0).await;
    app.get(&portfolio.page(&siti)).await.fails(404, "PORTFOLIO_NOT_FOUND");
    app.admin().get(&portfolio.page(&siti)).await.data(200);
    auth_changes(&app, "is_active = true", "changed").await;
    eventually("the work is back", async || listed().await == 1).await;
    app.get(&portfolio.page(&siti)).await.data(200);
}

#[tokio::test]
async fn the_work_of_a_deleted_owner_is_gone_for_everybody() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.published("Karya", app.admin()).await;
    auth_changes(&app, "is_active = is_active", "deleted").await;
    eventually("the work is gone", async || app.admin().get(&portfolio.by_id()).await.status == 404).await;
    let feed = app.get("/api/v1/feed").await;
    assert_eq!((feed.data(200), &feed.body["meta"]["total_count"]), (json!([]), &json!(0)));
    app.internal(&format!("/internal/portfolios/{}/rights", portfolio.id)).await.fails(404, "PORTFOLIO_NOT_FOUND");
}

#[tokio::test]
async fn a_student_who_becomes_alumni_leaves_the_class() {
    let app = TestApp::spawn().await;
    let (kelas, _) = app.kelas().await;
    let siti = app.user(json!({ "username": "siti", "kelas_id": kelas, "tahun_masuk": 2023 })).await;
    auth_changes(&app, "role = 'alumni'", "changed").await;
    eventually("the role arrives", async || siti.get("/api/v1/me").await.body["data"]["role"] == "alumni").await;
    let me = siti.get("/api/v1/me").await.data(200);
    assert_eq!((&me["kelas"], &me["tahun_lulus"]), (&json!(null), &json!(2026)));
    assert_eq!(app.count("select count(*) from riwayat_kelas where not is_current").await, 1);
}

#[tokio::test]
async fn lower_versions_are_ignored() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    app.sql("update users set account_version = 1000, email = 'baru@sekolah.sch.id' where username = 'siti'").await;
    auth_changes(&app, "email = 'lama@sekolah.sch.id'", "changed").await;
    // A later login shows that the earlier event was looked at.
    auth_changes(&app, "version = 5000, email = 'terbaru@sekolah.sch.id'", "changed").await;
    assert_eq!(siti.get("/api/v1/me").await.data(200)["email"], "baru@sekolah.sch.id");
}
