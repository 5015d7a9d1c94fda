//! The contract's table of what ends what, row by row.

use grafikarsa_jwt::Standing;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Answer, PASSWORD, Person, Session, TestApp, claims, eventually, session_id, typed_claims};

const NEW: &str = "kata-sandi-baru";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Logout,
    LogoutWithTheCookieOfB,
    LogoutWithTheCookieOfSomebodyElse,
    LogoutAll,
    RemovalOfB,
    ReuseOfB,
    OwnPasswordChange,
    PasswordReset,
    ResetOfOnesOwnPassword,
    Deactivation,
    Deletion,
    AnotherRole,
    AnotherName,
    LoginWithTheCookieOfB,
    LoginOfSomebodyElseWithTheCookieOfB,
}

/// Event, sessions that it ends, sessions whose access tokens it has refused. A is the calling one.
const TABLE: [(Event, &str, &str); 15] = [
    (Event::Logout, "A", "A"),
    (Event::LogoutWithTheCookieOfB, "AB", "AB"),
    (Event::LogoutWithTheCookieOfSomebodyElse, "A", "A"),
    (Event::LogoutAll, "ABC", "ABC"),
    (Event::RemovalOfB, "B", "B"),
    (Event::ReuseOfB, "B", "B"),
    (Event::OwnPasswordChange, "BC", "BC"),
    (Event::PasswordReset, "ABC", "ABC"),
    (Event::ResetOfOnesOwnPassword, "BC", "BC"),
    (Event::Deactivation, "ABC", "ABC"),
    (Event::Deletion, "ABC", "ABC"),
    (Event::AnotherRole, "", "ABC"),
    (Event::AnotherName, "", ""),
    (Event::LoginWithTheCookieOfB, "B", ""),
    (Event::LoginOfSomebodyElseWithTheCookieOfB, "B", ""),
];

impl Event {
    async fn happens(self, app: &TestApp, person: &Person<'_>, [a, b, _]: &[Session; 3], other: &Session) {
        let login = |name: &str| json!({ "username": name, "password": PASSWORD });
        let logout = || app.post("/api/v1/auth/logout").bearer(&a.access);
        let answer = match self {
            Self::Logout => logout().send().await,
            Self::LogoutWithTheCookieOfB => logout().cookie(&b.cookie).send().await,
            Self::LogoutWithTheCookieOfSomebodyElse => logout().cookie(&other.cookie).send().await,
            Self::LogoutAll => app.post("/api/v1/auth/logout-all").bearer(&a.access).send().await,
            Self::RemovalOfB => {
                let path = format!("/api/v1/auth/sessions/{}", session_id(&b.access));
                app.request(Method::DELETE, &path).bearer(&a.access).send().await
            }
            Self::ReuseOfB => {
                app.refresh(&b.cookie).await;
                let reused = app.refresh(&b.cookie).await;
                assert_eq!(reused.error(), (401, "TOKEN_REUSE_DETECTED"));
                return;
            }
            Self::OwnPasswordChange => app.change_password(&a.access, PASSWORD, NEW).await,
            Self::PasswordReset => app.change(person.id, json!({ "password": NEW })).await,
            Self::ResetOfOnesOwnPassword => {
                app.change(person.id, json!({ "password": NEW, "spared_session": session_id(&a.access) })).await
            }
            Self::Deactivation => app.change(person.id, json!({ "is_active": false })).await,
            Self::Deletion => app.change(person.id, json!({ "delete": true })).await,
            Self::AnotherRole => app.change(person.id, json!({ "role": "alumni" })).await,
            Self::AnotherName => app.change(person.id, json!({ "username": format!("{}_b", person.username) })).await,
            Self::LoginWithTheCookieOfB => {
                app.post("/api/v1/auth/login").cookie(&b.cookie).json(&login(&person.username)).send().await
            }
            Self::LoginOfSomebodyElseWithTheCookieOfB => {
                app.post("/api/v1/auth/login").cookie(&b.cookie).json(&login("somebody")).send().await
            }
        };
        assert_eq!(answer.status, 200, "{self:?}: {answer:?}");
    }

    /// The password afterwards.
    fn password(self) -> &'static str {
        match self {
            Self::OwnPasswordChange | Self::PasswordReset | Self::ResetOfOnesOwnPassword => NEW,
            _ => PASSWORD,
        }
    }

    /// What the cookie of an ended session is answered; a deactivated owner is active again by then.
    fn refusal(self) -> (u16, &'static str) {
        match self {
            Self::ReuseOfB => (401, "TOKEN_REUSE_DETECTED"),
            Self::Deletion => (401, "UNAUTHORIZED"),
            _ => (401, "TOKEN_REVOKED"),
        }
    }
}

/// A token issued right after the event, within the same second; `None` where nobody gets one any more.
async fn token_after(app: &TestApp, event: Event, person: &Person<'_>) -> Option<String> {
    let name: String = sqlx::query_scalar("select username from accounts where id = $1")
        .bind(person.id)
        .fetch_one(&app.pool)
        .await
        .unwrap();
    let login = app.login(&name, event.password(), &person.address).await;
    match event {
        Event::Deactivation => {
            assert_eq!(login.error(), (403, "ACCOUNT_DISABLED"));
            app.change(person.id, json!({ "is_active": true })).await;
            Some(app.login(&name, PASSWORD, &person.address).await.access())
        }
        Event::Deletion => {
            assert_eq!(login.error(), (400, "INVALID_CREDENTIALS"));
            None
        }
        _ => Some(login.access()),
    }
}

#[tokio::test]
async fn every_event_ends_what_the_contract_says_and_nothing_else() {
    // No grace: a second use is reuse at once.
    let app = TestApp::with(&[("REFRESH_REUSE_GRACE_SECONDS", "0")]).await;
    // What other services refuse.
    let elsewhere = app.follow_revocations().await;
    app.account("somebody").await;
    let bystander = app.account("bystander").await;
    for (row, (event, ended, refused)) in TABLE.into_iter().enumerate() {
        let person = app.account(&format!("murid_{row}")).await;
        let sessions = [person.login().await, person.login().await, person.login().await];
        let other = bystander.login().await;
        event.happens(&app, &person, &sessions, &other).await;
        let new = token_after(&app, event, &person).await;

        for (name, session) in ["A", "B", "C"].into_iter().zip(&sessions) {
            let (is_refused, is_ended) = (refused.contains(name), ended.contains(name));
            let accepted = app.sessions(&session.access).await;
            let expected = if is_refused { (401, "TOKEN_REVOKED") } else { (200, "none") };
            assert_eq!(accepted.error(), expected, "{event:?}: the access token of {name}");
            let claims = typed_claims(&session.access);
            if is_refused {
                eventually("other services refuse it", async || elsewhere.refuses(&claims)).await;
            } else {
                assert!(!elsewhere.refuses(&claims), "{event:?}: the access token of {name} elsewhere");
            }
            let standing = match (is_refused, is_ended) {
                (false, false) => Standing::Good,
                (true, false) => Standing::Refused,
                (true, true) => Standing::Revoked,
                (false, true) => Standing::Ended,
            };
            eventually("other services know why", async || {
                elsewhere.standing(claims.sub, claims.sid, claims.epoch) == standing
            })
            .await;
            assert_eq!(is_live(&app, session).await, !is_ended, "{event:?}: session {name}");
            let refreshed = app.refresh(&session.cookie).await;
            if is_ended {
                assert_eq!(refreshed.error(), event.refusal(), "{event:?}: the cookie of {name}");
                assert!(refreshed.clears_the_cookie());
            } else {
                is_renewed(&app, event, &refreshed).await;
            }
        }
        if let Some(new) = new {
            assert_eq!(app.sessions(&new).await.status, 200, "{event:?}: a token issued right after");
            assert!(!elsewhere.refuses(&typed_claims(&new)));
        }
        assert_eq!(app.sessions(&other.access).await.status, 200, "{event:?}: the other person's token");
        assert!(!elsewhere.refuses(&typed_claims(&other.access)));
        assert_eq!(app.refresh(&other.cookie).await.status, 200, "{event:?}: the other person's session");
    }
}

/// A live session gets a good token with the current role.
async fn is_renewed(app: &TestApp, event: Event, refreshed: &Answer) {
    assert_eq!(refreshed.status, 200, "{event:?}: {refreshed:?}");
    let role = if event == Event::AnotherRole { "alumni" } else { "student" };
    assert_eq!(claims(&refreshed.access())["role"], role);
    assert_eq!(app.sessions(&refreshed.access()).await.status, 200);
}

async fn is_live(app: &TestApp, session: &Session) -> bool {
    let id: Uuid = session_id(&session.access).parse().unwrap();
    sqlx::query_scalar("select ended_at is null from sessions where id = $1")
        .bind(id)
        .fetch_one(&app.pool)
        .await
        .unwrap()
}
