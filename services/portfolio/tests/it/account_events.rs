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
        deleted_at_ms: 0,
        graduation: 0,
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
async fn what_belongs_to_a_deleted_account_goes_with_it_and_counters_stay_true() {
    let app = TestApp::spawn().await;
    let siti = app.holder("siti", &["tags"]).await;
    let (budi, tata) = (app.student("budi").await, app.holder("tata", &["series"]).await);
    let work = budi.published("Karya", app.admin()).await;
    siti.published("Milik Siti", app.admin()).await;
    for user in [&siti, &tata] {
        user.act("/api/v1/users/budi/follow").await.data(200);
        for statement in [
            "insert into portfolio_likes (portfolio_id, user_id) values ($1, $2)",
            "insert into portfolio_views (portfolio_id, user_id) values ($1, $2)",
        ] {
            sqlx::query(statement).bind(work.id).bind(user.id).execute(&app.pool).await.unwrap();
        }
        let preference = "insert into feed_preferences (user_id, algorithm) values ($1, 'recent')";
        sqlx::query(preference).bind(user.id).execute(&app.pool).await.unwrap();
    }
    budi.act("/api/v1/users/siti/follow").await.data(200);
    app.sql("insert into portfolio_views (portfolio_id, session_id) select id, 'tamu-1234' from portfolios").await;
    app.sql(
        "update portfolios p set
             like_count = (select count(*) from portfolio_likes l where l.portfolio_id = p.id),
             view_count = (select count(*) from portfolio_views v where v.portfolio_id = p.id)",
    )
    .await;
    app.delete_account(&siti).await;

    for (table, left) in [
        ("portfolio_likes", 1),
        ("portfolio_views where user_id is not null", 1),
        ("portfolio_views where session_id is not null", 2),
        ("feed_preferences", 1),
        ("user_special_roles", 1),
        ("special_roles", 2),
        // Others were told of hers, which is theirs.
        ("notifications n join users u on u.id = n.user_id where u.username = 'siti'", 0),
        ("notifications n join users u on u.id = n.user_id where u.username = 'budi'", 3),
    ] {
        let query = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        let count: i64 = sqlx::query_scalar(query).fetch_one(&app.pool).await.unwrap();
        assert_eq!(count, left, "{table}");
    }
    let counted = app.get(&work.page(&budi)).await.data(200);
    assert_eq!(counted["like_count"], 1);
    let counters = "select count(*) from portfolios p
         where like_count <> (select count(*) from portfolio_likes l where l.portfolio_id = p.id)
            or view_count <> (select count(*) from portfolio_views v where v.portfolio_id = p.id)";
    assert_eq!(app.count(counters).await, 0);
    let me = budi.get("/api/v1/me").await.data(200);
    assert_eq!((&me["follower_count"], &me["following_count"]), (&json!(1), &json!(0)));
    let listed = app.get("/api/v1/portfolios").await;
    assert_eq!((listed.column("judul"), &listed.body["meta"]["total_count"]), (vec!["Karya".to_owned()], &json!(1)));
    // Told a second time, nothing is taken away twice.
    auth_changes(&app, "is_active = is_active", "deleted").await;
    eventually("the event was applied", async || {
        app.count("select count(*) from users where username = 'siti' and account_version > 2").await == 1
    })
    .await;
    assert_eq!(app.count(counters).await, 0);
    assert_eq!(budi.get("/api/v1/me").await.data(200)["follower_count"], 1);
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
    let auth = app.stack.pool("auth").await;
    eventually("the event was looked at", async || {
        let told = "select count(*) from outbox where event_type like 'account.%'";
        let told: i64 = sqlx::query_scalar(told).fetch_one(&auth).await.unwrap();
        app.count("select count(*) from inbox where consumer = 'portfolio_accounts'").await == told
    })
    .await;
    assert_eq!(siti.get("/api/v1/me").await.data(200)["email"], "baru@sekolah.sch.id");
}
