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
async fn pasted_frames_are_written_anew() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.draft("Karya").await;
    let nested = r#"<iframe src="https://a.test/x"><iframe src="javascript:alert(1)"></iframe>"#;
    let body = json!({ "block_type": "embed", "payload": { "html": nested } });
    let stored = siti.post(&portfolio.path("/blocks"), &body).await.data(201);
    let html = stored["payload"]["html"].as_str().unwrap();
    assert!(html.starts_with(r#"<iframe src="https://a.test/x" sandbox="#), "{html}");
    assert!(html.matches("<iframe").count() == 1 && !html.contains("javascript"), "{html}");
    // The installation's own hosts are those of its settings.
    let own = format!("<iframe src=\"{}\"></iframe>", app.storage.replace("http://", "https://"));
    let body = json!({ "block_type": "embed", "payload": { "html": own } });
    assert_eq!(siti.post(&portfolio.path("/blocks"), &body).await.data(201)["payload"]["html"], "");
}

#[tokio::test]
async fn a_broken_field_is_named_once() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.draft("Karya").await;
    let cells = vec![vec![1; 20]; 200];
    let long = "x".repeat(3000);
    for (block_type, payload, broken) in [
        ("image", json!({ "url": format!("a b\u{0}{long}") }), &["payload.url"][..]),
        ("pdf", json!({ "url": format!("https://a.test/{long}") }), &["payload.url"]),
        ("pdf", json!({ "url": "https://a.test/x.pdf" }), &["payload.url"]),
        ("figma", json!({ "url": format!("javascript:{long}") }), &["payload.url"]),
        ("button", json!({ "url": 1, "text": [] }), &["payload.text", "payload.url"]),
        ("youtube", json!({ "video_id": format!("\u{0}{long}") }), &["payload.video_id"]),
        ("embed", json!({ "html": format!("\u{0}{}", "x".repeat(11_000)) }), &["payload.html"]),
        ("table", json!({ "headers": vec![1; 20], "rows": cells }), &["payload.headers", "payload.rows"]),
        ("table", json!({ "rows": vec!["x"; 200] }), &["payload.rows"]),
        ("table", json!({ "rows": vec![vec!["\u{0}"; 20]; 200] }), &["payload.rows"]),
    ] {
        let body = json!({ "block_type": block_type, "payload": payload });
        assert_eq!(siti.post(&portfolio.path("/blocks"), &body).await.broken(), broken, "{block_type}");
    }
}

#[tokio::test]
async fn an_object_stays_while_another_block_shows_it_at_another_width() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.draft("Karya").await;
    let url = format!("{}/portfolio-images/{}/{}.webp", app.storage, portfolio.id, Uuid::now_v7());
    let mut blocks = Vec::new();
    for spelling in [url.clone(), format!("{url}?w=640"), url.replace("/portfolio-images", "/./portfolio%2dimages")] {
        let image = json!({ "block_type": "image", "payload": { "url": spelling } });
        let block = siti.post(&portfolio.path("/blocks"), &image).await.data(201);
        assert!(block["payload"]["url"].as_str().unwrap().starts_with(&url), "{block}");
        blocks.push(portfolio.path(&format!("/blocks/{}", block["id"].as_str().unwrap())));
    }
    let linked = json!({ "block_type": "text", "payload": { "content": format!("<a href=\"{url}\">Gambar</a>") } });
    let linked = siti.post(&portfolio.path("/blocks"), &linked).await.data(201)["id"].as_str().unwrap().to_owned();
    let released = async || app.count("select count(*) from outbox where event_type = 'media.released'").await;
    for block in blocks {
        siti.delete(&block).await.data(200);
        assert_eq!(released().await, 0);
    }
    siti.delete(&portfolio.path(&format!("/blocks/{linked}"))).await.data(200);
    let again = json!({ "block_type": "image", "payload": { "url": format!("{url}?w=64") } });
    let block = siti.post(&portfolio.path("/blocks"), &again).await.data(201)["id"].as_str().unwrap().to_owned();
    siti.delete(&portfolio.path(&format!("/blocks/{block}"))).await.data(200);
    assert_eq!(released().await, 1);
    let payload: Vec<u8> = sqlx::query_scalar("select payload from outbox where event_type = 'media.released'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    let event = <proto_events::portfolio::v1::MediaReleased as prost::Message>::decode(&payload[..]).unwrap();
    assert_eq!(event.urls, [url], "as media knows it");
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
