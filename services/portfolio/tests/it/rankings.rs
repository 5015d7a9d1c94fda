use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Portfolio, TestApp, User};

async fn app() -> TestApp {
    TestApp::with(&[("RANKINGS_MAX_AGE", "0s")]).await
}

/// What the routes of assessments and likes will write.
async fn rate(app: &TestApp, portfolio: &Portfolio, likes: i64, total_score: Option<f64>, age_days: i32) {
    sqlx::query(
        "update portfolios set like_count = $2, published_at = now() - make_interval(days => $3) where id = $1",
    )
    .bind(portfolio.id)
    .bind(likes)
    .bind(age_days)
    .execute(&app.pool)
    .await
    .unwrap();
    if let Some(total_score) = total_score {
        sqlx::query(
            "insert into assessments (id, portfolio_id, assessed_by, total_score) values ($1, $2, $3, $4::float8)",
        )
        .bind(Uuid::now_v7())
        .bind(portfolio.id)
        .bind(app.admin().id)
        .bind(total_score)
        .execute(&app.pool)
        .await
        .unwrap();
    }
}

async fn followers(app: &TestApp, user: &User, count: i64) {
    sqlx::query("update users set follower_count = $2 where id = $1")
        .bind(user.id)
        .bind(count)
        .execute(&app.pool)
        .await
        .unwrap();
}

fn scores(data: &Value, name: &str) -> Vec<(String, f64)> {
    let list = data.as_array().unwrap();
    list.iter().map(|item| (item[name].as_str().unwrap().to_owned(), item["score"].as_f64().unwrap())).collect()
}

#[tokio::test]
async fn the_example_of_students_is_scored_and_ordered() {
    let app = app().await;
    let (kelas, _) = app.kelas().await;
    let x = app.user(json!({ "username": "x_siswa", "nama": "Xx", "kelas_id": kelas })).await;
    let y = app.user(json!({ "username": "y_siswa", "nama": "Yy" })).await;
    let first = x.published("Satu", app.admin()).await;
    let second = x.published("Dua", app.admin()).await;
    let third = y.published("Tiga", app.admin()).await;
    rate(&app, &first, 1, Some(8.0), 1).await;
    rate(&app, &second, 2, None, 1).await;
    rate(&app, &third, 6, None, 1).await;
    followers(&app, &x, 1).await;
    followers(&app, &y, 4).await;
    // Neither drafts nor people of other roles count.
    x.written("Draf").await;
    let old = app.user(json!({ "username": "lulusan", "role": "alumni" })).await;
    rate(&app, &old.published("Lama", app.admin()).await, 90, Some(10.0), 1).await;

    let data = app.get("/api/v1/top-students").await.data(200);
    let found = scores(&data, "username");
    assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x_siswa", "y_siswa"]);
    assert!((found[0].1 - 70.25).abs() < 1e-9 && (found[1].1 - 55.0).abs() < 1e-9, "{found:?}");
    assert_eq!(
        data[0],
        json!({
            "id": x.id, "username": "x_siswa", "nama": "Xx", "avatar_url": null, "banner_url": null,
            "kelas_nama": "XII-RPL-A", "jurusan_nama": "Rekayasa Perangkat Lunak", "portfolio_count": 2,
            "total_likes": 3, "avg_assessment_score": 8.0, "follower_count": 1, "score": data[0]["score"],
        })
    );
    app.deactivate(&x).await;
    assert_eq!(app.get("/api/v1/top-students").await.column("username"), ["y_siswa"]);
}

#[tokio::test]
async fn the_example_of_projects_is_scored_and_ordered() {
    let app = app().await;
    let siti = app.student("siti").await;
    let a = siti.published("Satu", app.admin()).await;
    let b = siti.published("Dua", app.admin()).await;
    rate(&app, &a, 2, Some(9.0), 3).await;
    rate(&app, &b, 5, None, 40).await;
    let old = app.user(json!({ "username": "lulusan", "role": "alumni" })).await;
    rate(&app, &old.published("Lama", app.admin()).await, 90, Some(10.0), 1).await;
    let data = app.get("/api/v1/top-projects").await.data(200);
    let found = scores(&data, "judul");
    assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["Satu", "Dua"]);
    assert!((found[0].1 - 77.0).abs() < 1e-9 && (found[1].1 - 40.0).abs() < 1e-9, "{found:?}");
    assert_eq!(
        data[0],
        json!({
            "id": a.id, "judul": "Satu", "slug": "satu", "thumbnail_url": null, "published_at": data[0]["published_at"],
            "user_id": siti.id, "username": "siti", "user_nama": "Nama siti", "user_avatar": null,
            "assessment_score": 9.0, "like_count": 2, "score": data[0]["score"],
        })
    );
    siti.act(&a.path("/archive")).await.data(200);
    assert_eq!(app.get("/api/v1/top-projects").await.column("judul"), ["Dua"]);
}

#[tokio::test]
async fn three_places_at_most_and_an_empty_list_when_nobody_is_eligible() {
    let app = app().await;
    for path in ["/api/v1/top-students", "/api/v1/top-projects"] {
        assert_eq!(app.get_with_token(path, "Bearer x").await.data(200), json!([]), "the header is ignored");
    }
    for number in 0..4 {
        let user = app.user(json!({ "username": format!("siswa_{number}"), "nama": format!("Siswa {number}") })).await;
        user.published("Karya", app.admin()).await;
    }
    assert_eq!(app.get("/api/v1/top-students").await.column("username"), ["siswa_0", "siswa_1", "siswa_2"]);
    // The youngest first among equals.
    assert_eq!(app.get("/api/v1/top-projects").await.column("username"), ["siswa_3", "siswa_2", "siswa_1"]);
}

#[tokio::test]
async fn a_ranking_is_remembered_for_a_while() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    siti.published("Karya", app.admin()).await;
    assert_eq!(app.get("/api/v1/top-students").await.column("username"), ["siti"]);
    app.student("budi").await.published("Karya", app.admin()).await;
    assert_eq!(app.get("/api/v1/top-students").await.column("username"), ["siti"]);
}
