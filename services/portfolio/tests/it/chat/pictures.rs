use prost::Message as _;
use proto_events::{
    media::v1::{ObjectDeleted, UploadConfirmed},
    portfolio::v1::MediaReleased,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Chat, chat, id, message_path, school};
use crate::support::{Answer, TestApp, User};

/// A picture that media has confirmed.
async fn uploaded(app: &TestApp, owner: &User, kind: &str) -> UploadConfirmed {
    let folder = if kind == "chat_image" { "chat-images" } else { "avatars" };
    let object_key = format!("{folder}/{}/{}.webp", owner.id, Uuid::now_v7());
    let event = UploadConfirmed {
        upload_id: Uuid::now_v7().to_string(),
        kind: kind.to_owned(),
        owner_id: owner.id.to_string(),
        portfolio_id: None,
        block_id: None,
        url: format!("{}/{object_key}", app.storage),
        object_key,
        content_type: "image/webp".to_owned(),
        size: 1000,
        width: 640,
        height: 480,
        placeholder: String::new(),
        variants: Vec::new(),
    };
    app.media_says(&event).await;
    event
}

async fn send(user: &User, conversation: &Chat, content: Value) -> Answer {
    user.post(&conversation.messages(), &json!({ "message_type": "image", "content": content })).await
}

/// The keys that media was told to remove.
async fn released(app: &TestApp) -> Vec<String> {
    let payloads: Vec<Vec<u8>> =
        sqlx::query_scalar("select payload from outbox where event_type = 'media.released' order by position")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    payloads.iter().flat_map(|payload| MediaReleased::decode(&payload[..]).unwrap().object_keys).collect()
}

/// What media asks of portfolio before a picture goes.
async fn ask(app: &TestApp, path: &str, body: &Value) -> (u16, Value) {
    let url = app.portfolio.internal_url().join(path).unwrap();
    let http = grafikarsa_devstack::testing::http_client();
    let response = http.post(url).bearer_auth(&app.internal_token).json(body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn object(upload: &UploadConfirmed) -> Value {
    json!({
        "object_key": upload.object_key, "url": upload.url, "kind": upload.kind, "owner_id": upload.owner_id,
        "portfolio_id": null,
    })
}

async fn is_unreferenced(app: &TestApp, upload: &UploadConfirmed) -> bool {
    let (status, body) = ask(app, "/internal/objects/unreferenced", &json!({ "objects": [object(upload)] })).await;
    assert_eq!(status, 200, "{body}");
    body["data"]["unreferenced"] == json!([upload.object_key])
}

#[tokio::test]
async fn a_picture_is_sent_by_key_or_by_address() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let picture = uploaded(&app, &budi, "chat_image").await;
    let content = json!({ "object_key": picture.object_key, "url": "https://elsewhere.test/x.webp", "lain": 1 });
    let by_key = send(&budi, &conversation, content).await.data(201);
    assert_eq!(by_key["content"], json!({ "object_key": picture.object_key, "url": picture.url }));
    assert_eq!(by_key["message_type"], "image");
    let content = json!({ "url": format!("{}?w=640", picture.url), "text": " Lihat " });
    let by_address = send(&budi, &conversation, content).await.data(201);
    assert_eq!(
        by_address["content"],
        json!({ "object_key": picture.object_key, "url": picture.url, "text": " Lihat " }),
    );
    assert_eq!(siti.get(&conversation.messages()).await.data(200)[0], by_address);
    let preview = conversation.seen_by(&siti).await["last_message_preview"].clone();
    assert_eq!(preview, "Mengirim gambar");
}

#[tokio::test]
async fn only_a_confirmed_picture_of_the_sender_that_was_uploaded_for_messages_is_sent() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let foreign = uploaded(&app, &siti, "chat_image").await;
    let avatar = uploaded(&app, &budi, "avatar").await;
    let gone = uploaded(&app, &budi, "chat_image").await;
    app.media_says(&ObjectDeleted {
        object_key: gone.object_key.clone(),
        url: gone.url.clone(),
        kind: gone.kind.clone(),
        owner_id: gone.owner_id.clone(),
        portfolio_id: None,
        deleted_by: None,
    })
    .await;
    // Says that it is another kind than its key.
    let disguised = uploaded(&app, &budi, "chat_image").await;
    app.sql("update media_objects set kind = 'banner' where deleted_at is null and object_key like 'chat-images/%'")
        .await;
    let media = app.stack.spawn("media").await;
    let unconfirmed = format!("chat-images/{}/{}.webp", budi.id, Uuid::now_v7());
    for (content, field) in [
        (json!({ "object_key": foreign.object_key }), "content.object_key"),
        (json!({ "url": foreign.url }), "content.url"),
        (json!({ "object_key": avatar.object_key }), "content.object_key"),
        (json!({ "object_key": gone.object_key }), "content.object_key"),
        (json!({ "object_key": disguised.object_key }), "content.object_key"),
        (json!({ "object_key": unconfirmed }), "content.object_key"),
        (json!({ "url": format!("https://elsewhere.test/{unconfirmed}") }), "content.url"),
        (json!({ "text": "x" }), "content.object_key"),
    ] {
        assert_eq!(send(&budi, &conversation, content.clone()).await.broken(), [field], "{content}");
    }
    drop(media);
    assert_eq!(app.count("select count(*) from messages").await, 1);
}

#[tokio::test]
async fn a_picture_goes_with_the_last_message_that_shows_it() {
    let (app, budi, siti) = school(&[]).await;
    let tono = app.student("tono").await;
    super::open(&tono).await;
    let (with_siti, text) = chat(&budi, &siti, "Halo").await;
    let (with_tono, _) = chat(&budi, &tono, "Halo").await;
    let picture = uploaded(&app, &budi, "chat_image").await;
    let content = json!({ "object_key": picture.object_key });
    let first = id(&send(&budi, &with_siti, content.clone()).await.data(201));
    let second = id(&send(&budi, &with_tono, content.clone()).await.data(201));
    budi.delete(&message_path(&text, "")).await.data(200);
    budi.delete(&message_path(&first, "")).await.data(200);
    assert!(released(&app).await.is_empty());
    assert!(!is_unreferenced(&app, &picture).await);
    let deletion = |user: &User| {
        let mut body = object(&picture);
        body["user_id"] = json!(user.id);
        body
    };
    let (status, body) = ask(&app, "/internal/objects/deletion", &deletion(&budi)).await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("OBJECT_IN_USE")));
    assert_eq!(ask(&app, "/internal/objects/deletion", &deletion(&siti)).await.0, 403);
    budi.delete(&message_path(&second, "")).await.data(200);
    assert_eq!(released(&app).await, [picture.object_key.as_str()]);
    // It may be sent again until media has asked; afterwards it is gone.
    let third = id(&send(&budi, &with_siti, content.clone()).await.data(201));
    assert!(!is_unreferenced(&app, &picture).await);
    budi.delete(&message_path(&third, "")).await.data(200);
    assert!(is_unreferenced(&app, &picture).await);
    assert_eq!(send(&budi, &with_siti, content).await.broken(), ["content.object_key"]);
}

#[tokio::test]
async fn a_picture_that_goes_and_a_message_that_shows_it_exclude_each_other() {
    let (app, budi, siti) = school(&[("LIMIT_MESSAGES", "1000/60")]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    for _ in 0..8 {
        let picture = uploaded(&app, &budi, "chat_image").await;
        let content = json!({ "object_key": picture.object_key });
        let (sent, gone) = tokio::join!(send(&budi, &conversation, content), is_unreferenced(&app, &picture));
        assert_eq!(sent.status == 201, !gone, "{:#}", sent.body);
    }
}
