use futures_util::future::join_all;

use crate::support::{TestApp, claims};

const STRICT: &[(&str, &str)] = &[("REFRESH_REUSE_GRACE_SECONDS", "0")];

#[tokio::test]
async fn a_live_token_is_rotated() {
    let app = TestApp::spawn().await;
    let session = app.account("siti").await.login().await;
    let answer = app.refresh(&session.cookie).await;
    assert_eq!(answer.status, 200);
    let data = answer.body["data"].as_object().unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["access_token", "expires_in", "token_type"]);
    assert_ne!(answer.cookie().unwrap(), session.cookie);
    assert!(answer.set_cookie().unwrap().contains("Max-Age=604800"));
    let (old, new) = (claims(&session.access), claims(&answer.access()));
    assert_eq!(old["sid"], new["sid"]);
    assert_ne!(old["jti"], new["jti"]);
    assert_eq!(app.sessions(&answer.access()).await.status, 200);
}

#[tokio::test]
async fn a_body_is_ignored_and_not_needed() {
    let app = TestApp::spawn().await;
    let mut cookie = app.account("siti").await.login().await.cookie;
    for (kind, body) in [("application/json", "{}"), ("text/plain", "nonsense"), ("application/json", "{")] {
        let answer = app.post("/api/v1/auth/refresh").cookie(&cookie).body(kind, body).send().await;
        assert_eq!(answer.status, 200, "{body}");
        cookie = answer.session().cookie;
    }
}

#[tokio::test]
async fn no_cookie_and_an_empty_one_are_expired_and_nothing_is_cleared() {
    let app = TestApp::spawn().await;
    for answer in [app.post("/api/v1/auth/refresh").send().await, app.refresh("").await] {
        assert_eq!(answer.error(), (401, "TOKEN_EXPIRED"));
        assert_eq!(answer.set_cookie(), None);
    }
}

#[tokio::test]
async fn an_unknown_token_is_expired_and_cleared() {
    let app = TestApp::spawn().await;
    let answer = app.refresh("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    assert_eq!(answer.error(), (401, "TOKEN_EXPIRED"));
    assert!(answer.clears_the_cookie());
}

#[tokio::test]
async fn an_expired_token_is_expired_and_cleared() {
    let app = TestApp::spawn().await;
    let session = app.account("siti").await.login().await;
    app.sql("update refresh_tokens set expires_at = now() - interval '1 second'").await;
    let answer = app.refresh(&session.cookie).await;
    assert_eq!(answer.error(), (401, "TOKEN_EXPIRED"));
    assert!(answer.clears_the_cookie());
}

#[tokio::test]
async fn reuse_ends_the_session_and_its_successors() {
    // The contract's own example, with a grace of zero.
    let app = TestApp::with(STRICT).await;
    let a = app.account("siti").await.login().await;
    let b = app.refresh(&a.cookie).await.session();
    let reused = app.refresh(&a.cookie).await;
    assert_eq!(reused.error(), (401, "TOKEN_REUSE_DETECTED"));
    assert!(reused.clears_the_cookie());
    let successor = app.refresh(&b.cookie).await;
    assert_eq!(successor.error(), (401, "TOKEN_REUSE_DETECTED"));
    assert!(successor.clears_the_cookie());
    for access in [&a.access, &b.access] {
        assert_eq!(app.sessions(access).await.error(), (401, "TOKEN_REVOKED"));
    }
    assert!(app.stack.log("auth").contains("a refresh token was used twice"));
}

#[tokio::test]
async fn a_token_rotated_more_than_ten_seconds_ago_is_reuse() {
    let app = TestApp::spawn().await;
    let a = app.account("siti").await.login().await;
    app.refresh(&a.cookie).await.session();
    app.sql("update refresh_tokens set rotated_at = rotated_at - interval '11 seconds'").await;
    assert_eq!(app.refresh(&a.cookie).await.error(), (401, "TOKEN_REUSE_DETECTED"));
}

#[tokio::test]
async fn within_ten_seconds_a_rotated_token_gives_an_access_token_and_no_cookie() {
    let app = TestApp::spawn().await;
    let a = app.account("siti").await.login().await;
    let b = app.refresh(&a.cookie).await.session();
    let again = app.refresh(&a.cookie).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.set_cookie(), None);
    assert_eq!(app.sessions(&again.access()).await.status, 200);
    assert_eq!(app.refresh(&b.cookie).await.status, 200);
}

#[tokio::test]
async fn of_many_refreshes_at_once_exactly_one_rotates() {
    let app = TestApp::spawn().await;
    let session = app.account("siti").await.login().await;
    let answers = join_all((0..16).map(|_| app.refresh(&session.cookie))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.set_cookie().is_some()).count(), 1);
    assert_eq!(app.count("select count(*) from refresh_tokens").await, 2);
}

#[tokio::test]
async fn of_many_refreshes_at_once_without_grace_one_rotates_and_the_session_ends() {
    let app = TestApp::with(STRICT).await;
    let session = app.account("siti").await.login().await;
    let answers = join_all((0..16).map(|_| app.refresh(&session.cookie))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    let reused = answers.iter().filter(|answer| answer.error() == (401, "TOKEN_REUSE_DETECTED")).count();
    assert_eq!(reused, 15);
}

#[tokio::test]
async fn the_session_of_a_logged_out_user_is_revoked_even_in_the_grace_window() {
    let app = TestApp::spawn().await;
    let a = app.account("siti").await.login().await;
    let b = app.refresh(&a.cookie).await.session();
    app.logout(&b.access).await;
    for cookie in [&a.cookie, &b.cookie] {
        let answer = app.refresh(cookie).await;
        assert_eq!(answer.error(), (401, "TOKEN_REVOKED"));
        assert!(answer.clears_the_cookie());
    }
}

#[tokio::test]
async fn a_deactivated_or_deleted_owner_is_unauthorized_and_the_session_ends() {
    for change in ["update accounts set is_active = false", "update accounts set deleted_at = now()"] {
        let app = TestApp::spawn().await;
        let session = app.account("siti").await.login().await;
        app.sql(change).await;
        let answer = app.refresh(&session.cookie).await;
        assert_eq!(answer.error(), (401, "UNAUTHORIZED"), "{change}");
        assert!(answer.clears_the_cookie());
        assert_eq!(app.count("select count(*) from sessions where ended_at is null").await, 0);
        // An earlier deactivation: active again, but the session is not.
        app.sql("update accounts set is_active = true, deleted_at = null").await;
        assert_eq!(app.refresh(&session.cookie).await.error(), (401, "TOKEN_REVOKED"));
    }
}

#[tokio::test]
async fn the_new_access_token_carries_the_current_role_and_epoch() {
    let app = TestApp::spawn().await;
    let session = app.account("siti").await.login().await;
    app.sql("update accounts set role = 'alumni', token_epoch = 3").await;
    let new = claims(&app.refresh(&session.cookie).await.access());
    assert_eq!((new["role"].as_str(), new["epoch"].as_i64()), (Some("alumni"), Some(3)));
    // In the grace window as well.
    let again = claims(&app.refresh(&session.cookie).await.access());
    assert_eq!((again["role"].as_str(), again["epoch"].as_i64()), (Some("alumni"), Some(3)));
}

#[tokio::test]
async fn a_refresh_slides_the_session_and_stores_time_and_address() {
    let app = TestApp::spawn().await;
    let session = app.account("siti").await.login().await;
    app.sql("update sessions set expires_at = now() + interval '1 hour'").await;
    app.post("/api/v1/auth/refresh").cookie(&session.cookie).address("203.0.113.77").send().await;
    let slid = "select count(*) from sessions
        where expires_at > now() + interval '167 hours' and last_used_at is not null and ip_address = '203.0.113.77'";
    assert_eq!(app.count(slid).await, 1);
}

#[tokio::test]
async fn a_dead_cookie_three_times_in_a_row_does_not_touch_the_login() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    for _ in 0..3 {
        let answer = app.post("/api/v1/auth/refresh").address(&siti.address).cookie("dead").send().await;
        assert_eq!(answer.error(), (401, "TOKEN_EXPIRED"));
    }
    siti.login().await;
}
