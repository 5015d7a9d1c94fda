use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use uuid::Uuid;

use crate::support::{TestApp, User};

const PORTFOLIOS: &str = "/api/v1/portfolios";

#[tokio::test]
async fn a_new_portfolio_is_a_draft_whose_times_are_equal() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let (web, poster) = (app.tag("Web").await, app.tag("Poster").await);
    let series = app.series("PJBL", true).await;
    let body = json!({ "judul": "  Website Portfolio Pribadi ", "tag_ids": [web, poster, web], "series_id": series });
    let data = siti.post(PORTFOLIOS, &body).await.data(201);
    assert_eq!(data["judul"], "Website Portfolio Pribadi");
    assert_eq!(data["slug"], "website-portfolio-pribadi");
    assert_eq!(data["status"], "draft");
    assert_eq!(data["content_blocks"], json!([]));
    assert_eq!(data["tags"], json!([{ "id": poster, "nama": "Poster" }, { "id": web, "nama": "Web" }]));
    assert_eq!(data["series"], json!({ "id": series, "nama": "PJBL" }));
    assert_eq!(data["created_at"], data["updated_at"]);
    assert_eq!(data["user_id"], json!(siti.id));
    assert_eq!(data["user"]["username"], "siti");
    assert!(!data.to_string().contains("@sekolah"));
}

#[tokio::test]
async fn unknown_ids_and_long_titles_are_422_and_malformed_ids_400() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let inactive = app.series("Lama", false).await;
    let body = json!({ "judul": "x".repeat(201), "tag_ids": [Uuid::nil()], "series_id": inactive });
    assert_eq!(siti.post(PORTFOLIOS, &body).await.broken(), ["judul", "tag_ids", "series_id"]);
    assert_eq!(siti.post(PORTFOLIOS, &json!({})).await.broken(), ["judul"]);
    assert_eq!(siti.post(PORTFOLIOS, &json!({ "judul": "a\u{0}b" })).await.broken(), ["judul"]);
    let malformed = siti.post(PORTFOLIOS, &json!({ "judul": "x", "tag_ids": ["x"] })).await;
    malformed.fails(400, "VALIDATION_ERROR");
    assert_eq!(malformed.details(), ["tag_ids[0]"]);
    siti.raw(reqwest::Method::POST, PORTFOLIOS, "application/json", "{").await.fails(400, "VALIDATION_ERROR");
    siti.raw(reqwest::Method::POST, PORTFOLIOS, "text/plain", "{}").await.fails(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_foreign_owner_is_403_but_for_managers_and_must_exist() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    siti.post(PORTFOLIOS, &json!({ "judul": "x", "user_id": budi.id })).await.fails(403, "FORBIDDEN");
    let data = app.admin().post(PORTFOLIOS, &json!({ "judul": "x", "user_id": budi.id })).await.data(201);
    assert_eq!((&data["user_id"], &data["status"]), (&json!(budi.id), &json!("draft")));
    let unknown = app.admin().post(PORTFOLIOS, &json!({ "judul": "x", "user_id": Uuid::nil() })).await;
    assert_eq!(unknown.broken(), ["user_id"]);
}

#[tokio::test]
async fn a_second_portfolio_of_the_same_title_gets_a_number_also_at_the_same_time() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let requests: Vec<_> = (0..4)
        .map(|_| {
            let siti = siti.clone();
            tokio::spawn(async move { siti.draft("Karya").await.slug })
        })
        .collect();
    let mut slugs = Vec::new();
    for request in requests {
        slugs.push(request.await.unwrap());
    }
    slugs.sort_unstable();
    assert_eq!(slugs, ["karya", "karya-1", "karya-2", "karya-3"]);
    assert_eq!(siti.draft("Edit").await.slug, "edit-1");
    assert_eq!(siti.draft("日本").await.slug, "portfolio");
    let other = app.student("budi").await;
    assert_eq!(other.draft("Karya").await.slug, "karya");
}

#[tokio::test]
async fn at_most_200_portfolios_are_kept() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    app.sql(
        "insert into portfolios (id, user_id, judul, slug)
         select gen_random_uuid(), u.id, 'x', 'x-' || n from users u, generate_series(1, 200) n where username = 'siti'",
    )
    .await;
    siti.post(PORTFOLIOS, &json!({ "judul": "x" })).await.fails(409, "PORTFOLIO_LIMIT_REACHED");
    app.sql("update portfolios set deleted_at = now() where slug = 'x-1'").await;
    siti.post(PORTFOLIOS, &json!({ "judul": "x" })).await.data(201);
}

#[tokio::test]
async fn drafts_are_secret_and_a_bad_token_is_never_a_guest() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let draft = siti.written("Rahasia").await;
    siti.get(&draft.page(&siti)).await.data(200);
    app.admin().get(&draft.page(&siti)).await.data(200);
    budi.get(&draft.page(&siti)).await.fails(404, "PORTFOLIO_NOT_FOUND");
    app.get(&draft.page(&siti)).await.fails(404, "PORTFOLIO_NOT_FOUND");
    app.get_with_token(&draft.page(&siti), "Bearer x").await.fails(401, "INVALID_TOKEN");
    app.get("/api/v1/portfolios/rahasia?username=nobody").await.fails(404, "PORTFOLIO_NOT_FOUND");
}

#[tokio::test]
async fn a_guest_reads_a_published_portfolio_by_slug_with_or_without_the_owner() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.published("Poster Budaya", app.admin()).await;
    let data = app.get(&portfolio.page(&siti)).await.data(200);
    assert_eq!(data["status"], "published");
    assert_eq!(data["content_blocks"][0]["payload"], json!({ "content": "Isi dari Poster Budaya" }));
    assert_eq!(data["admin_review_note"], json!(null));
    assert_eq!(data["reviewed_at"], json!(null), "reviews are not shown to guests");
    assert_eq!(app.get("/api/v1/portfolios/poster-budaya").await.data(200)["id"], json!(portfolio.id));
    assert_ne!(siti.get(&portfolio.page(&siti)).await.data(200)["reviewed_at"], json!(null));
}

#[tokio::test]
async fn what_is_shown_is_what_was_reviewed_also_while_it_changes() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let moderator = app.holder("tata", &["moderation"]).await;
    let portfolio = siti.published("Karya", app.admin()).await;
    app.sql("update content_blocks set payload = '{\"content\": \"terbit\"}'").await;
    let done = AtomicBool::new(false);
    let write = async {
        for _ in 0..300 {
            for (content, status) in [("rahasia", "draft"), ("terbit", "published"), ("menunggu", "pending_review")] {
                let mut tx = app.pool.begin().await.unwrap();
                sqlx::query("update portfolios set status = $1").bind(status).execute(&mut *tx).await.unwrap();
                let block = "update content_blocks set payload = jsonb_build_object('content', $1::text)";
                sqlx::query(block).bind(content).execute(&mut *tx).await.unwrap();
                tx.commit().await.unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    let read = async |path: String, user: Option<&User>, shown: [(&str, &str); 2]| {
        while !done.load(Ordering::Relaxed) {
            let answer = match user {
                Some(user) => user.get(&path).await,
                None => app.get(&path).await,
            };
            if answer.status == 200 {
                let data = &answer.body["data"];
                let seen = (&data["status"], &data["content_blocks"][0]["payload"]["content"]);
                let allowed = shown.map(|(status, content)| (json!(status), json!(content)));
                assert!(allowed.iter().any(|(status, content)| seen == (status, content)), "{seen:?}");
            }
        }
    };
    let (published, pending) = (("published", "terbit"), ("pending_review", "menunggu"));
    tokio::join!(
        write,
        read(portfolio.page(&siti), None, [published, published]),
        read("/api/v1/portfolios/karya".to_owned(), None, [published, published]),
        read(portfolio.page(&siti), Some(&moderator), [published, pending]),
        read(portfolio.by_id(), Some(&moderator), [pending, pending]),
    );
}

#[tokio::test]
async fn by_id_is_for_the_owner_and_reviewers() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let moderator = app.holder("tata", &["moderation"]).await;
    let portfolio = siti.submitted("Karya").await;
    siti.get(&portfolio.by_id()).await.data(200);
    moderator.get(&portfolio.by_id()).await.data(200);
    budi.get(&portfolio.by_id()).await.fails(403, "FORBIDDEN");
    app.get(&portfolio.by_id()).await.fails(401, "UNAUTHORIZED");
    siti.get("/api/v1/portfolios/id/x").await.fails(400, "VALIDATION_ERROR");
    siti.get(&format!("/api/v1/portfolios/id/{}", Uuid::nil())).await.fails(404, "PORTFOLIO_NOT_FOUND");
    moderator.act(&portfolio.admin_path("/approve")).await.data(200);
    moderator.get(&portfolio.by_id()).await.fails(403, "FORBIDDEN");
    budi.get(&portfolio.by_id()).await.fails(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_deleted_portfolio_is_gone_everywhere_and_its_slug_is_free() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let portfolio = siti.published("Karya", app.admin()).await;
    budi.delete(&portfolio.path("")).await.fails(403, "FORBIDDEN");
    let answer = siti.delete(&portfolio.path("")).await;
    assert_eq!(answer.data(200), json!(null));
    siti.delete(&portfolio.path("")).await.fails(404, "PORTFOLIO_NOT_FOUND");
    siti.get(&portfolio.by_id()).await.fails(404, "PORTFOLIO_NOT_FOUND");
    for list in ["/api/v1/portfolios", "/api/v1/feed"] {
        let answer = app.get(list).await;
        assert_eq!((answer.data(200), &answer.body["meta"]["total_count"]), (json!([]), &json!(0)), "{list}");
    }
    assert_eq!(siti.draft("Karya").await.slug, "karya");
    assert_eq!(app.count("select count(*) from outbox where event_type = 'portfolio.deleted'").await, 1);
}

#[tokio::test]
async fn the_status_machine_over_http() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.draft("Karya").await;
    for action in ["/archive", "/unarchive"] {
        siti.act(&portfolio.path(action)).await.fails(400, "INVALID_STATUS_TRANSITION");
    }
    let incomplete = siti.act(&portfolio.path("/submit")).await;
    incomplete.fails(422, "INCOMPLETE_PORTFOLIO");
    assert_eq!(incomplete.details(), ["content_blocks"]);
    let empty = json!({ "block_type": "text", "payload": { "content": "<p> </p>" } });
    siti.post(&portfolio.path("/blocks"), &empty).await.data(201);
    siti.act(&portfolio.path("/submit")).await.fails(422, "INCOMPLETE_PORTFOLIO");
    let full = json!({ "block_type": "text", "payload": { "content": "Isi" } });
    siti.post(&portfolio.path("/blocks"), &full).await.data(201);
    app.admin().act(&portfolio.path("/submit")).await.fails(403, "FORBIDDEN");
    let submitted = siti.act(&portfolio.path("/submit")).await.data(200);
    assert_eq!(submitted, json!({ "id": portfolio.id, "status": "pending_review" }));
    siti.act(&portfolio.path("/submit")).await.fails(400, "INVALID_STATUS_TRANSITION");
    siti.act(&portfolio.path("/unarchive")).await.fails(400, "INVALID_STATUS_TRANSITION");
    app.admin().act(&portfolio.admin_path("/approve")).await.data(200);
    assert_eq!(siti.act(&portfolio.path("/archive")).await.data(200)["status"], "archived");
    siti.act(&portfolio.path("/submit")).await.fails(400, "INVALID_STATUS_TRANSITION");
    assert_eq!(siti.act(&portfolio.path("/unarchive")).await.data(200)["status"], "draft");
    assert_eq!(app.count("select count(*) from notifications where kind = 'portfolio_approved'").await, 1);
}
