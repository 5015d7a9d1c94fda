//! Who types is told the other participant and nobody else.

use serde_json::{Value, json};
use tokio::time::{Duration, sleep};
use uuid::Uuid;

use super::{Pair, Two, client::Client};

async fn types(client: &mut Client, conversation: Uuid, is_typing: bool) {
    let payload = json!({ "conversation_id": conversation, "is_typing": is_typing });
    client.say(&json!({ "type": "typing", "payload": payload })).await;
}

fn flags(heard: &[Value]) -> Vec<bool> {
    heard.iter().map(|typing| typing["is_typing"].as_bool().unwrap()).collect()
}

#[tokio::test]
async fn the_other_hears_it_on_all_sockets_and_the_typist_on_none() {
    let two = Two::spawn().await;
    let pair = Pair::of(&two.app).await;
    let (mut typist, mut echo) = (pair.siti.socket(&two.app.portfolio).await, pair.siti.socket(&two.second).await);
    let mut others = two.sockets(&pair.budi).await;
    types(&mut typist, pair.conversation, true).await;
    types(&mut typist, pair.conversation, false).await;
    for other in &mut others {
        for is_typing in [true, false] {
            let expected = json!({
                "conversation_id": pair.conversation, "user_id": pair.siti.id, "username": "siti", "is_typing": is_typing,
            });
            assert_eq!(other.expect("typing").await, expected);
        }
    }
    for own in [&mut typist, &mut echo] {
        assert_eq!(own.heard("typing").await, Vec::<Value>::new());
    }
}

#[tokio::test]
async fn the_conversation_of_others_and_an_unknown_one_are_answered_alike() {
    let two = Two::spawn().await;
    let pair = Pair::of(&two.app).await;
    let wati = two.app.student("wati").await;
    let mut stranger = wati.socket(&two.app.portfolio).await;
    let mut listening = pair.budi.socket(&two.second).await;
    let mut errors = Vec::new();
    for conversation in [pair.conversation, Uuid::now_v7()] {
        types(&mut stranger, conversation, true).await;
        errors.push(stranger.expect("error").await);
    }
    assert_eq!(errors[0]["code"], "NOT_PARTICIPANT");
    assert_eq!(errors[0], errors[1]);
    let mut typist = pair.siti.socket(&two.app.portfolio).await;
    types(&mut typist, pair.conversation, false).await;
    let heard = listening.expect("typing").await;
    assert_eq!(heard["user_id"], json!(pair.siti.id), "nothing of the stranger's");
}

#[tokio::test]
async fn it_is_dropped_silently_when_its_sender_hides_it_or_there_is_a_block() {
    let two = Two::spawn().await;
    let pair = Pair::of(&two.app).await;
    let mut typist = pair.siti.socket(&two.app.portfolio).await;
    let mut listening = pair.budi.socket(&two.second).await;
    let settings = |shown: bool| json!({ "show_typing_indicator": shown });
    pair.siti.patch("/api/v1/dm/settings", &settings(false)).await.data(200);
    types(&mut typist, pair.conversation, false).await;
    assert_eq!(typist.heard("error").await, Vec::<Value>::new());
    pair.siti.patch("/api/v1/dm/settings", &settings(true)).await.data(200);
    for (blocker, blocked) in [(&pair.siti, &pair.budi), (&pair.budi, &pair.siti)] {
        let path = format!("/api/v1/dm/block/{}", blocked.id);
        blocker.act(&path).await.data(200);
        types(&mut typist, pair.conversation, false).await;
        assert_eq!(typist.heard("error").await, Vec::<Value>::new());
        blocker.delete(&path).await.data(200);
    }
    types(&mut typist, pair.conversation, true).await;
    let heard = listening.expect("typing").await;
    assert_eq!(heard["is_typing"], true, "the first that is heard is the last that was said");
}

#[tokio::test]
async fn that_somebody_types_is_told_once_in_two_seconds_also_from_two_devices() {
    let two = Two::spawn().await;
    let pair = Pair::of(&two.app).await;
    let mut typists = two.sockets(&pair.siti).await;
    let mut listening = pair.budi.socket(&two.second).await;
    for typist in &mut typists {
        for _ in 0..3 {
            types(typist, pair.conversation, true).await;
        }
        // Behind them, so that all of them have been dealt with.
        typist.ping().await;
        typist.expect("pong").await;
    }
    types(&mut typists[1], pair.conversation, false).await;
    listening.expect_with("typing", |typing| typing["is_typing"] == false).await;
    let heard: Vec<Value> = std::mem::take(&mut listening.seen)
        .into_iter()
        .filter(|frame| frame["type"] == "typing")
        .map(|frame| frame["payload"].clone())
        .collect();
    assert_eq!(flags(&heard), [true]);
    // The time is what is tested.
    sleep(Duration::from_millis(2100)).await;
    types(&mut typists[0], pair.conversation, true).await;
    assert_eq!(listening.expect("typing").await["is_typing"], true);
}

#[tokio::test]
async fn what_nobody_was_told_does_not_hold_up_what_follows() {
    let two = Two::spawn().await;
    let pair = Pair::of(&two.app).await;
    let mut typist = pair.siti.socket(&two.second).await;
    let mut listening = pair.budi.socket(&two.app.portfolio).await;
    let settings = |shown: bool| json!({ "show_typing_indicator": shown });
    // On the one replica, and so on the other at once.
    pair.siti.patch("/api/v1/dm/settings", &settings(false)).await.data(200);
    types(&mut typist, pair.conversation, true).await;
    assert_eq!(typist.heard("error").await, Vec::<Value>::new());
    pair.siti.patch("/api/v1/dm/settings", &settings(true)).await.data(200);
    types(&mut typist, pair.conversation, true).await;
    types(&mut typist, pair.conversation, false).await;
    assert_eq!(listening.expect("typing").await["is_typing"], true);
    assert_eq!(listening.expect("typing").await["is_typing"], false);
}

#[tokio::test]
async fn nobody_is_told_in_a_conversation_in_which_nothing_was_ever_said() {
    let two = Two::spawn().await;
    let (siti, budi) = (two.app.student("siti").await, two.app.student("budi").await);
    budi.patch("/api/v1/dm/settings", &json!({ "dm_privacy": "open" })).await.data(200);
    let data = siti.post("/api/v1/conversations", &json!({ "recipient_id": budi.id })).await.data(201);
    let conversation: Uuid = data["conversation"]["id"].as_str().unwrap().parse().unwrap();
    let mut typist = siti.socket(&two.app.portfolio).await;
    let mut listening = budi.socket(&two.second).await;
    types(&mut typist, conversation, true).await;
    assert_eq!(typist.heard("error").await, Vec::<Value>::new());
    super::client::write(&siti, conversation, "Salam kenal").await;
    listening.expect("message.new").await;
    types(&mut typist, conversation, false).await;
    assert_eq!(listening.expect("typing").await["is_typing"], false);
    assert!(!listening.seen.iter().any(|frame| frame["type"] == "typing"), "{:?}", listening.seen);
}
