use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Portfolio, TestApp, User};

async fn order(user: &User, portfolio: &Portfolio) -> Vec<(String, i64)> {
    let data = user.get(&portfolio.by_id()).await.data(200);
    let blocks = data["content_blocks"].as_array().unwrap().clone();
    blocks
        .iter()
        .map(|block| {
            let text = block["payload"]["content"].as_str().unwrap_or_default();
            (text.to_owned(), block["block_order"].as_i64().unwrap())
        })
        .collect()
}

fn text(content: &str, at: Value) -> Value {
    json!({ "block_type": "text", "block_order": at, "payload": { "content": content } })
}

fn numbered(texts: &[&str]) -> Vec<(String, i64)> {
    texts.iter().map(|&text| text.to_owned()).zip(0..).collect()
}

#[tokio::test]
async fn blocks_are_inserted_at_their_position_and_close_up_when_deleted() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.draft("Karya").await;
    let blocks = portfolio.path("/blocks");
    siti.post(&blocks, &text("a", json!(null))).await.data(201);
    let b = siti.post(&blocks, &text("b", json!(99))).await.data(201);
    assert_eq!(b["block_order"], 1);
    siti.post(&blocks, &text("c", json!(0))).await.data(201);
    siti.post(&blocks, &text("d", json!(1))).await.data(201);
    assert_eq!(order(&siti, &portfolio).await, numbered(&["c", "d", "a", "b"]));
    let d = siti.get(&portfolio.by_id()).await.data(200)["content_blocks"][1]["id"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        let answer = siti.delete(&portfolio.path(&format!("/blocks/{d}"))).await;
        assert_eq!(answer.data(200), json!(null));
    }
    assert_eq!(order(&siti, &portfolio).await, numbered(&["c", "a", "b"]));
}

#[tokio::test]
async fn a_subset_is_reordered_within_its_positions() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.draft("Karya").await;
    let mut ids = Vec::new();
    for content in ["a", "b", "c", "d"] {
        let block = siti.post(&portfolio.path("/blocks"), &text(content, json!(null))).await.data(201);
        ids.push(block["id"].as_str().unwrap().to_owned());
    }
    let body = json!({ "block_orders": [{ "id": ids[3], "order": 0 }, { "id": ids[0], "order": 70 }] });
    let answer = siti.put(&portfolio.path("/blocks/reorder"), &body).await;
    assert_eq!(answer.data(200), json!(null));
    assert_eq!(order(&siti, &portfolio).await, numbered(&["d", "b", "c", "a"]));
    for body in [
        json!({}),
        json!({ "block_orders": [] }),
        json!({ "block_orders": [{ "id": ids[0], "order": 0 }, { "id": ids[0], "order": 1 }] }),
        json!({ "block_orders": [{ "id": ids[0], "order": 0 }, { "id": ids[1], "order": 0 }] }),
        json!({ "block_orders": [{ "id": ids[0], "order": -1 }] }),
        json!({ "block_orders": [{ "id": ids[1], "order": 0 }, { "id": Uuid::nil(), "order": 1 }] }),
    ] {
        assert_eq!(siti.put(&portfolio.path("/blocks/reorder"), &body).await.broken(), ["block_orders"], "{body}");
    }
    let body = json!({ "block_orders": [{ "id": "x", "order": 1 }] });
    siti.put(&portfolio.path("/blocks/reorder"), &body).await.fails(400, "VALIDATION_ERROR");
    assert_eq!(order(&siti, &portfolio).await, numbered(&["d", "b", "c", "a"]));
}

#[tokio::test]
async fn parallel_inserts_leave_no_gap_and_no_500() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.draft("Karya").await;
    let requests: Vec<_> = (0..8)
        .map(|_| {
            let (siti, path) = (siti.clone(), portfolio.path("/blocks"));
            tokio::spawn(async move { siti.post(&path, &text("x", json!(0))).await.status })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), 201);
    }
    assert_eq!(order(&siti, &portfolio).await, numbered(&["x"; 8]));
}

#[tokio::test]
async fn payloads_are_normalised_and_bad_ones_name_their_field() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.draft("Karya").await;
    let blocks = portfolio.path("/blocks");
    let dirty =
        json!({ "block_type": "text", "payload": { "content": "<p onclick='x'>a<script>b</script></p>", "x": 1 } });
    let block = siti.post(&blocks, &dirty).await.data(201);
    assert_eq!(block["payload"], json!({ "content": "<p>a</p>" }));
    assert_eq!(block["created_at"], block["updated_at"]);
    assert!(block["created_at"].as_str().unwrap().starts_with("20"));
    let unknown = json!({ "block_type": "video", "payload": {} });
    assert_eq!(siti.post(&blocks, &unknown).await.broken(), ["block_type"]);
    assert_eq!(siti.post(&blocks, &json!({})).await.broken(), ["block_type", "payload"]);
    let image =
        json!({ "block_type": "image", "payload": { "url": "javascript:alert(1)", "caption": "x".repeat(501) } });
    assert_eq!(siti.post(&blocks, &image).await.broken(), ["payload.url", "payload.caption"]);
    siti.post(&blocks, &json!({ "block_type": "text", "payload": "x" })).await.fails(400, "VALIDATION_ERROR");
    let foreign = format!("{}/portfolio-images/{}/{}.webp", app.storage, Uuid::nil(), Uuid::nil());
    let image = json!({ "block_type": "image", "payload": { "url": foreign } });
    assert_eq!(siti.post(&blocks, &image).await.broken(), ["payload.url"]);
}

#[tokio::test]
async fn blocks_belong_to_their_portfolio_and_its_editors() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let (first, second) = (siti.written("Satu").await, siti.written("Dua").await);
    let block = siti.get(&first.by_id()).await.data(200)["content_blocks"][0]["id"].as_str().unwrap().to_owned();
    let body = json!({ "payload": { "content": "x" } });
    siti.patch(&second.path(&format!("/blocks/{block}")), &body).await.fails(404, "NOT_FOUND");
    budi.patch(&first.path(&format!("/blocks/{block}")), &body).await.fails(403, "FORBIDDEN");
    budi.post(&first.path("/blocks"), &json!(1)).await.fails(403, "FORBIDDEN");
    siti.delete(&second.path(&format!("/blocks/{block}"))).await.data(200);
    assert_eq!(order(&siti, &first).await.len(), 1, "a block of another portfolio is left alone");
    siti.patch(&first.path("/blocks/x"), &body).await.fails(400, "VALIDATION_ERROR");
    assert_eq!(siti.patch(&first.path(&format!("/blocks/{block}")), &json!({})).await.broken(), ["payload"]);
}

#[tokio::test]
async fn at_most_100_blocks_are_kept() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.draft("Karya").await;
    app.sql(
        "insert into content_blocks (id, portfolio_id, block_type, block_order, payload, is_empty)
         select gen_random_uuid(), p.id, 'text', n, '{\"content\":\"\"}', true from portfolios p, generate_series(0, 99) n",
    )
    .await;
    siti.post(&portfolio.path("/blocks"), &text("x", json!(null))).await.fails(409, "BLOCK_LIMIT_REACHED");
}

#[tokio::test]
async fn the_instruction_of_the_template_is_shown_where_order_and_type_fit() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let series = app.series("PJBL", true).await;
    sqlx::query(
        "insert into series_blocks (id, series_id, block_type, block_order, instruksi)
         values ($1, $2, 'text', 0, 'Tulis judul')",
    )
    .bind(Uuid::now_v7())
    .bind(series)
    .execute(&app.pool)
    .await
    .unwrap();
    let portfolio = siti.written("Karya").await;
    siti.patch(&portfolio.path(""), &json!({ "series_id": series })).await.data(200);
    let data = siti.get(&portfolio.by_id()).await.data(200);
    assert_eq!(data["content_blocks"][0]["series_instruksi"], "Tulis judul");
}

#[tokio::test]
async fn an_object_is_released_when_its_last_block_goes() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.draft("Karya").await;
    let url = format!("{}/portfolio-images/{}/{}.webp", app.storage, portfolio.id, Uuid::now_v7());
    let image = json!({ "block_type": "image", "payload": { "url": url } });
    let mut ids = Vec::new();
    for _ in 0..2 {
        let block = siti.post(&portfolio.path("/blocks"), &image).await.data(201);
        ids.push(block["id"].as_str().unwrap().to_owned());
    }
    let released = async || app.count("select count(*) from outbox where event_type = 'media.released'").await;
    siti.delete(&portfolio.path(&format!("/blocks/{}", ids[0]))).await.data(200);
    assert_eq!(released().await, 0);
    let other = json!({ "payload": { "url": "https://picsum.photos/1" } });
    siti.patch(&portfolio.path(&format!("/blocks/{}", ids[1])), &other).await.data(200);
    assert_eq!(released().await, 1);
}
