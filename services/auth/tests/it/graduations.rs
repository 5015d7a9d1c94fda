//! Students who have left their last class, as portfolio tells it.

use grafikarsa_events::{Relay, outbox};
use proto_events::portfolio::v1::StudentGraduated;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Session, TestApp, claims, eventually};

/// Portfolio says that a student has graduated; returns when auth has taken it.
async fn graduated(app: &TestApp, user: Uuid, version: i64) {
    let bus = app.portfolio().await;
    let pool = app.stack.pool("portfolio").await;
    let mut tx = pool.begin().await.unwrap();
    let event = StudentGraduated { user_id: user.to_string(), version };
    let id = outbox::append(&mut tx, &event, user, version).await.unwrap();
    tx.commit().await.unwrap();
    let stop = CancellationToken::new();
    let relay = tokio::spawn(Relay::new(bus, (*pool.connect_options()).clone(), "portfolio").run(stop.clone()));
    eventually("the event is taken", async || {
        let taken = sqlx::query_scalar("select exists (select from inbox where event_id = $1)");
        taken.bind(id).fetch_one(&app.pool).await.unwrap()
    })
    .await;
    stop.cancel();
    relay.await.unwrap();
}

/// Role, version, epoch and the last graduation of an account.
async fn state(app: &TestApp, account: Uuid) -> (String, i64, i64, i64) {
    sqlx::query_as("select role, version, token_epoch, graduation from accounts where id = $1")
        .bind(account)
        .fetch_one(&app.pool)
        .await
        .unwrap()
}

async fn told(app: &TestApp) -> i64 {
    app.count("select count(*) from outbox where event_type = 'account.changed'").await
}

#[tokio::test]
async fn a_graduate_becomes_alumni_and_only_the_access_tokens_end() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let Session { access, cookie } = siti.login().await;
    graduated(&app, siti.id, 1).await;
    assert_eq!(state(&app, siti.id).await, ("alumni".to_owned(), 2, 1, 1));
    assert_eq!(told(&app).await, 1);
    eventually("the old token is refused", async || app.sessions(&access).await.status == 401).await;
    let refreshed = app.refresh(&cookie).await;
    assert_eq!((refreshed.status, &claims(&refreshed.access())["role"]), (200, &json!("alumni")));
}

#[tokio::test]
async fn who_is_no_student_any_more_keeps_role_and_tokens() {
    let app = TestApp::spawn().await;
    for role in ["admin", "alumni"] {
        let person = app.account_with(&format!("bu_{role}"), role).await;
        let session = person.login().await;
        graduated(&app, person.id, 1).await;
        // The event that follows says that the graduation is dealt with.
        assert_eq!(state(&app, person.id).await, (role.to_owned(), 2, 0, 1));
        assert_eq!(app.sessions(&session.access).await.status, 200);
    }
    assert_eq!(told(&app).await, 2);
}

#[tokio::test]
async fn a_correction_stays_when_the_graduation_comes_again_or_late() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.account("siti").await, app.account("budi").await);
    graduated(&app, siti.id, 1).await;
    app.change(siti.id, json!({ "role": "student" })).await;
    graduated(&app, siti.id, 1).await;
    assert_eq!(state(&app, siti.id).await, ("student".to_owned(), 3, 2, 1));
    // He is a student here, but was corrected there: the answer says so.
    let corrected = app.change(budi.id, json!({ "role": "student", "graduation": 1 })).await;
    assert_eq!((&corrected.body["data"]["graduation"], &corrected.body["data"]["version"]), (&json!(1), &json!(2)));
    graduated(&app, budi.id, 1).await;
    assert_eq!(state(&app, budi.id).await, ("student".to_owned(), 2, 0, 1));
    // The next year counts again.
    graduated(&app, budi.id, 2).await;
    assert_eq!(state(&app, budi.id).await, ("alumni".to_owned(), 3, 1, 2));
}

#[tokio::test]
async fn the_graduation_of_a_deleted_or_unknown_account_changes_nothing() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    app.change(siti.id, json!({ "delete": true })).await;
    let before = state(&app, siti.id).await;
    graduated(&app, siti.id, 1).await;
    graduated(&app, Uuid::now_v7(), 1).await;
    assert_eq!(state(&app, siti.id).await, before);
    assert_eq!(app.count("select count(*) from dead_letters").await, 0);
}
