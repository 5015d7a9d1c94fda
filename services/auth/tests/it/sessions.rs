use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, PASSWORD, TestApp, session_id};

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 \
                      Safari/537.36";

async fn remove(app: &TestApp, access: &str, session: &str) -> Answer {
    app.request(Method::DELETE, &format!("/api/v1/auth/sessions/{session}")).bearer(access).send().await
}

#[tokio::test]
async fn live_sessions_are_listed_the_youngest_first() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let first = siti.login().await;
    let body = json!({ "username": "siti", "password": PASSWORD });
    let second = app
        .post("/api/v1/auth/login")
        .address("203.0.113.7")
        .header("user-agent", CHROME)
        .json(&body)
        .send()
        .await
        .session();
    let ended = siti.login().await;
    app.logout(&ended.access).await;
    app.account("budi").await.login().await;
    let refreshed = app.post("/api/v1/auth/refresh").cookie(&first.cookie).address("203.0.113.8").send().await;

    let listed = app.sessions(&second.access).await;
    assert_eq!(listed.status, 200);
    let [young, old] = &listed.body["data"].as_array().unwrap()[..] else { panic!("{listed:?}") };
    assert_eq!(young["id"], session_id(&second.access));
    assert_eq!(young["ip_address"], "203.0.113.7");
    assert_eq!(young["last_used_at"], Value::Null);
    assert_eq!(young["is_current"], true);
    assert_eq!(
        young["device_info"],
        json!({ "user_agent": CHROME, "device_type": "desktop", "browser": "Chrome", "os": "Windows 10" })
    );
    // Its id is stable over the refresh.
    assert_eq!(old["id"], session_id(&first.access));
    assert_eq!(old["id"], session_id(&refreshed.access()));
    assert_eq!(old["ip_address"], "203.0.113.8");
    assert!(old["last_used_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(old["is_current"], false);
}

#[tokio::test]
async fn a_removed_session_is_over() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let (here, there) = (siti.login().await, siti.login().await);
    let answer = remove(&app, &here.access, &session_id(&there.access)).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body["data"].is_null());
    assert_eq!(answer.set_cookie(), None);
    assert_eq!(app.sessions(&there.access).await.error(), (401, "TOKEN_REVOKED"));
    assert_eq!(app.refresh(&there.cookie).await.error(), (401, "TOKEN_REVOKED"));
    assert_eq!(app.sessions(&here.access).await.status, 200);
}

#[tokio::test]
async fn removing_the_current_session_clears_the_cookie() {
    let app = TestApp::spawn().await;
    let session = app.account("siti").await.login().await;
    assert!(remove(&app, &session.access, &session_id(&session.access)).await.clears_the_cookie());
    assert_eq!(app.sessions(&session.access).await.error(), (401, "TOKEN_REVOKED"));
}

#[tokio::test]
async fn unknown_ended_expired_and_foreign_sessions_are_all_not_found() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let here = siti.login().await;
    let foreign = app.account("budi").await.login().await;
    let ended = siti.login().await;
    app.logout(&ended.access).await;
    let expired = siti.login().await;
    sqlx::query("update sessions set expires_at = now() where id = $1::uuid")
        .bind(session_id(&expired.access))
        .execute(&app.pool)
        .await
        .unwrap();
    for session in [
        session_id(&foreign.access),
        session_id(&ended.access),
        session_id(&expired.access),
        Uuid::now_v7().to_string(),
    ] {
        assert_eq!(remove(&app, &here.access, &session).await.error(), (404, "SESSION_NOT_FOUND"));
    }
    assert_eq!(app.sessions(&foreign.access).await.status, 200);
}

#[tokio::test]
async fn a_malformed_id_is_400_after_the_token() {
    let app = TestApp::spawn().await;
    let session = app.account("siti").await.login().await;
    assert_eq!(remove(&app, &session.access, "nonsense").await.error(), (400, "VALIDATION_ERROR"));
    assert_eq!(remove(&app, "nonsense", "nonsense").await.error(), (401, "INVALID_TOKEN"));
}

#[tokio::test]
async fn no_answer_of_this_service_may_be_stored() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let access = siti.login().await.access;
    for (method, path) in [
        (Method::POST, "/api/v1/auth/login"),
        (Method::POST, "/api/v1/auth/refresh"),
        (Method::GET, "/api/v1/auth/sessions"),
        (Method::DELETE, "/api/v1/auth/sessions/nonsense"),
        (Method::PATCH, "/api/v1/me/password"),
        (Method::GET, "/api/v1/me/check-username?username=budi"),
        (Method::POST, "/api/v1/auth/logout"),
        (Method::POST, "/api/v1/auth/logout-all"),
        (Method::GET, "/api/v1/auth/nothing"),
    ] {
        for call in [app.request(method.clone(), path), app.request(method.clone(), path).bearer(&access)] {
            assert_eq!(call.send().await.headers["cache-control"], "no-store", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_deactivated_or_deleted_owners_token_is_revoked_on_every_route() {
    let app = TestApp::spawn().await;
    for (name, what) in [("siti", json!({ "is_active": false })), ("budi", json!({ "delete": true }))] {
        let person = app.account(name).await;
        let session = person.login().await;
        assert_eq!(app.change(person.id, what).await.status, 200);
        for (method, path) in [
            (Method::GET, "/api/v1/auth/sessions".to_owned()),
            (Method::DELETE, format!("/api/v1/auth/sessions/{}", session_id(&session.access))),
            (Method::POST, "/api/v1/auth/logout".to_owned()),
            (Method::POST, "/api/v1/auth/logout-all".to_owned()),
            (Method::PATCH, "/api/v1/me/password".to_owned()),
            (Method::GET, "/api/v1/me/check-username?username=rina".to_owned()),
        ] {
            let answer = app.request(method, &path).bearer(&session.access).send().await;
            assert_eq!(answer.error(), (401, "TOKEN_REVOKED"), "{name}: {path}");
        }
    }
}

#[tokio::test]
async fn the_owners_row_decides_even_where_no_revocation_has_arrived() {
    let app = TestApp::spawn().await;
    let session = app.account("siti").await.login().await;
    app.sql("update accounts set is_active = false").await;
    assert_eq!(app.sessions(&session.access).await.error(), (401, "TOKEN_REVOKED"));
}
