//! What goes wrong around an upload costs nothing.

use std::time::Duration;

use grafikarsa_devstack::testing::Stack;

use crate::{
    files,
    support::{TestApp, eventually, wish},
};

#[tokio::test]
async fn without_the_store_nothing_is_consumed() {
    let mut app = TestApp::on(Stack::with_own_servers().await).await;
    let siti = app.student("siti").await;
    let bytes = files::png(50, 50);
    let promise = app.promise(&siti, "avatar", "image/png", bytes.len(), None).await;
    assert_eq!(app.put(&promise, &bytes).await, 200);
    app.stack.own.s3.as_mut().unwrap().kill().await.unwrap();
    assert_eq!(app.confirm(&siti, &promise).await.error(), (503, "SERVICE_UNAVAILABLE"));
    app.stack.own.s3.as_mut().unwrap().restart().await.unwrap();
    let confirmed = app.confirm(&siti, &promise).await;
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    assert_eq!(app.storage(&promise.key).await.status, 200);
}

#[tokio::test]
async fn without_nats_the_confirmation_counts_and_is_announced_later() {
    let mut app = TestApp::on(Stack::with_own_servers().await).await;
    let siti = app.student("siti").await;
    let bytes = files::png(50, 50);
    let promise = app.promise(&siti, "avatar", "image/png", bytes.len(), None).await;
    assert_eq!(app.put(&promise, &bytes).await, 200);
    app.stack.own.nats.as_mut().unwrap().kill().await.unwrap();
    assert_eq!(app.confirm(&siti, &promise).await.status, 200);
    app.stack.own.nats.as_mut().unwrap().restart().await.unwrap();
    eventually("the avatar is shown", async || {
        let me = app.door(reqwest::Method::GET, "/api/v1/me", Some(&siti)).send().await;
        me.body["data"]["avatar_url"].as_str().is_some_and(|url| url.ends_with(&promise.key))
    })
    .await;
}

#[tokio::test]
async fn without_portfolio_nobody_is_let_into_one() {
    let mut app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = app.portfolio_of(&siti).await;
    app.portfolio.kill().await;
    let answer = app.presign(&siti, &wish("thumbnail", "image/png", 10, Some(portfolio))).await;
    assert_eq!(answer.error(), (503, "SERVICE_UNAVAILABLE"));
    assert_eq!(app.count("select count(*) from uploads").await, 0);
    app.portfolio.restart().await;
    assert_eq!(app.presign(&siti, &wish("thumbnail", "image/png", 10, Some(portfolio))).await.status, 200);
}

#[tokio::test]
async fn a_confirmation_whose_process_died_is_taken_over() {
    let mut app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let bytes = files::png(50, 50);
    let promise = app.promise(&siti, "avatar", "image/png", bytes.len(), None).await;
    assert_eq!(app.put(&promise, &bytes).await, 200);
    app.sql("update uploads set claim = gen_random_uuid(), claimed_until = now() + interval '1 second'").await;
    app.media.kill().await;
    app.media.restart().await;
    assert_eq!(app.confirm(&siti, &promise).await.status, 200);
    assert_eq!(app.storage(&promise.key).await.status, 200);
}

#[tokio::test]
async fn a_confirmation_that_comes_too_late_to_its_commit_has_not_happened() {
    let mut stack = Stack::new().await;
    stack.set("CONFIRM_TIME_LIMIT", "1s");
    let app = TestApp::on(stack).await;
    let siti = app.student("siti").await;
    let bytes = files::png(50, 50);
    let promise = app.promise(&siti, "avatar", "image/png", bytes.len(), None).await;
    assert_eq!(app.put(&promise, &bytes).await, 200);
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query("lock table objects in share mode").execute(&mut *tx).await.unwrap();
    let (answer, ()) = tokio::join!(app.confirm(&siti, &promise), async {
        app.somebody_waits_for_a_lock().await;
        // Until the limit is over, and shorter than a wait for a lock may be.
        tokio::time::sleep(Duration::from_secs(1)).await;
        tx.rollback().await.unwrap();
    });
    assert_eq!(answer.error(), (503, "SERVICE_UNAVAILABLE"));
    assert_eq!(app.count("select count(*) from objects").await, 0);
    assert_eq!(app.count("select count(*) from outbox").await, 0);
    assert_eq!(app.count("select count(*) from uploads where state = 'issued' and claimed_until is null").await, 1);
    assert_eq!(app.storage(&promise.key).await.status, 404);
    // Nothing was consumed.
    eventually("it is confirmed in time", async || app.confirm(&siti, &promise).await.status == 200).await;
    assert_eq!(app.storage(&promise.key).await.status, 200);
}

#[tokio::test]
async fn a_confirmation_without_time_takes_nothing() {
    let mut stack = Stack::new().await;
    stack.set("CONFIRM_TIME_LIMIT", "0s");
    let mut app = TestApp::on(stack).await;
    let siti = app.student("siti").await;
    let bytes = files::png(50, 50);
    let promise = app.promise(&siti, "avatar", "image/png", bytes.len(), None).await;
    assert_eq!(app.put(&promise, &bytes).await, 200);
    assert_eq!(app.confirm(&siti, &promise).await.error(), (503, "SERVICE_UNAVAILABLE"));
    assert_eq!(app.count("select count(*) from uploads where state = 'issued' and claimed_until is null").await, 1);
    app.media.terminate().await;
    app.media = app.stack.spawn_with("media", &[("CONFIRM_TIME_LIMIT", "15s")]).await;
    assert_eq!(app.confirm(&siti, &promise).await.status, 200);
}
