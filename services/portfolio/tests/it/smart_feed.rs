use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Portfolio, TestApp, User};

const SMART: &str = "/api/v1/feed?algorithm=smart";

async fn smart(user: &User) -> Answer {
    user.get(SMART).await
}

fn score(feed: &Answer, portfolio: &Portfolio) -> f64 {
    let data = feed.data(200);
    let item = data.as_array().unwrap().iter().find(|item| item["id"] == json!(portfolio.id)).unwrap().clone();
    item["ranking_score"].as_f64().unwrap()
}

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
}

/// Work of `owner` with numbers of its own, without a thumbnail and blocks.
async fn work(app: &TestApp, owner: &User, judul: &str, days: f64, likes: i64, views: i64) -> Portfolio {
    let id = Uuid::now_v7();
    sqlx::query(
        "insert into portfolios (id, user_id, judul, slug, status, published_at, like_count, view_count)
         values ($1, $2, $3, $4, 'published', now() - make_interval(secs => $5 * 86400), $6, $7)",
    )
    .bind(id)
    .bind(owner.id)
    .bind(judul)
    .bind(id.to_string())
    .bind(days)
    .bind(likes)
    .bind(views)
    .execute(&app.pool)
    .await
    .unwrap();
    Portfolio { id, slug: id.to_string() }
}

async fn run(app: &TestApp, statement: &'static str, a: Uuid, b: Uuid) {
    sqlx::query(statement).bind(a).bind(b).execute(&app.pool).await.unwrap();
}

async fn follow(app: &TestApp, follower: &User, followed: &User) {
    run(app, "insert into follows (follower_id, followed_id) values ($1, $2)", follower.id, followed.id).await;
}

async fn tagged(app: &TestApp, portfolio: &Portfolio, tag: Uuid) {
    run(app, "insert into portfolio_tags (portfolio_id, tag_id) values ($1, $2)", portfolio.id, tag).await;
}

async fn assessed(app: &TestApp, portfolio: &Portfolio) {
    let statement = "insert into assessments (id, portfolio_id, assessed_by, total_score) values ($1, $1, $2, 8.0)";
    run(app, statement, portfolio.id, app.admin().id).await;
}

#[tokio::test]
async fn the_example_of_the_contract_has_its_check_value() {
    let app = TestApp::spawn().await;
    let (kelas, _) = app.kelas().await;
    let viewer = app.user(json!({ "username": "siti", "kelas_id": kelas })).await;
    let owner = app.user(json!({ "username": "budi", "kelas_id": kelas })).await;
    let other = app.student("wati").await;
    let (liked_tag, other_tag) = (app.tag("Web").await, app.tag("Poster").await);
    let example = work(&app, &owner, "Contoh", 3.0, 10, 30).await;
    tagged(&app, &example, liked_tag).await;
    tagged(&app, &example, other_tag).await;
    sqlx::query("update portfolios set thumbnail_url = 'https://picsum.photos/1'").execute(&app.pool).await.unwrap();
    let block = "insert into content_blocks (id, portfolio_id, block_type, block_order, payload, is_empty)
                 values ($1, $2, 'text', 0, '{}', true)";
    run(&app, block, Uuid::now_v7(), example.id).await;
    assessed(&app, &example).await;
    // 20 likes and 100 views are the most of all.
    work(&app, &other, "Terbanyak", 40.0, 20, 100).await;
    follow(&app, &viewer, &owner).await;
    follow(&app, &owner, &viewer).await;
    // Four liked portfolios of the owner's major, three of them with the tag.
    for number in 0..4 {
        let liked = work(&app, &owner, "Disukai", 60.0, 0, 0).await;
        if number < 3 {
            tagged(&app, &liked, liked_tag).await;
        }
        viewer.act(&liked.path("/like")).await.data(200);
    }
    let feed = smart(&viewer).await;
    close(score(&feed, &example), 0.766_132);
    let item = &feed.data(200)[0];
    assert_eq!((&item["judul"], item.get("assessment")), (&json!("Contoh"), None), "assessments are not shown");
    assert_eq!(feed.body["meta"]["total_count"], 6);

    // What is no longer liked, or not published, is no interest any more: half of the score's relevance.
    app.sql("update portfolios set status = 'archived' where judul = 'Disukai'").await;
    let relevance = 0.5;
    close(score(&smart(&viewer).await, &example), 0.3 + 0.25 * 0.8 + 0.2 * 0.42 + 0.15 * relevance + 0.1 * 0.86);
}

#[tokio::test]
async fn others_work_comes_in_the_order_of_its_score_page_by_page() {
    let app = TestApp::spawn().await;
    let (siti, budi, wati) = (app.student("siti").await, app.student("budi").await, app.student("wati").await);
    follow(&app, &siti, &budi).await;
    work(&app, &siti, "Sendiri", 0.5, 50, 50).await;
    work(&app, &wati, "Lama", 40.0, 0, 0).await;
    work(&app, &wati, "Baru", 0.5, 0, 0).await;
    work(&app, &budi, "Diikuti", 40.0, 0, 0).await;
    work(&app, &wati, "Populer", 40.0, 50, 50).await;
    let feed = smart(&siti).await;
    let mut scores = Vec::new();
    for item in feed.data(200).as_array().unwrap() {
        scores.push((item["judul"].as_str().unwrap().to_owned(), item["ranking_score"].as_f64().unwrap()));
    }
    let base = 0.15 * 0.5;
    let mut order: [(&str, f64); 4] = [
        ("Baru", 0.25 + base),
        ("Populer", 0.25 * 0.2 + 0.2 + base),
        ("Diikuti", 0.3 * 0.8 + 0.25 * 0.2 + base),
        ("Lama", 0.25 * 0.2 + base),
    ];
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    assert_eq!(scores.len(), order.len());
    for ((judul, score), (wanted, expected)) in scores.iter().zip(&order) {
        assert_eq!(judul, wanted);
        close(*score, *expected);
    }
    assert_eq!(feed.body["meta"]["total_count"], 4);
    let second = siti.get(&format!("{SMART}&limit=3&page=2")).await;
    assert_eq!(second.column("judul"), ["Lama"]);
    assert_eq!(second.body["meta"], json!({ "current_page": 2, "per_page": 3, "total_pages": 2, "total_count": 4 }));
    assert_eq!(siti.get(&format!("{SMART}&page=99")).await.data(200), json!([]));
    let recent = siti.get("/api/v1/feed?algorithm=recent").await;
    assert_eq!(recent.column("judul").len(), 5, "one's own work is in the recent feed");
    assert_eq!(recent.data(200)[0]["ranking_score"], json!(null));
}

#[tokio::test]
async fn the_thousand_newest_of_others_are_weighed() {
    let app = TestApp::spawn().await;
    let (siti, wati) = (app.student("siti").await, app.student("wati").await);
    sqlx::query(
        "insert into portfolios (id, user_id, judul, slug, status, published_at)
         select gen_random_uuid(), $1, 'Karya ' || n, 'karya-' || n, 'published', now() - n * interval '1 hour'
         from generate_series(1, 1200) n",
    )
    .bind(wati.id)
    .execute(&app.pool)
    .await
    .unwrap();
    sqlx::query(
        "insert into portfolios (id, user_id, judul, slug, status, published_at)
         select gen_random_uuid(), $1, 'Sendiri ' || n, 'sendiri-' || n, 'published', now()
         from generate_series(1, 200) n",
    )
    .bind(siti.id)
    .execute(&app.pool)
    .await
    .unwrap();
    let last = siti.get(&format!("{SMART}&limit=100&page=10")).await;
    let meta = json!({ "current_page": 10, "per_page": 100, "total_pages": 10, "total_count": 1000 });
    assert_eq!(last.body["meta"], meta);
    let mut seen = std::collections::HashSet::new();
    for page in 1..=10 {
        seen.extend(siti.get(&format!("{SMART}&limit=100&page={page}")).await.column("judul"));
    }
    assert!(seen.len() == 1000 && seen.contains("Karya 1000") && !seen.contains("Karya 1001"));
}

/// Whatever the score depends on is seen at once, at a replica that was asked before and had nothing to do with it.
#[tokio::test]
async fn what_a_replica_remembers_is_never_older_than_the_database() {
    let app = TestApp::spawn().await;
    let second = app.stack.spawn_replica("portfolio", &[]).await;
    let (kelas, _) = app.kelas().await;
    let siti = app.user(json!({ "username": "siti", "kelas_id": kelas })).await;
    let (budi, wati) = (app.student("budi").await, app.student("wati").await);
    let one = work(&app, &budi, "Satu", 2.0, 0, 0).await;
    let two = work(&app, &wati, "Dua", 2.0, 0, 0).await;
    let tag = app.tag("Web").await;
    let there = siti.at(&second);
    let base = 0.25 * 0.8 + 0.15 * 0.5;
    close(score(&smart(&there).await, &one), base);

    follow(&app, &siti, &budi).await;
    close(score(&smart(&there).await, &one), base + 0.3 * 0.8);
    follow(&app, &budi, &siti).await;
    close(score(&smart(&there).await, &one), base + 0.3);
    assessed(&app, &one).await;
    close(score(&smart(&there).await, &one), base + 0.3 + 0.1 * 0.56);
    app.sql("update portfolios set thumbnail_url = 'https://picsum.photos/1' where judul = 'Satu'").await;
    close(score(&smart(&there).await, &one), base + 0.3 + 0.1 * 0.71);
    // A like: engagement of the one, and an interest that replaces the neutral half.
    siti.act(&two.path("/like")).await.data(200);
    let feed = smart(&there).await;
    close(score(&feed, &two), 0.25 * 0.8 + 0.2 * 0.6);
    close(score(&feed, &one), 0.25 * 0.8 + 0.3 + 0.1 * 0.71);
    // A tag that the liked one has, too: half of the matched share, and ln 2 / 5.
    tagged(&app, &one, tag).await;
    tagged(&app, &two, tag).await;
    let relevance = 0.5 * f64::midpoint(1.0, 2_f64.ln() / 5.0);
    close(score(&smart(&there).await, &one), 0.25 * 0.8 + 0.3 + 0.1 * 0.71 + 0.15 * relevance);
    app.sql("update tags set deleted_at = now()").await;
    close(score(&smart(&there).await, &one), 0.25 * 0.8 + 0.3 + 0.1 * 0.71);
    // The owner joins the viewer's class: the class, and half of the major.
    run(&app, "update users set kelas_id = $2 where id = $1", budi.id, kelas).await;
    close(score(&smart(&there).await, &one), 0.25 * 0.8 + 0.3 + 0.1 * 0.71 + 0.15 * (0.2 + 0.3 * 0.5));
    siti.delete(&two.path("/like")).await.data(200);
    close(score(&smart(&there).await, &two), base);

    budi.act(&one.path("/archive")).await.data(200);
    assert_eq!(smart(&there).await.column("judul"), ["Dua"]);
    app.deactivate(&wati).await;
    let empty = smart(&there).await;
    assert_eq!((empty.data(200), &empty.body["meta"]["total_count"]), (json!([]), &json!(0)));
}

#[tokio::test]
async fn lengths_of_filtered_lists_stay_exact_on_every_replica() {
    let app = TestApp::spawn().await;
    let second = app.stack.spawn_replica("portfolio", &[]).await;
    let (kelas, _) = app.kelas().await;
    let budi = app.user(json!({ "username": "budi", "nama": "Budi Karya", "kelas_id": kelas })).await;
    let tag = app.tag("Web").await;
    let mut works = Vec::new();
    for number in 0..3 {
        works.push(budi.published(&format!("Karya {number}"), app.admin()).await);
    }
    for work in &works {
        app.admin().patch(&work.path(""), &json!({ "tag_ids": [tag] })).await.data(200);
    }
    let there = app.admin().at(&second);
    let lengths = async || {
        let mut lengths = Vec::new();
        for filter in [
            "portfolios?limit=1&search=karya".to_owned(),
            format!("portfolios?limit=1&tag_ids={tag}"),
            format!("portfolios?limit=1&kelas_id={kelas}"),
            "portfolios?limit=1".to_owned(),
            "search/users?limit=1&q=a".to_owned(),
            "users?limit=1&search=budi".to_owned(),
        ] {
            lengths.push(there.get(&format!("/api/v1/{filter}")).await.body["meta"]["total_count"].clone());
        }
        Value::from(lengths)
    };
    // The admin is among those whom an admin finds.
    assert_eq!(lengths().await, json!([3, 3, 3, 3, 2, 1]));
    budi.act(&works[0].path("/archive")).await.data(200);
    assert_eq!(lengths().await, json!([2, 2, 2, 2, 2, 1]));
    app.admin().patch(&works[1].path(""), &json!({ "judul": "Lain", "tag_ids": [] })).await.data(200);
    assert_eq!(lengths().await, json!([2, 1, 2, 2, 2, 1]), "the owner's name still matches");
    budi.patch("/api/v1/me", &json!({ "nama": "Anto" })).await.data(200);
    assert_eq!(lengths().await, json!([1, 1, 2, 2, 2, 1]));
    app.sql("update tags set deleted_at = now()").await;
    app.sql("update kelas set deleted_at = now()").await;
    assert_eq!(lengths().await, json!([1, 0, 0, 2, 2, 1]));
    app.student("budiman").await;
    assert_eq!(lengths().await, json!([1, 0, 0, 2, 3, 2]));
    app.deactivate(&budi).await;
    assert_eq!(lengths().await, json!([0, 0, 0, 0, 2, 1]));
}

#[tokio::test]
async fn the_preference_is_smart_until_something_else_is_saved() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    work(&app, &siti, "Karya", 2.0, 0, 0).await;
    const PREFERENCES: &str = "/api/v1/feed/preferences";
    assert_eq!(siti.get(PREFERENCES).await.data(200), json!({ "algorithm": "smart" }));
    assert_eq!(siti.get("/api/v1/feed").await.data(200), json!([]), "one's own work is not in the smart feed");
    for algorithm in ["following", "recent"] {
        let saved = json!({ "algorithm": algorithm });
        assert_eq!(siti.put(PREFERENCES, &saved).await.data(200), saved);
        assert_eq!(siti.get(PREFERENCES).await.data(200), saved);
    }
    assert_eq!(siti.get("/api/v1/feed").await.column("judul"), ["Karya"]);
    assert_eq!(siti.get("/api/v1/feed?algorithm=").await.column("judul"), ["Karya"]);
    assert_eq!(siti.get(SMART).await.data(200), json!([]));
    for bad in [json!({}), json!({ "algorithm": "x" }), json!({ "algorithm": null })] {
        siti.put(PREFERENCES, &bad).await.fails(400, "INVALID_ALGORITHM");
    }
    siti.put(PREFERENCES, &json!({ "algorithm": 1 })).await.fails(400, "VALIDATION_ERROR");
    siti.raw(reqwest::Method::PUT, PREFERENCES, "application/json", "{").await.fails(400, "VALIDATION_ERROR");
    assert_eq!(siti.get(PREFERENCES).await.data(200), json!({ "algorithm": "recent" }));
    app.get(PREFERENCES).await.fails(401, "UNAUTHORIZED");
    app.guest(reqwest::Method::PUT, PREFERENCES, &[]).await.fails(401, "UNAUTHORIZED");
    let requests: Vec<_> = (0..10)
        .map(|number| {
            let budi = budi.clone();
            let algorithm = ["smart", "recent", "following"][number % 3];
            let saved = json!({ "algorithm": algorithm });
            tokio::spawn(async move { budi.put(PREFERENCES, &saved).await.data(200) })
        })
        .collect();
    for request in requests {
        request.await.unwrap();
    }
    assert_eq!(app.count("select count(*) from feed_preferences").await, 2);
    app.delete_account(&budi).await;
    assert_eq!(app.count("select count(*) from feed_preferences").await, 1);
}

#[tokio::test]
async fn recency_is_measured_to_the_time_of_the_request() {
    let app = TestApp::spawn().await;
    let (siti, wati) = (app.student("siti").await, app.student("wati").await);
    let fresh = work(&app, &wati, "Baru", 0.9, 0, 0).await;
    let older = work(&app, &wati, "Lama", 1.1, 0, 0).await;
    let feed = smart(&siti).await;
    close(score(&feed, &fresh), 0.25 + 0.15 * 0.5);
    close(score(&feed, &older), 0.25 * 0.8 + 0.15 * 0.5);
    let published: DateTime<Utc> = feed.data(200)[0]["published_at"].as_str().unwrap().parse().unwrap();
    assert!(Utc::now() - published < chrono::TimeDelta::hours(24));
}
