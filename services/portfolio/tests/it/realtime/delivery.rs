//! Every change reaches every socket of whom it concerns, on whichever replica, in order.

use serde_json::{Value, json};

use super::{
    Pair, Two,
    client::{Client, talk, write},
};
use crate::support::User;

/// The next frame that is no presence.
async fn next(client: &mut Client) -> Value {
    loop {
        let frame = client.next().await.unwrap();
        if frame["type"] != "presence" {
            return frame;
        }
    }
}

async fn all_hear(sockets: &mut [Client], kind: &str, payload: &Value) {
    for (number, socket) in sockets.iter_mut().enumerate() {
        assert_eq!(next(socket).await, json!({ "type": kind, "payload": payload }), "socket {number}");
    }
}

/// A text of siti's that all have heard of, so that what comes next is what happens next.
async fn written(pair: &Pair, sockets: &mut [Client], text: &str) -> uuid::Uuid {
    let message = pair.write(text).await;
    for socket in sockets {
        assert_eq!(next(socket).await["payload"]["message"]["id"], json!(message));
    }
    message
}

/// Both sockets of both people.
async fn everybody(two: &Two, pair: &Pair) -> Vec<Client> {
    let [siti, siti_too] = two.sockets(&pair.siti).await;
    let [budi, budi_too] = two.sockets(&pair.budi).await;
    vec![siti, siti_too, budi, budi_too]
}

fn messages(pair: &Pair) -> String {
    format!("/api/v1/conversations/{}/messages", pair.conversation)
}

#[tokio::test]
async fn a_message_reaches_all_sockets_of_both_as_each_of_them_reads_it() {
    let two = Two::spawn().await;
    let pair = Pair::of(&two.app).await;
    let mut sockets = everybody(&two, &pair).await;
    let key = uuid::Uuid::now_v7();
    let body = json!({ "message_type": "text", "content": { "text": "Apa kabar?" }, "client_message_id": key });
    let sent = pair.siti.at(&two.second).post(&messages(&pair), &body).await.data(201);
    let read = |user: &User| {
        let user = user.clone();
        let path = messages(&pair);
        async move { user.get(&path).await.data(200)[0].clone() }
    };
    let (as_siti, as_budi) = (read(&pair.siti).await, read(&pair.budi).await);
    assert_eq!((&as_siti["id"], &as_budi["client_message_id"]), (&sent["id"], &json!(key)));
    let heard = |message: &Value| json!({ "conversation_id": pair.conversation, "message": message });
    all_hear(&mut sockets[..2], "message.new", &heard(&as_siti)).await;
    all_hear(&mut sockets[2..], "message.new", &heard(&as_budi)).await;
}

#[tokio::test]
async fn the_first_message_of_a_new_conversation_is_heard_as_well() {
    let two = Two::spawn().await;
    let (siti, budi) = (two.app.student("siti").await, two.app.student("budi").await);
    let mut listening = budi.socket(&two.second).await;
    budi.patch("/api/v1/dm/settings", &json!({ "dm_privacy": "open" })).await.data(200);
    let body = json!({ "recipient_id": budi.id, "message": "Salam kenal" });
    let data = siti.post("/api/v1/conversations", &body).await.data(201);
    let heard = listening.expect("message.new").await;
    assert_eq!(heard["conversation_id"], data["conversation"]["id"]);
    assert_eq!(heard["message"]["content"], json!({ "text": "Salam kenal" }));
}

#[tokio::test]
async fn a_deletion_reaches_both() {
    let two = Two::spawn().await;
    let pair = Pair::of(&two.app).await;
    let mut sockets = everybody(&two, &pair).await;
    let message = written(&pair, &mut sockets, "Salah kirim").await;
    pair.siti.delete(&format!("/api/v1/messages/{message}")).await.data(200);
    let deleted = json!({ "conversation_id": pair.conversation, "message_id": message });
    all_hear(&mut sockets, "message.deleted", &deleted).await;
}

#[tokio::test]
async fn reactions_that_come_change_and_go_reach_both() {
    let two = Two::spawn().await;
    let pair = Pair::of(&two.app).await;
    let mut sockets = everybody(&two, &pair).await;
    let message = written(&pair, &mut sockets, "Lulus!").await;
    let path = format!("/api/v1/messages/{message}/reactions");
    let budi = pair.budi.at(&two.second);
    let changed = |emoji: &str, action: &str| {
        json!({
            "conversation_id": pair.conversation,
            "message_id": message,
            "reaction": { "user_id": budi.id, "username": "budi", "emoji": emoji },
            "action": action,
        })
    };
    budi.post(&path, &json!({ "emoji": "👍" })).await.data(201);
    all_hear(&mut sockets, "message.reaction", &changed("👍", "add")).await;
    // The same again is no event, as the next one shows.
    budi.post(&path, &json!({ "emoji": "👍" })).await.data(201);
    budi.post(&path, &json!({ "emoji": "🎉" })).await.data(201);
    all_hear(&mut sockets, "message.reaction", &changed("👍", "remove")).await;
    all_hear(&mut sockets, "message.reaction", &changed("🎉", "add")).await;
    budi.delete(&format!("{path}/%F0%9F%8E%89")).await.data(200);
    all_hear(&mut sockets, "message.reaction", &changed("🎉", "remove")).await;
}

#[tokio::test]
async fn a_removal_during_a_block_is_told_the_one_who_removed() {
    let two = Two::spawn().await;
    let pair = Pair::of(&two.app).await;
    let mut sockets = [pair.siti.socket(&two.app.portfolio).await, pair.budi.socket(&two.second).await];
    let message = written(&pair, &mut sockets, "Lulus!").await;
    pair.budi.post(&format!("/api/v1/messages/{message}/reactions"), &json!({ "emoji": "👍" })).await.data(201);
    for socket in &mut sockets {
        assert_eq!(next(socket).await["payload"]["action"], "add");
    }
    pair.siti.act(&format!("/api/v1/dm/block/{}", pair.budi.id)).await.data(200);
    pair.budi.delete(&format!("/api/v1/messages/{message}/reactions/%F0%9F%91%8D")).await.data(200);
    let [siti, budi] = &mut sockets;
    assert_eq!(next(budi).await["payload"]["action"], "remove");
    // What comes next is all that siti hears.
    pair.siti.delete(&format!("/api/v1/messages/{message}")).await.data(200);
    assert_eq!(next(siti).await["type"], "message.deleted");
}

#[tokio::test]
async fn a_receipt_reaches_the_readers_sockets_and_the_other_as_the_reader_wishes() {
    let two = Two::spawn().await;
    let pair = Pair::of(&two.app).await;
    let mut sockets = everybody(&two, &pair).await;
    let path = format!("/api/v1/conversations/{}/read", pair.conversation);
    pair.budi.at(&two.second).act(&path).await.data(200);
    for socket in &mut sockets {
        let frame = next(socket).await;
        assert_eq!((&frame["type"], &frame["payload"]["user_id"]), (&json!("read.receipt"), &json!(pair.budi.id)));
        assert!(frame["payload"]["read_at"].as_str().unwrap().ends_with('Z'));
    }
    pair.budi.patch("/api/v1/dm/settings", &json!({ "show_read_receipts": false })).await.data(200);
    let message = pair.write("Sudah dibaca?").await;
    for socket in &mut sockets {
        assert_eq!(next(socket).await["payload"]["message"]["id"], json!(message));
    }
    pair.budi.act(&path).await.data(200);
    for socket in &mut sockets[2..] {
        assert_eq!(next(socket).await["type"], "read.receipt");
    }
    let message = pair.write("Halo?").await;
    for socket in &mut sockets[..2] {
        assert_eq!(next(socket).await["payload"]["message"]["id"], json!(message), "no receipt in between");
    }
}

#[tokio::test]
async fn what_one_caller_does_on_alternating_replicas_arrives_in_that_order_on_every_socket() {
    let two = Two::with(&[("LIMIT_MESSAGES", "1000/60")]).await;
    let pair = Pair::of(&two.app).await;
    let wati = two.app.student("wati").await;
    let other = talk(&pair.siti, &wati).await;
    let mut sockets = everybody(&two, &pair).await;
    let mut watching = wati.socket(&two.second).await;
    let callers = [pair.siti.at(&two.app.portfolio), pair.siti.at(&two.second)];
    let mut order = Vec::new();
    for number in 0..40 {
        let caller = &callers[number % 2];
        let conversation = if number % 5 == 4 { other } else { pair.conversation };
        order.push((conversation, write(caller, conversation, &format!("Ke-{number}")).await));
    }
    let ids = |of: Option<uuid::Uuid>| -> Vec<Value> {
        let fitting = order.iter().filter(|(conversation, _)| of.is_none_or(|of| of == *conversation));
        fitting.map(|(_, message)| json!(message)).collect()
    };
    let hear = async |socket: &mut Client, expected: Vec<Value>| {
        for id in expected {
            assert_eq!(next(socket).await["payload"]["message"]["id"], id);
        }
    };
    for (number, socket) in sockets.iter_mut().enumerate() {
        hear(socket, ids(if number < 2 { None } else { Some(pair.conversation) })).await;
    }
    hear(&mut watching, ids(Some(other))).await;
}

#[tokio::test]
async fn nobody_else_hears_anything() {
    let two = Two::spawn().await;
    let pair = Pair::of(&two.app).await;
    let wati = two.app.student("wati").await;
    let (mut stranger, mut admin) = (wati.socket(&two.second).await, two.app.admin().socket(&two.second).await);
    let mut listening = pair.budi.socket(&two.second).await;
    let message = pair.write("Rahasia").await;
    pair.siti.delete(&format!("/api/v1/messages/{message}")).await.data(200);
    listening.expect("message.deleted").await;
    for client in [&mut stranger, &mut admin] {
        assert_eq!(client.frames_so_far().await, Vec::<Value>::new());
    }
}

#[tokio::test]
async fn a_muted_and_archived_conversation_goes_on_in_real_time() {
    let two = Two::spawn().await;
    let pair = Pair::of(&two.app).await;
    for flag in ["mute", "archive"] {
        pair.budi.act(&format!("/api/v1/conversations/{}/{flag}", pair.conversation)).await.data(200);
    }
    let mut listening = pair.budi.socket(&two.second).await;
    let message = pair.write("Masih ada?").await;
    assert_eq!(listening.expect("message.new").await["message"]["id"], json!(message));
}

#[tokio::test]
async fn through_nginx_sockets_land_on_any_replica_and_hear_everything() {
    let two = Two::spawn().await;
    let nginx = two.app.stack.nginx().await;
    let pair = Pair::of(&two.app).await;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(pair.budi.socket_at(&nginx).await);
    }
    assert_eq!(two.app.count("select count(distinct replica_id) from chat_sockets").await, 2);
    let siti = pair.siti.through_nginx(&two.app).await;
    for text in ["Satu", "Dua", "Tiga"] {
        let message = write(&siti, pair.conversation, text).await;
        for socket in &mut sockets {
            assert_eq!(socket.expect("message.new").await["message"]["id"], json!(message));
        }
    }
    for socket in &mut sockets {
        socket.send(tokio_tungstenite::tungstenite::Message::binary(vec![1])).await;
        socket.closes_with(1003).await;
    }
}
