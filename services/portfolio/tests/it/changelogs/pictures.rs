//! Pictures that come inside of the form, and what becomes of them.

use std::time::Duration;

use data_encoding::BASE64;
use grafikarsa_devstack::testing::{Running, http_client};
use prost::Message as _;
use proto_events::portfolio::v1::MediaReleased;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Instant, timeout},
};
use uuid::Uuid;

use super::{ADMIN, block, form, public, text};
use crate::support::{TestApp, User, eventually};

const PHOTOGRAPH: &[u8] = include_bytes!("../../../src/seed/pictures/batik.jpg");
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const GIF: &str = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

fn data_url(bytes: &[u8]) -> String {
    format!("data:image/jpeg;base64,{}", BASE64.encode(bytes))
}

fn image(url: &str) -> Value {
    block("image", json!({ "url": url, "caption": "Gambar" }))
}

/// With the media service running.
async fn with_media() -> (TestApp, Running) {
    let app = TestApp::spawn().await;
    let media = app.stack.spawn("media").await;
    (app, media)
}

/// The addresses of the images of a changelog, in their order.
fn urls(changelog: &Value) -> Vec<String> {
    let sections = changelog["sections"].as_array().unwrap();
    let blocks = sections.iter().flat_map(|section| section["blocks"].as_array().unwrap());
    blocks.filter_map(|block| Some(block["payload"]["url"].as_str()?.to_owned())).collect()
}

fn key(app: &TestApp, url: &str) -> String {
    url.strip_prefix(&format!("{}/", app.storage)).expect(url).to_owned()
}

/// Keys that were released so far, in order.
async fn released(app: &TestApp) -> Vec<String> {
    let payloads: Vec<Vec<u8>> =
        sqlx::query_scalar("select payload from outbox where event_type = 'media.released' order by position")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    payloads.iter().flat_map(|payload| MediaReleased::decode(&payload[..]).unwrap().object_keys).collect()
}

async fn stored(app: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from uploads").fetch_one(&app.stack.pool("media").await).await.unwrap()
}

/// Media's question, which of these objects of a changelog nothing shows.
async fn unreferenced(app: &TestApp, changelog: &str, urls: &[&str]) -> Vec<String> {
    let objects: Vec<Value> = urls
        .iter()
        .map(|url| {
            json!({
                "object_key": key(app, url), "url": url, "kind": "changelog_image", "owner_id": changelog,
                "portfolio_id": null,
            })
        })
        .collect();
    let address = app.portfolio.internal_url().join("/internal/objects/unreferenced").unwrap();
    let request = http_client().post(address).bearer_auth(&app.internal_token).json(&json!({ "objects": objects }));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let keys = answer["data"]["unreferenced"].as_array().unwrap_or_else(|| panic!("{answer}"));
    keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_picture_in_the_form_is_stored_and_only_its_address_comes_back() {
    let (app, media) = with_media().await;
    let admin = app.admin().through_nginx(&app).await;
    let photograph = data_url(PHOTOGRAPH);
    // Larger than other routes take.
    let padding = " ".repeat(2 * 1024 * 1024);
    let mut body = form(&admin, &[text("x"), image(&photograph), image(&format!("{GIF}{padding}"))]);
    body["sections"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "category": "fixed", "blocks": [image(&photograph), image("")] }));
    let made = admin.post(ADMIN, &body).await.data(201);
    let id = made["id"].as_str().unwrap();
    let shown = urls(&made);
    assert_eq!(shown.len(), 4);
    for (url, ending) in shown.iter().zip([".jpg", ".gif", ".jpg"]) {
        let key = key(&app, url);
        assert!(key.starts_with(&format!("changelog-images/{id}/")) && key.ends_with(ending), "{key}");
        let address = media.public_url().join(&format!("/storage/{key}")).unwrap();
        assert_eq!(http_client().get(address).send().await.unwrap().status(), 200);
    }
    assert_eq!(shown[3], "");
    assert_eq!(made["sections"][0]["blocks"][1]["payload"]["caption"], "Gambar");
    let path = format!("{ADMIN}/{id}");
    admin.act(&format!("{path}/publish")).await.data(200);
    assert_eq!(urls(&app.get(&public(&path)).await.data(200)), shown[..3]);
    let data = "select count(*) from changelog_blocks where payload::text ilike '%data:%'";
    assert_eq!(app.count(data).await, 0);

    let mut edited = json!({ "sections": made["sections"] });
    edited["sections"][0]["blocks"][0] = image(&photograph);
    let after = urls(&admin.patch(&path, &edited).await.data(200));
    assert_eq!(after[1..], shown, "what the editor sends back stays");
    assert!(key(&app, &after[0]).starts_with(&format!("changelog-images/{id}/")));
    assert!(released(&app).await.is_empty());
}

#[tokio::test]
async fn everything_is_checked_before_the_first_picture_is_stored() {
    let (app, _media) = with_media().await;
    let admin = app.admin();
    let good = data_url(PHOTOGRAPH);
    let svg = format!("data:image/svg+xml;base64,{}", BASE64.encode(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"));
    let mut large = PHOTOGRAPH.to_vec();
    large.resize(10 * 1024 * 1024 + 1, 0);
    for bad in [&svg, &data_url(b"<svg/>"), &data_url(&large), "data:image/png;base64,###", "data:text/html,x"] {
        let answer = admin.post(ADMIN, &form(admin, &[image(&good), image(bad)])).await;
        assert_eq!(answer.broken(), ["sections[0].blocks[1].payload.url"]);
    }
    let mut body = form(admin, &[image(&good)]);
    body["contributors"][0]["user_id"] = json!(Uuid::now_v7());
    assert_eq!(admin.post(ADMIN, &body).await.broken(), ["contributors[0].user_id"]);
    let eleven = admin.post(ADMIN, &form(admin, &vec![image(GIF); 11])).await;
    assert_eq!(eleven.broken(), ["sections[0].blocks[10].payload.url"]);
    assert_eq!((stored(&app).await, app.count("select count(*) from changelogs").await), (0, 0));
    let ten = admin.post(ADMIN, &form(admin, &vec![image(GIF); 10])).await.data(201);
    assert_eq!(urls(&ten).len(), 10);
    assert_eq!(stored(&app).await, 10);
}

#[tokio::test]
async fn without_media_nothing_is_saved() {
    let (app, mut media) = with_media().await;
    let admin = app.admin();
    let made = admin.post(ADMIN, &form(admin, &[text("x")])).await.data(201);
    let path = format!("{ADMIN}/{}", made["id"].as_str().unwrap());
    media.kill().await;
    let body = form(admin, &[image(GIF)]);
    admin.post(ADMIN, &body).await.fails(503, "SERVICE_UNAVAILABLE");
    admin.patch(&path, &body).await.fails(503, "SERVICE_UNAVAILABLE");
    assert_eq!(app.count("select count(*) from changelogs").await, 1);
    assert_eq!(admin.get(&path).await.data(200), made);
    admin
        .patch(&path, &json!({ "sections": body["sections"].clone(), "title": "Baru" }))
        .await
        .fails(503, "SERVICE_UNAVAILABLE");
    admin.patch(&path, &json!({ "title": "Tanpa gambar" })).await.data(200);
    media.restart().await;
    admin.patch(&path, &body).await.data(200);
}

#[tokio::test]
async fn a_picture_that_media_refuses_breaks_its_field_and_those_before_it_are_released() {
    let (app, _media) = with_media().await;
    let admin = app.admin();
    let torn = data_url(&BASE64.decode(PNG.as_bytes()).unwrap()[..45]);
    let body = form(admin, &[text("x"), image(GIF), image(&torn)]);
    assert_eq!(admin.post(ADMIN, &body).await.broken(), ["sections[0].blocks[2].payload.url"]);
    assert_eq!(app.count("select count(*) from changelogs").await, 0);
    assert_eq!(released(&app).await.len(), 1);
    let media = app.stack.pool("media").await;
    eventually("media has let the first go", async || {
        let query = "select count(*) from objects where released_at is not null";
        sqlx::query_scalar::<_, i64>(query).fetch_one(&media).await.unwrap() == 1
    })
    .await;
}

#[tokio::test]
async fn pictures_of_a_save_that_fails_are_released() {
    let (app, _media) = with_media().await;
    let admin = app.admin();
    let made = admin.post(ADMIN, &form(admin, &[image(GIF)])).await.data(201);
    let path = format!("{ADMIN}/{}", made["id"].as_str().unwrap());
    app.sql("alter table changelog_contributors add constraint refuse check (contribution <> 'tolak')").await;
    let mut body = form(admin, &[image(GIF), image(GIF)]);
    body["contributors"][0]["contribution"] = json!("tolak");
    admin.patch(&path, &body).await.fails(500, "INTERNAL_ERROR");
    assert_eq!(admin.get(&path).await.data(200), made, "nothing of it was written");
    let gone = released(&app).await;
    assert_eq!(gone.len(), 2);
    assert!(!gone.contains(&key(&app, &urls(&made)[0])), "what is shown stays");
    admin.post(ADMIN, &body).await.fails(500, "INTERNAL_ERROR");
    assert_eq!(released(&app).await.len(), 4);
    assert_eq!(app.count("select count(*) from changelogs").await, 1);
}

#[tokio::test]
async fn a_changelog_deleted_meanwhile_keeps_no_picture() {
    let (app, _media) = with_media().await;
    let admin = app.admin();
    let made = admin.post(ADMIN, &form(admin, &[text("x")])).await.data(201);
    let path = format!("{ADMIN}/{}", made["id"].as_str().unwrap());
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query("update changelogs set deleted_at = now()").execute(&mut *tx).await.unwrap();
    let body = form(admin, &[image(GIF)]);
    let (answer, ()) = tokio::join!(admin.patch(&path, &body), async {
        app.somebody_waits_for_a_lock().await;
        tx.commit().await.unwrap();
    });
    answer.fails(404, "NOT_FOUND");
    assert_eq!(released(&app).await.len(), 1);
}

#[tokio::test]
async fn what_no_block_shows_any_more_is_released() {
    let (app, _media) = with_media().await;
    let admin = app.admin();
    let made = admin.post(ADMIN, &form(admin, &[image(GIF), image(GIF), image(GIF)])).await.data(201);
    let id = made["id"].as_str().unwrap();
    let path = format!("{ADMIN}/{id}");
    let shown = urls(&made);
    let change = |blocks: &[Value]| json!({ "sections": [{ "category": "fixed", "blocks": blocks }] });
    let twice = [image(&shown[0]), image(&format!("{}?w=640", shown[0])), image(&shown[2])];
    admin.patch(&path, &change(&twice)).await.data(200);
    assert_eq!(released(&app).await, [key(&app, &shown[1])]);
    admin.patch(&path, &change(&twice[1..])).await.data(200);
    assert_eq!(released(&app).await.len(), 1, "another block shows it at another width");
    admin.patch(&path, &json!({ "title": "Baru" })).await.data(200);
    assert_eq!(released(&app).await.len(), 1);

    // Another changelog shows one of them, too: it is not that one's to release.
    let other = admin.post(ADMIN, &form(admin, &[image(&shown[2])])).await.data(201);
    let other = format!("{ADMIN}/{}", other["id"].as_str().unwrap());
    admin.patch(&other, &change(&[text("x")])).await.data(200);
    admin.patch(&other, &change(&[image(&shown[2])])).await.data(200);
    assert_eq!(released(&app).await.len(), 1);
    let all: Vec<&str> = shown.iter().map(|url| &**url).collect();
    assert_eq!(unreferenced(&app, id, &all).await, [key(&app, &shown[1])]);
    assert_eq!(unreferenced(&app, id, &all).await, [key(&app, &shown[1])], "asking again changes nothing");

    admin.delete(&path).await.data(200);
    let mut gone = released(&app).await.split_off(1);
    gone.sort();
    let mut expected = [key(&app, &shown[0]), key(&app, &shown[2])];
    expected.sort();
    assert_eq!(gone, expected);
    assert_eq!(unreferenced(&app, id, &all).await, [key(&app, &shown[0]), key(&app, &shown[1])]);
    admin.delete(&other).await.data(200);
    assert_eq!(unreferenced(&app, id, &all).await.len(), 3);
}

#[tokio::test]
async fn other_addresses_stand_here_already_or_lie_in_the_storage() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let stored = format!("{}/changelog-images/{}/{}.png", app.storage, Uuid::now_v7(), Uuid::now_v7());
    let made = admin.post(ADMIN, &form(admin, &[image(&stored)])).await.data(201);
    let path = format!("{ADMIN}/{}", made["id"].as_str().unwrap());
    let old = "https://lama.test/gambar.png";
    let change = |blocks: &[Value]| json!({ "sections": [{ "category": "fixed", "blocks": blocks }] });
    let broken = ["sections[0].blocks[0].payload.url"];
    assert_eq!(admin.patch(&path, &change(&[image(old)])).await.broken(), broken);
    // From the time before the storage had this address.
    app.sql("update changelog_blocks set payload = jsonb_set(payload, '{url}', '\"https://lama.test/gambar.png\"')")
        .await;
    admin.patch(&path, &change(&[image(old), image(&stored)])).await.data(200);
    assert_eq!(admin.post(ADMIN, &form(admin, &[image(old)])).await.broken(), broken, "it stands elsewhere");
    admin.patch(&path, &change(&[image(&stored)])).await.data(200);
    assert_eq!(admin.patch(&path, &change(&[image(old)])).await.broken(), broken, "it stood here");
}

#[tokio::test]
async fn more_than_32_mib_are_refused() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let mut body = form(admin, &[text("x")]);
    let length = body.to_string().len();
    let most = 32 * 1024 * 1024;
    body["x"] = json!("x".repeat(most - length - r#","x":"""#.len()));
    assert_eq!(body.to_string().len(), most);
    let made = admin.post(ADMIN, &body).await.data(201);
    body["y"] = json!("");
    admin.post(ADMIN, &body).await.fails(413, "PAYLOAD_TOO_LARGE");
    let path = format!("{ADMIN}/{}", made["id"].as_str().unwrap());
    admin.patch(&path, &body).await.fails(413, "PAYLOAD_TOO_LARGE");
    // Through nginx as well, whose limit is a little higher.
    admin.through_nginx(&app).await.patch(&path, &body).await.fails(413, "PAYLOAD_TOO_LARGE");
    let other = format!("{path}/publish");
    admin.post(&other, &json!({ "x": "x".repeat(2 * 1024 * 1024) })).await.data(200);
}

#[tokio::test]
async fn millions_of_small_things_take_no_more_memory_than_their_bytes() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let most = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", app.portfolio.pid().unwrap())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    let before = most();
    let many = |item: &str| vec![item; 6_000_000 / item.len()].join(",");
    for body in [
        format!("{{\"sections\":[{}]}}", many("{}")),
        format!("{{\"sections\":[{{\"blocks\":[{}]}}]}}", many("{}")),
        format!("{{\"sections\":[{{\"blocks\":[{{\"payload\":{{\"x\":[{}]}}}}]}}]}}", many("0")),
        format!("{{\"contributors\":[{}]}}", many("{}")),
    ] {
        let request = http_client().post(app.portfolio.public_url().join(ADMIN).unwrap()).bearer_auth(&admin.token);
        let answer = request.header(CONTENT_TYPE, "application/json").body(body).send().await.unwrap();
        assert_eq!(answer.status(), 422);
    }
    let grown = most() - before;
    assert!(grown < 100, "{grown} MiB for bodies of 9");
}

/// Begins a request and goes no further than its first bytes.
async fn begin(app: &TestApp, user: &User) -> TcpStream {
    let url = app.portfolio.public_url();
    let mut stream = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
    let head = format!(
        "POST {ADMIN} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000\r\n\r\n{{",
        user.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn two_bodies_are_read_at_once_and_others_wait_for_a_while() {
    let app = TestApp::spawn().await;
    let (admin, siti) = (app.admin(), app.student("siti").await);
    let first = [begin(&app, admin).await, begin(&app, admin).await];
    eventually("both places are taken", async || {
        timeout(Duration::from_millis(500), admin.post(ADMIN, &json!({}))).await.is_err()
    })
    .await;
    siti.post(ADMIN, &json!({})).await.fails(403, "FORBIDDEN");
    app.admin().get(ADMIN).await.data(200);
    let begun = Instant::now();
    let refused = admin.post(ADMIN, &json!({})).await;
    refused.fails(503, "SERVICE_UNAVAILABLE");
    assert!(refused.headers[RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() > 0);
    assert!(begun.elapsed() >= Duration::from_secs(9), "{:?}", begun.elapsed());
    drop(first);
    assert_eq!(admin.post(ADMIN, &json!({})).await.status, 422);
}

/// An address in the storage that belongs to this changelog.
fn address(app: &TestApp, changelog: &str) -> String {
    format!("{}/changelog-images/{changelog}/{}.png", app.storage, Uuid::now_v7())
}

#[tokio::test]
async fn a_picture_that_is_gone_is_shown_nowhere_anew() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let made = admin.post(ADMIN, &form(admin, &[text("x")])).await.data(201);
    let id = made["id"].as_str().unwrap();
    let path = format!("{ADMIN}/{id}");
    let (gone, shown) = (address(&app, id), address(&app, id));
    assert_eq!(unreferenced(&app, id, &[&gone]).await.len(), 1);
    let body = form(admin, &[text("x"), image(&gone)]);
    let broken = ["sections[0].blocks[1].payload.url"];
    assert_eq!(admin.patch(&path, &body).await.broken(), broken);
    assert_eq!(admin.post(ADMIN, &body).await.broken(), broken);
    assert_eq!(admin.get(&path).await.data(200), made);

    // What stands there never stops an edit, and it does not go.
    let body = form(admin, &[image(&shown)]);
    admin.patch(&path, &body).await.data(200);
    let deletion = json!({
        "user_id": admin.id, "object_key": key(&app, &shown), "url": shown, "kind": "changelog_image", "owner_id": id,
        "portfolio_id": null,
    });
    let url = app.portfolio.internal_url().join("/internal/objects/deletion").unwrap();
    let answer = http_client().post(url).bearer_auth(&app.internal_token).json(&deletion).send().await.unwrap();
    assert_eq!(answer.status(), 409);
    app.sql("update media_objects set deleted_at = now()").await;
    admin.patch(&path, &body).await.data(200);
}

#[tokio::test]
async fn of_a_picture_that_goes_and_a_changelog_that_shows_it_one_wins() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let owner = admin.post(ADMIN, &form(admin, &[text("x")])).await.data(201);
    let owner = owner["id"].as_str().unwrap();
    let other = admin.post(ADMIN, &form(admin, &[text("x")])).await.data(201);
    for path in [format!("{ADMIN}/{owner}"), format!("{ADMIN}/{}", other["id"].as_str().unwrap())] {
        for _ in 0..8 {
            let url = address(&app, owner);
            let body = form(admin, &[image(&url)]);
            let urls = [&*url];
            let (saved, gone) = tokio::join!(admin.patch(&path, &body), unreferenced(&app, owner, &urls));
            match (saved.status, gone.len()) {
                (200, 0) => {}
                (422, 1) => assert_eq!(saved.broken(), ["sections[0].blocks[0].payload.url"]),
                other => panic!("{other:?}: {}", saved.body),
            }
        }
    }
}

#[tokio::test]
async fn whoever_shows_a_picture_of_another_changelog_waits_for_the_question_about_it() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let owner = admin.post(ADMIN, &form(admin, &[text("x")])).await.data(201);
    let owner = owner["id"].as_str().unwrap();
    let url = address(&app, owner);
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query("select id from changelogs where id = $1::uuid for no key update")
        .bind(owner)
        .execute(&mut *tx)
        .await
        .unwrap();
    let body = form(admin, &[image(&url)]);
    let (answer, ()) = tokio::join!(admin.post(ADMIN, &body), async {
        app.somebody_waits_for_a_lock().await;
        sqlx::query(
            "insert into media_objects (
                 object_key, upload_id, url, kind, owner_id, content_type, size, width, height, placeholder,
                 confirmed_at, deleted_at
             )
             values ($1, gen_random_uuid(), $2, 'changelog_image', $3::uuid, '', 0, 0, 0, '', now(), now())",
        )
        .bind(key(&app, &url))
        .bind(&url)
        .bind(owner)
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
    });
    assert_eq!(answer.broken(), ["sections[0].blocks[0].payload.url"]);
}
