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
    for status in ["draft", "pending_review", "rejected"] {
        sqlx::query("update portfolios set status = $1").bind(status).execute(&app.pool).await.unwrap();
        assert_eq!(of_reply().await, hidden, "{status}");
    }
    app.sql("update portfolios set status = 'published'").await;
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

#[tokio::test]
async fn a_shared_portfolio_is_hidden_when_it_is_deleted_and_shows_its_pictures_until_then() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let work = budi.published("Karya", app.admin()).await;
    app.sql("update portfolios set thumbnail_url = 'https://cdn.test/thumbnail.webp'").await;
    app.sql("update users set avatar_url = 'https://cdn.test/' || username || '.webp'").await;
    share(&siti, &conversation, &work).await.data(201);
    let portfolio = shown(&budi, &conversation).await["portfolio"].clone();
    assert_eq!(portfolio["thumbnail_url"], "https://cdn.test/thumbnail.webp");
    assert_eq!(portfolio["owner"]["avatar_url"], "https://cdn.test/budi.webp");
    budi.delete(&work.path("")).await.data(200);
    let expected = json!({ "portfolio_id": work.id, "text": "Lihat ini", "portfolio": null });
    assert_eq!(shown(&siti, &conversation).await, expected);
}

#[tokio::test]
async fn a_key_holds_for_one_portfolio() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let (one, other) = (budi.published("Satu", app.admin()).await, budi.published("Dua", app.admin()).await);
    let key = json!(Uuid::now_v7());
    let again = async |portfolio: &Portfolio| {
        let content = json!({ "portfolio_id": portfolio.id });
        let body = json!({ "message_type": "portfolio", "content": content, "client_message_id": key });
        budi.post(&conversation.messages(), &body).await
    };
    let sent = again(&one).await.data(201);
    assert_eq!(again(&one).await.data(201), sent);
    again(&other).await.fails(409, "DUPLICATE_MESSAGE");
}
