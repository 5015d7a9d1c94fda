use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{begin, block, chat, names_since, open, school, set, told, unblock};
use crate::support::TestApp;

const PATH: &str = "/api/v1/conversations";

#[tokio::test]
async fn an_opening_with_a_message_is_answered_with_the_state_after_it() {
    let (app, budi, siti) = school(&[]).await;
    let key = Uuid::now_v7();
    let body = json!({ "recipient_id": siti.id, "message": " Halo, boleh tanya?\n", "client_message_id": key });
    let data = budi.post(PATH, &body).await.data(201);
    let user = |username: &str, id: Uuid| {
        json!({
            "id": id, "username": username, "nama": format!("Nama {username}"), "avatar_url": null, "role": "student",
            "is_online": false,
        })
    };
    let (budis, sitis) = (user("budi", budi.id), user("siti", siti.id));
    let (conversation, message) = (&data["conversation"], &data["message"]);
    let expected = json!({
        "id": message["id"], "conversation_id": conversation["id"], "sender_id": budi.id, "sender": budis,
        "message_type": "text", "content": { "text": " Halo, boleh tanya?\n" }, "reply_to": null, "reactions": [],
        "created_at": message["created_at"], "is_deleted": false, "client_message_id": key,
    });
    assert_eq!(*message, expected);
    let at = &conversation["created_at"];
    let participant = |user: &Value, unread: i64| json!({ "user_id": user["id"], "joined_at": at, "last_read_at": null, "unread_count": unread, "user": user });
    let seen = |me: &Value, other: &Value, unread: i64| {
        json!({
            "id": conversation["id"], "created_at": at, "last_message_at": message["created_at"],
            "last_message_preview": " Halo, boleh tanya?\n", "participants": [participant(me, unread), participant(other, 0)],
            "unread_count": unread, "is_muted": false, "is_archived": false, "other_user": other,
        })
    };
    assert_eq!(*conversation, seen(&budis, &sitis, 0));
    let list = siti.get(PATH).await;
    assert_eq!(list.data(200), json!([seen(&sitis, &budis, 1)]));
    let meta = json!({ "current_page": 1, "per_page": 20, "total_count": 1, "total_pages": 1 });
    assert_eq!(list.body["meta"], meta);
    let messages = siti.get(&format!("{PATH}/{}/messages", conversation["id"].as_str().unwrap())).await;
    assert_eq!(messages.data(200), json!([expected]));
    assert_eq!(told(&app).await, [("chat.message_sent".to_owned(), super::both(&budi, &siti))]);
    assert_eq!(app.count("select count(*) from notifications").await, 0);
}

#[tokio::test]
async fn an_empty_conversation_is_listed_only_for_who_opened_it() {
    let (app, budi, siti) = school(&[]).await;
    for message in [json!(null), json!(""), json!(" \n ")] {
        let body = json!({ "recipient_id": siti.id, "message": message, "client_message_id": Uuid::now_v7() });
        let data = budi.post(PATH, &body).await.data(201);
        assert_eq!((&data["message"], &data["conversation"]["last_message_at"]), (&json!(null), &json!(null)));
    }
    let conversation = begin(&budi, &siti).await;
    assert_eq!(budi.get(PATH).await.column("id"), [conversation.0.as_str()]);
    assert_eq!(siti.get(PATH).await.data(200), json!([]));
    assert_eq!(siti.get(PATH).await.body["meta"]["total_count"], 0);
    assert_eq!(conversation.seen_by(&siti).await["last_message_preview"], json!(null));
    // Asking for it does not put it into the list either.
    assert_eq!(begin(&siti, &budi).await.0, conversation.0);
    assert_eq!(siti.get(PATH).await.data(200), json!([]));
    assert!(told(&app).await.is_empty());
    conversation.say(&siti, "Halo").await;
    assert_eq!(siti.get(PATH).await.column("id"), [conversation.0.as_str()]);
    // A message was sent, though it is gone.
    let only = siti.get(&conversation.messages()).await.column("id");
    siti.delete(&super::message_path(&only[0], "")).await.data(200);
    assert_eq!(budi.get(PATH).await.column("id"), [conversation.0.as_str()]);
    assert_eq!(siti.get(PATH).await.column("id"), [conversation.0]);
}

#[tokio::test]
async fn bad_openings_are_refused_and_leave_nothing() {
    let (app, budi, siti) = school(&[]).await;
    let (tono, tata, tutup) = (app.student("tono").await, app.student("tata").await, app.student("tutup").await);
    for user in [&tono, &tata] {
        open(user).await;
    }
    app.deactivate(&tono).await;
    app.delete_account(&tata).await;
    set(&tutup, json!({ "dm_privacy": "closed" })).await;
    for (body, status, code) in [
        (json!({ "recipient_id": "x" }), 400, "VALIDATION_ERROR"),
        (json!({ "recipient_id": siti.id, "client_message_id": "x" }), 400, "VALIDATION_ERROR"),
        (json!({ "recipient_id": siti.id, "message": 1 }), 400, "VALIDATION_ERROR"),
        (json!({ "message": "x" }), 422, "VALIDATION_ERROR"),
        (json!({ "recipient_id": budi.id, "message": "x" }), 422, "VALIDATION_ERROR"),
        (json!({ "recipient_id": siti.id, "message": "x".repeat(5001) }), 422, "VALIDATION_ERROR"),
        (json!({ "recipient_id": siti.id, "message": "a\u{0}b" }), 422, "VALIDATION_ERROR"),
        (json!({ "recipient_id": Uuid::nil(), "message": "x" }), 404, "USER_NOT_FOUND"),
        (json!({ "recipient_id": tono.id, "message": "x" }), 404, "USER_NOT_FOUND"),
        (json!({ "recipient_id": tata.id, "message": "x" }), 404, "USER_NOT_FOUND"),
        (json!({ "recipient_id": tutup.id, "message": "x" }), 403, "PRIVACY_RESTRICTED"),
        (json!({ "recipient_id": tutup.id }), 403, "PRIVACY_RESTRICTED"),
    ] {
        budi.post(PATH, &body).await.fails(status, code);
    }
    block(&siti, &budi).await;
    budi.post(PATH, &json!({ "recipient_id": siti.id, "message": "x" })).await.fails(403, "USER_BLOCKED");
    budi.raw(Method::POST, PATH, "application/json", "{").await.fails(400, "VALIDATION_ERROR");
    for count in [
        "select count(*) from conversations",
        "select count(*) from conversation_participants",
        "select count(*) from messages",
        "select count(*) from chat_streaks",
        "select count(*) from outbox where event_type like 'chat.%'",
    ] {
        assert_eq!(app.count(count).await, 0, "{count}");
    }
}

#[tokio::test]
async fn an_existing_conversation_is_found_without_questions_and_written_to_with_them() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let again = json!({ "recipient_id": siti.id });
    let written = json!({ "recipient_id": siti.id, "message": "Lagi" });
    set(&siti, json!({ "dm_privacy": "closed" })).await;
    assert_eq!(begin(&budi, &siti).await.0, conversation.0);
    budi.post(PATH, &written).await.fails(403, "PRIVACY_RESTRICTED");
    block(&siti, &budi).await;
    assert_eq!(begin(&budi, &siti).await.0, conversation.0);
    budi.post(PATH, &written).await.fails(403, "USER_BLOCKED");
    unblock(&siti, &budi).await;
    // Siti answers, and so may be answered though Budi does not follow her.
    set(&siti, json!({ "dm_privacy": "followers" })).await;
    budi.post(PATH, &written).await.fails(403, "PRIVACY_RESTRICTED");
    conversation.say(&siti, "Ya?").await;
    let data = budi.post(PATH, &written).await.data(201);
    assert_eq!(
        (&data["conversation"]["id"], &data["message"]["content"]["text"]),
        (&json!(conversation.0), &json!("Lagi"))
    );
    assert_eq!(data["conversation"]["last_message_preview"], "Lagi");
    // Who is gone cannot be found by his id any more; the conversation still can.
    app.deactivate(&siti).await;
    for body in [&again, &written] {
        budi.post(PATH, body).await.fails(404, "USER_NOT_FOUND");
    }
    app.reactivate(&siti).await;
    assert_eq!(budi.post(PATH, &again).await.data(201)["conversation"]["id"], json!(conversation.0));
    app.delete_account(&siti).await;
    for body in [&again, &written] {
        budi.post(PATH, body).await.fails(404, "USER_NOT_FOUND");
    }
    conversation.seen_by(&budi).await;
    assert_eq!(app.count("select count(*) from conversations").await, 1);
}

#[tokio::test]
async fn an_empty_conversation_of_the_other_is_opened_under_the_same_rules_as_a_new_one() {
    let (_app, budi, siti) = school(&[]).await;
    begin(&budi, &siti).await;
    let body = json!({ "recipient_id": budi.id });
    set(&budi, json!({ "dm_privacy": "closed" })).await;
    siti.post(PATH, &body).await.fails(403, "PRIVACY_RESTRICTED");
    block(&budi, &siti).await;
    siti.post(PATH, &body).await.fails(403, "USER_BLOCKED");
    // For Budi it is his own.
    begin(&budi, &siti).await;
}

#[tokio::test]
async fn the_first_message_has_a_key_as_every_other() {
    let (app, budi, siti) = school(&[]).await;
    let body = json!({ "recipient_id": siti.id, "message": "Halo", "client_message_id": Uuid::now_v7() });
    let first = budi.post(PATH, &body).await.data(201);
    block(&siti, &budi).await;
    let again = budi.post(PATH, &body).await.data(201);
    assert_eq!(again["message"]["id"], first["message"]["id"]);
    let mut other = body.clone();
    other["message"] = json!("Lain");
    budi.post(PATH, &other).await.fails(409, "DUPLICATE_MESSAGE");
    budi.delete(&super::message_path(first["message"]["id"].as_str().unwrap(), "")).await.data(200);
    budi.post(PATH, &body).await.fails(404, "NOT_FOUND");
    assert_eq!(names_since(&app, 0).await, ["chat.message_sent", "chat.message_deleted"]);
}

#[tokio::test]
async fn the_list_is_in_the_order_of_the_newest_messages() {
    let (app, budi, siti) = school(&[]).await;
    let (tono, tata) = (app.student("tono").await, app.student("tata").await);
    for user in [&tono, &tata] {
        open(user).await;
    }
    let (with_siti, _) = chat(&budi, &siti, "1").await;
    let with_tono = begin(&budi, &tono).await;
    let (with_tata, _) = chat(&tata, &budi, "2").await;
    let order = async |query: &str| budi.get(&format!("{PATH}{query}")).await.column("id");
    assert_eq!(order("").await, [with_tata.0.clone(), with_tono.0.clone(), with_siti.0.clone()]);
    let newest = with_siti.say(&siti, "3").await;
    assert_eq!(order("").await, [with_siti.0.clone(), with_tata.0.clone(), with_tono.0.clone()]);
    siti.delete(&super::message_path(&newest, "")).await.data(200);
    assert_eq!(order("").await, [with_tata.0.clone(), with_tono.0.clone(), with_siti.0.clone()]);
    assert_eq!(order("?limit=1&page=2").await, [with_tono.0.as_str()]);
    let page = budi.get(&format!("{PATH}?limit=1&page=2")).await;
    let meta = json!({ "current_page": 2, "per_page": 1, "total_count": 3, "total_pages": 3 });
    assert_eq!(page.body["meta"], meta);
    for query in ["?page=x&limit=0", "?page=-1&limit=y"] {
        let meta = budi.get(&format!("{PATH}{query}")).await.body["meta"].clone();
        assert_eq!((&meta["current_page"], &meta["per_page"]), (&json!(1), &json!(20)), "{query}");
    }
    assert_eq!(budi.get(&format!("{PATH}?limit=51")).await.body["meta"]["per_page"], 50);

    budi.act(&with_tono.path("/archive")).await.data(200);
    assert_eq!(order("").await, [with_tata.0.clone(), with_siti.0.clone()]);
    assert_eq!(budi.get(PATH).await.body["meta"]["total_count"], 2);
    assert_eq!(order("?include_archived=true").await, [with_tata.0.clone(), with_tono.0.clone(), with_siti.0.clone()]);
    assert_eq!(order("?include_archived=0").await.len(), 2);
    budi.get(&format!("{PATH}?include_archived=x")).await.fails(400, "VALIDATION_ERROR");
    // Siti is blocked, and stays in the list.
    block(&budi, &siti).await;
    assert_eq!(order("").await, [with_tata.0, with_siti.0]);
}

#[tokio::test]
async fn each_of_the_two_archives_and_mutes_for_himself() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let flags = async |user| {
        let seen = conversation.seen_by(user).await;
        (seen["is_archived"].as_bool().unwrap(), seen["is_muted"].as_bool().unwrap())
    };
    block(&siti, &budi).await;
    for _ in 0..2 {
        budi.act(&conversation.path("/archive")).await.data(200);
        budi.act(&conversation.path("/mute")).await.data(200);
        assert_eq!((flags(&budi).await, flags(&siti).await), ((true, true), (false, false)));
    }
    unblock(&siti, &budi).await;
    // A message changes no flags.
    conversation.say(&siti, "Lagi").await;
    assert_eq!(flags(&budi).await, (true, true));
    for _ in 0..2 {
        budi.delete(&conversation.path("/archive")).await.data(200);
        assert_eq!(flags(&budi).await, (false, true));
    }
    for _ in 0..2 {
        budi.delete(&conversation.path("/mute")).await.data(200);
        assert_eq!(flags(&budi).await, (false, false));
    }
    assert_eq!(names_since(&app, 0).await, ["chat.message_sent", "chat.message_sent"]);
}

#[tokio::test]
async fn a_conversation_is_closed_to_everybody_else() {
    let (app, budi, siti) = school(&[]).await;
    let tono = app.student("tono").await;
    let (conversation, message) = chat(&budi, &siti, "Halo").await;
    let routes = [
        (Method::GET, ""),
        (Method::POST, "/archive"),
        (Method::DELETE, "/archive"),
        (Method::POST, "/mute"),
        (Method::DELETE, "/mute"),
        (Method::POST, "/read"),
        (Method::GET, "/messages"),
        (Method::POST, "/messages"),
    ];
    let before = conversation.seen_by(&siti).await;
    for (method, route) in routes {
        let ask = async |user: &crate::support::User, id: &str| {
            let path = format!("{PATH}/{id}{route}");
            // The body is not looked at.
            user.ask(method.clone(), &path, (method == Method::POST).then_some(&json!([]))).await
        };
        for stranger in [&tono, app.admin()] {
            ask(stranger, &conversation.0).await.fails(403, "NOT_PARTICIPANT");
        }
        ask(&budi, &Uuid::nil().to_string()).await.fails(404, "NOT_FOUND");
        ask(&budi, "x").await.fails(400, "VALIDATION_ERROR");
        app.guest(method, &conversation.path(route), &[]).await.fails(401, "UNAUTHORIZED");
    }
    for stranger in [&tono, app.admin()] {
        stranger.delete(&super::message_path(&message, "")).await.fails(403, "NOT_PARTICIPANT");
        let reactions = super::message_path(&message, "/reactions");
        stranger.post(&reactions, &json!([])).await.fails(403, "NOT_PARTICIPANT");
        stranger.delete(&format!("{reactions}/%F0%9F%91%8D")).await.fails(403, "NOT_PARTICIPANT");
    }
    for (method, path) in [
        (Method::DELETE, super::message_path(&message, "")),
        (Method::POST, super::message_path(&message, "/reactions")),
        (Method::DELETE, super::message_path(&message, "/reactions/%F0%9F%91%8D")),
        (Method::POST, super::block_path(&siti)),
        (Method::DELETE, super::block_path(&siti)),
    ] {
        app.guest(method, &path, &[]).await.fails(401, "UNAUTHORIZED");
    }
    assert_eq!(conversation.seen_by(&siti).await, before);
    for (method, path) in [
        (Method::GET, PATH),
        (Method::POST, PATH),
        (Method::GET, "/api/v1/dm/settings"),
        (Method::PATCH, "/api/v1/dm/settings"),
        (Method::GET, "/api/v1/dm/blocked"),
        (Method::GET, "/api/v1/dm/streaks"),
    ] {
        app.guest(method, path, &[]).await.fails(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn deleted_accounts_are_absent_and_deactivated_ones_are_shown() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, message) = chat(&siti, &budi, "Halo").await;
    let reaction = json!({ "emoji": "👍" });
    siti.post(&super::message_path(&message, "/reactions"), &reaction).await.data(201);
    app.deactivate(&siti).await;
    let seen = conversation.seen_by(&budi).await;
    assert_eq!(seen["other_user"]["username"], "siti");
    assert_eq!(budi.get(&conversation.messages()).await.data(200)[0]["sender"]["username"], "siti");
    app.delete_account(&siti).await;
    let seen = conversation.seen_by(&budi).await;
    assert_eq!((&seen["other_user"], &seen["participants"][1]["user"]), (&json!(null), &json!(null)));
    assert_eq!(seen["participants"][1]["user_id"], json!(siti.id));
    assert_eq!(budi.get(PATH).await.column("id"), [conversation.0.as_str()]);
    let shown = &budi.get(&conversation.messages()).await.data(200)[0];
    assert_eq!((&shown["sender"], &shown["sender_id"]), (&json!(null), &json!(siti.id)));
    assert_eq!(shown["content"]["text"], "Halo");
    assert_eq!(shown["reactions"], json!([{ "user_id": siti.id, "username": "", "emoji": "👍" }]));
}

#[tokio::test]
async fn nothing_private_is_in_the_objects_of_people() {
    let (app, budi, siti) = school(&[]).await;
    app.sql("update users set nis = '4711', nisn = '0815' where username = 'siti'").await;
    let (conversation, _) = chat(&siti, &budi, "Halo").await;
    let seen = conversation.seen_by(&budi).await;
    let mut keys: Vec<&String> = seen["other_user"].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["avatar_url", "id", "is_online", "nama", "role", "username"]);
    let all = format!("{seen}{}", budi.get(&conversation.messages()).await.body);
    assert!(!all.contains("4711") && !all.contains("0815") && !all.contains("siti@sekolah"), "{all}");
}

#[tokio::test]
async fn only_new_conversations_count_against_their_limit() {
    let app = TestApp::with(&[("LIMIT_CONVERSATIONS", "2/3600")]).await;
    let budi = app.student("budi").await;
    let mut others = Vec::new();
    for username in ["siti", "tono", "tata"] {
        let user = app.student(username).await;
        open(&user).await;
        others.push(user);
    }
    let tutup = app.student("tutup").await;
    let ask = async |user: &crate::support::User| budi.post(PATH, &json!({ "recipient_id": user.id })).await;
    for _ in 0..3 {
        ask(&tutup).await.fails(403, "PRIVACY_RESTRICTED");
    }
    ask(&others[0]).await.data(201);
    ask(&others[0]).await.data(201);
    ask(&others[1]).await.data(201);
    let late = ask(&others[2]).await;
    late.fails(429, "TOO_MANY_REQUESTS");
    assert!(late.headers.contains_key("retry-after"));
    ask(&others[1]).await.data(201);
    let replica = app.stack.spawn_replica("portfolio", &[("LIMIT_CONVERSATIONS", "2/3600")]).await;
    let there = budi.at(&replica).post(PATH, &json!({ "recipient_id": others[2].id })).await;
    there.fails(429, "TOO_MANY_REQUESTS");
}

#[tokio::test]
async fn what_is_wrong_with_a_first_message_is_told_before_who_may_write() {
    let (app, budi, siti) = school(&[]).await;
    block(&siti, &budi).await;
    let tutup = app.student("tutup").await;
    set(&tutup, json!({ "dm_privacy": "closed" })).await;
    for recipient in [siti.id, tutup.id, Uuid::nil()] {
        let body = json!({ "recipient_id": recipient, "message": "x".repeat(5001) });
        assert_eq!(budi.post(PATH, &body).await.broken(), ["message"]);
    }
}

#[tokio::test]
async fn an_opening_that_fails_leaves_nothing() {
    let (app, budi, siti) = school(&[("LIMIT_CONVERSATIONS", "1/60")]).await;
    app.sql(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'kapot'; end $$;
         create trigger refuse before insert on outbox for each row execute function refuse()",
    )
    .await;
    let body = json!({ "recipient_id": siti.id, "message": "Halo" });
    budi.post(PATH, &body).await.fails(500, "INTERNAL_ERROR");
    for table in ["conversations", "conversation_participants", "messages", "chat_streaks"] {
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(count, 0, "{table}");
    }
    app.sql("drop trigger refuse on outbox").await;
    // The only place within the limit is free.
    budi.post(PATH, &body).await.data(201);
}

#[tokio::test]
async fn conversations_of_the_same_moment_have_an_order() {
    let (app, budi, siti) = school(&[]).await;
    let (mut ids, tono) = (Vec::new(), app.student("tono").await);
    open(&tono).await;
    for other in [&siti, &tono, app.admin()] {
        open(other).await;
        ids.push(chat(&budi, other, "Halo").await.0.0);
    }
    app.sql("update conversation_participants set sort_at = now()").await;
    ids.sort();
    assert_eq!(budi.get(PATH).await.column("id"), ids);
}
