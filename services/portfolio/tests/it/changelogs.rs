//! Changelogs: what staff writes, what everybody reads, and who has read it.

use chrono::Utc;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    statements::statements,
    support::{TestApp, User},
};

mod pictures;
mod reads;

const ADMIN: &str = "/api/v1/admin/changelogs";
const PUBLIC: &str = "/api/v1/changelogs";
/// Nobody's id.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn block(block_type: &str, payload: Value) -> Value {
    json!({ "block_type": block_type, "payload": payload })
}

fn text(content: &str) -> Value {
    block("text", json!({ "content": content }))
}

/// A form with these blocks in one section.
fn form(contributor: &User, blocks: &[Value]) -> Value {
    json!({
        "version": "1.2.0",
        "title": "Feed cerdas",
        "sections": [{ "category": "added", "blocks": blocks }],
        "contributors": [{ "user_id": contributor.id, "contribution": "Backend" }],
    })
}

/// A draft with one text; its path for staff.
async fn draft(app: &TestApp, title: &str) -> String {
    let mut body = form(app.admin(), &[text("Halo")]);
    body["title"] = json!(title);
    let made = app.admin().post(ADMIN, &body).await.data(201);
    format!("{ADMIN}/{}", made["id"].as_str().unwrap())
}

async fn published(app: &TestApp, title: &str) -> String {
    let path = draft(app, title).await;
    app.admin().act(&format!("{path}/publish")).await.data(200);
    path
}

/// The same changelog for everybody.
fn public(path: &str) -> String {
    path.replace("/admin", "")
}

#[tokio::test]
async fn a_draft_is_for_staff_and_what_is_published_for_everybody() {
    let app = TestApp::spawn().await;
    let staff = app.holder("staf", &["changelog"]).await;
    let budi = app.student("budi").await;
    app.get(&format!("{PUBLIC}/latest")).await.fails(404, "NOT_FOUND");
    let body = json!({
        "version": " 1.2.0 ",
        "title": " Feed cerdas ",
        "description": " ",
        "release_date": "2025-12-15",
        "is_published": true,
        "sections": [
            { "category": "fixed", "blocks": [
                block("youtube", json!({ "video_id": "https://youtu.be/dQw4w9WgXcQ", "title": "Demo", "x": 1 })),
                text("<p onclick=\"x()\">Feed & <b>baru</b></p><script>alert(1)</script>"),
            ] },
            { "category": "added", "blocks": [block("button", json!({ "text": "Buka", "url": "grafikarsa.com" }))] },
        ],
        "contributors": [
            { "user_id": budi.id, "contribution": " Backend " },
            { "user_id": staff.id, "contribution": "Frontend" },
        ],
    });
    let made = staff.post(ADMIN, &body).await.data(201);
    assert_eq!(
        (&made["is_published"], &made["version"], &made["title"]),
        (&json!(false), &json!("1.2.0"), &json!("Feed cerdas"))
    );
    assert_eq!((&made["description"], &made["release_date"]), (&Value::Null, &json!("2025-12-15")));
    let author = json!({ "id": staff.id, "username": "staf", "nama": "Nama staf", "avatar_url": null });
    assert_eq!(made["created_by"], author);
    let sections = made["sections"].as_array().unwrap();
    assert_eq!((&sections[0]["category"], &sections[1]["category"]), (&json!("fixed"), &json!("added")));
    assert_eq!(sections[0]["blocks"][0]["payload"], json!({ "video_id": "dQw4w9WgXcQ", "title": "Demo" }));
    assert_eq!(sections[0]["blocks"][1]["payload"], json!({ "content": "<p>Feed &amp; <b>baru</b></p>" }));
    assert_eq!(sections[1]["blocks"][0]["payload"], json!({ "text": "Buka", "url": "https://grafikarsa.com" }));
    let people = made["contributors"].as_array().unwrap();
    assert_eq!((&people[0]["user"]["username"], &people[0]["contribution"]), (&json!("budi"), &json!("Backend")));
    assert_eq!(people[1]["user"], author);

    let path = format!("{ADMIN}/{}", made["id"].as_str().unwrap());
    assert_eq!(staff.get(&path).await.data(200), made);
    for hidden in [public(&path), format!("{PUBLIC}/latest")] {
        app.get(&hidden).await.fails(404, "NOT_FOUND");
        staff.get(&hidden).await.fails(404, "NOT_FOUND");
    }
    assert_eq!(app.get(PUBLIC).await.data(200), json!([]));
    staff.act(&format!("{path}/publish")).await.data(200);

    let mut expected = staff.get(&path).await.data(200);
    assert_ne!(expected["updated_at"], made["updated_at"]);
    expected.as_object_mut().unwrap().remove("created_by");
    assert_eq!(expected["is_published"], true);
    for shown in [public(&path), format!("{PUBLIC}/latest")] {
        assert_eq!(app.get(&shown).await.data(200), expected);
        assert_eq!(app.get_with_token(&shown, "Bearer x").await.data(200), expected, "a token is ignored");
    }
    let list = app.get(PUBLIC).await;
    assert_eq!(list.data(200), json!([expected]));
    assert_eq!(list.body["meta"], json!({ "current_page": 1, "per_page": 10, "total_pages": 1, "total_count": 1 }));
    staff.act(&format!("{path}/unpublish")).await.data(200);
    app.get(&public(&path)).await.fails(404, "NOT_FOUND");
    let actions: Vec<String> =
        sqlx::query_scalar("select action from audit_log where actor_id = $1 order by created_at, id")
            .bind(staff.id)
            .fetch_all(&app.pool)
            .await
            .unwrap();
    assert_eq!(actions, ["changelog.create", "changelog.publish", "changelog.unpublish"]);
}

#[tokio::test]
async fn every_broken_field_is_named_and_nothing_is_saved() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let good = form(admin, &[text("x")]);
    assert_eq!(admin.post(ADMIN, &json!({})).await.broken(), ["version", "title", "sections", "contributors"]);
    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    let section = |category: &str, blocks: Vec<Value>| json!({ "category": category, "blocks": blocks });
    let many_blocks = vec![text("x"); 51];
    let many_people: Vec<Value> = (0..51).map(|_| json!({ "user_id": Uuid::now_v7(), "contribution": "x" })).collect();
    for (key, value, fields) in [
        ("version", json!(" "), vec!["version"]),
        ("version", json!("x".repeat(51)), vec!["version"]),
        ("title", json!("é".repeat(256)), vec!["title"]),
        ("title", json!("a\u{0}"), vec!["title"]),
        ("description", json!("x".repeat(2001)), vec!["description"]),
        ("release_date", json!("15/12/2025"), vec!["release_date"]),
        ("release_date", json!("2025-02-30"), vec!["release_date"]),
        ("sections", json!([]), vec!["sections"]),
        ("sections", json!(null), vec!["sections"]),
        ("sections", json!(vec![section("added", vec![text("x")]); 5]), vec!["sections"]),
        (
            "sections",
            json!([section("added", vec![text("x")]), section("added", vec![text("x")]), section("new", vec![])]),
            vec!["sections[1].category", "sections[2].category", "sections[2].blocks"],
        ),
        ("sections", json!([{}]), vec!["sections[0].category", "sections[0].blocks"]),
        ("sections", json!([section("added", many_blocks)]), vec!["sections[0].blocks"]),
        (
            "sections",
            json!([section(
                "added",
                vec![
                    text("x"),
                    block("image", json!({ "url": "https://evil.test/x.png", "caption": "x".repeat(256) })),
                    block("table", json!({})),
                    block("youtube", json!({ "video_id": "x" })),
                    block("button", json!({ "text": "x", "url": "javascript:alert(1)" })),
                    json!({ "block_type": "text" }),
                    text(&"x".repeat(20_001)),
                ]
            )]),
            vec![
                "sections[0].blocks[1].payload.caption",
                "sections[0].blocks[1].payload.url",
                "sections[0].blocks[2].block_type",
                "sections[0].blocks[3].payload.video_id",
                "sections[0].blocks[4].payload.url",
                "sections[0].blocks[5].payload",
                "sections[0].blocks[6].payload.content",
            ],
        ),
        ("contributors", json!([]), vec!["contributors"]),
        ("contributors", json!(many_people), vec!["contributors"]),
        (
            "contributors",
            json!([
                { "user_id": admin.id, "contribution": " " },
                { "user_id": admin.id, "contribution": "x".repeat(256) },
                { "contribution": "x" },
                { "user_id": Uuid::now_v7(), "contribution": "x" },
            ]),
            vec![
                "contributors[0].contribution",
                "contributors[1].contribution",
                "contributors[1].user_id",
                "contributors[2].user_id",
                "contributors[3].user_id",
            ],
        ),
    ] {
        let body = with(key, value);
        assert_eq!(admin.post(ADMIN, &body).await.broken(), fields, "{key}");
    }
    for (key, value, field) in [
        ("version", json!(1), "version"),
        ("sections", json!({}), "sections"),
        ("release_date", json!(2025), "release_date"),
        ("contributors", json!([{ "user_id": "x", "contribution": "x" }]), "contributors[0].user_id"),
        ("sections", json!([section("added", vec![block("text", json!([]))])]), "sections[0].blocks[0].payload"),
        (
            "sections",
            json!([section("added", vec![block("text", json!({ "content": 1 }))])]),
            "sections[0].blocks[0].payload.content",
        ),
    ] {
        let answer = admin.post(ADMIN, &with(key, value)).await;
        answer.fails(400, "VALIDATION_ERROR");
        assert_eq!(answer.details(), [field]);
    }
    admin.raw(Method::POST, ADMIN, "application/json", "{").await.fails(400, "VALIDATION_ERROR");
    admin.raw(Method::POST, ADMIN, "text/plain", "{}").await.fails(400, "VALIDATION_ERROR");
    assert_eq!(app.count("select count(*) from changelogs").await, 0);
    // The largest that are allowed.
    let mut full = with("version", json!("é".repeat(50)));
    full["title"] = json!("é".repeat(255));
    full["description"] = json!("é".repeat(2000));
    full["sections"] =
        ["added", "updated", "removed", "fixed"].map(|category| section(category, vec![text("é"); 50])).to_vec().into();
    let made = admin.post(ADMIN, &full).await.data(201);
    assert_eq!(made["sections"][3]["blocks"].as_array().unwrap().len(), 50);
}

#[tokio::test]
async fn rights_and_existence_are_checked_before_the_body() {
    let app = TestApp::spawn().await;
    let siti = app.holder("siti", &["series", "feedback"]).await;
    let path = draft(&app, "Satu").await;
    let nowhere = format!("{ADMIN}/{NOBODY}");
    for (method, path) in [(Method::POST, ADMIN), (Method::PATCH, &path), (Method::PATCH, &nowhere)] {
        app.guest(method.clone(), path, &[]).await.fails(401, "UNAUTHORIZED");
        siti.raw(method.clone(), path, "application/json", "{").await.fails(403, "FORBIDDEN");
        siti.ask(method, path, Some(&json!({ "x": "x".repeat(31 * 1024 * 1024) }))).await.fails(403, "FORBIDDEN");
    }
    let admin = app.admin();
    admin.raw(Method::PATCH, &nowhere, "application/json", "{").await.fails(404, "NOT_FOUND");
    admin.raw(Method::PATCH, &path, "application/json", "{").await.fails(400, "VALIDATION_ERROR");
    siti.raw(Method::PATCH, &format!("{ADMIN}/x"), "application/json", "{").await.fails(400, "VALIDATION_ERROR");
    for rest in ["", "/publish", "/unpublish"] {
        let method = if rest.is_empty() { Method::DELETE } else { Method::POST };
        siti.ask(method.clone(), &format!("{path}{rest}"), None).await.fails(403, "FORBIDDEN");
        admin.ask(method.clone(), &format!("{nowhere}{rest}"), None).await.fails(404, "NOT_FOUND");
        admin.ask(method, &format!("{ADMIN}/x{rest}"), None).await.fails(400, "VALIDATION_ERROR");
    }
    app.get(&format!("{PUBLIC}/x")).await.fails(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_release_without_a_date_is_of_today() {
    let app = TestApp::spawn().await;
    for date in [None, Some(json!(null)), Some(json!(" "))] {
        let mut body = form(app.admin(), &[text("x")]);
        if let Some(date) = date {
            body["release_date"] = date;
        }
        let before = Utc::now().date_naive().to_string();
        let made = app.admin().post(ADMIN, &body).await.data(201);
        let after = Utc::now().date_naive().to_string();
        let date = made["release_date"].as_str().unwrap();
        assert!(date == before || date == after, "{date}");
    }
}

#[tokio::test]
async fn an_edit_changes_what_is_sent_and_nothing_else() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let budi = app.student("budi").await;
    let mut body = form(&budi, &[text("Lama")]);
    body["description"] = json!("Keterangan");
    body["release_date"] = json!("2025-12-15");
    let made = admin.post(ADMIN, &body).await.data(201);
    let path = format!("{ADMIN}/{}", made["id"].as_str().unwrap());
    admin.act(&format!("{path}/publish")).await.data(200);
    budi.act(&format!("{}/mark-read", public(&path))).await.data(200);
    let before = admin.get(&path).await.data(200);
    for nothing in [
        json!({}),
        json!({ "x": 1 }),
        json!({ "version": null, "title": null, "sections": null, "contributors": null }),
        json!({ "release_date": "" }),
        json!({ "release_date": null }),
    ] {
        assert_eq!(admin.patch(&path, &nothing).await.data(200), before, "{nothing}");
    }
    for (empty, field) in [
        (json!({ "version": "" }), "version"),
        (json!({ "title": " " }), "title"),
        (json!({ "sections": [] }), "sections"),
        (json!({ "contributors": [] }), "contributors"),
        (json!({ "release_date": "x" }), "release_date"),
    ] {
        assert_eq!(admin.patch(&path, &empty).await.broken(), [field]);
    }
    assert_eq!(admin.get(&path).await.data(200), before);

    let cleared = admin.patch(&path, &json!({ "description": null, "title": "Baru" })).await.data(200);
    assert_eq!((&cleared["description"], &cleared["title"]), (&Value::Null, &json!("Baru")));
    assert_eq!((&cleared["sections"], &cleared["version"]), (&before["sections"], &before["version"]));
    assert_ne!(cleared["updated_at"], before["updated_at"]);
    assert_eq!(cleared["created_at"], before["created_at"]);
    admin.patch(&path, &json!({ "description": "Lagi" })).await.data(200);
    assert_eq!(admin.patch(&path, &json!({ "description": "" })).await.data(200)["description"], Value::Null);

    let replaced = json!({
        "release_date": "2026-01-02",
        "sections": [{ "category": "added", "blocks": [text("Baru")] }],
        "contributors": [{ "user_id": admin.id, "contribution": "Semua" }],
    });
    let after = admin.patch(&path, &replaced).await.data(200);
    assert_eq!(after["release_date"], "2026-01-02");
    assert_eq!(after["sections"].as_array().unwrap().len(), 1);
    assert_eq!(after["sections"][0]["blocks"][0]["payload"]["content"], "Baru");
    assert_ne!(after["sections"][0]["id"], before["sections"][0]["id"]);
    assert_eq!(after["contributors"].as_array().unwrap().len(), 1);
    assert_eq!(after["contributors"][0]["user"]["id"], json!(admin.id));
    assert_eq!(after["is_published"], true);
    assert_eq!(budi.get(&format!("{PUBLIC}/unread-count")).await.body["count"], 0, "marks stay");
    // What the editor was given is accepted as it is.
    let again = admin.patch(&path, &json!({ "sections": after["sections"] })).await.data(200);
    assert_eq!(again["sections"][0]["blocks"][0]["payload"], after["sections"][0]["blocks"][0]["payload"]);
}

#[tokio::test]
async fn of_edits_at_once_the_last_wins_as_a_whole() {
    let app = TestApp::spawn().await;
    let path = draft(&app, "Satu").await;
    let forms: Vec<Value> = (0..6)
        .map(|n| {
            let mut body = form(app.admin(), &[text(&n.to_string()), text(&n.to_string())]);
            body["title"] = json!(n.to_string());
            body["contributors"][0]["contribution"] = json!(n.to_string());
            body
        })
        .collect();
    let edits = forms.iter().map(|body| app.admin().patch(&path, body));
    for answer in futures_util::future::join_all(edits).await {
        let data = answer.data(200);
        assert_eq!(data["title"], data["sections"][0]["blocks"][0]["payload"]["content"]);
    }
    let last = app.admin().get(&path).await.data(200);
    assert_eq!(last["sections"].as_array().unwrap().len(), 1);
    assert_eq!(last["sections"][0]["blocks"].as_array().unwrap().len(), 2);
    for content in [&last["sections"][0]["blocks"][0], &last["sections"][0]["blocks"][1]] {
        assert_eq!(content["payload"]["content"], last["title"]);
    }
    assert_eq!(last["contributors"][0]["contribution"], last["title"]);
}

#[tokio::test]
async fn of_two_publications_at_once_one_succeeds() {
    let app = TestApp::spawn().await;
    let path = draft(&app, "Satu").await;
    for (action, code) in [("publish", "ALREADY_PUBLISHED"), ("unpublish", "NOT_PUBLISHED")] {
        let address = format!("{path}/{action}");
        let answers = futures_util::future::join_all((0..4).map(|_| app.admin().act(&address))).await;
        let (succeeded, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(succeeded.len(), 1, "{action}");
        for answer in refused {
            answer.fails(400, code);
        }
        assert_eq!(succeeded[0].data(200), Value::Null);
    }
}

#[tokio::test]
async fn a_deleted_changelog_is_gone_for_everybody_and_its_row_stays() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let (path, other) = (published(&app, "Satu").await, published(&app, "Dua").await);
    for read in [&path, &other] {
        siti.act(&format!("{}/mark-read", public(read))).await.data(200);
    }
    app.admin().delete(&path).await.data(200);
    app.admin().delete(&path).await.fails(404, "NOT_FOUND");
    app.admin().get(&path).await.fails(404, "NOT_FOUND");
    app.admin().patch(&path, &json!({ "title": "x" })).await.fails(404, "NOT_FOUND");
    for action in ["publish", "unpublish"] {
        app.admin().act(&format!("{path}/{action}")).await.fails(404, "NOT_FOUND");
    }
    app.get(&public(&path)).await.fails(404, "NOT_FOUND");
    siti.act(&format!("{}/mark-read", public(&path))).await.fails(404, "NOT_FOUND");
    assert_eq!(app.get(PUBLIC).await.column("title"), ["Dua"]);
    let list = app.admin().get(ADMIN).await;
    assert_eq!((list.column("title"), &list.body["meta"]["total_count"]), (vec!["Dua".to_owned()], &json!(1)));
    assert_eq!(app.count("select count(*) from changelogs").await, 2);
    assert_eq!(app.count("select count(*) from changelog_reads").await, 1, "the marks of the other one stay");
}

#[tokio::test]
async fn people_who_left_are_left_out() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let author = app.holder("penulis", &["changelog"]).await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let mut body = form(&siti, &[text("x")]);
    let people = [&siti, &budi, admin].map(|user| json!({ "user_id": user.id, "contribution": user.username }));
    body["contributors"] = people.to_vec().into();
    let made = author.post(ADMIN, &body).await.data(201);
    let path = format!("{ADMIN}/{}", made["id"].as_str().unwrap());
    admin.act(&format!("{path}/publish")).await.data(200);
    let names = |data: &Value| -> Vec<String> {
        let people = data["contributors"].as_array().unwrap();
        people.iter().map(|one| one["contribution"].as_str().unwrap().to_owned()).collect()
    };
    app.deactivate(&siti).await;
    assert_eq!(names(&app.get(&public(&path)).await.data(200)), ["budi", &*admin.username]);
    assert_eq!(names(&app.get(PUBLIC).await.data(200)[0]), ["budi", &*admin.username]);
    assert_eq!(names(&admin.get(&path).await.data(200)), ["siti", "budi", &*admin.username]);
    let changed = admin.patch(&path, &json!({ "contributors": people[..2].to_vec() })).await.data(200);
    assert_eq!(names(&changed), ["siti", "budi"], "deactivated people stay");
    app.delete_account(&siti).await;
    app.delete_account(&author).await;
    let left = admin.get(&path).await.data(200);
    assert_eq!((names(&left), &left["created_by"]), (vec!["budi".to_owned()], &Value::Null));
    let gone = admin.patch(&path, &json!({ "contributors": people[..2].to_vec() })).await;
    assert_eq!(gone.broken(), ["contributors[0].user_id"]);
    app.delete_account(&budi).await;
    assert_eq!(app.get(&public(&path)).await.data(200)["contributors"], json!([]), "an empty list and not null");
}

#[tokio::test]
async fn blocks_without_content_are_for_staff_only() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let empty = [
        text(" <p></p> "),
        block("image", json!({ "url": "", "caption": "Belum ada" })),
        block("youtube", json!({ "video_id": "", "title": "Belum ada" })),
        block("button", json!({ "text": "", "url": "/x" })),
        block("button", json!({ "text": "x", "url": null })),
        block("text", json!({})),
    ];
    let mut body = form(admin, &empty);
    let full = json!({ "category": "fixed", "blocks": [empty[0], text("Isi"), empty[1]] });
    body["sections"].as_array_mut().unwrap().push(full);
    let made = admin.post(ADMIN, &body).await.data(201);
    let path = format!("{ADMIN}/{}", made["id"].as_str().unwrap());
    admin.act(&format!("{path}/publish")).await.data(200);
    assert_eq!(admin.get(&path).await.data(200)["sections"][0]["blocks"].as_array().unwrap().len(), empty.len());
    let shown = app.get(&public(&path)).await.data(200);
    assert_eq!((&shown["sections"][0]["category"], &shown["sections"][0]["blocks"]), (&json!("added"), &json!([])));
    let blocks = shown["sections"][1]["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0]["payload"]["content"], "Isi");
}

#[tokio::test]
async fn lists_are_ordered_by_release_then_creation_with_exact_totals() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    for (title, date) in [("a", "2025-01-01"), ("b", "2025-03-01"), ("c", "2025-01-01"), ("d 100%", "2099-01-01")] {
        let mut body = form(admin, &[text("x")]);
        (body["title"], body["release_date"]) = (json!(title), json!(date));
        body["sections"] = json!([
            { "category": "removed", "blocks": [text("x")] }, { "category": "added", "blocks": [text("x")] },
        ]);
        let made = admin.post(ADMIN, &body).await.data(201);
        if title != "b" {
            admin.act(&format!("{ADMIN}/{}/publish", made["id"].as_str().unwrap())).await.data(200);
        }
    }
    assert_eq!(app.get(PUBLIC).await.column("title"), ["d 100%", "c", "a"]);
    assert_eq!(app.get(&format!("{PUBLIC}/latest")).await.data(200)["title"], "d 100%");
    let page = app.get(&format!("{PUBLIC}?page=2&limit=2")).await;
    assert_eq!(page.column("title"), ["a"]);
    assert_eq!(page.body["meta"], json!({ "current_page": 2, "per_page": 2, "total_pages": 2, "total_count": 3 }));
    let beyond = app.get(&format!("{PUBLIC}?page=9&limit=999")).await;
    assert_eq!((beyond.data(200), &beyond.body["meta"]["total_count"]), (json!([]), &json!(3)));
    assert_eq!(beyond.body["meta"]["per_page"], 50);
    assert_eq!(app.get(&format!("{PUBLIC}?limit=x")).await.body["meta"]["per_page"], 10);

    let all = admin.get(ADMIN).await;
    assert_eq!(all.column("title"), ["d 100%", "b", "c", "a"]);
    assert_eq!(all.body["meta"], json!({ "current_page": 1, "per_page": 20, "total_pages": 1, "total_count": 4 }));
    let item = &all.body["data"][1];
    assert_eq!(item["categories"], json!(["removed", "added"]));
    let keys: Vec<&String> = item.as_object().unwrap().keys().collect();
    for key in ["id", "version", "title", "description", "release_date", "is_published", "categories", "created_at"] {
        assert!(keys.iter().any(|known| *known == key), "{key}");
    }
    assert_eq!(keys.len(), 8, "{keys:?}");
    assert_eq!(admin.get(&format!("{ADMIN}?limit=999")).await.body["meta"]["per_page"], 100);
    for (search, titles) in [
        ("100%25", vec!["d 100%"]),
        ("%25", vec!["d 100%"]),
        ("_", vec![]),
        ("1.2", vec!["d 100%", "b", "c", "a"]),
        ("B", vec!["b"]),
    ] {
        let found = admin.get(&format!("{ADMIN}?search={search}")).await;
        assert_eq!(found.column("title"), titles, "{search}");
        assert_eq!(found.body["meta"]["total_count"], titles.len());
    }
    let beyond = admin.get(&format!("{ADMIN}?search=1.2&page=7")).await;
    assert_eq!((beyond.data(200), &beyond.body["meta"]["total_count"]), (json!([]), &json!(4)));
    admin.get(&format!("{ADMIN}?search={}", "x".repeat(101))).await.fails(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_page_is_one_statement_whatever_it_holds() {
    let app = TestApp::with(&[("LOG_LEVEL", "info,sqlx=debug"), ("LOG_FORMAT", "json")]).await;
    let siti = app.student("siti").await;
    for _ in 0..2 {
        for n in 0..3 {
            let path = published(&app, &n.to_string()).await;
            let people = [app.admin(), &siti].map(|user| json!({ "user_id": user.id, "contribution": "x" }));
            let body = json!({ "contributors": people, "sections": [
                { "category": "added", "blocks": [text("x"), text("y")] }, { "category": "fixed", "blocks": [text("x")] },
            ] });
            app.admin().patch(&path, &body).await.data(200);
        }
        assert_eq!(statements(&app, app.admin(), ADMIN, &format!("{ADMIN}?search=0")).await, 1);
        assert_eq!(statements(&app, &siti, PUBLIC, PUBLIC).await, 1);
        let count = format!("{PUBLIC}/unread-count");
        assert_eq!(statements(&app, &siti, &count, &count).await, 1);
    }
}

#[tokio::test]
async fn the_lists_are_served_by_the_indexes_of_their_order() {
    let app = TestApp::spawn().await;
    app.sql(
        "insert into changelogs (id, version, title, release_date, is_published, created_by)
         select gen_random_uuid(), 'x', 'x', date '2025-01-01' + n % 700, n % 10 > 0, (select id from users limit 1)
         from generate_series(1, 20000) n;
         analyze changelogs",
    )
    .await;
    app.get(&format!("{PUBLIC}?page=3")).await.data(200);
    app.has_used("changelogs_public_idx").await;
    app.admin().get(&format!("{ADMIN}?page=3")).await.data(200);
    app.has_used("changelogs_all_idx").await;
}

#[tokio::test]
async fn what_a_type_does_not_take_may_be_anything() {
    let app = TestApp::spawn().await;
    let payload = json!({ "content": "  Halo  ", "url": {}, "caption": [1], "title": 1, "style": { "a": [{}] } });
    let made = app.admin().post(ADMIN, &form(app.admin(), &[block("text", payload)])).await.data(201);
    assert_eq!(made["sections"][0]["blocks"][0]["payload"], json!({ "content": "Halo" }));
    let bad = [block("image", json!({ "url": {} })), block("image", json!({ "url": "https://evil.test/x.png" }))];
    let answer = app.admin().post(ADMIN, &form(app.admin(), &bad)).await;
    answer.fails(400, "VALIDATION_ERROR");
    assert_eq!(answer.details(), ["sections[0].blocks[0].payload.url"]);
}

#[tokio::test]
async fn ids_of_contributors_have_one_spelling() {
    let app = TestApp::spawn().await;
    let mut body = form(app.admin(), &[text("x")]);
    for other in
        [format!("{{{}}}", app.admin().id), app.admin().id.simple().to_string(), app.admin().id.urn().to_string()]
    {
        body["contributors"][0]["user_id"] = json!(other);
        let answer = app.admin().post(ADMIN, &body).await;
        answer.fails(400, "VALIDATION_ERROR");
        assert_eq!(answer.details(), ["contributors[0].user_id"]);
    }
}

#[tokio::test]
async fn a_publication_and_a_withdrawal_are_changes() {
    let app = TestApp::spawn().await;
    let path = draft(&app, "Satu").await;
    let updated = async || app.admin().get(&path).await.data(200)["updated_at"].clone();
    let created = updated().await;
    app.admin().act(&format!("{path}/publish")).await.data(200);
    let published = updated().await;
    app.admin().act(&format!("{path}/unpublish")).await.data(200);
    let withdrawn = updated().await;
    assert!(created.as_str() < published.as_str() && published.as_str() < withdrawn.as_str(), "{withdrawn}");
}

#[tokio::test]
async fn a_contributor_who_is_back_is_shown_to_the_public_again() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    app.deactivate(&siti).await;
    let made = app.admin().post(ADMIN, &form(&siti, &[text("x")])).await.data(201);
    assert_eq!(made["contributors"][0]["user"]["username"], "siti", "a deactivated one may be named");
    let path = format!("{ADMIN}/{}", made["id"].as_str().unwrap());
    app.admin().act(&format!("{path}/publish")).await.data(200);
    let shown = async || app.get(&public(&path)).await.data(200)["contributors"].clone();
    assert_eq!(shown().await, json!([]));
    app.reactivate(&siti).await;
    assert_eq!(shown().await, made["contributors"]);
}

#[tokio::test]
async fn fifty_contributors_with_long_contributions_are_accepted() {
    let app = TestApp::spawn().await;
    app.sql(
        "insert into users (id, account_version, username, email, role, is_active, must_change_password, created_at, nama)
         select gen_random_uuid(), 1, 'orang' || n, 'orang' || n || '@x.test', 'student', true, false, now(), 'Orang'
         from generate_series(1, 50) n",
    )
    .await;
    let ids: Vec<Uuid> = sqlx::query_scalar("select id from users where username like 'orang%' order by id desc")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    let mut body = form(app.admin(), &[text("x")]);
    let people = ids.iter().map(|id| json!({ "user_id": id, "contribution": "é".repeat(255) }));
    body["contributors"] = people.collect();
    let made = app.admin().post(ADMIN, &body).await.data(201);
    let kept: Vec<&Value> = made["contributors"].as_array().unwrap().iter().map(|one| &one["user"]["id"]).collect();
    assert_eq!(kept, ids.iter().map(|id| json!(id)).collect::<Vec<_>>().iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn releases_of_one_day_and_moment_stand_in_the_order_of_ids() {
    let app = TestApp::spawn().await;
    app.sql(
        "insert into changelogs (id, version, title, release_date, is_published, created_by, created_at)
         select gen_random_uuid(), 'x', 'x', '2026-01-01', true, (select id from users limit 1), '2026-01-01'
         from generate_series(1, 9) n",
    )
    .await;
    for ids in [app.get(PUBLIC).await.column("id"), app.admin().get(ADMIN).await.column("id")] {
        assert!(ids.len() == 9 && ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    }
}
