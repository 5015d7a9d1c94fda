//! What people tell the school, and what staff makes of it.

use std::collections::HashSet;

use grafikarsa_devstack::testing::http_client;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, TestApp, User, eventually};

const SEND: &str = "/api/v1/feedback";
const LIST: &str = "/api/v1/admin/feedback";
const STATS: &str = "/api/v1/admin/feedback/stats";

fn message(pesan: &str) -> Value {
    json!({ "kategori": "saran", "pesan": pesan })
}

/// A message like no other.
fn any() -> Value {
    message(&format!("Pesan nomor {}", Uuid::now_v7()))
}

/// A guest's message, as nginx hands it over.
async fn guest_at(address: &str, base: Url, body: &Value) -> Answer {
    Answer::of(http_client().post(base.join(SEND).unwrap()).header("x-real-ip", address).json(body)).await
}

async fn guest(app: &TestApp, body: &Value) -> Answer {
    guest_at("192.0.2.7", app.portfolio.public_url(), body).await
}

async fn sent(user: &User, pesan: &str) -> String {
    let id = user.post(SEND, &message(pesan)).await.data(201)["id"].clone();
    format!("{LIST}/{}", id.as_str().unwrap())
}

fn path(feedback: &Value) -> String {
    format!("{LIST}/{}", feedback["id"].as_str().unwrap())
}

#[tokio::test]
async fn users_and_guests_get_a_receipt_that_tells_nothing_of_the_staff() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let body = json!({
        "kategori": "bug", "pesan": "  Tombol\nsimpan rusak ", "status": "resolved", "admin_notes": "x", "user_id": Uuid::nil(),
    });
    let receipt = |answer: &Value, user: Value| {
        json!({
            "id": answer["id"], "user_id": user, "kategori": "bug", "pesan": "Tombol\nsimpan rusak",
            "status": "pending", "created_at": answer["created_at"], "updated_at": answer["created_at"],
        })
    };
    let of_user = siti.post(SEND, &body).await.data(201);
    assert_eq!(of_user, receipt(&of_user, json!(siti.id)));
    let of_guest = guest(&app, &body).await.data(201);
    assert_eq!(of_guest, receipt(&of_guest, json!(null)));
    assert_eq!(app.count("select count(*) from notifications").await, 0, "staff is told nothing");
}

#[tokio::test]
async fn a_bad_message_is_refused_with_every_broken_field() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let long = "Cukup panjang";
    for (body, fields) in [
        (json!({}), vec!["kategori", "pesan"]),
        (json!({ "kategori": "pujian", "pesan": long }), vec!["kategori"]),
        (json!({ "kategori": "Bug", "pesan": long }), vec!["kategori"]),
        (json!({ "kategori": "", "pesan": long }), vec!["kategori"]),
        (json!({ "kategori": null, "pesan": "x" }), vec!["kategori", "pesan"]),
        (message("sembilan9"), vec!["pesan"]),
        (message("   spasi   "), vec!["pesan"]),
        (message(&"é".repeat(2001)), vec!["pesan"]),
        (message("tidak boleh \u{0}"), vec!["pesan"]),
    ] {
        assert_eq!(siti.post(SEND, &body).await.broken(), fields, "{body}");
        assert_eq!(guest(&app, &body).await.broken(), fields, "{body}");
    }
    for body in [json!({ "kategori": 1, "pesan": long }), json!({ "kategori": "bug", "pesan": [] }), json!([])] {
        siti.post(SEND, &body).await.fails(400, "VALIDATION_ERROR");
    }
    siti.raw(Method::POST, SEND, "text/plain", "{}").await.fails(400, "VALIDATION_ERROR");
    assert_eq!(app.count("select count(*) from feedback").await, 0);
    assert_eq!(app.count("select count(*) from rate_limits where bucket like 'feedback%'").await, 0);
    for kategori in ["bug", "saran", "lainnya"] {
        siti.post(SEND, &json!({ "kategori": kategori, "pesan": format!("Pesan {kategori:é<4}") })).await.data(201);
    }
    siti.post(SEND, &message(&"é".repeat(2000))).await.data(201);
    siti.post(SEND, &message("sepuluh 10")).await.data(201);
}

#[tokio::test]
async fn a_header_that_does_not_verify_is_no_guest() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let forged = format!("Bearer {}x", siti.token);
    for (header, code) in
        [("Bearer", "UNAUTHORIZED"), (siti.token.as_str(), "UNAUTHORIZED"), (&forged, "INVALID_TOKEN")]
    {
        let url = app.portfolio.public_url().join(SEND).unwrap();
        let request = http_client().post(url).header("Authorization", header).json(&any());
        Answer::of(request).await.fails(401, code);
    }
    app.deactivate(&siti).await;
    eventually("his tokens end", async || siti.post(SEND, &any()).await.status == 401).await;
    assert_eq!(app.count("select count(*) from feedback where user_id is null").await, 0);
}

#[tokio::test]
async fn the_same_author_says_the_same_once_in_24_hours() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let body = message("Tolong perbaiki halaman profil");
    for author in [&siti, &budi] {
        author.post(SEND, &body).await.data(201);
    }
    guest(&app, &body).await.data(201);
    let elsewhere = app.portfolio.public_url();
    guest_at("192.0.2.8", elsewhere, &body).await.data(201);
    for same in
        ["TOLONG perbaiki\n\n halaman   PROFIL", "Tolong perbaiki halaman profil", " tolongperbaiki halaman profil"]
    {
        let other_kind = json!({ "kategori": "bug", "pesan": same });
        siti.post(SEND, &other_kind).await.fails(409, "DUPLICATE_FEEDBACK");
        guest(&app, &other_kind).await.fails(409, "DUPLICATE_FEEDBACK");
    }
    siti.post(SEND, &message("Tolong perbaiki halaman profil!")).await.data(201);
    app.sql("update recent_feedback set sent_at = now() - interval '23 hours 59 minutes'").await;
    siti.post(SEND, &body).await.fails(409, "DUPLICATE_FEEDBACK");
    app.sql("update recent_feedback set sent_at = now() - interval '24 hours'").await;
    siti.post(SEND, &body).await.data(201);
    siti.post(SEND, &body).await.fails(409, "DUPLICATE_FEEDBACK");
    guest(&app, &body).await.data(201);
}

#[tokio::test]
async fn of_equal_messages_at_once_one_is_kept_and_counted() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let body = any();
    let of_user: Vec<_> = (0..8)
        .map(|_| {
            let (siti, body) = (siti.clone(), body.clone());
            tokio::spawn(async move { siti.post(SEND, &body).await })
        })
        .collect();
    let of_guest: Vec<_> = (0..8)
        .map(|_| {
            let (base, body) = (app.portfolio.public_url(), body.clone());
            tokio::spawn(async move { guest_at("192.0.2.7", base, &body).await })
        })
        .collect();
    for requests in [of_user, of_guest] {
        let mut accepted = 0;
        for request in requests {
            let answer = request.await.unwrap();
            if answer.status == 201 { accepted += 1 } else { answer.fails(409, "DUPLICATE_FEEDBACK") }
        }
        assert_eq!(accepted, 1);
    }
    assert_eq!(app.count("select count(*) from feedback").await, 2);
    assert_eq!(app.count("select sum(hits)::bigint from rate_limits where bucket like 'feedback%'").await, 4);
}

#[tokio::test]
async fn five_messages_of_a_user_are_accepted_in_ten_minutes_and_only_these_count() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let twice = any();
    siti.post(SEND, &twice).await.data(201);
    for _ in 0..3 {
        siti.post(SEND, &twice).await.fails(409, "DUPLICATE_FEEDBACK");
        siti.post(SEND, &json!({})).await.broken();
        siti.post(SEND, &json!([])).await.fails(400, "VALIDATION_ERROR");
    }
    let at_once: Vec<_> = (0..7)
        .map(|_| {
            let siti = siti.clone();
            tokio::spawn(async move { siti.post(SEND, &any()).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for one in at_once {
        statuses.push(one.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 201, 201, 429, 429, 429]);
    let refused = siti.post(SEND, &json!({})).await;
    refused.fails(429, "TOO_MANY_REQUESTS");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=600).contains(&wait), "{wait}");
    assert_eq!(app.count("select count(*) from feedback").await, 5, "what is refused leaves nothing");
    assert_eq!(app.count("select count(*) from recent_feedback").await, 5);
    budi.post(SEND, &any()).await.data(201);
    guest(&app, &any()).await.data(201);
    app.sql("update rate_limits set window_ends_at = now() where bucket = 'feedback_user'").await;
    siti.post(SEND, &any()).await.data(201);
}

#[tokio::test]
async fn twenty_messages_of_a_user_are_accepted_in_a_day() {
    let app = TestApp::with(&[("LIMIT_FEEDBACK_USER", "100/600")]).await;
    let siti = app.student("siti").await;
    for _ in 0..20 {
        siti.post(SEND, &any()).await.data(201);
    }
    let refused = siti.post(SEND, &any()).await;
    refused.fails(429, "TOO_MANY_REQUESTS");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((86_000..=86_400).contains(&wait), "{wait}");
}

#[tokio::test]
async fn guests_of_an_address_share_ten_messages_an_hour_and_fifty_a_day_on_all_replicas() {
    let mut app = TestApp::spawn().await;
    let replica = app.stack.spawn_replica("portfolio", &[]).await;
    for n in 0..10 {
        let base = if n % 2 == 0 { app.portfolio.public_url() } else { replica.public_url() };
        guest_at("192.0.2.7", base, &any()).await.data(201);
    }
    let refused = guest_at("192.0.2.7", replica.public_url(), &any()).await;
    refused.fails(429, "TOO_MANY_REQUESTS");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&wait), "{wait}");
    guest_at("192.0.2.8", replica.public_url(), &any()).await.data(201);
    app.portfolio.restart().await;
    guest(&app, &any()).await.fails(429, "TOO_MANY_REQUESTS");
    app.sql("update rate_limits set window_ends_at = now() where bucket = 'feedback_guest'").await;
    app.sql("update rate_limits set hits = 49 where bucket = 'feedback_guest_day'").await;
    guest(&app, &any()).await.data(201);
    guest(&app, &any()).await.fails(429, "TOO_MANY_REQUESTS");
}

#[tokio::test]
async fn no_header_of_a_guest_makes_him_another_one() {
    let app = TestApp::with(&[("LIMIT_FEEDBACK_GUEST", "2/3600")]).await;
    let url = app.stack.nginx().await.join(SEND).unwrap();
    let mut statuses = Vec::new();
    for n in 0..3 {
        let mut request = http_client().post(url.clone()).json(&any());
        for header in ["X-Real-IP", "X-Forwarded-For", "Forwarded", "CF-Connecting-IP", "X-Session-ID", "User-Agent"] {
            request = request.header(header, format!("203.0.113.{n}"));
        }
        statuses.push(Answer::of(request).await.status);
    }
    assert_eq!(statuses, [201, 201, 429]);
    let authors: HashSet<String> = sqlx::query_scalar("select author from recent_feedback")
        .fetch_all(&app.pool)
        .await
        .unwrap()
        .into_iter()
        .collect();
    assert_eq!(authors.len(), 1);
}

#[tokio::test]
async fn of_a_guest_a_keyed_hash_is_kept_for_a_day() {
    let mut app = TestApp::spawn().await;
    guest(&app, &any()).await.data(201);
    let known: Vec<String> = sqlx::query_scalar(
        "select author from recent_feedback union all select key from rate_limits where bucket like 'feedback%'",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert_eq!(known.len(), 3);
    for name in &known {
        assert!(name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
    }
    let row: Value = sqlx::query_scalar("select to_jsonb(f) from feedback f").fetch_one(&app.pool).await.unwrap();
    assert!(!row.to_string().contains(&known[0]) && !row.to_string().contains("192.0.2"), "{row}");

    app.sql("update recent_feedback set sent_at = now() - interval '24 hours'").await;
    app.sql("update rate_limits set window_ends_at = now() - interval '1 second' where bucket like 'feedback%'").await;
    guest_at("192.0.2.8", app.portfolio.public_url(), &any()).await.data(201);
    // The work of the background is done when a replica starts, too.
    app.portfolio.restart().await;
    let left = "select (select count(*) from recent_feedback) * 10
                    + (select count(*) from rate_limits where bucket like 'feedback%')";
    eventually("only the later guest is known", async || app.count(left).await == 12).await;
    assert_eq!(app.count("select count(*) from feedback").await, 2, "messages stay");
}

#[tokio::test]
async fn the_list_is_filtered_and_searched_newest_first() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["feedback"]).await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    assert_eq!(tata.get(LIST).await.data(200), json!([]));
    let bug = json!({ "kategori": "bug", "pesan": "Tombol SIMPAN 100% rusak" });
    let first = siti.post(SEND, &bug).await.data(201);
    let second = budi.post(SEND, &message("Tambahkan mode gelap")).await.data(201);
    let third = guest(&app, &json!({ "kategori": "lainnya", "pesan": "Terima kasih semuanya" })).await.data(201);
    tata.patch(&path(&second), &json!({ "status": "read", "admin_notes": "dicatat" })).await.data(200);
    tata.patch(&path(&third), &json!({ "status": "resolved" })).await.data(200);

    let list = tata.get(LIST).await;
    let data = list.data(200);
    let brief = json!({ "id": siti.id, "username": "siti", "nama": "Nama siti", "avatar_url": null });
    let expected = json!({
        "id": first["id"], "user_id": siti.id, "user": brief, "kategori": "bug",
        "pesan": "Tombol SIMPAN 100% rusak", "status": "pending", "admin_notes": null, "resolved_by": null,
        "resolved_at": null, "created_at": first["created_at"], "updated_at": first["created_at"],
    });
    assert_eq!(data[2], expected);
    assert_eq!((&data[0]["id"], &data[1]["id"]), (&third["id"], &second["id"]));
    assert_eq!((&data[0]["user_id"], &data[0]["user"]), (&json!(null), &json!(null)));
    assert_eq!(data[1]["admin_notes"], "dicatat");
    let meta = json!({ "current_page": 1, "per_page": 20, "total_pages": 1, "total_count": 3 });
    assert_eq!(list.body["meta"], meta);
    assert!(!list.body.to_string().contains('@'), "no e-mail address");
    assert_eq!(tata.get(&path(&first)).await.data(200), data[2]);

    for (query, expected) in [
        ("status=pending", vec![2]),
        ("status=read", vec![1]),
        ("status=resolved&kategori=lainnya", vec![0]),
        ("status=resolved&kategori=bug", vec![]),
        ("kategori=saran", vec![1]),
        ("status=&kategori=&search=", vec![0, 1, 2]),
        ("search=simpan", vec![2]),
        ("search=100%25", vec![2]),
        ("search=%25", vec![2]),
        ("search=_", vec![]),
        ("search=NAMA%20SI", vec![2]),
        ("search=budi", vec![1]),
        ("search=%20nama%20", vec![1, 2]),
        ("search=nama&kategori=saran", vec![1]),
        ("search=sekolah.sch.id", vec![]),
        ("limit=1&page=2", vec![1]),
        ("limit=0&page=x", vec![0, 1, 2]),
    ] {
        let expected: Vec<String> =
            expected.iter().map(|&place| data[place]["pesan"].as_str().unwrap().to_owned()).collect();
        assert_eq!(tata.get(&format!("{LIST}?{query}")).await.column("pesan"), expected, "{query}");
    }
    let page = tata.get(&format!("{LIST}?search=nama&limit=1")).await;
    assert_eq!(page.body["meta"]["total_count"], 2);
    assert_eq!(tata.get(&format!("{LIST}?limit=500")).await.body["meta"]["per_page"], 100);
    let long = format!("search={}", "x".repeat(101));
    for query in ["status=done", "kategori=pujian", "status=Read", &long] {
        tata.get(&format!("{LIST}?{query}")).await.fails(400, "VALIDATION_ERROR");
    }
    assert_eq!(tata.get(LIST).await.data(200), data, "reading changes nothing");
    for (id, code) in [("x", 400), ("00000000-0000-4000-8000-000000000000", 404)] {
        let code_text = if code == 400 { "VALIDATION_ERROR" } else { "NOT_FOUND" };
        tata.get(&format!("{LIST}/{id}")).await.fails(code, code_text);
        tata.patch(&format!("{LIST}/{id}"), &json!([])).await.fails(code, code_text);
        tata.delete(&format!("{LIST}/{id}")).await.fails(code, code_text);
    }
}

#[tokio::test]
async fn what_a_deleted_account_has_sent_stays_without_its_name() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let (of_siti, of_budi) = (sent(&siti, "Tambahkan mode gelap").await, sent(&budi, "Tambahkan mode terang").await);
    app.deactivate(&budi).await;
    app.delete_account(&siti).await;
    let gone = admin.get(&of_siti).await.data(200);
    assert_eq!((&gone["user_id"], &gone["user"]), (&json!(siti.id), &json!(null)));
    assert_eq!(admin.get(&of_budi).await.data(200)["user"]["username"], "budi", "deactivated ones are shown to staff");
    assert_eq!(admin.get(&format!("{LIST}?search=siti")).await.data(200), json!([]));
    assert_eq!(admin.get(&format!("{LIST}?search=budi")).await.column("pesan"), ["Tambahkan mode terang"]);
    let resolved = admin.patch(&of_siti, &json!({ "status": "resolved" })).await.data(200);
    assert_eq!(resolved["user"], json!(null));
    assert_eq!(app.count("select count(*) from notifications where kind = 'feedback_updated'").await, 0);
}

#[tokio::test]
async fn any_status_follows_any_other_and_only_what_is_resolved_says_by_whom() {
    let app = TestApp::spawn().await;
    let (tata, tono) = (app.holder("tata", &["feedback"]).await, app.holder("tono", &["feedback"]).await);
    let feedback = sent(&app.student("siti").await, "Tambahkan mode gelap").await;
    let set = async |user: &User, status: &str| user.patch(&feedback, &json!({ "status": status })).await.data(200);
    let resolved = set(&tata, "resolved").await;
    assert_eq!((&resolved["status"], &resolved["resolved_by"]), (&json!("resolved"), &json!(tata.id)));
    assert_eq!(resolved["resolved_at"].as_str().unwrap().chars().last(), Some('Z'));
    assert_eq!(set(&tono, "resolved").await, resolved, "the same status again changes nothing");
    assert_eq!(tono.patch(&feedback, &json!({})).await.data(200), resolved);
    assert_eq!(tono.patch(&feedback, &json!({ "status": null, "lain": 1 })).await.data(200), resolved);
    for status in ["read", "pending"] {
        set(&tata, "resolved").await;
        let left = set(&tono, status).await;
        let found = (&left["status"], &left["resolved_by"], &left["resolved_at"]);
        assert_eq!(found, (&json!(status), &json!(null), &json!(null)));
        assert_ne!(left["updated_at"], resolved["updated_at"]);
    }
    let again = set(&tono, "resolved").await;
    assert_eq!(again["resolved_by"], json!(tono.id));
    assert_ne!(again["resolved_at"], resolved["resolved_at"]);
    for status in ["done", "", "Read"] {
        assert_eq!(tata.patch(&feedback, &json!({ "status": status })).await.broken(), ["status"]);
    }
    tata.patch(&feedback, &json!({ "status": 1 })).await.fails(400, "VALIDATION_ERROR");
    assert_eq!(tata.get(&feedback).await.data(200), again);
    app.delete_account(&tono).await;
    assert_eq!(tata.get(&feedback).await.data(200)["resolved_by"], json!(tono.id), "the row keeps the id");
}

#[tokio::test]
async fn an_empty_note_is_ignored_and_null_clears() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let feedback = sent(&app.student("siti").await, "Tambahkan mode gelap").await;
    let note = async |body: Value| admin.patch(&feedback, &body).await.data(200)["admin_notes"].clone();
    assert_eq!(note(json!({ "admin_notes": "  Sudah\ndicatat " })).await, "Sudah\ndicatat");
    assert_eq!(note(json!({ "status": "read", "admin_notes": "" })).await, "Sudah\ndicatat");
    assert_eq!(note(json!({ "admin_notes": "   " })).await, "Sudah\ndicatat");
    assert_eq!(note(json!({ "status": "resolved" })).await, "Sudah\ndicatat");
    assert_eq!(note(json!({ "admin_notes": null })).await, json!(null));
    assert_eq!(note(json!({ "admin_notes": "é".repeat(1000) })).await, json!("é".repeat(1000)));
    for bad in [json!("x".repeat(1001)), json!("a\u{0}b")] {
        assert_eq!(admin.patch(&feedback, &json!({ "admin_notes": bad })).await.broken(), ["admin_notes"]);
    }
    let both = json!({ "status": "x", "admin_notes": "x".repeat(1001) });
    assert_eq!(admin.patch(&feedback, &both).await.broken(), ["status", "admin_notes"]);
    admin.patch(&feedback, &json!({ "admin_notes": 1 })).await.fails(400, "VALIDATION_ERROR");
}

/// Recipients and data of what was told of feedback.
async fn told(app: &TestApp) -> Vec<(Uuid, Value)> {
    sqlx::query_as("select user_id, data from notifications where kind = 'feedback_updated' order by created_at")
        .fetch_all(&app.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_author_is_told_of_another_status_and_never_of_the_notes() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let siti = app.student("siti").await;
    let feedback = sent(&siti, "Tambahkan mode gelap").await;
    let of_guest = path(&guest(&app, &any()).await.data(201));
    admin.patch(&of_guest, &json!({ "status": "read" })).await.data(200);
    admin.patch(&feedback, &json!({ "admin_notes": "rahasia" })).await.data(200);
    admin.patch(&feedback, &json!({ "status": "pending", "admin_notes": "rahasia juga" })).await.data(200);
    assert_eq!(told(&app).await, []);
    admin.patch(&feedback, &json!({ "status": "read", "admin_notes": "rahasia sekali" })).await.data(200);
    let found = told(&app).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, siti.id);
    let data = &found[0].1;
    let expected = json!({
        "feedback_id": data["feedback_id"], "actor_id": admin.id, "actor_role": "Admin", "old_status": "pending",
        "new_status": "read",
    });
    assert_eq!(*data, expected);
    assert!(feedback.ends_with(data["feedback_id"].as_str().unwrap()));
    assert!(!siti.get("/api/v1/notifications").await.body.to_string().contains("rahasia"));

    admin.delete(&feedback).await.data(200);
    assert_eq!(told(&app).await.len(), 1, "what was told stays");
}

#[tokio::test]
async fn nobody_is_told_of_what_he_does_with_his_own_message_and_equal_changes_at_once_are_told_once() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["feedback"]).await;
    let own = sent(&tata, "Tambahkan mode gelap").await;
    tata.patch(&own, &json!({ "status": "resolved" })).await.data(200);
    assert_eq!(told(&app).await, []);

    let feedback = sent(&app.student("siti").await, "Tambahkan mode gelap").await;
    let body = json!({ "status": "resolved" });
    let admin = app.admin();
    let answers = tokio::join!(
        tata.patch(&feedback, &body),
        admin.patch(&feedback, &body),
        tata.patch(&feedback, &body),
        admin.patch(&feedback, &body),
    );
    let first = answers.0.data(200);
    for answer in [answers.1, answers.2, answers.3] {
        assert_eq!(answer.data(200), first, "one of them has resolved it");
    }
    assert_eq!(told(&app).await.len(), 1);
    let audited = "select count(*) from audit_log where action = 'feedback.update' and fields = '{status}'";
    assert_eq!(app.count(audited).await, 2);
}

#[tokio::test]
async fn the_actor_is_called_after_his_role_that_grants_feedback() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["feedback"]).await;
    let feedback = sent(&app.student("siti").await, "Tambahkan mode gelap").await;
    app.give(&tata, &["tags", "feedback"]).await;
    app.give(&tata, &["tags"]).await;
    app.sql(
        "update special_roles set nama = case
             when capabilities = '{feedback}' then 'Zz'
             when capabilities = '{tags,feedback}' then 'Humas'
             else 'Aa'
         end",
    )
    .await;
    let role = async |status: &str| {
        tata.patch(&feedback, &json!({ "status": status })).await.data(200);
        told(&app).await.pop().unwrap().1["actor_role"].clone()
    };
    assert_eq!(role("read").await, "Humas");
    app.sql("update special_roles set is_active = false where nama = 'Humas'").await;
    assert_eq!(role("resolved").await, "Zz");
}

#[tokio::test]
async fn a_message_is_deleted_for_good() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["feedback"]).await;
    let siti = app.student("siti").await;
    let feedback = sent(&siti, "Tambahkan mode gelap").await;
    siti.delete(&feedback).await.fails(403, "FORBIDDEN");
    assert_eq!(tata.delete(&feedback).await.data(200), json!(null));
    tata.delete(&feedback).await.fails(404, "NOT_FOUND");
    tata.get(&feedback).await.fails(404, "NOT_FOUND");
    assert_eq!(app.count("select count(*) from feedback").await, 0);
    siti.post(SEND, &message("Tambahkan mode gelap")).await.fails(409, "DUPLICATE_FEEDBACK");
}

#[tokio::test]
async fn stats_are_the_numbers_of_each_status_and_their_sum() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["feedback"]).await;
    let stats = async || tata.get(STATS).await.data(200);
    assert_eq!(stats().await, json!({ "total": 0, "pending": 0, "read": 0, "resolved": 0 }));
    let admin = app.admin();
    for (n, status) in ["pending", "read", "read", "resolved"].into_iter().enumerate() {
        let feedback = sent(admin, &format!("Pesan nomor {n}")).await;
        tata.patch(&feedback, &json!({ "status": status })).await.data(200);
    }
    guest(&app, &any()).await.data(201);
    assert_eq!(stats().await, json!({ "total": 5, "pending": 2, "read": 2, "resolved": 1 }));
    tata.post(STATS, &json!({})).await.fails(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn the_list_costs_the_same_statements_however_long_it_is() {
    let app = TestApp::with(&[("LOG_LEVEL", "info,sqlx=debug"), ("LOG_FORMAT", "json")]).await;
    let tata = app.holder("tata", &["feedback"]).await;
    let mut counts = Vec::new();
    for n in 0..3 {
        for _ in 0..=n {
            let user = app.student(&format!("siswa_{}", Uuid::now_v7().simple().to_string().split_off(20))).await;
            user.post(SEND, &any()).await.data(201);
        }
        let search = format!("{LIST}?search=nama&limit=1");
        counts.push((
            crate::statements::statements(&app, &tata, LIST, LIST).await,
            crate::statements::statements(&app, &tata, LIST, &search).await,
            crate::statements::statements(&app, &tata, STATS, STATS).await,
        ));
    }
    assert!(counts.iter().all(|count| *count == (1, 2, 1)), "{counts:?}");
}

#[tokio::test]
async fn lists_walk_along_an_index_and_searches_look_things_up() {
    let app = TestApp::spawn().await;
    app.sql(
        "insert into feedback (id, kategori, pesan, status, created_at)
         select gen_random_uuid(), case when n % 3 = 0 then 'bug' else 'saran' end, 'Pesan ' || md5(n::text),
             case when n % 4 = 0 then 'read' else 'pending' end, now() - n * interval '1 minute'
         from generate_series(1, 20000) n;
         insert into users (id, account_version, username, email, role, is_active, must_change_password, created_at, nama)
         select gen_random_uuid(), 1, 'orang' || n, 'orang' || n || '@x.test', 'student', true, false, now(), md5(n::text)
         from generate_series(1, 20000) n;
         update users set nama = 'a1b2c3' where username = 'orang1'",
    )
    .await;
    app.sql("vacuum analyze feedback, users").await;
    for (query, indexes) in [
        ("", &["feedback_newest_idx"][..]),
        ("?status=read", &["feedback_status_idx"]),
        ("?kategori=bug", &["feedback_kategori_idx"]),
        ("?search=a1b2c3", &["feedback_pesan_trgm_idx", "feedback_user_id_idx", "users_search_trgm_idx"]),
    ] {
        app.admin().get(&format!("{LIST}{query}")).await.data(200);
        for index in indexes {
            app.has_used(index).await;
        }
    }
}

#[tokio::test]
async fn hashes_of_guests_go_although_other_work_of_the_background_fails() {
    let mut app = TestApp::spawn().await;
    guest(&app, &any()).await.data(201);
    app.sql(
        "update recent_feedback set sent_at = now() - interval '24 hours';
         update rate_limits set window_ends_at = now() - interval '1 second' where bucket like 'feedback%';
         insert into notifications (id, user_id, kind, data, dedup_key, created_at)
         select gen_random_uuid(), id, 'new_follower', '{}', 'x', now() - interval '181 days' from users limit 1;
         create function refuse() returns trigger language plpgsql as $$ begin raise exception 'kapot'; end $$;
         create trigger refuse before delete on notifications for each row execute function refuse()",
    )
    .await;
    app.portfolio.restart().await;
    let left = "select (select count(*) from recent_feedback)
                    + (select count(*) from rate_limits where bucket like 'feedback%')";
    eventually("no guest is known", async || app.count(left).await == 0).await;
    assert_eq!(app.count("select count(*) from notifications").await, 1);
}

#[tokio::test]
async fn authors_are_found_by_their_user_names_and_not_by_their_bios() {
    let app = TestApp::spawn().await;
    let siti = app.user(json!({ "username": "bintang", "nama": "Siti" })).await;
    sent(&siti, "Tambahkan mode gelap").await;
    app.sql("update users set bio = 'Suka astronomi' where username = 'bintang'").await;
    let found = async |text: &str| app.admin().get(&format!("{LIST}?search={text}")).await.column("pesan");
    assert_eq!(found("BINTAN").await, ["Tambahkan mode gelap"]);
    assert_eq!(found("astronomi").await, [""; 0]);
}

#[tokio::test]
async fn an_actor_whose_role_was_just_taken_is_a_moderator() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["feedback"]).await;
    let feedback = sent(&app.student("siti").await, "Tambahkan mode gelap").await;
    // What the replica knows of him is some seconds old.
    tata.get(&feedback).await.data(200);
    app.sql("delete from user_special_roles").await;
    tata.patch(&feedback, &json!({ "status": "read" })).await.data(200);
    assert_eq!(told(&app).await[0].1["actor_role"], "Moderator");
}

#[tokio::test]
async fn lines_of_a_text_area_are_kept() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let receipt = siti.post(SEND, &message("Baris satu\r\nBaris\u{7} dua\r\n")).await.data(201);
    assert_eq!(receipt["pesan"], "Baris satu\nBaris dua");
    let notes = json!({ "admin_notes": "Satu\r\nDua" });
    assert_eq!(app.admin().patch(&path(&receipt), &notes).await.data(200)["admin_notes"], "Satu\nDua");
}

#[tokio::test]
async fn messages_of_one_moment_stand_in_the_order_of_ids() {
    let app = TestApp::spawn().await;
    app.sql(
        "insert into feedback (id, kategori, pesan, created_at)
         select gen_random_uuid(), 'bug', 'Pesan nomor ' || n, '2026-01-01' from generate_series(1, 12) n",
    )
    .await;
    let ids = app.admin().get(LIST).await.column("id");
    assert!(ids.len() == 12 && ids.is_sorted_by(|a, b| a > b), "{ids:?}");
}

#[tokio::test]
async fn queries_and_paths_are_read_before_rights_are_checked() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let (long, assessments) = ("x".repeat(101), "/api/v1/admin/assessments");
    let (metrics, changelogs) = ("/api/v1/admin/assessment-metrics", "/api/v1/admin/changelogs");
    for path in [
        format!("{LIST}?status=done"),
        format!("{LIST}?kategori=pujian"),
        format!("{LIST}?search={long}"),
        format!("{LIST}/x"),
        format!("{assessments}?filter=done"),
        format!("{assessments}?search={long}"),
        format!("{assessments}/x"),
        format!("{metrics}?active_only=ya"),
        format!("{changelogs}?search={long}"),
        format!("{changelogs}/x"),
    ] {
        siti.get(&path).await.fails(400, "VALIDATION_ERROR");
    }
    for list in [LIST, assessments, metrics, changelogs] {
        siti.get(list).await.fails(403, "FORBIDDEN");
        let one = format!("{list}/x");
        for method in [Method::PATCH, Method::DELETE] {
            let method = if list == assessments && method == Method::PATCH { Method::POST } else { method };
            siti.raw(method, &one, "application/json", "{").await.fails(400, "VALIDATION_ERROR");
        }
    }
}

#[tokio::test]
async fn no_search_takes_a_nul() {
    let app = TestApp::spawn().await;
    for list in [LIST, "/api/v1/admin/assessments", "/api/v1/admin/changelogs"] {
        for search in ["%00", "a%00b"] {
            app.admin().get(&format!("{list}?search={search}")).await.fails(400, "VALIDATION_ERROR");
        }
        let most = app.admin().get(&format!("{list}?limit=99999999999999999999")).await;
        most.data(200);
        assert_eq!(most.body["meta"]["per_page"], 100);
    }
}
