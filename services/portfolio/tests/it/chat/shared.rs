//! Portfolios that messages show.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Chat, chat, school};
use crate::support::{Answer, Portfolio, User};

async fn share(user: &User, conversation: &Chat, portfolio: &Portfolio) -> Answer {
    let content = json!({ "portfolio_id": portfolio.id, "text": "Lihat ini" });
    user.post(&conversation.messages(), &json!({ "message_type": "portfolio", "content": content })).await
}

async fn shown(user: &User, conversation: &Chat) -> Value {
    user.get(&conversation.messages()).await.data(200)[0]["content"].clone()
}

#[tokio::test]
async fn a_shared_portfolio_is_shown_as_it_is_now() {
    let (app, budi, siti) = school(&[("REMODERATE_EDITS", "false")]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let tono = app.student("tono").await;
    let work = tono.published("Karya", app.admin()).await;
    let sent = share(&budi, &conversation, &work).await.data(201);
    let expected = json!({
        "portfolio_id": work.id, "text": "Lihat ini",
        "portfolio": {
            "id": work.id, "judul": "Karya", "slug": work.slug, "thumbnail_url": null,
            "owner": { "id": tono.id, "username": "tono", "nama": "Nama tono", "avatar_url": null },
        },
    });
    assert_eq!(sent["content"], expected);
    assert_eq!(shown(&siti, &conversation).await, expected);
    assert_eq!(conversation.seen_by(&siti).await["last_message_preview"], "Membagikan portofolio");
    tono.patch(&work.path(""), &json!({ "judul": "Karya Baru" })).await.data(200);
    assert_eq!(shown(&siti, &conversation).await["portfolio"]["judul"], "Karya Baru");

    // In an answer to it as well.
    let mut reply = super::text("Bagus");
    reply["reply_to_id"] = sent["id"].clone();
    let reply = siti.post(&conversation.messages(), &reply).await.data(201);
    assert_eq!(reply["reply_to"]["content"]["portfolio"]["judul"], "Karya Baru");
    let of_reply = async || {
        let page = siti.get(&conversation.messages()).await.data(200);
        (page[0]["reply_to"]["content"]["portfolio"].clone(), page[1]["content"]["portfolio"].clone())
    };
    let hidden = (Value::Null, Value::Null);
    tono.act(&work.path("/archive")).await.data(200);
    assert_eq!(of_reply().await, hidden);
    app.sql("update portfolios set status = 'published'").await;
    assert_ne!(of_reply().await, hidden);
    app.deactivate(&tono).await;
    assert_eq!(of_reply().await, hidden);
    app.reactivate(&tono).await;
    assert_ne!(of_reply().await, hidden);
    app.delete_account(&tono).await;
    assert_eq!(of_reply().await, hidden);
    let content = siti.get(&conversation.messages()).await.data(200)[1]["content"].clone();
    assert_eq!(content, json!({ "portfolio_id": work.id, "text": "Lihat ini", "portfolio": null }));
}

#[tokio::test]
async fn only_published_portfolios_are_shared() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let draft = budi.written("Draf").await;
    let waiting = budi.submitted("Menunggu").await;
    let archived = budi.published("Arsip", app.admin()).await;
    budi.act(&archived.path("/archive")).await.data(200);
    let deleted = budi.published("Hapus", app.admin()).await;
    budi.delete(&deleted.path("")).await.data(200);
    let nobodys = Portfolio { id: Uuid::nil(), slug: String::new() };
    for portfolio in [&draft, &waiting, &archived, &deleted, &nobodys] {
        share(&budi, &conversation, portfolio).await.fails(404, "PORTFOLIO_NOT_FOUND");
    }
    let tono = app.student("tono").await;
    let work = tono.published("Karya", app.admin()).await;
    app.deactivate(&tono).await;
    share(&budi, &conversation, &work).await.fails(404, "PORTFOLIO_NOT_FOUND");
    assert_eq!(app.count("select count(*) from messages").await, 1);
}
