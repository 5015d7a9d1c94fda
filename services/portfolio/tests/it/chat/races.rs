//! Requests at the same time.

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{block, chat, id, open, school, text, told, unblock};
use crate::support::{TestApp, User, eventually};

const PATH: &str = "/api/v1/conversations";
/// More than a test sends.
const FREE: [(&str, &str); 3] =
    [("LIMIT_MESSAGES", "10000/60"), ("LIMIT_DM_CHANGES", "10000/60"), ("LIMIT_CONVERSATIONS", "10000/60")];

async fn pairs(app: &TestApp, number: usize) -> (User, User) {
    let (one, other) = (app.student(&format!("a_{number}")).await, app.student(&format!("b_{number}")).await);
    open(&one).await;
    open(&other).await;
    (one, other)
}

#[tokio::test]
async fn openings_from_both_sides_end_with_one_conversation() {
    let app = TestApp::with(&FREE).await;
    let replica = app.stack.spawn_replica("portfolio", &FREE).await;
    for number in 0..4 {
        let (one, other) = pairs(&app, number).await;
        let body = |user: &User| json!({ "recipient_id": user.id, "message": "Halo" });
        let (to_one, to_other) = (body(&one), body(&other));
        let there = other.at(&replica);
        let answers = tokio::join!(
            one.post(PATH, &to_other),
            there.post(PATH, &to_one),
            one.post(PATH, &to_other),
            there.post(PATH, &to_one),
        );
        let answers = [answers.0, answers.1, answers.2, answers.3].map(|answer| id(&answer.data(201)["conversation"]));
        assert!(answers.iter().all(|id| *id == answers[0]), "{answers:?}");
        for user in [&one, &other] {
            assert_eq!(user.get(PATH).await.column("id"), [answers[0].clone()]);
            let messages = user.get(&format!("{PATH}/{}/messages", answers[0])).await.data(200);
            assert_eq!(messages.as_array().unwrap().len(), 4);
        }
    }
    assert_eq!(app.count("select count(*) from conversations").await, 4);
    assert_eq!(app.count("select count(*) from conversation_participants").await, 8);
}

#[tokio::test]
async fn a_message_is_there_before_the_block_or_refused() {
    let (app, budi, siti) = school(&FREE).await;
    let replica = app.stack.spawn_replica("portfolio", &FREE).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let there = siti.at(&replica);
    let path = conversation.messages();
    let mut refused = 0;
    for round in 0..15 {
        let said = text(&round.to_string());
        let (sent, after) = tokio::join!(join_all((0..3).map(|_| budi.post(&path, &said))), async {
            block(&there, &budi).await;
            // What is there when the block is answered is all that will ever be.
            let page = there.get(&path).await.data(200);
            page.as_array()
                .unwrap()
                .iter()
                .filter(|message| message["content"]["text"] == json!(round.to_string()))
                .count()
        });
        for answer in &sent {
            if answer.status != 201 {
                answer.fails(403, "USER_BLOCKED");
                refused += 1;
            }
        }
        let stored = sent.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(after, stored, "round {round}");
        unblock(&there, &budi).await;
    }
    assert_eq!(told(&app).await.len(), 1 + 45 - refused);
}

#[tokio::test]
async fn a_first_message_is_there_before_the_block_or_refused() {
    let app = TestApp::with(&FREE).await;
    for number in 0..6 {
        let (one, other) = pairs(&app, number).await;
        let body = json!({ "recipient_id": other.id, "message": "Halo" });
        let (opened, listed) = tokio::join!(one.post(PATH, &body), async {
            block(&other, &one).await;
            other.get(PATH).await.column("id").len()
        });
        if opened.status != 201 {
            opened.fails(403, "USER_BLOCKED");
        }
        assert_eq!(listed == 1, opened.status == 201);
    }
}

#[tokio::test]
async fn nothing_is_read_that_came_after_the_mark() {
    let (app, budi, siti) = school(&FREE).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let path = conversation.messages();
    for _ in 0..10 {
        let said = text("x");
        let marks = join_all((0..2).map(|_| {
            let path = conversation.path("/read");
            let siti = &siti;
            async move { siti.act(&path).await.data(200) }
        }));
        tokio::join!(join_all((0..4).map(|_| budi.post(&path, &said))), marks);
        let newer: i64 = sqlx::query_scalar(
            "select count(*)
             from messages m
             join conversation_participants p on p.conversation_id = m.conversation_id and p.user_id <> m.sender_id
             where p.user_id = $1 and m.created_at > p.last_read_at and m.deleted_at is null",
        )
        .bind(siti.id)
        .fetch_one(&app.pool)
        .await
        .unwrap();
        assert_eq!(conversation.unread_of(&siti).await, newer);
    }
}

#[tokio::test]
async fn the_same_key_at_once_is_one_message() {
    let (app, budi, siti) = school(&FREE).await;
    let replica = app.stack.spawn_replica("portfolio", &FREE).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let there = budi.at(&replica);
    let mut body = text("Sekali");
    body["client_message_id"] = json!(Uuid::now_v7());
    let path = conversation.messages();
    let calls = (0..8).map(|number| if number % 2 == 0 { &budi } else { &there }).map(|user| user.post(&path, &body));
    let ids: Vec<String> = join_all(calls).await.iter().map(|answer| id(&answer.data(201))).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(conversation.texts(&siti).await, ["Sekali", "Halo"]);
    assert_eq!(conversation.unread_of(&siti).await, 2);
    assert_eq!(told(&app).await.len(), 2);
}

#[tokio::test]
async fn messages_of_both_on_two_replicas_have_one_strict_order() {
    let (app, budi, siti) = school(&FREE).await;
    let replica = app.stack.spawn_replica("portfolio", &FREE).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let there = siti.at(&replica);
    let path = conversation.messages();
    let said = text("x");
    for _ in 0..4 {
        let calls =
            (0..12).map(|number| if number % 2 == 0 { &budi } else { &there }).map(|user| user.post(&path, &said));
        for answer in join_all(calls).await {
            answer.data(201);
        }
    }
    let page = budi.get(&format!("{path}?limit=100")).await;
    let messages = page.data(200);
    let times: Vec<&str> =
        messages.as_array().unwrap().iter().map(|message| message["created_at"].as_str().unwrap()).collect();
    assert_eq!((times.len(), &page.body["meta"]["total_count"]), (49, &json!(49)));
    // Events are told in the order of the messages.
    let in_order = "select count(*) from (
                        select m.created_at, lag(m.created_at) over (order by o.position) as before
                        from outbox o
                        join messages m on position(convert_to(m.id::text, 'UTF8') in o.payload) > 0
                        where o.event_type = 'chat.message_sent'
                    ) told
                    where before >= created_at";
    assert_eq!(app.count(in_order).await, 0);
    assert_eq!(app.count("select count(*) - count(distinct created_at) from messages").await, 0);
    assert_eq!((conversation.unread_of(&budi).await, conversation.unread_of(&siti).await), (24, 25));
}

#[tokio::test]
async fn deletions_at_once_leave_exact_numbers() {
    let (app, budi, siti) = school(&FREE).await;
    let (conversation, first) = chat(&budi, &siti, "0").await;
    let mut ids = vec![first];
    for number in 1..8 {
        ids.push(conversation.say(&budi, &number.to_string()).await);
    }
    let paths: Vec<String> = ids.iter().chain(&ids).map(|id| super::message_path(id, "")).collect();
    let kept = "7";
    let deleted = paths.iter().filter(|path| **path != super::message_path(&ids[7], "")).map(|path| budi.delete(path));
    let answers = join_all(deleted).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 7, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 404).count(), 7, "{statuses:?}");
    assert_eq!(conversation.texts(&siti).await, [kept]);
    assert_eq!(conversation.unread_of(&siti).await, 1);
    let meta: Value = siti.get(&conversation.messages()).await.body["meta"].clone();
    assert_eq!(meta["total_count"], 1);
    assert_eq!(conversation.seen_by(&siti).await["last_message_preview"], kept);
    assert_eq!(app.count("select count(*) from outbox where event_type = 'chat.message_deleted'").await, 7);
}

#[tokio::test]
async fn one_key_is_one_conversation_and_one_message_however_often_it_comes() {
    let (app, budi, siti) = school(&FREE).await;
    let replica = app.stack.spawn_replica("portfolio", &FREE).await;
    let there = budi.at(&replica);
    let body = json!({ "recipient_id": siti.id, "message": "Halo", "client_message_id": Uuid::now_v7() });
    let calls = (0..8).map(|number| if number % 2 == 0 { &budi } else { &there }.post(PATH, &body));
    let answers = join_all(calls).await;
    let ids = |part: &str| answers.iter().map(|answer| id(&answer.data(201)[part])).collect::<Vec<_>>();
    for part in ["conversation", "message"] {
        assert!(ids(part).iter().all(|id| *id == ids(part)[0]), "{part}");
    }
    assert_eq!(app.count("select count(*) from messages").await, 1);
    assert_eq!(told(&app).await.len(), 1);
}

#[tokio::test]
async fn of_a_block_and_a_message_the_one_that_waits_behind_the_other_sees_it() {
    let (app, budi, siti) = school(&FREE).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let (path, said) = (conversation.messages(), text("x"));
    for message_first in [true, false] {
        let mut tx = app.pool.begin().await.unwrap();
        sqlx::query("select id from conversations for update").execute(&mut *tx).await.unwrap();
        let message = budi.post(&path, &said);
        let blocking = block(&siti, &budi);
        let sent = if message_first {
            in_turn(&app, tx, message, blocking).await.0
        } else {
            in_turn(&app, tx, blocking, message).await.1
        };
        if message_first {
            sent.data(201);
        } else {
            sent.fails(403, "USER_BLOCKED");
        }
        unblock(&siti, &budi).await;
    }
}

/// Lets both wait for what `tx` has locked, the one behind the other, and then go on.
async fn in_turn<A, B>(
    app: &TestApp,
    tx: sqlx::Transaction<'_, sqlx::Postgres>,
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> (A, B) {
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    let wait_for = async |count| eventually("they wait", async || app.count(waiting).await >= count).await;
    tokio::join!(first, async {
        wait_for(1).await;
        let (second, ()) = tokio::join!(second, async {
            wait_for(2).await;
            tx.commit().await.unwrap();
        });
        second
    })
}
