use serde_json::json;

use crate::support::{PASSWORD, TestApp, new_user};

const USERS: &str = "/api/v1/admin/users";

#[tokio::test]
async fn an_admin_creates_a_student_who_can_log_in_at_once() {
    let app = TestApp::spawn().await;
    let (kelas, _) = app.kelas().await;
    let body =
        new_user(json!({ "username": " BUDI_s ", "email": " Budi@Sekolah.sch.ID ", "kelas_id": kelas, "nis": "" }));
    let data = app.admin().post(USERS, &body).await.data(201);
    assert_eq!(data["username"], "budi_s");
    assert_eq!(data["email"], "budi@sekolah.sch.id");
    assert_eq!(data["nis"], json!(null));
    assert_eq!(data["is_active"], true);
    assert_eq!(data["must_change_password"], true);
    assert_eq!(data["kelas"], json!({ "id": kelas, "nama": "XII-RPL-A", "tingkat": 12 }));
    assert_eq!(data["class_history"], json!([{ "kelas_nama": "XII-RPL-A", "tahun_ajaran": 2026 }]));
    assert_eq!(data["social_links"], json!([]));
    assert!(data.get("password").is_none() && data.get("password_hash").is_none());
    let budi = app.login("budi_s", PASSWORD).await;
    assert_eq!(budi.get("/api/v1/me").await.data(200)["id"], data["id"]);
    assert_eq!(app.count("select count(*) from audit_log where action = 'user.create'").await, 1);
    assert_eq!(app.count("select count(*) from account_intents where state = 'done' and profile = '{}'").await, 1);
}

#[tokio::test]
async fn every_broken_field_is_named_at_once() {
    let app = TestApp::spawn().await;
    let body = json!({
        "username": "Me", "email": "x", "password": "pendek", "nama": "x", "role": "guru", "nisn": "x", "nis": "a b",
        "kelas_id": "00000000-0000-4000-8000-000000000000", "tahun_masuk": 1999, "tahun_lulus": 2101,
        "avatar_url": "https://elsewhere.test/x.png",
    });
    let broken = app.admin().post(USERS, &body).await.broken();
    let expected = [
        "username",
        "email",
        "password",
        "nama",
        "role",
        "nisn",
        "nis",
        "tahun_masuk",
        "tahun_lulus",
        "kelas_id",
        "avatar_url",
    ];
    assert_eq!(broken, expected);
    app.admin().post(USERS, &json!({ "username": 1 })).await.fails(400, "VALIDATION_ERROR");
    app.admin().post(USERS, &json!({ "kelas_id": "x" })).await.fails(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn names_and_numbers_are_unique_and_a_refused_user_leaves_nothing() {
    let app = TestApp::spawn().await;
    app.user(json!({ "username": "budi", "nis": "1", "nisn": "2" })).await;
    for (fields, code) in [
        (json!({ "username": "budi", "email": "lain@sekolah.sch.id" }), "DUPLICATE_USERNAME"),
        (json!({ "username": "lain", "email": "budi@sekolah.sch.id" }), "DUPLICATE_EMAIL"),
        (json!({ "username": "lain", "nis": "1" }), "DUPLICATE_NIS"),
        (json!({ "username": "lain", "nisn": "2" }), "DUPLICATE_NISN"),
    ] {
        app.admin().post(USERS, &new_user(fields)).await.fails(409, code);
    }
    // Nothing is reserved by what was refused.
    app.admin().post(USERS, &new_user(json!({ "username": "lain" }))).await.data(201);
    assert_eq!(app.count("select count(*) from account_intents where state = 'open'").await, 0);
    assert_eq!(app.count("select count(*) from users").await, 3);
}

#[tokio::test]
async fn of_equal_requests_at_the_same_time_one_wins() {
    let app = TestApp::spawn().await;
    let body = new_user(json!({ "username": "budi", "nis": "1" }));
    let requests = (0..4).map(|_| {
        let (admin, body) = (app.admin().clone(), body.clone());
        tokio::spawn(async move { admin.post(USERS, &body).await.status })
    });
    let mut statuses = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        statuses.push(request.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409]);
    assert_eq!(app.count("select count(*) from users where username = 'budi'").await, 1);
}

#[tokio::test]
async fn alumni_leave_three_years_after_they_came_and_have_no_class() {
    let app = TestApp::spawn().await;
    let (kelas, _) = app.kelas().await;
    let body = new_user(json!({ "role": "alumni", "tahun_masuk": 2020, "kelas_id": kelas }));
    let data = app.admin().post(USERS, &body).await.data(201);
    assert_eq!((&data["tahun_lulus"], &data["kelas"]), (&json!(2023), &json!(null)));
    assert_eq!(data["class_history"], json!([]));
}

#[tokio::test]
async fn only_holders_of_users_create_users_and_only_admins_admins() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    siti.post(USERS, &json!({})).await.fails(403, "FORBIDDEN");
    app.get(USERS).await.fails(401, "UNAUTHORIZED");
    let tata = app.holder("tata", &["users"]).await;
    tata.post(USERS, &new_user(json!({ "username": "budi" }))).await.data(201);
    tata.post(USERS, &new_user(json!({ "username": "bos", "role": "admin" }))).await.fails(403, "FORBIDDEN");
    app.admin().post(USERS, &new_user(json!({ "username": "bos", "role": "admin" }))).await.data(201);
}
