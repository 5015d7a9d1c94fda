//! Who may open a socket, and in which order that is decided.

use grafikarsa_devstack::testing::{Stack, http_client};
use reqwest::Method;
use serde_json::json;

use super::{Two, auth, client::shake, login, minted};
use crate::support::{TestApp, eventually};

const PATH: &str = "/api/v1/ws/chat";

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn what_asks_for_no_websocket_is_426_before_anything_else() {
    let app = TestApp::spawn().await;
    let answer = app.get(PATH).await;
    answer.fails(426, "UPGRADE_REQUIRED");
    assert_eq!(answer.headers["upgrade"], "websocket");
    let foreign = [("origin", "https://jahat.example"), ("authorization", "Bearer x")];
    app.guest(Method::GET, PATH, &foreign).await.fails(426, "UPGRADE_REQUIRED");
    // Another version of the protocol is none that is spoken here.
    let old = [("sec-websocket-version", "8")];
    let url = app.portfolio.public_url();
    shake(&url, "", &old).await.err().unwrap().is(426, "UPGRADE_REQUIRED");
}

#[tokio::test]
async fn a_foreign_origin_is_refused_before_the_token_is_looked_at() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let (url, good) = (app.portfolio.public_url(), bearer(&siti.token));
    for origin in ["https://jahat.example", "http://localhost:3001", "null", "http://localhost:3000.jahat.example"] {
        for token in [good.as_str(), "Bearer x"] {
            let refused = shake(&url, "", &[("origin", origin), ("authorization", token)]).await;
            refused.err().unwrap().is(403, "FORBIDDEN");
        }
    }
    let own = shake(&url, "", &[("origin", "http://localhost:3000"), ("authorization", &good)]).await;
    own.ok().unwrap().expect("ready").await;
}

#[tokio::test]
async fn the_token_comes_from_the_query_and_else_from_the_header() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let (url, query) = (app.portfolio.public_url(), format!("?v=1&token={}", siti.token));
    let header = bearer(&budi.token);
    for (query, headers, user) in [
        (query.as_str(), vec![], &siti),
        (query.as_str(), vec![("authorization", header.as_str())], &siti),
        ("", vec![("authorization", header.as_str())], &budi),
        ("?token=", vec![("authorization", header.as_str())], &budi),
    ] {
        let mut client = shake(&url, query, &headers).await.ok().unwrap();
        let ready = client.expect("ready").await;
        assert_eq!(ready["user_id"], json!(user.id), "{query}");
    }
    // The first one found counts, also when it is bad.
    let refused = shake(&url, "?token=x", &[("authorization", &header)]).await;
    refused.err().unwrap().is(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn every_bad_token_has_its_code() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let url = app.portfolio.public_url();
    let expired = minted(&app, &siti, 60, 61);
    let forged = format!("{}x", siti.token);
    for (token, code) in [(expired.as_str(), "TOKEN_EXPIRED"), (forged.as_str(), "INVALID_TOKEN")] {
        shake(&url, &format!("?token={token}"), &[]).await.err().unwrap().is(401, code);
        shake(&url, "", &[("authorization", &bearer(token))]).await.err().unwrap().is(401, code);
    }
    shake(&url, "", &[]).await.err().unwrap().is(401, "UNAUTHORIZED");
    shake(&url, "", &[("authorization", "Basic x")]).await.err().unwrap().is(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_session_that_has_ended_opens_no_socket_even_where_its_tokens_are_good() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let url = app.portfolio.public_url();
    let left = login(&app, "siti", "").await;
    let replaced = login(&app, "siti", &left.cookie).await;
    let refused = async |token: String| {
        eventually("the end of the session is known", async || {
            shake(&url, "", &[("authorization", &bearer(&token))]).await.err().is_some_and(|refusal| {
                refusal.is(401, "TOKEN_REVOKED");
                true
            })
        })
        .await;
    };
    let left = left.user(&siti);
    refused(left.token.clone()).await;
    // Anything else goes on with it.
    left.get("/api/v1/me").await.data(200);
    let replaced = replaced.user(&siti);
    auth(&app, Method::POST, "/api/v1/auth/logout", &replaced.token, "", &json!({})).await;
    refused(replaced.token).await;
}

#[tokio::test]
async fn a_deactivated_or_deleted_account_opens_no_socket() {
    let app = TestApp::spawn().await;
    let (siti, budi, wati) = (app.student("siti").await, app.student("budi").await, app.student("wati").await);
    app.deactivate(&siti).await;
    app.delete_account(&budi).await;
    // The copy of the account is enough; the list of revocations may be late.
    sqlx::query("update users set is_active = false where id = $1").bind(wati.id).execute(&app.pool).await.unwrap();
    for user in [siti, budi, wati] {
        let refused = shake(&app.portfolio.public_url(), "", &[("authorization", &bearer(&user.token))]).await;
        refused.err().unwrap().is(401, "TOKEN_REVOKED");
    }
}

#[tokio::test]
async fn handshakes_of_a_user_are_counted_on_all_replicas_together() {
    let two = Two::with(&[("LIMIT_HANDSHAKES", "2/60")]).await;
    let (siti, budi) = (two.app.student("siti").await, two.app.student("budi").await);
    let (first, second) = (two.app.portfolio.public_url(), two.second.public_url());
    let header = bearer(&siti.token);
    shake(&first, "", &[("authorization", &header)]).await.ok().unwrap();
    // What is refused before is not counted.
    shake(&first, "", &[("authorization", &header), ("origin", "https://jahat.example")]).await.err().unwrap();
    shake(&second, "", &[("authorization", &header)]).await.ok().unwrap();
    for url in [&first, &second] {
        let refusal = shake(url, "", &[("authorization", &header)]).await.err().unwrap();
        refusal.is(429, "TOO_MANY_REQUESTS");
        assert!(refusal.response.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    }
    budi.socket(&two.second).await;
}

#[tokio::test]
async fn a_replica_without_room_says_so_and_has_room_again_when_a_socket_ends() {
    let app = TestApp::with(&[("WS_MAX_SOCKETS", "1")]).await;
    let siti = app.student("siti").await;
    let (url, header) = (app.portfolio.public_url(), bearer(&siti.token));
    let only = siti.socket(&app.portfolio).await;
    shake(&url, "", &[("authorization", &header)]).await.err().unwrap().is(503, "SERVICE_UNAVAILABLE");
    only.close().await;
    eventually("there is room", async || shake(&url, "", &[("authorization", &header)]).await.is_ok()).await;
}

#[tokio::test]
async fn a_replica_that_does_not_hear_the_bus_opens_no_socket() {
    let mut app = TestApp::on(Stack::with_own_servers().await, &[("LIMIT_HANDSHAKES", "1000/60")]).await;
    let siti = app.student("siti").await;
    let (url, header) = (app.portfolio.public_url(), bearer(&siti.token));
    siti.socket(&app.portfolio).await;
    let nats = app.stack.own.nats.as_mut().unwrap();
    nats.kill().await.unwrap();
    eventually("the replica knows", async || {
        shake(&url, "", &[("authorization", &header)]).await.err().is_some_and(|refusal| {
            refusal.is(503, "SERVICE_UNAVAILABLE");
            true
        })
    })
    .await;
    app.stack.own.nats.as_mut().unwrap().restart().await.unwrap();
    eventually("sockets open again", async || shake(&url, "", &[("authorization", &header)]).await.is_ok()).await;
}

#[tokio::test]
async fn the_token_of_the_query_is_in_no_log() {
    let mut stack = Stack::new().await;
    stack.set("LOG_LEVEL", "trace");
    let app = TestApp::on(stack, &[]).await;
    let siti = app.student("siti").await;
    let nginx = app.stack.nginx().await;
    let mut client = shake(&nginx, &format!("?token={}", siti.token), &[]).await.ok().unwrap();
    client.expect("ready").await;
    client.close().await;
    // Also where nginx has something to complain about.
    let mut unanswered = shake(&nginx, &format!("?token={}&x=putus", siti.token), &[]).await.ok().unwrap();
    unanswered.expect("ready").await;
    drop(unanswered);
    http_client().get(nginx.join(&format!("{PATH}?token={}", siti.token)).unwrap()).send().await.unwrap();
    eventually("nginx has logged all of it", async || {
        app.stack.log("nginx/access").matches("/api/v1/ws/chat ").count() == 3
    })
    .await;
    let signature = siti.token.rsplit('.').next().unwrap();
    for log in ["nginx/access", "nginx/error", "nginx/nginx", "portfolio"] {
        let log = app.stack.log(log);
        assert!(!log.contains(signature) && !log.contains("token="), "the token is logged");
    }
    assert!(app.stack.log("portfolio").contains("/api/v1/ws/chat"), "the request itself is logged");
}

#[tokio::test]
async fn a_503_counts_for_nothing_and_comes_after_401_and_429() {
    let app = TestApp::with(&[("WS_MAX_SOCKETS", "1"), ("LIMIT_HANDSHAKES", "2/600")]).await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let (url, header) = (app.portfolio.public_url(), bearer(&siti.token));
    let shaken = async || shake(&url, "", &[("authorization", &header)]).await;
    let only = budi.socket(&app.portfolio).await;
    for _ in 0..3 {
        shaken().await.err().unwrap().is(503, "SERVICE_UNAVAILABLE");
    }
    only.close().await;
    for _ in 0..2 {
        let mut open = None;
        eventually("there is room", async || {
            open = shaken().await.ok();
            open.is_some()
        })
        .await;
        open.unwrap().close().await;
    }
    let mut only = None;
    eventually("there is room", async || {
        only = shake(&url, "", &[("authorization", &bearer(&budi.token))]).await.ok();
        only.is_some()
    })
    .await;
    shaken().await.err().unwrap().is(429, "TOO_MANY_REQUESTS");
    app.deactivate(&siti).await;
    shaken().await.err().unwrap().is(401, "TOKEN_REVOKED");
}

#[test]
fn nginx_waits_longer_than_a_silent_socket_may_live() {
    let routes = include_str!("../../../../../nginx/routes.conf");
    let (_, location) = routes.split_once("location = /api/v1/ws/chat {").unwrap();
    let (location, _) = location.split_once('}').unwrap();
    let (_, seconds) = location.split_once("proxy_read_timeout ").unwrap();
    let seconds: u32 = seconds.split_once("s;").unwrap().0.parse().unwrap();
    assert!(seconds > 75, "{seconds}");
}
