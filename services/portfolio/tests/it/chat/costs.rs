//! What lists cost: the same number of statements whatever they hold, each by an index.

use serde_json::json;

use super::{chat, open, school};
use crate::{
    statements::statements,
    support::{TestApp, eventually},
};

#[tokio::test]
async fn no_list_asks_the_database_once_per_row() {
    let (app, budi, siti) = school(&[("LOG_LEVEL", "info,sqlx=debug"), ("LOG_FORMAT", "json")]).await;
    let (conversation, first) = chat(&siti, &budi, "Halo").await;
    let (detail, messages) = (conversation.path(""), conversation.messages());
    let after = format!("{messages}?after={first}");
    let before = format!("{messages}?before={first}");
    let lists = [
        ("/api/v1/conversations", "/api/v1/conversations"),
        ("/api/v1/conversations", "/api/v1/conversations?include_archived=true"),
        ("/api/v1/conversations/{id}", &detail),
        ("/api/v1/conversations/{id}/messages", &messages),
        ("/api/v1/conversations/{id}/messages", &after),
        ("/api/v1/conversations/{id}/messages", &before),
        ("/api/v1/dm/blocked", "/api/v1/dm/blocked"),
        ("/api/v1/dm/streaks", "/api/v1/dm/streaks"),
    ];
    let (mut few, mut many) = (Vec::new(), Vec::new());
    let mut number = 0;
    for (counts, more) in [(&mut few, 1), (&mut many, 4)] {
        for _ in 0..more {
            let user = app.student(&format!("siswa_{number}")).await;
            number += 1;
            open(&user).await;
            chat(&user, &budi, "Halo").await;
            let blocked = app.student(&format!("lain_{number}")).await;
            super::block(&budi, &blocked).await;
            let work = user.published("Karya", app.admin()).await;
            let content = json!({ "portfolio_id": work.id });
            let body = json!({ "message_type": "portfolio", "content": content, "reply_to_id": first });
            let sent = siti.post(&messages, &body).await.data(201);
            let reactions = super::message_path(sent["id"].as_str().unwrap(), "/reactions");
            budi.post(&reactions, &json!({ "emoji": "👍" })).await.data(201);
        }
        for (route, path) in lists {
            counts.push((route, statements(&app, &budi, route, path).await));
        }
    }
    assert!(few.iter().all(|(_, count)| (1..=5).contains(count)), "{few:?}");
    // Nothing lies before the first message, so nobody's presence is asked for.
    assert_eq!(few, many);
}

/// The plan of a statement on tables that hold much, as text.
async fn plan(app: &TestApp, statement: String) -> String {
    let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_all(&app.pool).await.unwrap();
    rows.join("\n")
}

#[tokio::test]
async fn every_list_has_its_index() {
    let (app, budi, siti) = school(&[]).await;
    chat(&budi, &siti, "Halo").await;
    app.sql(
        "insert into users (id, account_version, username, email, role, is_active, must_change_password, created_at, nama)
         select md5('u' || n)::uuid, 1, 'u' || n, 'u' || n, 'student', true, false, now(), 'U' || n
         from generate_series(1, 3000) n;
         insert into conversations (id, user_a, user_b, opened_by, last_sent_at)
         select md5('c' || n)::uuid, least(b.id, md5('u' || n)::uuid), greatest(b.id, md5('u' || n)::uuid), b.id, now()
         from generate_series(1, 3000) n, users b where b.username = 'budi';
         insert into conversation_participants (conversation_id, user_id, other_id, is_listed, sort_at)
         select c.id, p.me, p.other, true, now() - random() * interval '1 year'
         from conversations c, lateral (values (user_a, user_b), (user_b, user_a)) p (me, other)
         where c.opened_by is not null on conflict do nothing;
         insert into messages (id, conversation_id, sender_id, message_type, text, created_at)
         select md5('m' || n)::uuid, md5('c' || n % 3 + 1)::uuid, b.id, 'text', 'x', now() - n * interval '1 second'
         from generate_series(1, 30000) n, users b where b.username = 'budi';
         insert into dm_blocks (blocker_id, blocked_id, created_at)
         select b.id, md5('u' || n)::uuid, now() - random() * interval '1 year'
         from generate_series(1, 3000) n, users b where b.username = 'budi';
         analyze users; analyze conversations; analyze conversation_participants; analyze messages; analyze dm_blocks",
    )
    .await;
    for (statement, index) in [
        (
            "explain select conversation_id from conversation_participants
             where user_id = 'BUDI' and is_listed and not is_archived
             order by sort_at desc, conversation_id limit 20",
            "conversation_participants_list_idx",
        ),
        (
            "explain select conversation_id from conversation_participants
             where user_id = 'BUDI' and is_listed
             order by sort_at desc, conversation_id limit 20",
            "conversation_participants_all_idx",
        ),
        (
            "explain select id from messages
             where deleted_at is null and conversation_id = md5('c1')::uuid order by created_at desc limit 31",
            "messages_list_key",
        ),
        (
            "explain select id from messages
             where deleted_at is null and conversation_id = md5('c1')::uuid and created_at < now() - interval '1 hour'
             order by created_at desc limit 31",
            "messages_list_key",
        ),
        (
            "explain select id from messages
             where deleted_at is null and conversation_id = md5('c1')::uuid and created_at > now() - interval '1 hour'
             order by created_at limit 31",
            "messages_list_key",
        ),
        (
            "explain select u.id from dm_blocks b join users u on u.id = b.blocked_id and u.deleted_at is null
             where b.blocker_id = 'BUDI'
             order by b.created_at desc, b.blocked_id limit 100",
            "dm_blocks_list_idx",
        ),
    ] {
        let plan = plan(&app, statement.replace("BUDI", &budi.id.to_string())).await;
        assert!(plan.contains(index) && !plan.contains("Sort"), "{statement}\n{plan}");
    }
}

#[tokio::test]
async fn a_message_is_found_by_its_id_however_often_one_is_asked_for() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, first) = chat(&budi, &siti, "Halo").await;
    app.sql(
        "insert into messages (id, conversation_id, sender_id, message_type, text, created_at)
         select gen_random_uuid(), conversation_id, sender_id, 'text', 'x', created_at - n * interval '1 second'
         from messages, generate_series(1, 20000) n;
         analyze messages; analyze conversations; analyze users",
    )
    .await;
    let read = "select seq_tup_read from pg_stat_user_tables where relname = 'messages'";
    let before = app.count(read).await;
    // Often enough for a plan that is kept.
    let messages = conversation.messages();
    for _ in 0..10 {
        let mut reply = super::text("Ya");
        reply["reply_to_id"] = json!(first);
        siti.post(&messages, &reply).await.data(201);
        budi.get(&messages).await.data(200);
    }
    // The server tells its numbers late; those of the last requests come with those before.
    let by_id = "select idx_scan from pg_stat_user_indexes where indexrelname = 'messages_pkey'";
    eventually("reads are counted", async || app.count(by_id).await > 10).await;
    assert_eq!(app.count(read).await, before);
}
