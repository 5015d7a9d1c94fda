use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn a_guest_reads_the_newest_work_with_its_preview() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    siti.published("Satu", app.admin()).await;
    let portfolio = siti.written("Dua").await;
    let long = format!("<p>Teks &amp; lain</p><p>{}</p>", "é".repeat(300));
    let first = json!({ "block_type": "text", "block_order": 0, "payload": { "content": long } });
    siti.post(&portfolio.path("/blocks"), &first).await.data(201);
    siti.act(&portfolio.path("/submit")).await.data(200);
    app.admin().act(&portfolio.admin_path("/approve")).await.data(200);
    let feed = app.get("/api/v1/feed").await;
    assert_eq!(feed.column("judul"), ["Dua", "Satu"]);
    let item = &feed.body["data"][0];
    let preview = item["preview_text"].as_str().unwrap();
    assert!(preview.starts_with("Teks & lain é") && preview.ends_with("...") && preview.chars().count() == 280);
    assert_eq!(feed.body["data"][1]["preview_text"], "Isi dari Satu");
    assert_eq!(item["ranking_score"], json!(null));
    assert_eq!((&item["view_count"], &item["is_liked"]), (&json!(0), &json!(false)));
    assert_eq!(feed.body["meta"]["total_count"], 2);
}

#[tokio::test]
async fn guests_need_a_login_for_the_other_algorithms_and_unknown_ones_are_refused() {
    let app = TestApp::spawn().await;
    app.get("/api/v1/feed?algorithm=smart").await.fails(401, "UNAUTHORIZED");
    app.get("/api/v1/feed?algorithm=following").await.fails(401, "UNAUTHORIZED");
    app.get("/api/v1/feed?algorithm=x").await.fails(400, "INVALID_ALGORITHM");
    app.get_with_token("/api/v1/feed", "Bearer x").await.fails(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn following_shows_the_work_of_followed_users() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    siti.published("Siti", app.admin()).await;
    budi.published("Budi", app.admin()).await;
    app.sql(
        "insert into follows (follower_id, followed_id)
         select a.id, b.id from users a, users b where a.username = 'budi' and b.username = 'siti'",
    )
    .await;
    assert_eq!(budi.get("/api/v1/feed?algorithm=following").await.column("judul"), ["Siti"]);
    assert_eq!(budi.get("/api/v1/feed?algorithm=recent").await.column("judul"), ["Budi", "Siti"]);
}
