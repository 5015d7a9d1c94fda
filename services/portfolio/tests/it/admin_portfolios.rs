//! Portfolios in the back office.

use serde_json::{Value, json};

use crate::support::TestApp;

const LIST: &str = "/api/v1/admin/portfolios";

#[tokio::test]
async fn the_list_filters_and_tells_its_place_twice() {
    let app = TestApp::spawn().await;
    let (kelas, jurusan) = app.kelas().await;
    let siti = app.user(json!({ "username": "siti", "nama": "Siti Aminah", "kelas_id": kelas })).await;
    let budi = app.student("budi").await;
    let tag = app.tag("Web").await;
    let series = app.series("PJBL", true).await;
    let draft = siti.draft("Rancangan").await;
    siti.patch(&draft.path(""), &json!({ "tag_ids": [tag], "series_id": series })).await.data(200);
    siti.submitted("Menunggu").await;
    budi.draft("Milik Budi").await;
    let admin = app.admin();
    let all = admin.get(LIST).await;
    assert_eq!(all.body["meta"], all.body["pagination"]);
    assert_eq!(all.body["meta"]["total_count"], 3);
    assert_eq!(all.data(200)[0]["judul"], "Milik Budi");
    for (filter, count) in [
        ("status=draft".to_owned(), 2),
        ("search=aminah".to_owned(), 2),
        ("search=aminah&status=draft".to_owned(), 1),
        ("search=budi".to_owned(), 1),
        (format!("user_id={}", siti.id), 2),
        (format!("jurusan_id={jurusan}&user_id={}", budi.id), 0),
        (format!("jurusan_id={jurusan}&search=rancang"), 1),
    ] {
        assert_eq!(admin.get(&format!("{LIST}?{filter}")).await.body["meta"]["total_count"], count, "{filter}");
    }
    let oldest = admin.get(&format!("{LIST}?sort=created_at")).await.data(200);
    assert_eq!((&oldest[0]["judul"], &oldest[0]["tags"][0]["nama"]), (&json!("Rancangan"), &json!("Web")));
    assert_eq!(oldest[0]["series"]["nama"], "PJBL");
    for bad in ["status=terbit", "sort=judul", "user_id=1"] {
        admin.get(&format!("{LIST}?{bad}")).await.fails(400, "VALIDATION_ERROR");
    }
    app.delete_account(&budi).await;
    assert_eq!(admin.get(LIST).await.body["meta"]["total_count"], 2);
}

#[tokio::test]
async fn a_moderator_sees_one_while_it_waits() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let moderator = app.holder("tata", &["moderation"]).await;
    let work = siti.submitted("Karya").await;
    let seen = moderator.get(&work.admin_path("")).await.data(200);
    assert_eq!(
        (&seen["status"], &seen["reviewed_by"], &seen["is_liked"]),
        (&json!("pending_review"), &Value::Null, &json!(false))
    );
    assert!(seen["content_blocks"][0]["payload"]["content"].is_string());
    moderator.act(&work.admin_path("/approve")).await.data(200);
    moderator.get(&work.admin_path("")).await.fails(403, "FORBIDDEN");
    let seen = app.admin().get(&work.admin_path("")).await.data(200);
    assert_eq!(seen["reviewed_by"], json!(moderator.id));
    assert_eq!(app.count("select view_count from portfolios").await, 0, "no view");
}

#[tokio::test]
async fn any_status_can_be_set_and_reviews_are_told() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let manager = app.holder("tono", &["portfolios"]).await;
    let work = siti.draft("Karya").await;
    let path = work.admin_path("");
    let set = async |status: &str| manager.patch(&path, &json!({ "status": status })).await.data(200);
    let published = set("published").await;
    assert_eq!((&published["status"], &published["reviewed_by"]), (&json!("published"), &json!(manager.id)));
    assert!(published["published_at"].is_string());
    set("published").await;
    assert_eq!(app.count("select count(*) from notifications").await, 1, "the same status is no change");
    let body = json!({ "status": "rejected", "admin_review_note": "Perbaiki" });
    let rejected = manager.patch(&path, &body).await.data(200);
    assert_eq!(
        (&rejected["admin_review_note"], &rejected["published_at"]),
        (&json!("Perbaiki"), &published["published_at"])
    );
    assert_eq!(app.count("select count(*) from notifications where data ->> 'admin_note' = 'Perbaiki'").await, 1);
    for status in ["archived", "pending_review", "draft"] {
        assert_eq!(set(status).await["status"], status);
    }
    assert_eq!(app.count("select count(*) from notifications").await, 2);
    assert_eq!(app.count("select count(*) from audit_log where action = 'portfolio.update'").await, 5);
    assert_eq!(manager.patch(&path, &json!({ "status": "terbit" })).await.broken(), ["status"]);
}

#[tokio::test]
async fn fields_are_changed_as_the_form_sends_them() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let (web, gone) = (app.tag("Web").await, uuid::Uuid::now_v7());
    let old = app.series("Lama", false).await;
    let admin = app.admin();
    let work = siti.published("Karya", admin).await;
    let path = work.admin_path("");
    let body = json!({ "judul": "Karya Baru", "status": "published", "tag_ids": [web], "series_id": old });
    let changed = admin.patch(&path, &body).await.data(200);
    assert_eq!((&changed["slug"], &changed["status"]), (&json!("karya-baru"), &json!("published")));
    assert_eq!((&changed["tags"][0]["nama"], &changed["series"]["nama"]), (&json!("Web"), &json!("Lama")));
    let cleared = json!({ "series_id": null, "tag_ids": [], "admin_review_note": "" });
    let cleared = admin.patch(&path, &cleared).await.data(200);
    assert_eq!(
        (&cleared["series"], &cleared["tags"], &cleared["admin_review_note"]),
        (&Value::Null, &json!([]), &Value::Null)
    );
    let bad = json!({
        "judul": " ", "tag_ids": [gone], "series_id": gone, "thumbnail_url": "https://x.test/a.png",
        "admin_review_note": "x".repeat(2001),
    });
    let broken = admin.patch(&path, &bad).await;
    assert_eq!(broken.broken(), ["judul", "thumbnail_url", "tag_ids", "series_id", "admin_review_note"]);
    admin.patch(&path, &json!({})).await.data(200);
    assert_eq!(app.count("select count(*) from audit_log where action = 'portfolio.update'").await, 2);
}

#[tokio::test]
async fn a_manager_neither_decides_about_his_own_nor_deletes_it_here() {
    let app = TestApp::spawn().await;
    let manager = app.holder("tono", &["portfolios", "moderation"]).await;
    let work = manager.submitted("Milik sendiri").await;
    let path = work.admin_path("");
    manager.patch(&path, &json!({ "status": "published" })).await.fails(403, "FORBIDDEN");
    manager.act(&work.admin_path("/approve")).await.fails(403, "FORBIDDEN");
    manager.delete(&path).await.fails(403, "FORBIDDEN");
    // The form always sends the status.
    manager.patch(&path, &json!({ "judul": "Judul baru", "status": "pending_review" })).await.data(200);
    let others = app.student("siti").await.draft("Karya").await;
    manager.delete(&others.admin_path("")).await.data(200);
    manager.delete(&others.admin_path("")).await.fails(404, "PORTFOLIO_NOT_FOUND");
    app.admin().delete(&path).await.data(200);
    assert_eq!(app.count("select count(*) from outbox where event_type = 'portfolio.deleted'").await, 2);
}
