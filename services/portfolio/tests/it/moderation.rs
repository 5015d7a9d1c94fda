use serde_json::json;
use uuid::Uuid;

use crate::support::TestApp;

#[tokio::test]
async fn a_moderator_approves_and_the_owner_is_told() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let moderator = app.holder("tata", &["moderation"]).await;
    let portfolio = siti.submitted("Karya").await;
    let answer = moderator.post(&portfolio.admin_path("/approve"), &json!({ "note": " " })).await;
    let data = answer.data(200);
    assert_eq!(data["status"], "published");
    assert_eq!(data["admin_review_note"], json!(null));
    assert_eq!(data["reviewed_at"], data["published_at"]);
    assert!(answer.body["message"].is_string());
    moderator.act(&portfolio.admin_path("/approve")).await.fails(400, "INVALID_STATUS_TRANSITION");
    let told: serde_json::Value =
        sqlx::query_scalar("select data from notifications where kind = 'portfolio_approved'")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    let expected = json!({ "portfolio_id": portfolio.id, "portfolio_judul": "Karya", "portfolio_slug": "karya" });
    assert_eq!(told, expected);
    assert_eq!(app.count("select count(*) from audit_log where action = 'portfolio.approve'").await, 1);
    assert_eq!(
        app.count("select count(*) from outbox where event_type = 'portfolio.status_changed'").await,
        2,
        "submitted and approved"
    );
}

#[tokio::test]
async fn a_rejection_needs_a_note_which_only_owner_and_reviewers_see() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.submitted("Karya").await;
    let path = portfolio.admin_path("/reject");
    for note in [json!({}), json!({ "note": " " }), json!({ "note": "x".repeat(2001) })] {
        assert_eq!(app.admin().post(&path, &note).await.broken(), ["note"]);
    }
    app.admin().act(&path).await.fails(400, "VALIDATION_ERROR");
    let data = app.admin().post(&path, &json!({ "note": "Tambahkan gambar" })).await.data(200);
    assert_eq!((&data["status"], &data["admin_review_note"]), (&json!("rejected"), &json!("Tambahkan gambar")));
    assert!(data.get("published_at").is_none());
    let mine = siti.get("/api/v1/me/portfolios").await.data(200);
    assert_eq!(mine[0]["admin_review_note"], "Tambahkan gambar");
    assert_eq!(
        app.count("select count(*) from notifications where data ->> 'admin_note' = 'Tambahkan gambar'").await,
        1
    );
    // The note stays until the next review, and stays hidden from others.
    siti.act(&portfolio.path("/submit")).await.data(200);
    assert_eq!(siti.get(&portfolio.by_id()).await.data(200)["admin_review_note"], "Tambahkan gambar");
    app.admin().post(&portfolio.admin_path("/approve"), &json!({ "note": "Bagus" })).await.data(200);
    let seen = app.get(&portfolio.page(&siti)).await.data(200);
    assert_eq!((&seen["admin_review_note"], &seen["reviewed_at"]), (&json!(null), &json!(null)));
    assert_eq!(siti.get(&portfolio.page(&siti)).await.data(200)["admin_review_note"], "Bagus");
}

#[tokio::test]
async fn of_two_moderators_one_wins() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.submitted("Karya").await;
    let note = json!({ "note": "Perbaiki" });
    let (approve, reject) = (portfolio.admin_path("/approve"), portfolio.admin_path("/reject"));
    let (approved, rejected) = tokio::join!(app.admin().act(&approve), app.admin().post(&reject, &note));
    let mut statuses = [approved.status, rejected.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(app.count("select count(*) from notifications").await, 1);
}

#[tokio::test]
async fn nobody_but_an_admin_reviews_his_own_work() {
    let app = TestApp::spawn().await;
    let moderator = app.holder("tata", &["moderation", "portfolios"]).await;
    let portfolio = moderator.submitted("Karya").await;
    moderator.act(&portfolio.admin_path("/approve")).await.fails(403, "FORBIDDEN");
    moderator.act(&portfolio.admin_path("/reject")).await.fails(403, "FORBIDDEN");
    // Whatever he sends.
    for body in [json!({ "note": "x" }), json!({ "note": "x".repeat(2001) }), json!({ "note": 1 }), json!([])] {
        for action in ["/approve", "/reject"] {
            moderator.post(&portfolio.admin_path(action), &body).await.fails(403, "FORBIDDEN");
        }
    }
    // An admin may, and is not told about it.
    let own = app.admin().submitted("Punya Admin").await;
    app.admin().act(&own.admin_path("/approve")).await.data(200);
    assert_eq!(app.count("select count(*) from notifications").await, 0);
}

#[tokio::test]
async fn reviews_are_checked_in_the_contracts_order() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.draft("Karya").await;
    siti.act(&portfolio.admin_path("/approve")).await.fails(403, "FORBIDDEN");
    app.get("/api/v1/admin/portfolios/pending").await.fails(401, "UNAUTHORIZED");
    let nowhere = format!("/api/v1/admin/portfolios/{}/approve", Uuid::nil());
    app.admin().act(&nowhere).await.fails(404, "PORTFOLIO_NOT_FOUND");
    app.admin().act("/api/v1/admin/portfolios/x/approve").await.fails(400, "VALIDATION_ERROR");
    let path = portfolio.admin_path("/approve");
    app.admin().raw(reqwest::Method::POST, &path, "application/json", "{").await.fails(400, "VALIDATION_ERROR");
    let long = json!({ "note": "x".repeat(2001) });
    assert_eq!(app.admin().post(&path, &long).await.broken(), ["note"]);
    app.admin().act(&path).await.fails(400, "INVALID_STATUS_TRANSITION");
}

#[tokio::test]
async fn the_waiting_portfolios_are_listed_with_their_place_told_twice() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let moderator = app.holder("tata", &["moderation"]).await;
    let tag = app.tag("Web").await;
    let first = siti.submitted("Satu").await;
    app.admin().patch(&first.path(""), &json!({ "tag_ids": [tag] })).await.data(200);
    siti.submitted("Dua").await;
    siti.written("Draf").await;
    let answer = moderator.get("/api/v1/admin/portfolios/pending").await;
    assert_eq!(answer.column("judul"), ["Dua", "Satu"]);
    assert_eq!(answer.body["data"][1]["tags"], json!([{ "id": tag, "nama": "Web" }]));
    assert_eq!(answer.body["meta"], answer.body["pagination"]);
    assert_eq!(answer.body["meta"]["total_count"], 2);
    let oldest = moderator.get("/api/v1/admin/portfolios/pending?sort=created_at&search=SITI").await;
    assert_eq!(oldest.column("judul"), ["Satu", "Dua"]);
    moderator.get("/api/v1/admin/portfolios/pending?sort=judul").await.fails(400, "VALIDATION_ERROR");
    siti.get("/api/v1/admin/portfolios/pending").await.fails(403, "FORBIDDEN");
}

#[tokio::test]
async fn the_waiting_portfolios_are_searched_and_filtered_by_major() {
    let app = TestApp::spawn().await;
    let (kelas, jurusan) = app.kelas().await;
    let budi = app.user(json!({ "username": "budi", "nama": "Budi 100%", "kelas_id": kelas })).await;
    let siti = app.student("siti").await;
    budi.submitted("Poster").await;
    budi.submitted("Website").await;
    siti.submitted("Poster sekolah").await;
    let found = async |query: &str| {
        let answer = app.admin().get(&format!("/api/v1/admin/portfolios/pending?{query}")).await;
        assert_eq!(answer.body["meta"]["total_count"], answer.body["data"].as_array().unwrap().len());
        answer.column("judul")
    };
    assert_eq!(found("search=poster").await, ["Poster sekolah", "Poster"]);
    assert_eq!(found("search=%25").await, ["Website", "Poster"], "the owner's name holds a literal %");
    assert_eq!(found("search=SITI").await, ["Poster sekolah"]);
    assert_eq!(found(&format!("jurusan_id={jurusan}")).await, ["Website", "Poster"]);
    assert_eq!(found(&format!("search=poster&jurusan_id={jurusan}")).await, ["Poster"]);
    assert_eq!(found(&format!("search=sekolah&jurusan_id={jurusan}")).await.len(), 0);
    assert_eq!(found(&format!("jurusan_id={}", Uuid::nil())).await.len(), 0);
    app.sql("update jurusan set deleted_at = now()").await;
    assert_eq!(found(&format!("jurusan_id={jurusan}")).await.len(), 0);
    let pending = "/api/v1/admin/portfolios/pending";
    for query in ["jurusan_id=x".to_owned(), format!("search={}", "x".repeat(101))] {
        app.admin().get(&format!("{pending}?{query}")).await.fails(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn a_body_of_the_back_office_has_256_kib_at_the_most() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.submitted("Karya").await;
    let large = json!({ "note": "x".repeat(256 * 1024) });
    for path in [portfolio.admin_path("/approve"), portfolio.admin_path("/reject"), "/api/v1/admin/users".to_owned()] {
        app.admin().post(&path, &large).await.fails(413, "PAYLOAD_TOO_LARGE");
    }
    let below = json!({ "note": "x".repeat(256 * 1024 - 100) });
    assert_eq!(app.admin().post(&portfolio.admin_path("/reject"), &below).await.broken(), ["note"]);
}
