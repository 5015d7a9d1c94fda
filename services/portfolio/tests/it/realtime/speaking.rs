//! What is said over a socket.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::client::Pair;
use crate::support::TestApp;

#[tokio::test]
async fn ready_comes_first_and_says_who_one_is_and_until_when() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let mut client = siti.opening(&app.portfolio.public_url()).await;
    let first = client.next().await.unwrap();
    let expires_at = chrono::DateTime::from_timestamp(super::claims(&siti.token)["exp"].as_i64().unwrap(), 0).unwrap();
    let expected = json!({
        "type": "ready",
        "payload": { "user_id": siti.id, "heartbeat_seconds": 30, "expires_at": expires_at },
    });
    assert_eq!(first, expected);
}

#[tokio::test]
async fn a_ping_is_answered_on_its_own_socket_alone() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let mut asking = siti.socket(&app.portfolio).await;
    let mut other = siti.socket(&app.portfolio).await;
    asking.say(&json!({ "type": "ping", "payload": null })).await;
    assert_eq!(asking.next().await.unwrap(), json!({ "type": "pong", "payload": null }));
    assert_eq!(other.frames_so_far().await, Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn unknown_types_and_unknown_fields_are_ignored() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let mut client = siti.socket(&app.portfolio).await;
    client.say(&json!({ "type": "sing", "payload": { "song": 1 } })).await;
    client.say(&json!({ "type": "message.new", "payload": {} })).await;
    client.say(&json!({ "type": "ping", "payload": null, "later": true })).await;
    assert_eq!(client.next().await.unwrap()["type"], "pong");
    client.send(Message::Ping("x".into())).await;
    client.send(Message::Pong("x".into())).await;
    assert_eq!(client.frames_so_far().await, Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn malformed_frames_are_answered_and_the_tenth_is_the_last() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let mut client = siti.socket(&app.portfolio).await;
    for text in ["", "nonsense", "[]", r#"{"type":7}"#, r#"{"type":"typing","payload":{}}"#] {
        client.send(Message::text(text)).await;
        let error = client.next().await.unwrap();
        assert_eq!(
            (&error["type"], &error["payload"]["code"]),
            (&json!("error"), &json!("VALIDATION_ERROR")),
            "{text}"
        );
        assert!(error["payload"]["message"].is_string());
    }
    for _ in 5..10 {
        client.send(Message::text("{")).await;
        client.expect("error").await;
    }
    client.closes_with(1007).await;
}

#[tokio::test]
async fn ten_thousand_bad_frames_end_their_socket_and_hurt_nobody_else() {
    use futures_util::SinkExt as _;
    let app = TestApp::spawn().await;
    let pair = Pair::of(&app).await;
    let mut listening = pair.budi.socket(&app.portfolio).await;
    let mut bad = pair.siti.socket(&app.portfolio).await;
    for number in 0..10_000 {
        // The connection may be gone in the middle.
        if bad.stream.send(Message::text(format!("bad {number}"))).await.is_err() {
            break;
        }
    }
    let code = bad.closed().await;
    assert!(matches!(code, Some(1007) | None), "{code:?}");
    let message = pair.write("Masih di sini").await;
    let heard = listening.expect("message.new").await;
    assert_eq!(heard["message"]["id"], json!(message));
}

#[tokio::test]
async fn frames_beyond_8_kib_end_the_socket_however_large_they_are() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let mut client = siti.socket(&app.portfolio).await;
    let padded = |length: usize| {
        let frame = json!({ "type": "ping", "later": "" }).to_string();
        frame.replace(r#""later":"""#, &format!(r#""later":"{}""#, "x".repeat(length - frame.len())))
    };
    client.send(Message::text(padded(8192))).await;
    client.expect("pong").await;
    for length in [8193, 1_000_000] {
        let mut client = siti.socket(&app.portfolio).await;
        client.send(Message::text(padded(length))).await;
        client.closes_with(1009).await;
    }
    // In pieces, too.
    let mut client = siti.socket(&app.portfolio).await;
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    client.send(Message::Frame(Frame::message("x".repeat(8000), OpCode::Data(Data::Text), false))).await;
    client.send(Message::Frame(Frame::message("x".repeat(8000), OpCode::Data(Data::Continue), true))).await;
    client.closes_with(1009).await;
}

#[tokio::test]
async fn binary_frames_and_broken_text_end_the_socket() {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let mut client = siti.socket(&app.portfolio).await;
    client.send(Message::binary(vec![1, 2, 3])).await;
    client.closes_with(1003).await;
    let mut client = siti.socket(&app.portfolio).await;
    client.send(Message::Frame(Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true))).await;
    client.closes_with(1007).await;
}

#[tokio::test]
async fn frames_beyond_twenty_in_ten_seconds_are_dropped_with_an_error_and_a_flood_ends_the_socket() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let mut client = siti.socket(&app.portfolio).await;
    for _ in 0..100 {
        client.ping().await;
    }
    let mut counts = (0, 0);
    for _ in 0..100 {
        let frame = client.next().await.unwrap();
        if frame["type"] == "pong" {
            counts.0 += 1;
        } else {
            assert_eq!(frame["payload"]["code"], "TOO_MANY_REQUESTS");
            counts.1 += 1;
        }
    }
    assert_eq!(counts, (20, 80));
    client.ping().await;
    client.closes_with(4429).await;
}

#[tokio::test]
async fn ready_comes_before_what_happens_while_the_socket_opens() {
    let app = TestApp::spawn().await;
    let pair = Pair::of(&app).await;
    let mut typist = pair.siti.socket(&app.portfolio).await;
    let mut open = pair.budi.socket(&app.portfolio).await;
    // Whoever opens a socket waits for two seconds at most: a slow machine may need another try.
    for attempt in 1.. {
        let mut lock = app.stack.superuser().await;
        let row = format!("begin; select from portfolio.chat_presence where user_id = '{}' for update", pair.budi.id);
        sqlx::raw_sql(sqlx::AssertSqlSafe(row)).execute(&mut lock).await.unwrap();
        let mut opening = pair.budi.opening(&app.portfolio.public_url()).await;
        app.somebody_waits_for_a_lock().await;
        let message = pair.write(&format!("Sedang membuka {attempt}")).await;
        let payload = json!({ "conversation_id": pair.conversation, "is_typing": false });
        typist.say(&json!({ "type": "typing", "payload": payload })).await;
        // Both have reached this replica; which is first is nobody's promise.
        let (mut has_message, mut has_typing) = (false, false);
        while !(has_message && has_typing) {
            let frame = open.next().await.expect("it stays open");
            has_message |= frame["payload"]["message"]["id"] == json!(message);
            has_typing |= frame["type"] == "typing";
        }
        sqlx::raw_sql("rollback").execute(&mut lock).await.unwrap();
        match opening.next().await {
            Err(Some(1011)) if attempt < 5 => continue,
            first => assert_eq!(first.unwrap()["type"], "ready"),
        }
        opening.expect_with("message.new", |heard| heard["message"]["id"] == json!(message)).await;
        break;
    }
}

#[tokio::test]
async fn a_client_that_is_still_sending_what_ends_its_socket_is_told_why() {
    use tokio::io::AsyncWriteExt as _;
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let nginx = app.stack.nginx().await;
    let oversized = [&[0x81, 0xff][..], &100_000_u64.to_be_bytes(), &[0; 4], &[b'x'; 2000]].concat();
    let reserved = [&[0xf1, 0xfe][..], &5000_u16.to_be_bytes(), &[0; 4], &[b'x'; 2000]].concat();
    for base in [&app.portfolio.public_url(), &nginx] {
        for (beginning, code) in [(&oversized, 1009), (&reserved, 1002)] {
            let mut client = siti.socket_at(base).await;
            let connection = client.stream.get_mut();
            connection.write_all(beginning).await.unwrap();
            for _ in 0..3 {
                // The time is what is tested: the server has answered, and the client goes on.
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                connection.write_all(&[b'x'; 1000]).await.expect("the connection is still there");
            }
            client.closes_with(code).await;
        }
    }
}

#[tokio::test]
async fn frames_that_are_no_messages_are_a_flood_like_any_others() {
    use futures_util::SinkExt as _;
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let fragment = |kind| Message::Frame(Frame::message("", OpCode::Data(kind), false));
    for kind in ["pong", "ping", "fragment"] {
        let mut client = siti.socket(&app.portfolio).await;
        for number in 0..101 {
            let message = match (kind, number) {
                ("pong", _) => Message::Pong("x".into()),
                ("ping", _) => Message::Ping("x".into()),
                (_, 0) => fragment(Data::Text),
                _ => fragment(Data::Continue),
            };
            client.stream.feed(message).await.unwrap();
        }
        client.stream.flush().await.unwrap();
        assert_eq!(client.closed().await, Some(4429), "{kind}");
    }
}
