use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Portfolio, TestApp, User};

fn like(portfolio: &Portfolio) -> String {
    portfolio.path("/like")
}

const TOLD: &str = "select count(*) from notifications where kind = 'portfolio_liked'";
/// Counters of portfolios that differ from a recount.
const WRONG: &str = "
    select count(*)
    from portfolios p
    where like_count <> (
        select count(*)
        from portfolio_likes l
        join users u on u.id = l.user_id and u.deleted_at is null
        where l.portfolio_id = p.id
    )";

#[tokio::test]
async fn a_like_counts_once_and_is_told_once_for_ever() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let work = siti.published("Karya", app.admin()).await;
    let liked = json!({ "is_liked": true, "like_count": 1 });
    assert_eq!(budi.act(&like(&work)).await.data(200), liked);
    assert_eq!(budi.act(&like(&work)).await.data(200), liked, "a second one changes nothing");
    let detail = budi.get(&work.page(&siti)).await.data(200);
    assert_eq!((&detail["is_liked"], &detail["like_count"]), (&json!(true), &json!(1)));
    assert_eq!(detail["updated_at"], siti.get(&work.by_id()).await.data(200)["updated_at"]);
    let card = app.get("/api/v1/portfolios").await.data(200)[0].clone();
    assert_eq!((&card["is_liked"], &card["like_count"]), (&json!(false), &json!(1)), "guests like nothing");

    let not_liked = json!({ "is_liked": false, "like_count": 0 });
    assert_eq!(budi.delete(&like(&work)).await.data(200), not_liked);
    assert_eq!(budi.delete(&like(&work)).await.data(200), not_liked);
    app.sql("update notifications set deleted_at = now()").await;
    budi.act(&like(&work)).await.data(200);
    assert_eq!(app.count(TOLD).await, 1, "who likes again is no news");
    let told: (Uuid, Option<Uuid>, Value) =
        sqlx::query_as("select user_id, actor_id, data from notifications where kind = 'portfolio_liked'")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    let data = json!({
        "liker_id": budi.id, "portfolio_id": work.id, "portfolio_judul": "Karya", "portfolio_slug": "karya",
    });
    assert_eq!(told, (siti.id, Some(budi.id), data));
}

#[tokio::test]
async fn ones_own_work_may_be_liked_in_silence() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let work = siti.published("Karya", app.admin()).await;
    assert_eq!(siti.act(&like(&work)).await.data(200)["like_count"], 1);
    assert_eq!(app.count(TOLD).await, 0);
}

#[tokio::test]
async fn only_published_work_is_liked_and_any_like_can_be_taken_back() {
    let app = TestApp::spawn().await;
    let (siti, budi, wati) = (app.student("siti").await, app.student("budi").await, app.student("wati").await);
    let draft = siti.written("Draf").await;
    for user in [&siti, &budi] {
        user.act(&like(&draft)).await.fails(404, "PORTFOLIO_NOT_FOUND");
    }
    let unknown = format!("/api/v1/portfolios/{}/like", Uuid::nil());
    budi.act(&unknown).await.fails(404, "PORTFOLIO_NOT_FOUND");
    budi.delete(&unknown).await.fails(404, "PORTFOLIO_NOT_FOUND");
    budi.act("/api/v1/portfolios/x/like").await.fails(400, "VALIDATION_ERROR");
    let work = siti.published("Karya", app.admin()).await;
    app.guest(reqwest::Method::POST, &like(&work), &[]).await.fails(401, "UNAUTHORIZED");
    app.admin().act(&like(&work)).await.fails(403, "FORBIDDEN");
    app.admin().delete(&like(&work)).await.fails(403, "FORBIDDEN");

    budi.act(&like(&work)).await.data(200);
    siti.act(&work.path("/archive")).await.data(200);
    wati.delete(&like(&work)).await.fails(404, "PORTFOLIO_NOT_FOUND");
    assert_eq!(budi.delete(&like(&work)).await.data(200), json!({ "is_liked": false, "like_count": 0 }));
    budi.delete(&like(&work)).await.fails(404, "PORTFOLIO_NOT_FOUND");
    siti.delete(&like(&work)).await.data(200);
}

#[tokio::test]
async fn the_work_of_a_deactivated_owner_cannot_be_liked() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let tata = app.holder("tata", &["portfolios"]).await;
    let work = siti.published("Karya", app.admin()).await;
    budi.act(&like(&work)).await.data(200);
    app.deactivate(&siti).await;
    tata.get(&work.page(&siti)).await.data(200);
    app.student("wati").await.act(&like(&work)).await.fails(404, "PORTFOLIO_NOT_FOUND");
    assert_eq!(budi.delete(&like(&work)).await.data(200)["like_count"], 0);
    budi.act(&like(&work)).await.fails(404, "PORTFOLIO_NOT_FOUND");
    assert_eq!(app.count(TOLD).await, 1);
}

#[tokio::test]
async fn parallel_likes_unlikes_and_deletions_leave_the_counters_equal_to_a_recount() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let mut works = Vec::new();
    for judul in ["Satu", "Dua", "Tiga"] {
        works.push(siti.published(judul, app.admin()).await);
    }
    let mut people: Vec<User> = Vec::new();
    for number in 0..6 {
        people.push(app.student(&format!("siswa_{number}")).await);
    }
    let requests: Vec<_> = people
        .iter()
        .enumerate()
        .flat_map(|(number, user)| works.iter().enumerate().map(move |(at, work)| (number + at, user, work)))
        .flat_map(|(number, user, work)| (0..4).map(move |step| ((number + step) % 3 == 0, user, work)))
        .map(|(unlike, user, work)| {
            let (user, path) = (user.clone(), like(work));
            tokio::spawn(async move {
                let answer = if unlike { user.delete(&path).await } else { user.act(&path).await };
                // The accounts of some end meanwhile.
                if answer.status == 401 { answer.fails(401, "TOKEN_REVOKED") } else { drop(answer.data(200)) }
            })
        })
        .collect();
    for user in &people[..2] {
        app.change(user, json!({ "delete": true })).await;
    }
    for request in requests {
        request.await.unwrap();
    }
    for user in &people[..2] {
        app.knows_of_the_end_of(user).await;
    }
    assert_eq!(app.count(WRONG).await, 0);
    assert!(app.count("select coalesce(sum(like_count), 0)::bigint from portfolios").await > 0);
    let of_deleted =
        "select count(*) from portfolio_likes l join users u on u.id = l.user_id and deleted_at is not null";
    assert_eq!(app.count(of_deleted).await, 0);
}

#[tokio::test]
async fn twenty_likes_of_one_user_at_once_are_one() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let work = siti.published("Karya", app.admin()).await;
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let (budi, path) = (budi.clone(), like(&work));
            tokio::spawn(async move { budi.act(&path).await.data(200) })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), json!({ "is_liked": true, "like_count": 1 }));
    }
    assert_eq!(app.count(WRONG).await, 0);
    assert_eq!(app.count(TOLD).await, 1);
}
