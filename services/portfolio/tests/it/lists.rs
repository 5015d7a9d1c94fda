use serde_json::json;
use uuid::Uuid;

use crate::support::TestApp;

const LIST: &str = "/api/v1/portfolios";

#[tokio::test]
async fn only_published_work_is_listed_with_exact_totals() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    siti.published("Satu", app.admin()).await;
    let second = siti.published("Dua", app.admin()).await;
    siti.submitted("Menunggu").await;
    siti.written("Draf").await;
    let answer = app.get(&format!("{LIST}?status=draft")).await;
    assert_eq!(answer.column("judul"), ["Dua", "Satu"]);
    let meta = json!({ "current_page": 1, "per_page": 20, "total_pages": 1, "total_count": 2 });
    assert_eq!(answer.body["meta"], meta);
    let page = app.get(&format!("{LIST}?limit=1&page=2")).await;
    assert_eq!(page.column("judul"), ["Satu"]);
    assert_eq!(page.body["meta"]["total_pages"], 2);
    let beyond = app.get(&format!("{LIST}?page=9")).await;
    assert_eq!((beyond.data(200), &beyond.body["meta"]["total_count"]), (json!([]), &json!(2)));
    siti.act(&second.path("/archive")).await.data(200);
    assert_eq!(app.get(LIST).await.body["meta"]["total_count"], 1);
    let nonsense = app.get(&format!("{LIST}?page=NaN&limit=9999")).await;
    assert_eq!((&nonsense.body["meta"]["current_page"], &nonsense.body["meta"]["per_page"]), (&json!(1), &json!(100)));
}

#[tokio::test]
async fn the_filters_and_orders() {
    let app = TestApp::spawn().await;
    let (kelas, jurusan) = app.kelas().await;
    let budi = app.user(json!({ "username": "budi", "nama": "Budi 100%", "kelas_id": kelas })).await;
    let siti = app.student("siti").await;
    let (web, poster) = (app.tag("Web").await, app.tag("Poster").await);
    let series = app.series("PJBL", true).await;
    let b = budi.published("b website", app.admin()).await;
    let a = siti.published("A poster", app.admin()).await;
    let c = siti.published("C_lain", app.admin()).await;
    app.admin().patch(&b.path(""), &json!({ "tag_ids": [web], "series_id": series })).await.data(200);
    app.admin().patch(&a.path(""), &json!({ "tag_ids": [poster, web] })).await.data(200);
    app.sql("update portfolios set like_count = 5 where slug = 'b-website'").await;
    let found = async |query: String| app.get(&format!("{LIST}?{query}")).await.column("judul");
    assert_eq!(found("sort=judul".to_owned()).await, ["A poster", "b website", "C_lain"]);
    assert_eq!(found("sort=-like_count".to_owned()).await, ["b website", "C_lain", "A poster"]);
    assert_eq!(found("sort=-published_at".to_owned()).await, ["C_lain", "A poster", "b website"]);
    assert_eq!(found("search=POST".to_owned()).await, ["A poster"]);
    assert_eq!(found("search=%25".to_owned()).await, ["b website"], "the owner's name holds a literal %");
    assert_eq!(found("search=_".to_owned()).await, ["C_lain"]);
    assert_eq!(found(format!("tag_ids={web}")).await, ["A poster", "b website"]);
    assert_eq!(found(format!("tag_ids={poster},{}", Uuid::nil())).await, ["A poster"]);
    assert_eq!(found(format!("jurusan_id={jurusan}")).await, ["b website"]);
    assert_eq!(found(format!("kelas_id={kelas}&jurusan_id={jurusan}")).await, ["b website"]);
    assert_eq!(found(format!("kelas_id={kelas}&jurusan_id={}", Uuid::nil())).await.len(), 0);
    assert_eq!(found(format!("user_id={}", siti.id)).await, ["C_lain", "A poster"]);
    assert_eq!(found(format!("series_id={series}")).await, ["b website"]);
    assert_eq!(found("series_id=none".to_owned()).await, ["C_lain", "A poster"]);
    assert_eq!(found("search=&tag_ids=&user_id=&sort=".to_owned()).await.len(), 3);
    let card = app.get(&format!("{LIST}?kelas_id={kelas}")).await.data(200)[0].clone();
    assert_eq!(card["user"]["kelas_nama"], "XII-RPL-A");
    assert_eq!(card["user"]["jurusan_nama"], "Rekayasa Perangkat Lunak");
    assert!(card.get("content_blocks").is_none());
    assert_eq!(c.slug, "clain");
}

#[tokio::test]
async fn what_is_deleted_matches_nothing() {
    let app = TestApp::spawn().await;
    let (kelas, jurusan) = app.kelas().await;
    let budi = app.user(json!({ "username": "budi", "kelas_id": kelas })).await;
    let series = app.series("PJBL", true).await;
    let work = budi.published("Karya", app.admin()).await;
    app.admin().patch(&work.path(""), &json!({ "series_id": series })).await.data(200);
    let found = async |query: String| app.get(&format!("{LIST}?{query}")).await.column("judul");
    assert_eq!(found("series_id=none".to_owned()).await.len(), 0);
    app.sql("update series set deleted_at = now()").await;
    assert_eq!(found(format!("series_id={series}")).await.len(), 0);
    assert_eq!(found("series_id=none".to_owned()).await, ["Karya"]);
    assert_eq!(app.get(LIST).await.data(200)[0]["series"], json!(null));

    app.sql("update jurusan set deleted_at = now()").await;
    assert_eq!(found(format!("kelas_id={kelas}")).await.len(), 0);
    assert_eq!(found(format!("jurusan_id={jurusan}")).await.len(), 0);
    app.sql("update jurusan set deleted_at = null").await;
    assert_eq!(found(format!("kelas_id={kelas}")).await, ["Karya"]);
    app.sql("update kelas set deleted_at = now()").await;
    let none = app.get(&format!("{LIST}?kelas_id={kelas}")).await;
    assert_eq!((none.data(200), &none.body["meta"]["total_count"]), (json!([]), &json!(0)));
    assert_eq!(found(format!("jurusan_id={jurusan}")).await.len(), 0);
}

#[tokio::test]
async fn bad_filters_are_400_and_never_ignored() {
    let app = TestApp::spawn().await;
    let many = vec![Uuid::nil().to_string(); 51].join(",");
    for query in [
        "user_id=x",
        "jurusan_id=x",
        "kelas_id=x",
        "series_id=x",
        "tag_ids=x",
        "sort=newest",
        &format!("tag_ids={many}"),
        &format!("search={}", "x".repeat(101)),
    ] {
        app.get(&format!("{LIST}?{query}")).await.fails(400, "VALIDATION_ERROR");
    }
    app.get_with_token(LIST, "Bearer x").await.fails(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn the_own_list_holds_every_status_with_tags_and_review() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let tag = app.tag("Web").await;
    let draft = siti.draft("Draf").await;
    siti.patch(&draft.path(""), &json!({ "tag_ids": [tag] })).await.data(200);
    siti.published("Terbit", app.admin()).await;
    app.admin().draft("Lain").await;
    let mine = siti.get("/api/v1/me/portfolios").await;
    assert_eq!(mine.column("judul"), ["Terbit", "Draf"]);
    assert_eq!(mine.body["data"][1]["tags"], json!([{ "id": tag, "nama": "Web" }]));
    assert_ne!(mine.body["data"][0]["reviewed_at"], json!(null));
    assert_eq!(siti.get("/api/v1/me/portfolios?status=draft").await.column("judul"), ["Draf"]);
    assert_eq!(siti.get("/api/v1/me/portfolios?status=").await.column("judul").len(), 2);
    siti.get("/api/v1/me/portfolios?status=x").await.fails(400, "VALIDATION_ERROR");
    app.get("/api/v1/me/portfolios").await.fails(401, "UNAUTHORIZED");
}
