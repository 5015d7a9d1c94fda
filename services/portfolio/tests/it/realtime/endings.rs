//! Sockets end with their token, their session, their account and their replica.

use std::time::Duration;

use grafikarsa_devstack::testing::Stack;
use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::{Two, auth, client::Client, login, minted, session_of};
use crate::support::{PASSWORD, TestApp, eventually};

const SOON: Duration = Duration::from_secs(5);

/// They close with this code within five seconds of the answer.
async fn end_soon(sockets: &mut [Client], code: u16, what: &str) {
    let deadline = Instant::now() + SOON;
    for (number, socket) in sockets.iter_mut().enumerate() {
        let closed = tokio::time::timeout_at(deadline, socket.closed()).await;
        assert_eq!(closed, Ok(Some(code)), "{what}: socket {number}");
    }
}

async fn stays(socket: &mut Client, what: &str) {
    // Longer than it takes others to end.
    let ended = timeout(Duration::from_secs(2), socket.closed()).await;
    assert!(ended.is_err(), "{what}: {ended:?}");
    socket.ping().await;
    socket.expect("pong").await;
}

#[tokio::test]
async fn a_socket_ends_when_its_token_expires_and_is_told_before() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let short = siti.with_token(minted(&app, &siti, 4, 0));
    let started = Instant::now();
    let mut ending = short.socket(&app.portfolio).await;
    let mut going_on = siti.socket(&app.portfolio).await;
    let told = ending.expect("auth.expiring").await;
    let expires_at: chrono::DateTime<chrono::Utc> = told["expires_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(expires_at.timestamp(), super::claims(&short.token)["exp"].as_i64().unwrap());
    ending.closes_with(4401).await;
    let late = chrono::Utc::now() - expires_at;
    assert!(late >= chrono::Duration::zero() && late <= chrono::Duration::seconds(5), "{late}");
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(!ending.seen.iter().any(|frame| frame["type"] == "auth.expiring"), "told once");
    going_on.ping().await;
    going_on.expect("pong").await;
    assert!(going_on.seen.is_empty(), "not a minute before the end: {:?}", going_on.seen);
}

#[tokio::test]
async fn a_newer_token_of_the_same_user_keeps_the_socket() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let mut client = siti.with_token(minted(&app, &siti, 3, 0)).socket(&app.portfolio).await;
    client.say(&json!({ "type": "auth", "payload": { "token": siti.token } })).await;
    let renewed = client.expect("auth.ok").await;
    let expires_at = chrono::DateTime::from_timestamp(super::claims(&siti.token)["exp"].as_i64().unwrap(), 0).unwrap();
    assert_eq!(renewed, json!({ "expires_at": expires_at }));
    let ended = timeout(Duration::from_secs(5), client.closed()).await;
    assert!(ended.is_err(), "the first token expired after three seconds");
}

#[tokio::test]
async fn another_users_token_or_a_bad_one_ends_the_socket() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let expired = minted(&app, &siti, 60, 61);
    for token in [budi.token.as_str(), "nonsense", "", &expired] {
        let mut client = siti.socket(&app.portfolio).await;
        client.say(&json!({ "type": "auth", "payload": { "token": token } })).await;
        client.closes_with(4401).await;
    }
}

#[tokio::test]
async fn a_socket_belongs_to_the_session_of_its_newest_token() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let again = app.again(&siti).await;
    let mut client = siti.socket(&app.portfolio).await;
    client.say(&json!({ "type": "auth", "payload": { "token": again.token } })).await;
    client.expect("auth.ok").await;
    auth(&app, Method::POST, "/api/v1/auth/logout", &siti.token, "", &json!({})).await;
    stays(&mut client, "the old session has ended").await;
    auth(&app, Method::POST, "/api/v1/auth/logout", &again.token, "", &json!({})).await;
    end_soon(&mut [client], 4403, "the new session").await;
}

/// What ends sessions, and which: A acts, B and C are others of the same user.
const TABLE: [(&str, &str); 10] = [
    ("logout", "A"),
    ("logout with the cookie of B", "AB"),
    ("logout-all", "ABC"),
    ("removal of B", "B"),
    ("reuse of B", "B"),
    ("own password change", "BC"),
    ("password reset", "ABC"),
    ("deactivation", "ABC"),
    ("deletion", "ABC"),
    ("login with the cookie of B", "B"),
];

#[tokio::test]
async fn whatever_ends_a_session_ends_its_sockets_on_every_replica_and_no_other() {
    let mut stack = Stack::new().await;
    // A second use of a refresh token is reuse at once.
    stack.set("REFRESH_REUSE_GRACE_SECONDS", "0").set("LIMIT_HANDSHAKES", "1000/60");
    let two = Two::on(stack, &[]).await;
    let app = &two.app;
    app.student("lain").await;
    for (row, (event, ended)) in TABLE.into_iter().enumerate() {
        let user = app.student(&format!("murid_{row}")).await;
        let sessions = [login(app, &user.username, "").await, login(app, &user.username, "").await];
        let [a, b] = sessions.each_ref().map(|session| session.user(&user));
        let (c, cookie) = (&user, sessions[1].cookie.as_str());
        let mut sockets = [two.sockets(&a).await, two.sockets(&b).await, two.sockets(c).await];
        let post = async |path: &str, cookie: &str, body| auth(app, Method::POST, path, &a.token, cookie, &body).await;
        let nothing = || json!({});
        match event {
            "logout" => drop(post("/api/v1/auth/logout", "", nothing()).await),
            "logout with the cookie of B" => drop(post("/api/v1/auth/logout", cookie, nothing()).await),
            "logout-all" => drop(post("/api/v1/auth/logout-all", "", nothing()).await),
            "removal of B" => {
                let path = format!("/api/v1/auth/sessions/{}", session_of(&b));
                auth(app, Method::DELETE, &path, &a.token, "", &nothing()).await;
            }
            "reuse of B" => {
                assert_eq!(post("/api/v1/auth/refresh", cookie, nothing()).await.status, 200);
                assert_eq!(post("/api/v1/auth/refresh", cookie, nothing()).await.status, 401);
            }
            "own password change" => {
                let body = json!({ "current_password": PASSWORD, "new_password": "kata-sandi-baru",
                    "new_password_confirmation": "kata-sandi-baru" });
                let answer = auth(app, Method::PATCH, "/api/v1/me/password", &a.token, "", &body).await;
                assert_eq!(answer.status, 200);
            }
            "password reset" => app.change(&user, json!({ "password": "kata-sandi-baru" })).await,
            "deactivation" => app.change(&user, json!({ "is_active": false })).await,
            "deletion" => app.change(&user, json!({ "delete": true })).await,
            "login with the cookie of B" => assert_eq!(login(app, "lain", cookie).await.status, 200),
            _ => unreachable!(),
        }
        for (name, sockets) in ["A", "B", "C"].iter().zip(&mut sockets) {
            if ended.contains(name) {
                end_soon(sockets, 4403, &format!("{event}, {name}")).await;
            }
        }
        for (name, sockets) in ["A", "B", "C"].iter().zip(&mut sockets) {
            if !ended.contains(name) {
                stays(&mut sockets[0], &format!("{event}, {name}")).await;
            }
        }
    }
}

#[tokio::test]
async fn another_role_ends_the_token_and_not_the_session() {
    let two = Two::spawn().await;
    let user = two.app.student("siti").await;
    let session = login(&two.app, "siti", "").await;
    let mut sockets = two.sockets(&session.user(&user)).await;
    two.app.change(&user, json!({ "role": "alumni" })).await;
    end_soon(&mut sockets, 4401, "another role").await;
    // As the close code says, a new token is all that is needed.
    let path = "/api/v1/auth/refresh";
    let refreshed = auth(&two.app, Method::POST, path, "x", &session.cookie, &json!({})).await;
    refreshed.user(&user).socket(&two.second).await;
}

#[tokio::test]
async fn a_reset_of_ones_own_password_with_another_role_keeps_the_session_and_not_its_token() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let other = app.again(&siti).await;
    let (mut own, mut another) = (siti.socket(&app.portfolio).await, other.socket(&app.portfolio).await);
    let change = json!({ "password": "kata-sandi-baru", "role": "alumni", "spared_session": session_of(&siti) });
    app.change(&siti, change).await;
    end_soon(std::slice::from_mut(&mut another), 4403, "the other session").await;
    end_soon(std::slice::from_mut(&mut own), 4401, "the spared session").await;
}

#[tokio::test]
async fn a_stopping_replica_says_so_before_anything_else_and_lets_nobody_in() {
    let mut two = Two::with(&[("SHUTDOWN_GRACE", "2s")]).await;
    let siti = two.app.student("siti").await;
    let budi = two.app.student("budi").await;
    let url = two.second.public_url();
    let mut sockets = [siti.socket(&two.second).await, siti.socket(&two.second).await];
    let mut elsewhere = budi.socket(&two.app.portfolio).await;
    let stopping = tokio::spawn(async move {
        two.second.terminate().await;
        two
    });
    for socket in &mut sockets {
        socket.closes_with(1012).await;
    }
    let refused = super::client::shake(&url, "", &[("authorization", &format!("Bearer {}", siti.token))]).await;
    refused.err().unwrap().is(503, "SERVICE_UNAVAILABLE");
    let two = stopping.await.unwrap();
    elsewhere.ping().await;
    elsewhere.expect("pong").await;
    let left = "select count(*) from chat_sockets";
    eventually("its books are closed", async || two.app.count(left).await == 1).await;
    assert_eq!(two.app.count("select count(*) from chat_replicas").await, 1);
}

#[tokio::test]
async fn a_token_of_a_session_that_has_ended_renews_nothing() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let ended = app.again(&siti).await;
    auth(&app, Method::POST, "/api/v1/auth/logout", &ended.token, "", &json!({})).await;
    eventually("the end of the session is known", async || {
        app.get_with_token("/api/v1/me", &ended.token).await.status == 401
    })
    .await;
    let mut client = siti.socket(&app.portfolio).await;
    client.say(&json!({ "type": "auth", "payload": { "token": ended.token } })).await;
    client.closes_with(4401).await;
}

#[tokio::test]
async fn every_token_of_a_socket_is_told_to_expire() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let mut client = siti.with_token(minted(&app, &siti, 30, 0)).socket(&app.portfolio).await;
    let first = client.expect("auth.expiring").await;
    client.say(&json!({ "type": "auth", "payload": { "token": minted(&app, &siti, 40, 0) } })).await;
    let renewed = client.expect("auth.ok").await;
    let second = client.expect("auth.expiring").await;
    assert_eq!(second, renewed);
    assert_ne!(second, first);
}
