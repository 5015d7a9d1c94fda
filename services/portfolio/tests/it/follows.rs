use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Answer, TestApp, User};

fn path(username: &str) -> String {
    format!("/api/v1/users/{username}/follow")
}

async fn follow(user: &User, username: &str) -> Answer {
    user.act(&path(username)).await
}

async fn unfollow(user: &User, username: &str) -> Answer {
    user.delete(&path(username)).await
}

/// Every stored counter equals what a count over the rows of active users gives.
async fn counters_are_true(app: &TestApp) {
    let wrong = app
        .count(
            "select count(*)
             from users u
             where
                 u.follower_count <> (
                     select count(*) from follows f join users o on o.id = f.follower_id
                     where f.followed_id = u.id and o.is_active and o.deleted_at is null
                 )
                 or u.following_count <> (
                     select count(*) from follows f join users o on o.id = f.followed_id
                     where f.follower_id = u.id and o.is_active and o.deleted_at is null
                 )",
        )
        .await;
    assert_eq!(wrong, 0, "counters differ from a count");
}

#[tokio::test]
async fn following_and_unfollowing_are_idempotent_and_counted() {
    let app = TestApp::spawn().await;
    let (budi, siti) = (app.student("budi").await, app.student("siti").await);
    let on = json!({ "is_following": true, "follower_count": 1 });
    assert_eq!(follow(&siti, "budi").await.data(200), on);
    assert_eq!(follow(&siti, "BUDI").await.data(200), on);
    assert_eq!(budi.get("/api/v1/me").await.data(200)["follower_count"], 1);
    assert_eq!(siti.get("/api/v1/me").await.data(200)["following_count"], 1);
    let off = json!({ "is_following": false, "follower_count": 0 });
    assert_eq!(unfollow(&siti, "budi").await.data(200), off);
    assert_eq!(unfollow(&siti, "budi").await.data(200), off);
    assert_eq!(unfollow(&siti, "siti").await.data(200), off, "oneself: nothing to remove");
    counters_are_true(&app).await;
    // As the web client may send it.
    siti.post(&path("budi"), &json!({})).await.data(200);
}

#[tokio::test]
async fn who_may_follow_whom() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let old = app.user(json!({ "username": "lulusan", "role": "alumni" })).await;
    follow(&old, "siti").await.data(200);
    follow(&siti, "admin").await.data(200);
    follow(app.admin(), "siti").await.fails(403, "FORBIDDEN");
    unfollow(app.admin(), "siti").await.fails(403, "FORBIDDEN");
    follow(app.admin(), "nobody").await.fails(403, "FORBIDDEN");
    follow(&siti, "nobody").await.fails(404, "USER_NOT_FOUND");
    unfollow(&siti, "nobody").await.fails(404, "USER_NOT_FOUND");
    follow(&siti, "siti").await.fails(400, "CANNOT_FOLLOW_SELF");
    app.deactivate(&old).await;
    follow(&siti, "lulusan").await.fails(404, "USER_NOT_FOUND");
    unfollow(&siti, "lulusan").await.fails(404, "USER_NOT_FOUND");
    assert_eq!(app.count("select count(*) from follows").await, 2);
    let own = sqlx::query("insert into follows (follower_id, followed_id) values ($1, $1)").bind(siti.id);
    assert!(own.execute(&app.pool).await.is_err(), "the database refuses it as well");
}

#[tokio::test]
async fn of_many_follows_at_once_one_counts_and_one_is_told() {
    let app = TestApp::spawn().await;
    let (budi, siti) = (app.student("budi").await, app.student("siti").await);
    for answer in join_all((0..8).map(|_| follow(&siti, "budi"))).await {
        assert_eq!(answer.data(200), json!({ "is_following": true, "follower_count": 1 }));
    }
    counters_are_true(&app).await;
    // Each follows the other, again and again: nobody waits in a circle.
    for _ in 0..5 {
        let calls = tokio::join!(
            follow(&budi, "siti"),
            follow(&siti, "budi"),
            unfollow(&budi, "siti"),
            unfollow(&siti, "budi"),
            follow(&budi, "siti"),
        );
        let statuses = [calls.0.status, calls.1.status, calls.2.status, calls.3.status, calls.4.status];
        assert_eq!(statuses, [200; 5]);
    }
    counters_are_true(&app).await;
    let told = "select count(*) from notifications where kind = 'new_follower'";
    assert_eq!(app.count(told).await, 2, "once for each of the two");
}

#[tokio::test]
async fn who_follows_again_is_no_news_not_even_after_the_notification_is_gone() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    app.student("budi").await;
    follow(&siti, "budi").await.data(200);
    let (kind, actor, data): (String, uuid::Uuid, serde_json::Value) =
        sqlx::query_as("select kind, actor_id, data from notifications").fetch_one(&app.pool).await.unwrap();
    assert_eq!((kind.as_str(), actor, data), ("new_follower", siti.id, json!({ "follower_id": siti.id })));
    app.sql("update notifications set deleted_at = now()").await;
    unfollow(&siti, "budi").await.data(200);
    follow(&siti, "budi").await.data(200);
    assert_eq!(app.count("select count(*) from notifications where deleted_at is null").await, 0);
    assert_eq!(app.count("select count(*) from notifications").await, 1);
}

#[tokio::test]
async fn the_lists_show_active_people_the_latest_first() {
    let app = TestApp::spawn().await;
    let (kelas, _) = app.kelas().await;
    let budi = app.user(json!({ "username": "budi", "kelas_id": kelas })).await;
    let (siti, adi) = (app.student("siti").await, app.student("adi").await);
    follow(&siti, "budi").await.data(200);
    follow(&adi, "budi").await.data(200);
    follow(&budi, "siti").await.data(200);
    let followers = "/api/v1/users/budi/followers";
    let answer = siti.get(followers).await;
    assert_eq!(answer.column("username"), ["adi", "siti"]);
    let meta = json!({ "current_page": 1, "per_page": 100, "total_pages": 1, "total_count": 2 });
    assert_eq!(answer.body["meta"], meta);
    let first = &answer.data(200)[0];
    assert_eq!(
        first,
        &json!({
            "id": adi.id, "username": "adi", "nama": "Nama adi", "avatar_url": null, "role": "student",
            "kelas_nama": null, "is_following": false, "followed_at": first["followed_at"],
        })
    );
    let following = adi.get("/api/v1/users/siti/followers").await.data(200);
    assert_eq!((&following[0]["kelas_nama"], &following[0]["is_following"]), (&json!("XII-RPL-A"), &json!(true)));
    assert_eq!(app.get("/api/v1/users/siti/followers").await.data(200)[0]["is_following"], false);
    assert_eq!(app.get("/api/v1/users/budi/following").await.column("username"), ["siti"]);
    // Searches look at name and user name, and count what they find.
    let found = app.get(&format!("{followers}?search=SITI")).await;
    assert_eq!((found.column("username"), &found.body["meta"]["total_count"]), (vec!["siti".to_owned()], &json!(1)));
    assert_eq!(app.get(&format!("{followers}?search=%25")).await.column("username").len(), 0);
    app.get(&format!("{followers}?search={}", "x".repeat(101))).await.fails(400, "VALIDATION_ERROR");
    let page = app.get(&format!("{followers}?limit=1&page=2")).await;
    assert_eq!(page.column("username"), ["siti"]);
    assert_eq!(app.get(&format!("{followers}?limit=500")).await.body["meta"]["per_page"], 100);
}

#[tokio::test]
async fn who_is_deactivated_counts_nowhere_and_counts_again_when_back() {
    let app = TestApp::spawn().await;
    let (budi, siti, adi) = (app.student("budi").await, app.student("siti").await, app.student("adi").await);
    follow(&siti, "budi").await.data(200);
    follow(&adi, "budi").await.data(200);
    follow(&budi, "siti").await.data(200);
    app.deactivate(&siti).await;
    let profile = app.get("/api/v1/users/budi").await.data(200);
    assert_eq!((&profile["follower_count"], &profile["following_count"]), (&json!(1), &json!(0)));
    let list = app.get("/api/v1/users/budi/followers").await;
    assert_eq!((list.column("username"), &list.body["meta"]["total_count"]), (vec!["adi".to_owned()], &json!(1)));
    counters_are_true(&app).await;
    app.reactivate(&siti).await;
    let profile = app.get("/api/v1/users/budi").await.data(200);
    assert_eq!((&profile["follower_count"], &profile["following_count"]), (&json!(2), &json!(1)));
    counters_are_true(&app).await;
    app.delete_account(&siti).await;
    counters_are_true(&app).await;
    assert_eq!(app.count("select count(*) from follows").await, 3, "the rows stay");
}

#[tokio::test]
async fn deactivations_in_the_middle_of_follows_leave_true_counters() {
    let app = TestApp::spawn().await;
    let mut people = Vec::new();
    for number in 0..6 {
        people.push(app.student(&format!("siswa_{number}")).await);
    }
    for round in 0..3 {
        let follows = people.iter().enumerate().flat_map(|(place, user)| {
            people.iter().enumerate().filter(move |(other, _)| *other != place).map(move |(other, target)| async move {
                if (place + other + round) % 2 == 0 {
                    follow(user, &target.username).await.status
                } else {
                    unfollow(user, &target.username).await.status
                }
            })
        });
        let (statuses, ()) = tokio::join!(join_all(follows), async {
            app.deactivate(&people[round]).await;
            app.deactivate(&people[5 - round]).await;
        });
        assert!(statuses.iter().all(|status| [200, 401, 404, 503].contains(status)), "{statuses:?}");
        counters_are_true(&app).await;
        app.reactivate(&people[round]).await;
        app.reactivate(&people[5 - round]).await;
        counters_are_true(&app).await;
        for place in [round, 5 - round] {
            people[place] = app.again(&people[place]).await;
        }
    }
}

#[tokio::test]
async fn follows_and_unfollows_are_limited_per_account_and_shared_by_replicas() {
    let mut app = TestApp::with(&[("LIMIT_FOLLOWS", "3/60")]).await;
    let (budi, siti) = (app.student("budi").await, app.student("siti").await);
    follow(&siti, "budi").await.data(200);
    unfollow(&siti, "budi").await.data(200);
    follow(&siti, "budi").await.data(200);
    let refused = unfollow(&siti, "budi").await;
    refused.fails(429, "TOO_MANY_REQUESTS");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    follow(&budi, "siti").await.data(200);
    app.portfolio.kill().await;
    app.portfolio.restart().await;
    unfollow(&siti, "budi").await.fails(429, "TOO_MANY_REQUESTS");
    app.sql("update rate_limits set window_ends_at = now()").await;
    unfollow(&siti, "budi").await.data(200);
}
