//! Clients that are slow, silent or too many.

use grafikarsa_devstack::testing::Stack;
use serde_json::json;
use tokio::net::TcpSocket;

use super::{
    Pair, Two,
    client::{shake_on, write},
};
use crate::support::{TestApp, eventually};

#[tokio::test]
async fn a_socket_that_is_too_slow_ends_with_1013_and_others_of_the_user_miss_nothing() {
    let mut stack = Stack::new().await;
    stack.set("LIMIT_MESSAGES", "100000/60").set("RATE_LIMIT_REQUESTS", "100000");
    let app = TestApp::on(stack, &[]).await;
    let pair = Pair::of(&app).await;
    let (bearer, small) = (format!("Bearer {}", pair.budi.token), TcpSocket::new_v4().unwrap());
    // So that little fits on the way.
    small.set_recv_buffer_size(4096).unwrap();
    let url = app.portfolio.public_url();
    let mut slow = shake_on(small, &url, "", &[("authorization", &bearer)]).await.ok().unwrap();
    slow.expect("ready").await;
    let mut quick = pair.budi.socket(&app.portfolio).await;
    let long = "é".repeat(5000);
    let mut sent = Vec::new();
    let closed = "select count(*) from chat_sockets where user_id = (select id from users where username = 'budi')";
    while app.count(closed).await == 2 {
        sent.push(pair.write(&long).await);
        assert!(sent.len() < 5000, "the queue holds 256 frames");
        let heard = quick.expect("message.new").await;
        assert_eq!(heard["message"]["id"], json!(sent.last()), "the quick one hears each");
    }
    assert!(sent.len() > 256, "{}", sent.len());
    slow.closes_with(1013).await;
    assert!(slow.seen.len() < sent.len());
}

#[tokio::test]
async fn a_client_that_gives_no_sign_of_life_is_closed_and_one_that_answers_stays() {
    let app = TestApp::with(&[("WS_PING_INTERVAL", "1s"), ("WS_SILENCE_LIMIT", "4s")]).await;
    let siti = app.student("siti").await;
    let mut silent = siti.socket(&app.portfolio).await;
    let mut answering = siti.socket(&app.portfolio).await;
    // The library answers the server's questions only while somebody reads.
    let answers = tokio::spawn(async move {
        let end = tokio::time::timeout(std::time::Duration::from_secs(9), answering.closed()).await;
        (answering, end)
    });
    let sockets = "select count(*) from chat_sockets";
    eventually("the silent one is closed", async || app.count(sockets).await == 1).await;
    silent.closes_with(4408).await;
    let (mut answering, end) = answers.await.unwrap();
    assert!(end.is_err(), "it has answered");
    answering.ping().await;
    answering.expect("pong").await;
}

#[tokio::test]
async fn an_eleventh_socket_replaces_the_oldest_on_whichever_replica() {
    let two = Two::with(&[("LIMIT_HANDSHAKES", "100/60")]).await;
    let siti = two.app.student("siti").await;
    let other = two.app.student("budi").await;
    let mut bystander = other.socket(&two.app.portfolio).await;
    let mut sockets = Vec::new();
    for number in 0..10 {
        let replica = if number % 2 == 0 { &two.app.portfolio } else { &two.second };
        sockets.push(siti.socket(replica).await);
    }
    for socket in &mut sockets {
        socket.ping().await;
        socket.expect("pong").await;
    }
    // The oldest two are on different replicas, and the newer ones on the other.
    for replica in [&two.second, &two.app.portfolio] {
        let mut newest = siti.socket(replica).await;
        sockets.remove(0).closes_with(4409).await;
        newest.ping().await;
        newest.expect("pong").await;
        sockets.push(newest);
    }
    for socket in &mut sockets {
        socket.ping().await;
        socket.expect("pong").await;
    }
    bystander.ping().await;
    bystander.expect("pong").await;
    let left = "select count(*) from chat_sockets where user_id = (select id from users where username = 'siti')";
    eventually("ten are left", async || two.app.count(left).await == 10).await;
}

#[tokio::test]
async fn a_replacement_that_was_not_told_over_the_bus_is_noticed_with_the_lease() {
    let app = TestApp::with(&[("LIMIT_HANDSHAKES", "100/60"), ("PRESENCE_LEASE", "3s")]).await;
    let siti = app.student("siti").await;
    let mut oldest = siti.socket(&app.portfolio).await;
    // Ten newer ones on a replica that has told nobody.
    sqlx::query("insert into chat_replicas (id, lease_until) values ($1, now() + interval '1 hour')")
        .bind(siti.id)
        .execute(&app.pool)
        .await
        .unwrap();
    sqlx::query(
        "insert into chat_sockets (id, replica_id, user_id, opened_at)
         select gen_random_uuid(), $1, $1, now() from generate_series(1, 10)",
    )
    .bind(siti.id)
    .execute(&app.pool)
    .await
    .unwrap();
    oldest.closes_with(4409).await;
}

#[tokio::test]
async fn closing_one_socket_leaves_the_others_of_the_user_alone() {
    let app = TestApp::spawn().await;
    let pair = Pair::of(&app).await;
    let (closing, mut staying) = (pair.budi.socket(&app.portfolio).await, pair.budi.socket(&app.portfolio).await);
    closing.close().await;
    eventually("one is left", async || app.count("select count(*) from chat_sockets").await == 1).await;
    let message = write(&pair.siti, pair.conversation, "Satu").await;
    assert_eq!(staying.expect("message.new").await["message"]["id"], json!(message));
}

#[tokio::test]
async fn a_client_that_answers_no_ping_but_says_something_stays() {
    let app = TestApp::with(&[("WS_PING_INTERVAL", "1s"), ("WS_SILENCE_LIMIT", "4s")]).await;
    let siti = app.student("siti").await;
    let mut talking = siti.socket(&app.portfolio).await;
    // The library answers the server's questions only while somebody reads.
    for _ in 0..16 {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        talking.say(&json!({ "type": "later" })).await;
    }
    talking.ping().await;
    talking.expect("pong").await;
}
