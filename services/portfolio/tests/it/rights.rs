//! Rights that are not the owner's: those of managers, and how soon a right that was taken away is gone.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{PASSWORD, TestApp, User, new_user};

const PENDING: &str = "/api/v1/admin/portfolios/pending";
/// How old a right may be, and the time of the request that finds it gone.
const FRESHNESS: Duration = Duration::from_millis(5_500);

/// Asks until the back office is closed, for as long as it may stay open.
async fn is_shut_out(user: &User) {
    let deadline = Instant::now() + FRESHNESS;
    loop {
        let answer = user.get(PENDING).await;
        match answer.status {
            403 => return answer.fails(403, "FORBIDDEN"),
            _ => answer.data(200),
        };
        assert!(Instant::now() < deadline, "still let in");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_demoted_admin_is_none_any_more() {
    let app = TestApp::spawn().await;
    let boss = app.user(json!({ "username": "bos", "role": "admin" })).await;
    boss.get(PENDING).await.data(200);
    app.change(&boss, json!({ "role": "student" })).await;
    let again = app.again(&boss).await;
    is_shut_out(&again).await;
    // Old tokens say admin, and are good for nothing.
    boss.get(PENDING).await.fails(401, "TOKEN_REVOKED");
    let body = new_user(json!({ "username": "lain", "password": PASSWORD }));
    again.post("/api/v1/admin/users", &body).await.fails(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_withdrawn_special_role_opens_nothing_any_more() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["moderation"]).await;
    tata.get(PENDING).await.data(200);
    app.sql("delete from user_special_roles").await;
    is_shut_out(&tata).await;
}

#[tokio::test]
async fn a_deactivated_or_deleted_special_role_opens_nothing_any_more() {
    let app = TestApp::spawn().await;
    let (tata, tono) = (app.holder("tata", &["moderation"]).await, app.holder("tono", &["moderation"]).await);
    tata.get(PENDING).await.data(200);
    tono.get(PENDING).await.data(200);
    app.sql(
        "update special_roles r set
             is_active = u.username <> 'tata',
             deleted_at = case when u.username = 'tono' then now() end
         from user_special_roles a join users u on u.id = a.user_id
         where a.special_role_id = r.id",
    )
    .await;
    tokio::join!(is_shut_out(&tata), is_shut_out(&tono));
}

#[tokio::test]
async fn a_manager_makes_portfolios_for_others() {
    let app = TestApp::spawn().await;
    let (siti, tata) = (app.student("siti").await, app.holder("tata", &["portfolios"]).await);
    let moderator = app.holder("tono", &["moderation", "users", "tags"]).await;
    let body = json!({ "judul": "Karya", "user_id": siti.id });
    moderator.post("/api/v1/portfolios", &body).await.fails(403, "FORBIDDEN");
    let data = tata.post("/api/v1/portfolios", &body).await.data(201);
    assert_eq!((&data["user_id"], &data["status"]), (&json!(siti.id), &json!("draft")));
    assert_eq!(siti.get("/api/v1/me/portfolios").await.column("judul"), ["Karya"]);
    assert_eq!(tata.get("/api/v1/me/portfolios").await.column("judul").len(), 0);
}

#[tokio::test]
async fn a_manager_sees_and_edits_everybodys_work_without_changing_its_status() {
    let app = TestApp::spawn().await;
    let (siti, tata) = (app.student("siti").await, app.holder("tata", &["portfolios"]).await);
    let moderator = app.holder("tono", &["moderation"]).await;
    let draft = siti.written("Rahasia").await;
    tata.get(&draft.page(&siti)).await.data(200);
    tata.get(&draft.by_id()).await.data(200);
    moderator.get(&draft.page(&siti)).await.fails(404, "PORTFOLIO_NOT_FOUND");

    let portfolio = siti.published("Karya", app.admin()).await;
    let blocks = portfolio.path("/blocks");
    let text = json!({ "block_type": "text", "payload": { "content": "Dari guru" } });
    moderator.post(&blocks, &text).await.fails(403, "FORBIDDEN");
    let new = tata.post(&blocks, &text).await.data(201)["id"].as_str().unwrap().to_owned();
    let old = siti.get(&portfolio.by_id()).await.data(200)["content_blocks"][0]["id"].as_str().unwrap().to_owned();
    let block = portfolio.path(&format!("/blocks/{new}"));
    let payload = json!({ "payload": { "content": "Diubah guru" } });
    moderator.patch(&block, &payload).await.fails(403, "FORBIDDEN");
    tata.patch(&block, &payload).await.data(200);
    let orders = json!({ "block_orders": [{ "id": new, "order": 0 }, { "id": old, "order": 1 }] });
    moderator.put(&portfolio.path("/blocks/reorder"), &orders).await.fails(403, "FORBIDDEN");
    tata.put(&portfolio.path("/blocks/reorder"), &orders).await.data(200);
    let shown = app.get(&portfolio.page(&siti)).await.data(200);
    assert_eq!(shown["content_blocks"][0]["payload"]["content"], "Diubah guru");
    moderator.delete(&block).await.fails(403, "FORBIDDEN");
    tata.delete(&block).await.data(200);
    assert_eq!(siti.status_of(&portfolio).await, "published");
}

#[tokio::test]
async fn a_manager_archives_and_deletes_everybodys_work_and_submits_none_of_it() {
    let app = TestApp::spawn().await;
    let (siti, tata) = (app.student("siti").await, app.holder("tata", &["portfolios"]).await);
    let moderator = app.holder("tono", &["moderation"]).await;
    let portfolio = siti.published("Karya", app.admin()).await;
    for (action, status) in [("/archive", "archived"), ("/unarchive", "draft")] {
        moderator.act(&portfolio.path(action)).await.fails(403, "FORBIDDEN");
        let data = tata.act(&portfolio.path(action)).await.data(200);
        assert_eq!(data, json!({ "id": portfolio.id, "status": status }));
    }
    tata.act(&portfolio.path("/submit")).await.fails(403, "FORBIDDEN");
    moderator.delete(&portfolio.path("")).await.fails(403, "FORBIDDEN");
    tata.delete(&portfolio.path("")).await.data(200);
    siti.get(&portfolio.by_id()).await.fails(404, "PORTFOLIO_NOT_FOUND");
}
