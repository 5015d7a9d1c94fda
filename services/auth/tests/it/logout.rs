use crate::support::{PASSWORD, TestApp, eventually, session_id, typed_claims};

#[tokio::test]
async fn a_logged_out_token_is_refused_and_the_cookie_is_cleared() {
    let app = TestApp::spawn().await;
    let session = app.account("siti").await.login().await;
    let answer = app.logout(&session.access).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body["data"].is_null());
    assert!(answer.body["message"].is_string());
    assert!(answer.clears_the_cookie());
    assert_eq!(app.logout(&session.access).await.error(), (401, "TOKEN_REVOKED"));
    assert_eq!(app.sessions(&session.access).await.error(), (401, "TOKEN_REVOKED"));
    assert_eq!(app.refresh(&session.cookie).await.error(), (401, "TOKEN_REVOKED"));
}

#[tokio::test]
async fn logging_out_needs_a_token() {
    let app = TestApp::spawn().await;
    assert_eq!(app.post("/api/v1/auth/logout").send().await.error(), (401, "UNAUTHORIZED"));
    assert_eq!(app.logout("nonsense").await.error(), (401, "INVALID_TOKEN"));
}

#[tokio::test]
async fn the_own_session_of_the_cookie_ends_too() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let (one, two) = (siti.login().await, siti.login().await);
    app.post("/api/v1/auth/logout").bearer(&one.access).cookie(&two.cookie).send().await;
    assert_eq!(app.refresh(&two.cookie).await.error(), (401, "TOKEN_REVOKED"));
    assert_eq!(app.sessions(&two.access).await.error(), (401, "TOKEN_REVOKED"));
}

#[tokio::test]
async fn a_foreign_cookie_is_cleared_and_its_session_lives() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.account("siti").await.login().await, app.account("budi").await.login().await);
    let answer = app.post("/api/v1/auth/logout").bearer(&siti.access).cookie(&budi.cookie).send().await;
    assert!(answer.clears_the_cookie());
    assert_eq!(app.sessions(&budi.access).await.status, 200);
    assert_eq!(app.refresh(&budi.cookie).await.status, 200);
}

#[tokio::test]
async fn other_sessions_of_the_account_live() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let (one, two) = (siti.login().await, siti.login().await);
    app.logout(&one.access).await;
    assert_eq!(app.sessions(&two.access).await.status, 200);
}

#[tokio::test]
async fn an_access_token_can_log_out_after_its_session_was_replaced() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.account("siti").await, app.account("budi").await);
    let old = budi.login().await;
    let body = serde_json::json!({ "username": siti.username, "password": PASSWORD });
    app.post("/api/v1/auth/login").cookie(&old.cookie).json(&body).send().await;
    assert_eq!(app.logout(&old.access).await.status, 200);
    assert_eq!(app.logout(&old.access).await.error(), (401, "TOKEN_REVOKED"));
}

#[tokio::test]
async fn logout_all_counts_the_live_sessions_and_ends_them() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let sessions = [siti.login().await, siti.login().await, siti.login().await];
    let (ended, expired) = (siti.login().await, siti.login().await);
    app.logout(&ended.access).await;
    sqlx::query("update sessions set expires_at = now() where id = $1::uuid")
        .bind(session_id(&expired.access))
        .execute(&app.pool)
        .await
        .unwrap();
    let answer = app.post("/api/v1/auth/logout-all").bearer(&sessions[1].access).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["data"]["sessions_terminated"], 3);
    assert!(answer.clears_the_cookie());
    for session in &sessions {
        assert_eq!(app.sessions(&session.access).await.error(), (401, "TOKEN_REVOKED"));
        assert_eq!(app.refresh(&session.cookie).await.error(), (401, "TOKEN_REVOKED"));
    }
    // A token issued after the event, within the same second.
    let new = siti.login().await;
    assert_eq!(app.sessions(&new.access).await.status, 200);
}

#[tokio::test]
async fn other_replicas_refuse_a_logged_out_token_without_asking_the_database() {
    let app = TestApp::spawn().await;
    let session = app.account("siti").await.login().await;
    let list = app.follow_revocations().await;
    let claims = typed_claims(&session.access);
    assert!(!list.refuses(&claims));
    app.logout(&session.access).await;
    eventually("the revocation arrives", async || list.refuses(&claims)).await;
}

#[tokio::test]
async fn a_bucket_that_lost_its_storage_is_filled_again() {
    let mut app = TestApp::on(grafikarsa_devstack::testing::Stack::with_own_servers().await, &[]).await;
    let session = app.account("siti").await.login().await;
    app.logout(&session.access).await;
    let nats = app.stack.own.nats.as_mut().unwrap();
    nats.kill().await.unwrap();
    app.stack.lose_nats_storage();
    app.stack.own.nats.as_mut().unwrap().restart().await.unwrap();
    let claims = typed_claims(&session.access);
    let list = app.follow_revocations().await;
    eventually("the revocation is restored", async || list.refuses(&claims)).await;
    assert_eq!(app.logout(&session.access).await.error(), (401, "TOKEN_REVOKED"));
}

#[tokio::test]
async fn a_logout_while_nats_is_down_holds_here_at_once_and_elsewhere_later() {
    let mut app = TestApp::on(grafikarsa_devstack::testing::Stack::with_own_servers().await, &[]).await;
    let session = app.account("siti").await.login().await;
    let list = app.follow_revocations().await;
    let claims = typed_claims(&session.access);
    app.stack.own.nats.as_mut().unwrap().kill().await.unwrap();
    assert_eq!(app.logout(&session.access).await.status, 200);
    assert_eq!(app.logout(&session.access).await.error(), (401, "TOKEN_REVOKED"));
    app.stack.own.nats.as_mut().unwrap().restart().await.unwrap();
    eventually("the revocation arrives", async || list.refuses(&claims)).await;
}
