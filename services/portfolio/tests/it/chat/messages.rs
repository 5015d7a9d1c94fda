use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{chat, id, names_since, school, text};

#[tokio::test]
async fn a_text_is_stored_as_it_is_and_previewed_in_characters() {
    let (_app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let said = format!("  <script>alert(1)</script>\r\n\t\u{202E}{}", "👍".repeat(90));
    let mut body = text(&said);
    body["content"]["object_key"] = json!(7);
    body["lain"] = json!([1]);
    let sent = budi.post(&conversation.messages(), &body).await.data(201);
    assert_eq!(sent["content"], json!({ "text": said }));
    assert_eq!(siti.get(&conversation.messages()).await.data(200)[0], sent);
    let preview: String = said.chars().take(100).chain("...".chars()).collect();
    assert_eq!(conversation.seen_by(&siti).await["last_message_preview"], json!(preview));
    let exactly = "é".repeat(100);
    conversation.say(&budi, &exactly).await;
    assert_eq!(conversation.seen_by(&siti).await["last_message_preview"], json!(exactly));
}

#[tokio::test]
async fn bad_messages_are_refused() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let path = conversation.messages();
    for (body, fields) in [
        (json!({}), vec!["message_type", "content"]),
        (json!({ "message_type": "system", "content": { "text": "x" } }), vec!["message_type"]),
        (json!({ "message_type": "text", "content": {} }), vec!["content.text"]),
        (text(" \n "), vec!["content.text"]),
        (text(&"x".repeat(5001)), vec!["content.text"]),
        (text("a\u{0}b"), vec!["content.text"]),
        (json!({ "message_type": "image", "content": {} }), vec!["content.object_key"]),
        (json!({ "message_type": "portfolio", "content": {} }), vec!["content.portfolio_id"]),
        (
            json!({ "message_type": "portfolio", "content": { "text": "x".repeat(1001) } }),
            vec!["content.text", "content.portfolio_id"],
        ),
    ] {
        assert_eq!(budi.post(&path, &body).await.broken(), fields, "{body}");
    }
    for body in [
        json!([]),
        json!({ "message_type": 1, "content": {} }),
        json!({ "message_type": "text", "content": "x" }),
        json!({ "message_type": "text", "content": { "text": 1 } }),
        json!({ "message_type": "portfolio", "content": { "portfolio_id": "x" } }),
        json!({ "message_type": "text", "content": { "text": "x" }, "reply_to_id": "x" }),
        json!({ "message_type": "text", "content": { "text": "x" }, "client_message_id": "x" }),
    ] {
        budi.post(&path, &body).await.fails(400, "VALIDATION_ERROR");
    }
    // Other spellings of an id are none.
    let id = Uuid::now_v7();
    for other in [id.simple().to_string(), id.urn().to_string(), id.braced().to_string()] {
        for field in ["reply_to_id", "client_message_id"] {
            let mut body = text("x");
            body[field] = json!(other);
            budi.post(&path, &body).await.fails(400, "VALIDATION_ERROR");
        }
        let read = json!({ "last_message_id": other });
        budi.post(&conversation.path("/read"), &read).await.fails(400, "VALIDATION_ERROR");
        let opening = json!({ "recipient_id": other });
        budi.post("/api/v1/conversations", &opening).await.fails(400, "VALIDATION_ERROR");
    }
    budi.raw(Method::POST, &path, "application/json", "{").await.fails(400, "VALIDATION_ERROR");
    let large = text(&"x".repeat(64 * 1024));
    budi.post(&path, &large).await.fails(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(app.count("select count(*) from messages").await, 1);
    budi.post(&path, &text(&"x".repeat(5000))).await.data(201);
}

#[tokio::test]
async fn a_reply_shows_what_it_answers_one_level_deep() {
    let (_app, budi, siti) = school(&[]).await;
    let (conversation, first) = chat(&budi, &siti, "Halo").await;
    siti.post(&super::message_path(&first, "/reactions"), &json!({ "emoji": "👍" })).await.data(201);
    let reply = async |to: &str| {
        let mut body = text("Ya?");
        body["reply_to_id"] = json!(to);
        siti.post(&conversation.messages(), &body).await
    };
    let second = reply(&first).await.data(201);
    let answered = &second["reply_to"];
    assert_eq!((&answered["id"], &answered["content"]["text"]), (&json!(first), &json!("Halo")));
    assert_eq!((&answered["sender"]["username"], &answered["reactions"]), (&json!("budi"), &json!([])));
    let third = reply(&id(&second)).await.data(201);
    assert_eq!((&third["reply_to"]["id"], &third["reply_to"]["reply_to"]), (&second["id"], &json!(null)));
    let page = budi.get(&conversation.messages()).await.data(200);
    assert_eq!(page.as_array().unwrap()[..2], [third.clone(), second.clone()]);
    assert_eq!(page[2]["reactions"][0]["emoji"], "👍");
    budi.delete(&super::message_path(&first, "")).await.data(200);
    let page = budi.get(&conversation.messages()).await.data(200);
    assert_eq!(page[1]["reply_to"], json!(null));
    assert_eq!(page[0]["reply_to"]["id"], second["id"]);
    assert_eq!(reply(&first).await.broken(), ["reply_to_id"]);
}

#[tokio::test]
async fn messages_of_other_conversations_cannot_be_quoted() {
    let (app, budi, siti) = school(&[]).await;
    let tono = app.student("tono").await;
    super::open(&tono).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let (_, secret) = chat(&tono, &siti, "Rahasia").await;
    let (_, own) = chat(&budi, &tono, "Lain").await;
    for message in [secret, own, Uuid::nil().to_string()] {
        let mut body = text("Lihat");
        body["reply_to_id"] = json!(message);
        assert_eq!(budi.post(&conversation.messages(), &body).await.broken(), ["reply_to_id"]);
    }
}

#[tokio::test]
async fn a_key_makes_sending_again_harmless() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, first) = chat(&budi, &siti, "Halo").await;
    let key = Uuid::now_v7();
    let with_key = |said: &str| {
        let mut body = text(said);
        body["client_message_id"] = json!(key);
        body
    };
    let path = conversation.messages();
    let sent = budi.post(&path, &with_key("Satu")).await.data(201);
    assert_eq!(sent["client_message_id"], json!(key));
    let before = super::told(&app).await.len();
    assert_eq!(budi.post(&path, &with_key("Satu")).await.data(201), sent);
    let mut reply = with_key("Satu");
    reply["reply_to_id"] = json!(first);
    for body in [with_key("Dua"), reply] {
        budi.post(&path, &body).await.fails(409, "DUPLICATE_MESSAGE");
    }
    // Neither a block nor privacy matters for what is sent already.
    super::block(&siti, &budi).await;
    assert_eq!(budi.post(&path, &with_key("Satu")).await.data(201), sent);
    budi.post(&path, &with_key("Dua")).await.fails(409, "DUPLICATE_MESSAGE");
    super::unblock(&siti, &budi).await;
    assert!(names_since(&app, before).await.is_empty());
    assert_eq!(conversation.texts(&siti).await, ["Satu", "Halo"]);
    assert_eq!(conversation.unread_of(&siti).await, 2);
    // The other's keys are his own.
    assert_ne!(siti.post(&path, &with_key("Satu")).await.data(201)["id"], sent["id"]);
    budi.delete(&super::message_path(&id(&sent), "")).await.data(200);
    budi.post(&path, &with_key("Satu")).await.fails(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_message_that_fails_leaves_nothing() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let state = async || {
        let streak: Value =
            sqlx::query_scalar("select to_jsonb(s) from chat_streaks s").fetch_one(&app.pool).await.unwrap();
        let rows: Value =
            sqlx::query_scalar("select jsonb_agg(to_jsonb(p) order by p.user_id) from conversation_participants p")
                .fetch_one(&app.pool)
                .await
                .unwrap();
        (conversation.seen_by(&siti).await, streak, rows, app.count("select count(*) from messages").await)
    };
    app.sql("update chat_streaks set last_chat_date = last_chat_date - 1").await;
    let before = state().await;
    app.sql(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'kapot'; end $$;
         create trigger refuse before insert on outbox for each row execute function refuse()",
    )
    .await;
    let failed = budi.post(&conversation.messages(), &text("Hilang")).await;
    failed.fails(500, "INTERNAL_ERROR");
    assert!(!failed.body.to_string().contains("kapot"));
    app.sql("drop trigger refuse on outbox").await;
    assert_eq!(state().await, before);
    conversation.say(&budi, "Ada").await;
    assert_eq!(conversation.texts(&siti).await, ["Ada", "Halo"]);
}
