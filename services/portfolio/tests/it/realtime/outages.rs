//! The bus and the database go and come back: nothing is lost without the client being told.

use grafikarsa_devstack::testing::Stack;
use grafikarsa_events::outbox;
use proto_events::portfolio::v1::{ChatMessageSent, ChatRead};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Pair, Two,
    client::{shake, write},
};
use crate::support::{TestApp, eventually};

#[tokio::test]
async fn what_is_sent_while_the_bus_is_down_succeeds_and_comes_later_in_order() {
    let mut two = Two::on(Stack::with_own_servers().await, &[]).await;
    let pair = Pair::of(&two.app).await;
    let mut listening = [pair.budi.socket(&two.app.portfolio).await, pair.budi.socket(&two.second).await];
    let mut sent = vec![pair.write("Sebelum").await];
    for client in &mut listening {
        client.expect("message.new").await;
    }
    for round in 0..2 {
        two.app.stack.own.nats.as_mut().unwrap().kill().await.unwrap();
        sent.clear();
        for number in 0..5 {
            let caller = if number % 2 == 0 { pair.siti.at(&two.app.portfolio) } else { pair.siti.at(&two.second) };
            sent.push(write(&caller, pair.conversation, &format!("{round}-{number}")).await);
        }
        two.app.stack.own.nats.as_mut().unwrap().restart().await.unwrap();
        for client in &mut listening {
            let mut heard = Vec::new();
            while heard.len() < sent.len() {
                let id: Uuid = client.expect("message.new").await["message"]["id"].as_str().unwrap().parse().unwrap();
                // Twice is possible, in another order not.
                if !heard.contains(&id) {
                    heard.push(id);
                }
            }
            assert_eq!(heard, sent);
        }
    }
}

#[tokio::test]
async fn when_the_bus_has_lost_its_storage_sockets_end_and_new_ones_hear_everything() {
    let mut app = TestApp::on(Stack::with_own_servers().await, &[("LIMIT_HANDSHAKES", "1000/60")]).await;
    let pair = Pair::of(&app).await;
    pair.write("Sebelum").await;
    let mut listening = pair.budi.socket(&app.portfolio).await;
    app.stack.own.nats.as_mut().unwrap().kill().await.unwrap();
    app.stack.lose_nats_storage();
    app.stack.own.nats.as_mut().unwrap().restart().await.unwrap();
    listening.closes_with(1012).await;
    let (url, bearer) = (app.portfolio.public_url(), format!("Bearer {}", pair.budi.token));
    eventually("sockets open again", async || shake(&url, "", &[("authorization", &bearer)]).await.is_ok()).await;
    let mut listening = pair.budi.socket(&app.portfolio).await;
    let message = pair.write("Sesudah").await;
    listening.expect_with("message.new", |heard| heard["message"]["id"] == json!(message)).await;
}

/// Keeps everybody from reading messages, for as long as the transaction lives.
async fn lock_messages(connection: &mut PgConnection) {
    sqlx::raw_sql("begin; lock table portfolio.messages in access exclusive mode").execute(connection).await.unwrap();
}

/// Tells of a message once more, without touching it.
async fn tell_again(app: &TestApp, pair: &Pair, message: Uuid) {
    let event = ChatMessageSent {
        conversation_id: pair.conversation.to_string(),
        message_id: message.to_string(),
        recipients: vec![pair.budi.id.to_string()],
    };
    let mut tx = app.pool.begin().await.unwrap();
    outbox::append(&mut tx, &event, pair.conversation, 0).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_the_database_cannot_tell_at_once_is_told_later() {
    let app = TestApp::spawn().await;
    let pair = Pair::of(&app).await;
    let mut listening = pair.budi.socket(&app.portfolio).await;
    let message = pair.write("Sabar").await;
    listening.expect("message.new").await;
    let mut lock = app.stack.superuser().await;
    lock_messages(&mut lock).await;
    tell_again(&app, &pair, message).await;
    app.somebody_waits_for_a_lock().await;
    // Longer than one try takes.
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    sqlx::raw_sql("rollback").execute(&mut lock).await.unwrap();
    assert_eq!(listening.expect("message.new").await["message"]["id"], json!(message));
}

#[tokio::test]
async fn what_the_database_cannot_tell_for_long_ends_the_sockets_that_wait_for_it_and_no_others() {
    let app = TestApp::spawn().await;
    let pair = Pair::of(&app).await;
    let mut listening = pair.budi.socket(&app.portfolio).await;
    let mut unconcerned = pair.siti.socket(&app.portfolio).await;
    let message = pair.write("Sabar").await;
    listening.expect("message.new").await;
    let mut lock = app.stack.superuser().await;
    lock_messages(&mut lock).await;
    tell_again(&app, &pair, message).await;
    listening.closes_with(1011).await;
    sqlx::raw_sql("rollback").execute(&mut lock).await.unwrap();
    unconcerned.ping().await;
    unconcerned.expect("pong").await;
}

#[tokio::test]
async fn what_is_published_again_is_no_news_to_sockets_that_were_opened_later() {
    let app = TestApp::spawn().await;
    let pair = Pair::of(&app).await;
    let mut listening = pair.budi.socket(&app.portfolio).await;
    let old = pair.write("Lama").await;
    listening.expect("message.new").await;
    tell_again(&app, &pair, old).await;
    assert_eq!(listening.expect("message.new").await["message"]["id"], json!(old), "told again, heard again");
    // Under ids of their own, or the stream would drop the repetitions.
    sqlx::query(
        "update outbox set id = gen_random_uuid(), created_at = now() - interval '1 hour', published_at = null
         where event_type like 'chat.%'",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let new = pair.write("Baru").await;
    let heard = listening.expect("message.new").await;
    assert_eq!(heard["message"]["id"], json!(new), "no old one in between");
}

#[tokio::test]
async fn what_concerns_nobody_here_costs_no_query_and_holds_nobody_up() {
    let app = TestApp::spawn().await;
    let pair = Pair::of(&app).await;
    let mut listening = pair.siti.socket(&app.portfolio).await;
    let message = pair.write("Untuk budi").await;
    listening.expect("message.new").await;
    let mut lock = app.stack.superuser().await;
    lock_messages(&mut lock).await;
    // Budi has no socket: whoever reads this message now waits for the lock, and what follows with it.
    tell_again(&app, &pair, message).await;
    let event = ChatRead {
        conversation_id: pair.conversation.to_string(),
        user_id: pair.siti.id.to_string(),
        read_at_micros: 0,
        recipients: vec![pair.siti.id.to_string()],
    };
    let mut tx = app.pool.begin().await.unwrap();
    outbox::append(&mut tx, &event, pair.conversation, 0).await.unwrap();
    tx.commit().await.unwrap();
    listening.expect("read.receipt").await;
    sqlx::raw_sql("rollback").execute(&mut lock).await.unwrap();
}

#[tokio::test]
async fn an_event_that_nobody_can_read_ends_the_sockets_so_that_clients_catch_up() {
    let app = TestApp::spawn().await;
    let pair = Pair::of(&app).await;
    let mut listening = pair.budi.socket(&app.portfolio).await;
    let event = ChatMessageSent {
        conversation_id: pair.conversation.to_string(),
        message_id: "x".to_owned(),
        recipients: vec![pair.budi.id.to_string()],
    };
    let mut tx = app.pool.begin().await.unwrap();
    outbox::append(&mut tx, &event, pair.conversation, 0).await.unwrap();
    tx.commit().await.unwrap();
    listening.closes_with(1012).await;
    pair.budi.socket(&app.portfolio).await;
}

#[tokio::test]
async fn sockets_hear_what_happens_while_requests_hold_every_connection() {
    let app = TestApp::spawn().await;
    let small = app.stack.spawn_replica("portfolio", &[("DATABASE_MAX_CONNECTIONS", "2")]).await;
    let pair = Pair::of(&app).await;
    let mut socket = pair.budi.socket(&small).await;
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    // A request waits for two seconds at most: a slow machine may need another try.
    for attempt in 1.. {
        let mut lock = app.stack.superuser().await;
        let table = "begin; lock table portfolio.dm_settings in exclusive mode";
        sqlx::raw_sql(table).execute(&mut lock).await.unwrap();
        let (one, other) = (pair.budi.at(&small), pair.siti.at(&small));
        let change = json!({ "show_typing_indicator": true });
        let (_, _, still_waiting) = tokio::join!(
            one.patch("/api/v1/dm/settings", &change),
            other.patch("/api/v1/dm/settings", &change),
            async {
                eventually("both wait", async || app.count(waiting).await == 2).await;
                let message = pair.write(&format!("Kesempatan {attempt}")).await;
                socket.expect_with("message.new", |heard| heard["message"]["id"] == json!(message)).await;
                let still_waiting = app.count(waiting).await;
                sqlx::raw_sql("rollback").execute(&mut lock).await.unwrap();
                still_waiting
            },
        );
        if still_waiting == 2 {
            return;
        }
        assert!(attempt < 5, "they did not wait until it was heard");
    }
}
