//! What people are told, when, and what they read of it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Portfolio, TestApp, User, eventually};

const LIST: &str = "/api/v1/notifications";
const COUNT: &str = "/api/v1/notifications/count";
const READ_ALL: &str = "/api/v1/notifications/read-all";

fn path(notification: &Value, rest: &str) -> String {
    format!("{LIST}/{}{rest}", notification["id"].as_str().unwrap())
}

/// What the user was told, the newest first.
async fn told(user: &User) -> Vec<Value> {
    user.get(LIST).await.data(200).as_array().unwrap().clone()
}

async fn kinds(user: &User) -> Vec<String> {
    user.get(LIST).await.column("type")
}

async fn comment(user: &User, portfolio: &Portfolio, parent: Option<&Value>) -> Value {
    let body = json!({ "content": "Keren", "parent_id": parent.map(|parent| &parent["id"]) });
    user.post(&portfolio.path("/comments"), &body).await.data(201)
}

async fn feedback(user: &User) -> String {
    let body = json!({ "kategori": "saran", "pesan": "Tolong tambahkan mode gelap" });
    let id = user.post("/api/v1/feedback", &body).await.data(201)["id"].clone();
    format!("/api/v1/admin/feedback/{}", id.as_str().unwrap())
}

#[tokio::test]
async fn a_follower_is_told_with_name_picture_and_whether_one_follows_back() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    budi.act("/api/v1/users/siti/follow").await.data(200);
    let first = told(&siti).await.remove(0);
    assert_eq!(first["type"], "new_follower");
    assert_eq!((&first["title"], &first["message"]), (&json!("Pengikut baru"), &json!("@budi mulai mengikuti Anda")));
    assert_eq!(
        first["data"],
        json!({
            "follower_id": budi.id, "follower_username": "budi", "follower_nama": "Nama budi", "follower_avatar": null,
            "follower_is_following": false,
        })
    );
    assert_eq!((&first["is_read"], &first["read_at"]), (&json!(false), &json!(null)));
    siti.act("/api/v1/users/budi/follow").await.data(200);
    assert_eq!(told(&siti).await[0]["data"]["follower_is_following"], true);
}

#[tokio::test]
async fn a_like_names_the_work_as_it_was_called_then() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let work = siti.published("Logo \"Kopi\" & <b>", app.admin()).await;
    budi.act(&work.path("/like")).await.data(200);
    app.sql("update portfolios set judul = 'Lain'").await;
    let like = told(&siti).await.remove(0);
    assert_eq!(like["message"], "@budi menyukai portofolio \"Logo \"Kopi\" & <b>\"", "plain text, not escaped");
    assert_eq!(
        like["data"],
        json!({
            "liker_id": budi.id, "liker_username": "budi", "liker_nama": "Nama budi", "liker_avatar": null,
            "liker_is_following": false, "portfolio_id": work.id, "portfolio_judul": "Logo \"Kopi\" & <b>",
            "portfolio_slug": work.slug,
        })
    );
}

#[tokio::test]
async fn reviews_are_told_by_the_routes_and_by_a_change_of_the_status() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let work = siti.submitted("Karya").await;
    app.admin().post(&work.admin_path("/reject"), &json!({ "note": "Tambah gambar" })).await.data(200);
    siti.act(&work.path("/submit")).await.data(200);
    app.admin().act(&work.admin_path("/approve")).await.data(200);
    let of_work = json!({ "portfolio_id": work.id, "portfolio_judul": "Karya", "portfolio_slug": "karya" });
    let mut rejected = of_work.clone();
    rejected["admin_note"] = json!("Tambah gambar");
    let list = told(&siti).await;
    assert_eq!(list[0]["type"], "portfolio_approved");
    assert_eq!(list[0]["message"], "Portofolio \"Karya\" disetujui dan diterbitkan");
    assert_eq!(list[0]["data"], of_work);
    assert_eq!(list[1]["type"], "portfolio_rejected");
    assert_eq!(list[1]["message"], "Portofolio \"Karya\" perlu diperbaiki");
    assert_eq!(list[1]["data"], rejected);

    let change = json!({ "status": "rejected", "admin_review_note": "Perbaiki" });
    app.admin().patch(&work.admin_path(""), &change).await.data(200);
    app.admin().patch(&work.admin_path(""), &change).await.data(200);
    app.admin().patch(&work.admin_path(""), &json!({ "status": "published" })).await.data(200);
    let expected = ["portfolio_approved", "portfolio_rejected", "portfolio_approved", "portfolio_rejected"];
    assert_eq!(kinds(&siti).await, expected, "the same status twice is one review");
}

#[tokio::test]
async fn a_comment_is_told_to_the_owner_and_a_reply_to_whom_it_answers() {
    let app = TestApp::spawn().await;
    let (siti, budi, tuti) = (app.student("siti").await, app.student("budi").await, app.student("tuti").await);
    let work = siti.published("Karya", app.admin()).await;
    siti.act(READ_ALL).await.data(200);
    let root = comment(&budi, &work, None).await;
    let reply = comment(&tuti, &work, Some(&root)).await;
    let list = told(&siti).await;
    assert_eq!((list[0]["type"].as_str(), list[1]["type"].as_str()), (Some("new_comment"), Some("new_comment")));
    assert_eq!(list[1]["message"], "@budi mengomentari \"Karya\"");
    let data = |actor: &User, comment: &Value| {
        json!({
            "actor_id": actor.id, "actor_username": actor.username, "actor_nama": format!("Nama {}", actor.username),
            "actor_avatar": null, "actor_is_following": false, "portfolio_id": work.id, "portfolio_slug": "karya",
            "portfolio_judul": "Karya", "portfolio_owner_username": "siti", "comment_id": comment["id"],
        })
    };
    assert_eq!(list[1]["data"], data(&budi, &root));
    assert_eq!(list[0]["data"], data(&tuti, &reply));
    let answered = told(&budi).await;
    assert_eq!(answered.len(), 1);
    assert_eq!(answered[0]["type"], "reply_comment");
    assert_eq!(answered[0]["message"], "@tuti membalas komentar Anda");
    let mut expected = data(&tuti, &reply);
    expected["parent_comment_id"] = root["id"].clone();
    assert_eq!(answered[0]["data"], expected);

    // The owner answers, and is answered: told once, as whom the reply is for.
    let owners = comment(&siti, &work, Some(&reply)).await;
    assert_eq!(kinds(&tuti).await, ["reply_comment"]);
    comment(&budi, &work, Some(&owners)).await;
    assert_eq!(kinds(&siti).await[..2], ["reply_comment", "new_comment"]);

    budi.delete(&format!("/api/v1/comments/{}", root["id"].as_str().unwrap())).await.data(200);
    assert_eq!(kinds(&budi).await, [""; 0], "a deleted comment takes what was told of it along, its replies' as well");
    assert_eq!(kinds(&siti).await, ["portfolio_approved"]);
}

#[tokio::test]
async fn another_status_of_feedback_is_told_without_the_notes_of_the_staff() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let staff = app.holder("tata", &["feedback"]).await;
    let feedback = feedback(&siti).await;
    let body = json!({ "status": "read", "admin_notes": "rahasia internal" });
    staff.patch(&feedback, &body).await.data(200);
    let list = siti.get(LIST).await;
    assert!(!list.body.to_string().contains("rahasia internal"));
    let update = list.data(200)[0].clone();
    assert_eq!(update["type"], "feedback_updated");
    assert_eq!(update["message"], "@tata mengubah status feedback Anda menjadi Dibaca");
    let role: String = sqlx::query_scalar("select nama from special_roles").fetch_one(&app.pool).await.unwrap();
    assert_eq!(
        update["data"],
        json!({
            "feedback_id": feedback.rsplit('/').next(), "actor_id": staff.id, "actor_username": "tata",
            "actor_nama": "Nama tata", "actor_avatar": null, "actor_is_following": false, "actor_role": role,
            "old_status": "pending", "new_status": "read",
        })
    );
    app.admin().patch(&feedback, &json!({ "status": "resolved" })).await.data(200);
    assert_eq!(told(&siti).await[0]["data"]["actor_role"], "Admin");
}

#[tokio::test]
async fn an_unread_update_of_feedback_is_replaced_and_a_read_or_deleted_one_is_left() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let (one, two) = (feedback(&siti).await, feedback_of_another_kind(&siti).await);
    let admin = app.admin();
    admin.patch(&one, &json!({ "status": "read" })).await.data(200);
    let first = told(&siti).await.remove(0);
    admin.patch(&two, &json!({ "status": "read" })).await.data(200);
    admin.patch(&one, &json!({ "status": "resolved" })).await.data(200);
    let list = told(&siti).await;
    assert_eq!(list.len(), 2, "one for each feedback");
    assert_eq!(list[0]["id"], first["id"], "replaced in place, and the newest now");
    assert!(list[0]["created_at"].as_str() > first["created_at"].as_str());
    assert_eq!((&list[0]["data"]["old_status"], &list[0]["data"]["new_status"]), (&json!("read"), &json!("resolved")));

    siti.patch(&path(&list[0], "/read"), &json!({})).await.data(200);
    admin.patch(&one, &json!({ "status": "pending" })).await.data(200);
    let list = told(&siti).await;
    assert_eq!(list.len(), 3);
    assert_eq!(list.iter().filter(|one| one["is_read"] == true).count(), 1);
    siti.delete(&path(&list[0], "")).await.data(200);
    admin.patch(&one, &json!({ "status": "read" })).await.data(200);
    assert_eq!(told(&siti).await.len(), 3, "what was deleted does not come back to life");
}

async fn feedback_of_another_kind(user: &User) -> String {
    let body = json!({ "kategori": "bug", "pesan": "Tombol simpan tidak bereaksi" });
    let id = user.post("/api/v1/feedback", &body).await.data(201)["id"].clone();
    format!("/api/v1/admin/feedback/{}", id.as_str().unwrap())
}

#[tokio::test]
async fn equal_changes_of_feedback_at_once_are_told_once() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let feedback = feedback(&siti).await;
    let status = json!({ "status": "resolved" });
    let admin = app.admin();
    let answers = tokio::join!(
        admin.patch(&feedback, &status),
        admin.patch(&feedback, &status),
        admin.patch(&feedback, &status),
        admin.patch(&feedback, &status),
    );
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        answer.data(200);
    }
    assert_eq!(app.count("select count(*) from notifications").await, 1);
    assert_eq!(told(&siti).await[0]["data"]["old_status"], "pending");
}

#[tokio::test]
async fn nobody_is_told_of_what_he_did_himself() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let manager = app.holder("tata", &["portfolios", "moderation", "feedback"]).await;
    let work = manager.published("Karya", admin).await;
    app.sql("delete from notifications").await;
    manager.act(&work.path("/like")).await.data(200);
    let own = comment(&manager, &work, None).await;
    comment(&manager, &work, Some(&own)).await;
    let feedback = feedback(&manager).await;
    manager.patch(&feedback, &json!({ "status": "resolved" })).await.data(200);
    let admins = admin.submitted("Punya admin").await;
    admin.act(&admins.admin_path("/approve")).await.data(200);
    admin.patch(&admins.admin_path(""), &json!({ "status": "rejected", "admin_review_note": "x" })).await.data(200);
    assert_eq!(app.count("select count(*) from notifications").await, 0);
}

#[tokio::test]
async fn accounts_that_are_deactivated_or_deleted_are_told_nothing() {
    let app = TestApp::spawn().await;
    let (siti, budi, tuti) = (app.student("siti").await, app.student("budi").await, app.student("tuti").await);
    let public = tuti.published("Milik Tuti", app.admin()).await;
    let (of_siti, of_budi) = (comment(&siti, &public, None).await, comment(&budi, &public, None).await);
    let waiting = siti.submitted("Karya").await;
    let feedback = feedback(&siti).await;
    app.sql("delete from notifications").await;
    app.deactivate(&siti).await;
    app.delete_account(&budi).await;
    app.admin().act(&waiting.admin_path("/approve")).await.data(200);
    app.admin().patch(&feedback, &json!({ "status": "read" })).await.data(200);
    comment(&tuti, &public, Some(&of_siti)).await;
    comment(&tuti, &public, Some(&of_budi)).await;
    assert_eq!(app.count("select count(*) from notifications").await, 0);
}

#[tokio::test]
async fn what_is_in_no_list_of_causes_is_told_to_nobody() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let admin = app.admin();
    let work = siti.published("Karya", admin).await;
    budi.act("/api/v1/users/siti/follow").await.data(200);
    budi.act(&work.path("/like")).await.data(200);
    let feedback = feedback(&siti).await;
    app.sql("delete from notifications").await;

    // The keys went with the rows here, so only the actions themselves could tell somebody.
    budi.delete("/api/v1/users/siti/follow").await.data(200);
    budi.delete(&work.path("/like")).await.data(200);
    admin.patch(&feedback, &json!({ "admin_notes": "catatan" })).await.data(200);
    admin.patch(&feedback, &json!({ "status": "pending" })).await.data(200);
    admin.patch(&work.admin_path(""), &json!({ "judul": "Judul lain" })).await.data(200);
    let metric = admin.post("/api/v1/admin/assessment-metrics", &json!({ "nama": "Kreativitas" })).await.data(201);
    let scores = json!({ "scores": [{ "metric_id": metric["id"], "score": 9 }] });
    let assessment = format!("/api/v1/admin/assessments/{}", work.id);
    admin.post(&assessment, &scores).await.data(201);
    admin.delete(&assessment).await.data(200);
    let changelog = json!({
        "version": "1.0", "title": "Baru",
        "sections": [{ "category": "added", "blocks": [{ "block_type": "text", "payload": { "content": "Ada" } }] }],
        "contributors": [{ "user_id": siti.id, "contribution": "Ide" }],
    });
    let changelog = admin.post("/api/v1/admin/changelogs", &changelog).await.data(201);
    let changelog = format!("/api/v1/admin/changelogs/{}/publish", changelog["id"].as_str().unwrap());
    admin.act(&changelog).await.data(200);
    siti.act(&work.path("/archive")).await.data(200);
    siti.act(&work.path("/unarchive")).await.data(200);
    let draft = siti.submitted("Lagi").await;
    siti.delete(&draft.path("")).await.data(200);
    admin.delete(&work.admin_path("")).await.data(200);
    admin.patch(&format!("/api/v1/admin/users/{}", siti.id), &json!({ "role": "alumni" })).await.data(200);
    assert_eq!(app.count("select count(*) from notifications").await, 0);
}

#[tokio::test]
async fn likes_and_follows_are_told_once_for_ever_also_at_once_and_after_they_were_read_or_deleted() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let work = siti.published("Karya", app.admin()).await;
    siti.act(READ_ALL).await.data(200);
    let (like, follow) = (work.path("/like"), "/api/v1/users/siti/follow");
    let at_once = tokio::join!(
        budi.act(&like),
        budi.act(&like),
        budi.act(&like),
        budi.act(follow),
        budi.act(follow),
        budi.act(follow)
    );
    for answer in [at_once.0, at_once.1, at_once.2, at_once.3, at_once.4, at_once.5] {
        answer.data(200);
    }
    let mut of_budi = kinds(&siti).await;
    of_budi.sort_unstable();
    assert_eq!(of_budi, ["new_follower", "portfolio_approved", "portfolio_liked"]);
    let list = told(&siti).await;
    siti.patch(&path(&list[0], "/read"), &json!({})).await.data(200);
    siti.delete(&path(&list[1], "")).await.data(200);
    for _ in 0..2 {
        budi.delete(&like).await.data(200);
        budi.act(&like).await.data(200);
        budi.delete(follow).await.data(200);
        budi.act(follow).await.data(200);
    }
    assert_eq!(told(&siti).await.len(), 2);
    assert_eq!(siti.get(COUNT).await.data(200), json!({ "unread_count": 0 }));
}

#[tokio::test]
async fn people_are_shown_as_they_are_now_and_deleted_ones_as_somebody() {
    let app = TestApp::spawn().await;
    let (siti, budi, tuti) = (app.student("siti").await, app.student("budi").await, app.student("tuti").await);
    let work = siti.published("Karya", app.admin()).await;
    let root = comment(&tuti, &work, None).await;
    app.sql("delete from notifications").await;
    budi.act("/api/v1/users/siti/follow").await.data(200);
    budi.act(&work.path("/like")).await.data(200);
    comment(&budi, &work, Some(&root)).await;
    app.change(&budi, json!({ "username": "budiman" })).await;
    eventually("the name has arrived", async || told(&siti).await[0]["message"].to_string().contains("@budiman")).await;
    app.sql("update users set nama = 'Budiman', avatar_url = 'https://x/y.webp' where username = 'budiman'").await;
    app.sql("update users set username = 'siti_baru' where username = 'siti'").await;
    for one in told(&siti).await {
        assert!(one["message"].as_str().unwrap().starts_with("@budiman "), "{one:#}");
        let data = one["data"].to_string();
        assert!(data.contains("\"Budiman\"") && data.contains("https://x/y.webp"), "{one:#}");
    }
    assert_eq!(told(&tuti).await[0]["data"]["portfolio_owner_username"], "siti_baru");

    app.delete_account(&budi).await;
    let list = told(&siti).await;
    assert_eq!(list.len(), 3);
    for (one, prefix) in list.iter().zip(["actor", "liker", "follower"]) {
        assert!(one["message"].as_str().unwrap().starts_with("Seseorang "), "{one:#}");
        for key in ["username", "nama", "avatar"] {
            assert_eq!(one["data"][format!("{prefix}_{key}")], json!(null), "{one:#}");
        }
        assert_eq!(one["data"][format!("{prefix}_is_following")], false);
        assert_eq!(one["data"][format!("{prefix}_id")], json!(budi.id));
    }
}

#[tokio::test]
async fn pages_carry_both_sets_of_names_and_the_unread_count_follows_no_filter() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    for n in 0..5 {
        app.student(&format!("siswa_{n}")).await.act("/api/v1/users/siti/follow").await.data(200);
    }
    let list = told(&siti).await;
    siti.patch(&path(&list[0], "/read"), &json!({})).await.data(200);
    siti.patch(&path(&list[2], "/read"), &json!({})).await.data(200);
    let page = siti.get(&format!("{LIST}?page=2&limit=2&unread_only=false")).await;
    let ids: Vec<_> = list.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(page.column("id"), ids[2..4], "the newest first");
    let meta = json!({
        "page": 2, "limit": 2, "total": 5, "total_pages": 3, "unread_count": 3,
        "current_page": 2, "per_page": 2, "total_count": 5,
    });
    assert_eq!(page.body["meta"], meta);
    let unread = siti.get(&format!("{LIST}?unread_only=1&limit=2")).await;
    assert_eq!(unread.column("id"), [&*ids[1], &*ids[3]]);
    let meta = json!({
        "page": 1, "limit": 2, "total": 3, "total_pages": 2, "unread_count": 3,
        "current_page": 1, "per_page": 2, "total_count": 3,
    });
    assert_eq!(unread.body["meta"], meta);
    assert_eq!(siti.get(COUNT).await.body, json!({ "success": true, "data": { "unread_count": 3 } }));
    for (query, limit) in [("", 20), ("?limit=x", 20), ("?limit=0", 20), ("?limit=51", 50), ("?page=0&limit=5", 5)] {
        let answer = siti.get(&format!("{LIST}{query}")).await;
        answer.data(200);
        assert_eq!(
            (&answer.body["meta"]["limit"], &answer.body["meta"]["page"]),
            (&json!(limit), &json!(1)),
            "{query}"
        );
    }
    siti.get(&format!("{LIST}?unread_only=ya")).await.fails(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn reading_is_for_good_and_keeps_its_first_time() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    budi.act("/api/v1/users/siti/follow").await.data(200);
    let one = told(&siti).await.remove(0);
    assert_eq!(siti.get(COUNT).await.data(200)["unread_count"], 1, "the list marks nothing as read");
    assert_eq!(siti.patch(&path(&one, "/read"), &json!({})).await.data(200), json!(null));
    let read = told(&siti).await.remove(0);
    assert_eq!(read["is_read"], true);
    siti.patch(&path(&one, "/read"), &json!({})).await.data(200);
    siti.act(READ_ALL).await.data(200);
    assert_eq!(told(&siti).await[0]["read_at"], read["read_at"]);
}

#[tokio::test]
async fn read_all_reads_ones_own_at_one_time_also_twice_at_once() {
    let app = TestApp::spawn().await;
    let (siti, budi, tuti) = (app.student("siti").await, app.student("budi").await, app.student("tuti").await);
    for user in [&budi, &tuti] {
        user.act("/api/v1/users/siti/follow").await.data(200);
    }
    siti.act("/api/v1/users/budi/follow").await.data(200);
    let both = tokio::join!(siti.act(READ_ALL), siti.act(READ_ALL));
    assert_eq!((both.0.data(200), both.1.data(200)), (json!(null), json!(null)));
    let list = told(&siti).await;
    assert!(list[0]["read_at"].is_string());
    assert_eq!(list[0]["read_at"], list[1]["read_at"]);
    assert_eq!(budi.get(COUNT).await.data(200)["unread_count"], 1, "those of others stay unread");
}

#[tokio::test]
async fn notifications_of_others_do_not_exist() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    budi.act("/api/v1/users/siti/follow").await.data(200);
    let one = told(&siti).await.remove(0);
    let unknown = format!("{LIST}/{}", uuid::Uuid::now_v7());
    for stranger in [&budi, app.admin()] {
        assert_eq!(told(stranger).await.len(), 0);
        for path in [path(&one, ""), unknown.clone()] {
            stranger.patch(&format!("{path}/read"), &json!({})).await.fails(404, "NOT_FOUND");
            stranger.delete(&path).await.fails(404, "NOT_FOUND");
        }
    }
    siti.patch(&format!("{LIST}/x/read"), &json!({})).await.fails(400, "VALIDATION_ERROR");
    siti.delete(&format!("{LIST}/x")).await.fails(400, "VALIDATION_ERROR");
    assert_eq!(told(&siti).await[0]["is_read"], false);
    siti.delete(&path(&one, "")).await.data(200);
    siti.delete(&path(&one, "")).await.fails(404, "NOT_FOUND");
    siti.patch(&path(&one, "/read"), &json!({})).await.fails(404, "NOT_FOUND");
    assert_eq!(siti.get(COUNT).await.data(200)["unread_count"], 0);
}

#[tokio::test]
async fn guests_are_told_nothing() {
    let app = TestApp::spawn().await;
    app.get(LIST).await.fails(401, "UNAUTHORIZED");
    app.get(COUNT).await.fails(401, "UNAUTHORIZED");
    let one = format!("{LIST}/{}", uuid::Uuid::now_v7());
    for (method, path) in [(Method::PATCH, &*format!("{one}/read")), (Method::POST, READ_ALL), (Method::DELETE, &*one)]
    {
        app.guest(method, path, &[]).await.fails(401, "UNAUTHORIZED");
    }
    app.get_with_token(LIST, "Bearer x").await.fails(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn old_notifications_are_removed_with_their_keys_and_those_of_deleted_accounts_with_them() {
    let mut app = TestApp::spawn().await;
    let (siti, budi, tuti) = (app.student("siti").await, app.student("budi").await, app.student("tuti").await);
    for user in [&budi, &tuti] {
        user.act("/api/v1/users/siti/follow").await.data(200);
    }
    siti.act("/api/v1/users/budi/follow").await.data(200);
    siti.delete(&path(&told(&siti).await[1], "")).await.data(200);
    app.delete_account(&budi).await;
    assert_eq!(app.count("select count(*) from notifications").await, 2, "his went with the account");
    // One that an action under way has left behind.
    app.sql(
        "insert into notifications (id, user_id, kind, data, dedup_key)
         select gen_random_uuid(), id, 'new_follower', '{}', 'x' from users where username = 'budi'",
    )
    .await;
    app.sql(
        "update notifications set created_at = now() - interval '180 days' - interval '1 minute'
         where actor_id = (select id from users where username = 'budi')",
    )
    .await;
    app.sql(
        "update notifications set created_at = now() - interval '179 days'
         where actor_id = (select id from users where username = 'tuti')",
    )
    .await;
    // The work of the background is done when a replica starts, too.
    app.portfolio.restart().await;
    let left = "select count(*) from notifications";
    eventually("the old one and the orphan are gone", async || app.count(left).await == 1).await;
    assert_eq!(told(&siti).await[0]["data"]["follower_id"], json!(tuti.id));
}

#[tokio::test]
async fn the_list_costs_the_same_statements_however_long_it_is_and_the_count_one() {
    let app = TestApp::with(&[("LOG_LEVEL", "info,sqlx=debug"), ("LOG_FORMAT", "json")]).await;
    let siti = app.student("siti").await;
    let work = siti.published("Karya", app.admin()).await;
    let mut counts = Vec::new();
    for n in 0..3 {
        let user = app.student(&format!("siswa_{n}")).await;
        user.act("/api/v1/users/siti/follow").await.data(200);
        user.act(&work.path("/like")).await.data(200);
        comment(&user, &work, None).await;
        counts.push((
            crate::statements::statements(&app, &siti, LIST, LIST).await,
            crate::statements::statements(&app, &siti, COUNT, COUNT).await,
        ));
    }
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    assert!(counts[0].0 <= 5 && counts[0].1 == 1, "begin, snapshot, totals, rows, commit: {counts:?}");
    // Of this one the replica knows nothing yet, and for the badge it need not.
    let tuti = app.student("tuti").await;
    assert_eq!(crate::statements::every_statement(&app, &tuti, COUNT, COUNT).await, 1);
}

#[tokio::test]
async fn the_count_and_both_lists_walk_along_an_index() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    // A school: nobody's notifications are a large part of all.
    app.sql(
        "insert into users (
             id, account_version, username, email, role, is_active, must_change_password, created_at, nama
         )
         select gen_random_uuid(), 1, 'siswa_' || n, 'siswa_' || n || '@x', 'student', true, false, now(), 'Siswa'
         from generate_series(1, 200) n;
         insert into notifications (id, user_id, kind, data, dedup_key, created_at, read_at)
         select gen_random_uuid(), u.id, 'new_follower', '{}', n::text, now() - n * interval '1 minute',
             case when n > 100 then now() end
         from users u, generate_series(1, 200) n",
    )
    .await;
    app.sql("analyze notifications").await;
    siti.get(COUNT).await.data(200);
    app.has_used("notifications_unread_list_idx").await;
    let plan = async |query: &str| {
        let lines: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("explain {query}")))
            .bind(siti.id)
            .fetch_all(&app.pool)
            .await
            .unwrap();
        lines.join("\n")
    };
    for (condition, index) in [("true", "notifications_list_idx"), ("read_at is null", "notifications_unread_list_idx")]
    {
        let list = plan(&format!(
            "select * from notifications where user_id = $1 and deleted_at is null and {condition}
             order by created_at desc, id desc limit 20",
        ))
        .await;
        assert!(list.contains(index) && !list.contains("Sort"), "{list}");
    }
}

#[tokio::test]
async fn who_is_deactivated_is_somebody_until_he_is_back() {
    let app = TestApp::spawn().await;
    let (siti, budi, tuti) = (app.student("siti").await, app.student("budi").await, app.student("tuti").await);
    let work = siti.published("Karya", app.admin()).await;
    let root = comment(&tuti, &work, None).await;
    app.sql("delete from notifications").await;
    siti.act("/api/v1/users/budi/follow").await.data(200);
    budi.act("/api/v1/users/siti/follow").await.data(200);
    budi.act(&work.path("/like")).await.data(200);
    comment(&budi, &work, Some(&root)).await;
    let before = told(&siti).await;
    assert_eq!(before[0]["data"]["actor_is_following"], true);
    app.deactivate(&budi).await;
    let list = told(&siti).await;
    assert_eq!(list.len(), 3);
    for (one, prefix) in list.iter().zip(["actor", "liker", "follower"]) {
        assert!(one["message"].as_str().unwrap().starts_with("Seseorang "), "{one:#}");
        for key in ["username", "nama", "avatar"] {
            assert_eq!(one["data"][format!("{prefix}_{key}")], json!(null), "{one:#}");
        }
        assert_eq!(one["data"][format!("{prefix}_is_following")], false, "{one:#}");
    }
    app.reactivate(&budi).await;
    assert_eq!(told(&siti).await, before);

    let owner = async || told(&tuti).await[0]["data"]["portfolio_owner_username"].clone();
    assert_eq!(owner().await, "siti");
    app.deactivate(&siti).await;
    assert_eq!(owner().await, json!(null));
    app.reactivate(&siti).await;
    assert_eq!(owner().await, "siti");
}

#[tokio::test]
async fn who_is_back_is_told_again() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let feedback = feedback(&siti).await;
    app.deactivate(&siti).await;
    app.admin().patch(&feedback, &json!({ "status": "read" })).await.data(200);
    app.reactivate(&siti).await;
    app.admin().patch(&feedback, &json!({ "status": "resolved" })).await.data(200);
    let list = told(&app.again(&siti).await).await;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["data"]["new_status"], "resolved");
}

/// What actions change.
async fn state(app: &TestApp) -> Value {
    let tables = ["users", "follows", "portfolio_likes", "comments", "portfolios", "feedback", "audit_log"];
    let mut state = json!({});
    for table in tables {
        let rows = format!("select coalesce(jsonb_agg(t order by t::text), '[]') from {table} t");
        let rows: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_one(&app.pool).await.unwrap();
        state[table] = rows;
    }
    state
}

#[tokio::test]
async fn what_cannot_be_told_does_not_happen() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let work = siti.published("Karya", admin).await;
    let (first, second, third) =
        (siti.submitted("Satu").await, siti.submitted("Dua").await, siti.submitted("Tiga").await);
    let root = comment(&budi, &work, None).await;
    let feedback = feedback(&siti).await;
    app.sql("alter table notifications add constraint refuse check (false) not valid").await;
    let before = state(&app).await;
    let reply = json!({ "content": "Terima kasih", "parent_id": root["id"] });
    let published = json!({ "judul": "Lain", "status": "published" });
    for (what, answer) in [
        ("follow", budi.act("/api/v1/users/siti/follow").await),
        ("like", budi.act(&work.path("/like")).await),
        ("comment", budi.post(&work.path("/comments"), &json!({ "content": "Keren" })).await),
        ("reply", siti.post(&work.path("/comments"), &reply).await),
        ("approve", admin.act(&first.admin_path("/approve")).await),
        ("reject", admin.post(&second.admin_path("/reject"), &json!({ "note": "Tambah gambar" })).await),
        ("status", admin.patch(&third.admin_path(""), &published).await),
        ("feedback", admin.patch(&feedback, &json!({ "status": "read", "admin_notes": "x" })).await),
    ] {
        assert_eq!((answer.status, &answer.body["error"]["code"]), (500, &json!("INTERNAL_ERROR")), "{what}");
        assert_eq!(state(&app).await, before, "{what}");
    }
    app.sql("alter table notifications drop constraint refuse").await;
    admin.act(&first.admin_path("/approve")).await.data(200);
    assert_ne!(state(&app).await, before);
}

#[tokio::test]
async fn of_two_updates_of_feedback_at_once_the_last_is_the_one_that_is_unread() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let siti = app.student("siti").await;
    let feedback = feedback(&siti).await;
    for _ in 0..6 {
        admin.patch(&feedback, &json!({ "status": "pending" })).await.data(200);
        let (read, resolved) = (json!({ "status": "read" }), json!({ "status": "resolved" }));
        let both = tokio::join!(admin.patch(&feedback, &read), admin.patch(&feedback, &resolved));
        both.0.data(200);
        both.1.data(200);
        let list = told(&siti).await;
        assert_eq!(list.len(), 1, "{list:#?}");
        let status = admin.get(&feedback).await.data(200)["status"].clone();
        assert_eq!((&list[0]["data"]["new_status"], &list[0]["is_read"]), (&status, &json!(false)));
    }
}

#[tokio::test]
async fn what_was_told_at_the_same_moment_stands_in_the_order_of_ids() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    sqlx::query(
        "insert into notifications (id, user_id, kind, data, dedup_key, created_at)
         select gen_random_uuid(), $1, 'new_follower', '{}', n::text, '2026-01-01' from generate_series(1, 12) n",
    )
    .bind(siti.id)
    .execute(&app.pool)
    .await
    .unwrap();
    for query in ["", "?unread_only=true"] {
        let ids = siti.get(&format!("{LIST}{query}")).await.column("id");
        assert!(ids.len() == 12 && ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    }
}
