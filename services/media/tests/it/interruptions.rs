//! Something dies in the middle of a confirmation, a bit later each time. Asking again always ends in one published
//! object, nothing half done is ever seen, and what is given up leaves nothing.

use std::time::Duration;

use grafikarsa_devstack::{process::Server, testing::Stack};
use reqwest::Method;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    files,
    support::{Person, Promise, TestApp, eventually},
};

/// From the claim to the commit and beyond.
const MOMENTS: [u64; 5] = [0, 10, 30, 70, 150];

#[derive(Clone, Copy, Debug)]
enum Victim {
    Store,
    Postgres,
    Nats,
    Media,
}

#[tokio::test]
async fn the_store_dies() {
    confirmations_survive(Victim::Store).await;
}

#[tokio::test]
async fn postgres_dies() {
    confirmations_survive(Victim::Postgres).await;
}

#[tokio::test]
async fn nats_dies() {
    confirmations_survive(Victim::Nats).await;
}

#[tokio::test]
async fn the_service_dies() {
    confirmations_survive(Victim::Media).await;
}

async fn confirmations_survive(victim: Victim) {
    let mut stack = Stack::with_own_servers().await;
    // A claim whose process died is taken over when this is over.
    stack.set("CONFIRM_TIME_LIMIT", "1s");
    let mut app = TestApp::on(stack).await;
    let siti = app.student("siti").await;
    let bytes = files::png(600, 600);
    let mut last = None;
    for moment in MOMENTS {
        let promise = interrupted(&mut app, &siti, &bytes, victim, moment).await;
        no_half_state(&app, &promise).await;
        eventually("asking again ends it", async || {
            let answer = app.try_confirm(&siti, &promise).await;
            answer.is_some_and(|answer| answer.status == 200 || answer.error() == (400, "UPLOAD_ALREADY_CONFIRMED"))
        })
        .await;
        for path in [promise.key.clone(), format!("{}?w=64", promise.key), format!("{}?w=256", promise.key)] {
            let shown = app.storage(&path).await;
            assert!(shown.status == 200 && image::load_from_memory(&shown.bytes).is_ok(), "{victim:?} {moment} {path}");
        }
        last = Some(promise);
    }
    let published = i64::try_from(MOMENTS.len()).unwrap();
    assert_eq!(app.count("select count(*) from objects where deleted_at is null").await, published);
    assert_eq!(app.count("select count(*) from variants").await, 3 * published);
    let announced = "select count(distinct aggregate_id) from outbox where event_type = 'upload.confirmed'";
    assert_eq!(app.count(announced).await, published);
    let repeated = "select count(*) - count(distinct aggregate_id) from outbox where event_type = 'upload.confirmed'";
    assert_eq!(app.count(repeated).await, 0);
    let last = last.unwrap();
    eventually("the last one is shown", async || {
        let me = app.door(Method::GET, "/api/v1/me", Some(&siti)).send().await;
        me.body["data"]["avatar_url"].as_str().is_some_and(|url| url.ends_with(&last.key))
    })
    .await;

    // Nobody asks again.
    let given_up = interrupted(&mut app, &siti, &bytes, victim, 40).await;
    app.sql(
        "update uploads
         set created_at = now() - interval '2 hours',
             claimed_until = null
         where state = 'issued'",
    )
    .await;
    app.sweep("expire").await;
    app.sweep("staging").await;
    let key = &given_up.key;
    if app.count("select count(*) from uploads where state = 'expired'").await == 1 {
        for left in [format!("staging/{}", given_up.id), key.clone(), format!("variants/64/{key}")] {
            assert!(!app.is_in_store(&left).await, "{victim:?} {left}");
        }
        assert_eq!(app.storage(key).await.status, 404);
    } else {
        assert_eq!(app.storage(key).await.status, 200, "{victim:?}");
    }
}

/// Begins a confirmation and kills the victim after so many milliseconds. The victim is back when this returns.
async fn interrupted(app: &mut TestApp, who: &Person, bytes: &[u8], victim: Victim, moment: u64) -> Promise {
    let promise = app.promise(who, "avatar", "image/png", bytes.len(), None).await;
    assert_eq!(app.put(&promise, bytes).await, 200);
    let body = json!({ "upload_id": promise.id, "object_key": promise.key });
    let call = app.media(Method::POST, "/api/v1/uploads/confirm", Some(who)).json(&body);
    let asking = tokio::spawn(call.try_send());
    sleep(Duration::from_millis(moment)).await;
    match server_of(app, victim) {
        Some(server) => server.kill().await.unwrap(),
        None => app.media.kill().await,
    }
    if !matches!(victim, Victim::Media) {
        no_half_state(app, &promise).await;
    }
    match server_of(app, victim) {
        Some(server) => server.restart().await.unwrap(),
        None => app.media.restart().await,
    }
    let answer = asking.await.unwrap();
    if let Some(answer) = answer {
        assert!(answer.status == 200 || answer.status >= 500, "{victim:?} {moment}: {answer:?}");
    }
    promise
}

fn server_of(app: &mut TestApp, victim: Victim) -> Option<&mut Server> {
    let own = &mut app.stack.own;
    match victim {
        Victim::Store => own.s3.as_mut(),
        Victim::Postgres => own.postgres.as_mut(),
        Victim::Nats => own.nats.as_mut(),
        Victim::Media => None,
    }
}

/// Either there is nothing, or all of it.
async fn no_half_state(app: &TestApp, promise: &Promise) {
    let shown = app.storage(&promise.key).await;
    match shown.status {
        200 => assert!(image::load_from_memory(&shown.bytes).is_ok()),
        status => assert!(status == 404 || status >= 500, "{status}"),
    }
}
