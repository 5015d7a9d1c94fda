use prost::Message as _;
use proto_events::{
    media::v1::{ObjectDeleted, UploadConfirmed},
    portfolio::v1::MediaReleased,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Chat, block, chat, id, message_path, school, set, text};
use crate::support::{Answer, TestApp, User, eventually};

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

#[tokio::test]
async fn a_picture_that_only_media_knows_is_sent() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let media = app.stack.spawn("media").await;
    let uploader = budi.at(&media);
    app.stack.nginx().await;
    let bytes = include_bytes!("../../../src/seed/pictures/batik.jpg");
    let wish = json!({
        "upload_type": "chat_image", "filename": "batik.jpg", "content_type": "image/jpeg", "file_size": bytes.len(),
    });
    let promise = uploader.post("/api/v1/uploads/presign", &wish).await.data(200);
    let put = grafikarsa_devstack::testing::http_client()
        .put(promise["presigned_url"].as_str().unwrap())
        .header("content-type", "image/jpeg")
        .body(bytes.to_vec());
    assert_eq!(put.send().await.unwrap().status(), 200);
    let key = &promise["object_key"];
    let confirmation = json!({ "upload_id": promise["upload_id"], "object_key": key });
    uploader.post("/api/v1/uploads/confirm", &confirmation).await.data(200);
    let known = "select count(*) from media_objects";
    eventually("the confirmation has arrived", async || app.count(known).await == 1).await;
    // As if it were still on its way.
    app.sql("delete from media_objects").await;
    let sent = send(&budi, &conversation, json!({ "object_key": key })).await.data(201);
    assert_eq!(sent["content"]["object_key"], *key);
    // What it shows can be locked from now on.
    assert_eq!(app.count(known).await, 1);
    // Of another picture media knows nothing.
    let unknown = format!("chat-images/{}/{}.jpg", budi.id, Uuid::now_v7());
    let answer = send(&budi, &conversation, json!({ "object_key": unknown })).await;
    assert_eq!(answer.broken(), ["content.object_key"]);
}

#[tokio::test]
async fn media_is_asked_last_and_its_absence_costs_nothing() {
    let (app, budi, siti) = school(&[("LIMIT_MESSAGES", "4/60")]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let picture = uploaded(&app, &budi, "chat_image").await;
    let mut body = json!({ "message_type": "image", "content": { "object_key": picture.object_key } });
    body["client_message_id"] = json!(Uuid::now_v7());
    let first = budi.post(&conversation.messages(), &body).await.data(201);
    app.sql("delete from media_objects").await;
    // Media is down, and was not needed.
    assert_eq!(budi.post(&conversation.messages(), &body).await.data(201), first);
    let unknown = json!({ "object_key": format!("chat-images/{}/{}.webp", budi.id, Uuid::now_v7()) });
    for _ in 0..3 {
        send(&budi, &conversation, unknown.clone()).await.fails(503, "SERVICE_UNAVAILABLE");
    }
    // None of these counted: this is the fourth.
    conversation.say(&budi, "Ada").await;
    budi.post(&conversation.messages(), &text("x")).await.fails(429, "TOO_MANY_REQUESTS");
    let unknown = json!({ "object_key": format!("chat-images/{}/{}.webp", siti.id, Uuid::now_v7()) });
    set(&budi, json!({ "dm_privacy": "closed" })).await;
    send(&siti, &conversation, unknown.clone()).await.fails(403, "PRIVACY_RESTRICTED");
    block(&budi, &siti).await;
    send(&siti, &conversation, unknown).await.fails(403, "USER_BLOCKED");
    assert_eq!(app.count("select count(*) from messages").await, 3);
}

#[tokio::test]
async fn a_picture_that_goes_before_its_confirmation_arrives_is_not_sent() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let picture = uploaded(&app, &budi, "chat_image").await;
    // A message that comes at the same moment, and has put its picture into the copy.
    app.sql("delete from media_objects").await;
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query(
        "insert into media_objects (
             object_key, upload_id, url, kind, owner_id, content_type, size, width, height, placeholder, confirmed_at
         )
         values ($1, '00000000-0000-0000-0000-000000000000', $2, 'chat_image', $3, 'image/webp', 0, 0, 0, '', now())",
    )
    .bind(&picture.object_key)
    .bind(&picture.url)
    .bind(budi.id)
    .execute(&mut *tx)
    .await
    .unwrap();
    sqlx::query(
        "insert into messages (id, conversation_id, sender_id, message_type, object_key, created_at)
         values (gen_random_uuid(), $1, $2, 'image', $3, now())",
    )
    .bind(conversation.0.parse::<Uuid>().unwrap())
    .bind(budi.id)
    .bind(&picture.object_key)
    .execute(&mut *tx)
    .await
    .unwrap();
    let (gone, ()) = tokio::join!(is_unreferenced(&app, &picture), async {
        app.somebody_waits_for_a_lock().await;
        tx.commit().await.unwrap();
    });
    assert!(!gone);
    assert_eq!(app.count("select count(*) from media_objects where deleted_at is not null").await, 0);
}

#[tokio::test]
async fn a_key_holds_for_one_picture_in_whatever_spelling() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let (one, other) = (uploaded(&app, &budi, "chat_image").await, uploaded(&app, &budi, "chat_image").await);
    let key = json!(Uuid::now_v7());
    let again = async |content: Value| {
        let body = json!({ "message_type": "image", "content": content, "client_message_id": key });
        budi.post(&conversation.messages(), &body).await
    };
    let sent = again(json!({ "object_key": one.object_key, "text": "Lihat" })).await.data(201);
    assert_eq!(again(json!({ "url": one.url, "text": "Lihat" })).await.data(201), sent);
    for content in [
        json!({ "object_key": other.object_key, "text": "Lihat" }),
        json!({ "object_key": one.object_key }),
        json!({ "object_key": one.object_key, "text": "Lain" }),
    ] {
        again(content).await.fails(409, "DUPLICATE_MESSAGE");
    }
    let mut text = text("Lihat");
    text["client_message_id"] = key.clone();
    budi.post(&conversation.messages(), &text).await.fails(409, "DUPLICATE_MESSAGE");
}
