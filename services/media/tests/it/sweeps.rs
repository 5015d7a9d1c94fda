//! What is removed in the background.

use reqwest::Method;
use serde_json::json;

use crate::{
    files,
    support::{TestApp, eventually},
};

/// Moves the time at which objects are looked at again.
const DAYS_LATER: &str = "update objects set look_again_at = look_again_at - interval '1 day 1 minute'";

#[tokio::test]
async fn what_nothing_refers_to_goes_after_its_days() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = app.portfolio_of(&siti).await;
    let picture = files::png(60, 40);
    let upload = async |kind, portfolio| app.upload(&siti, kind, "image/png", &picture, portfolio).await.key;
    let mut pictures = Vec::new();
    for (kind, of) in [("avatar", None), ("banner", None), ("thumbnail", Some(portfolio))] {
        pictures.push((upload(kind, of).await, upload(kind, of).await));
    }
    let used = upload("portfolio_image", Some(portfolio)).await;
    let unused = upload("portfolio_image", Some(portfolio)).await;
    // Was never sent.
    let of_a_message = upload("chat_image", None).await;
    let url = format!("{}storage/{used}?w=640", app.stack.nginx().await);
    let block = json!({ "block_type": "image", "payload": { "url": url } });
    let path = format!("/api/v1/portfolios/{portfolio}/blocks");
    assert_eq!(app.door(Method::POST, &path, Some(&siti)).json(&block).send().await.status, 201);
    let released = "select count(*) from objects where released_at is not null";
    eventually("the replaced ones are released", async || app.count(released).await == 3).await;

    let exists = async |key: &str| app.storage(key).await.status == 200;
    app.sweep("unreferenced").await;
    for (replaced, _) in &pictures {
        assert!(exists(replaced).await, "a day has not passed");
    }
    app.sql(DAYS_LATER).await;
    app.sweep("unreferenced").await;
    for (replaced, shown) in &pictures {
        assert!(!exists(replaced).await && exists(shown).await, "{replaced} {shown}");
    }
    assert!(exists(&used).await && exists(&unused).await, "a week has not passed");
    for _ in 0..7 {
        app.sql(DAYS_LATER).await;
    }
    app.sweep("unreferenced").await;
    assert!(exists(&used).await && !exists(&unused).await && !exists(&of_a_message).await);
    app.sweep("objects").await;
    assert!(!app.is_in_store(&unused).await && app.is_in_store(&used).await);
    assert_eq!(app.count("select count(*) from outbox where event_type = 'object.deleted'").await, 5);
    let me = app.door(Method::GET, "/api/v1/me", Some(&siti)).send().await;
    assert!(me.body["data"]["avatar_url"].as_str().unwrap().ends_with(&pictures[0].1));
}

#[tokio::test]
async fn nothing_is_taken_for_unreferenced_while_portfolio_cannot_be_asked() {
    let mut app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let first = app.upload(&siti, "avatar", "image/png", &files::png(60, 40), None).await.key;
    app.upload(&siti, "avatar", "image/png", &files::png(60, 40), None).await;
    let released = "select count(*) from objects where released_at is not null";
    eventually("the first is released", async || app.count(released).await == 1).await;
    app.sql("update objects set look_again_at = now() - interval '1 minute'").await;
    app.portfolio.kill().await;
    let (done, said) = app.run(&["sweep", "unreferenced"]).await;
    assert!(!done && said.contains("did not end"), "{said}");
    assert_eq!(app.storage(&first).await.status, 200);
    app.portfolio.restart().await;
    app.sweep("unreferenced").await;
    assert_eq!(app.storage(&first).await.status, 404);
}

#[tokio::test]
async fn a_sweep_on_command_does_all_steps_and_never_beside_another() {
    let app = TestApp::spawn().await;
    let mut tx = app.pool.begin().await.unwrap();
    let lock = "select pg_advisory_xact_lock(x'6d65646961000001'::bigint)";
    eventually("the sweep at the start is over", async || {
        sqlx::query_scalar::<_, bool>("select pg_try_advisory_xact_lock(x'6d65646961000001'::bigint)")
            .fetch_one(&mut *tx)
            .await
            .unwrap()
    })
    .await;
    sqlx::query(lock).execute(&mut *tx).await.unwrap();
    let (done, said) = app.run(&["sweep"]).await;
    assert!(!done && said.contains("another sweep is at work"), "{said}");
    tx.rollback().await.unwrap();
    assert_eq!(app.run(&["sweep"]).await, (true, String::new()));
    assert!(!app.run(&["sweep", "everything"]).await.0);
}

#[tokio::test]
async fn what_nobody_needs_is_removed_and_what_cannot_be_holds_nothing_up() {
    let mut app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let bytes = files::png(300, 100);
    let mut keys = Vec::new();
    let mut promises = Vec::new();
    for _ in 0..3 {
        let promise = app.upload(&siti, "banner", "image/png", &bytes, None).await;
        // A rendering that the database knows, and one whose maker died too early.
        assert_eq!(app.storage(&format!("{}?w=64", promise.key)).await.status, 200);
        assert_eq!(app.storage(&format!("{}?w=128", promise.key)).await.status, 200);
        assert!(app.is_in_store(&format!("variants/128/{}", promise.key)).await);
        keys.push(promise.key);
        let promise = app.promise(&siti, "banner", "image/png", bytes.len(), None).await;
        assert_eq!(app.put(&promise, &bytes).await, 200);
        assert!(app.is_in_store(&format!("staging/{}", promise.id)).await);
        promises.push(promise);
    }
    // The oldest of each kind is the one that fails, and so does a whole step before them.
    app.sql(
        "delete from variants where width = 128;
         update objects set deleted_at = now() - interval '1 hour' + row_number * interval '1 second'
         from (select object_key as key, row_number() over (order by created_at) from objects) numbered
         where key = object_key;
         update uploads
         set state = case when state = 'issued' then 'failed' else state end,
             settled_at = now(),
             created_at = created_at - interval '2 hours';
         create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not this one'; end $$;
         create table poisoned as
         select (select min(object_key) from objects where deleted_at = (select min(deleted_at) from objects)) as key,
                (select id from uploads where state = 'failed' order by created_at limit 1) as upload;
         create function is_poisoned(text, uuid) returns boolean language sql as
         $$ select exists (select from poisoned where key = $1 or upload = $2) $$;
         create trigger refuse before update of swept_at on objects
         for each row when (is_poisoned(old.object_key, null)) execute function refuse();
         create trigger refuse before update of swept_at on uploads
         for each row when (is_poisoned(null, old.id)) execute function refuse();
         create trigger refuse_to_expire before update of state on uploads
         for each row when (new.state = 'expired') execute function refuse();
         insert into uploads
             (id, kind, owner_id, filename, declared_type, declared_size, object_key, created_at)
         select gen_random_uuid(), kind, owner_id, 'x', declared_type, 1, 'x', now() - interval '1 hour'
         from uploads limit 1;
         insert into rate_limits (bucket, key, hits, window_ends_at)
         values ('presign', 'lama', 1, now() - interval '1 day');",
    )
    .await;
    // The first round is at the start.
    app.media.kill().await;
    app.media.restart().await;
    eventually("the rest is removed", async || {
        app.count("select count(*) from objects where swept_at is not null").await == 2
            && app.count("select count(*) from uploads where swept_at is not null").await == 5
            && app.count("select count(*) from rate_limits where key = 'lama'").await == 0
    })
    .await;
    for key in &keys[1..] {
        for gone in [key.clone(), format!("variants/64/{key}"), format!("variants/128/{key}")] {
            assert!(!app.is_in_store(&gone).await, "{gone}");
        }
    }
    for promise in &promises[1..] {
        assert!(!app.is_in_store(&format!("staging/{}", promise.id)).await);
    }
    assert_eq!(app.count("select count(*) from uploads where state = 'issued'").await, 1, "the step that failed");
    let log = app.stack.log("media");
    assert!(log.contains("an object was not removed") && log.contains("an upload was not removed"), "{log}");
    assert!(log.contains("a step of the sweep did not end"), "{log}");
}

#[tokio::test]
async fn a_picture_of_a_message_stays_until_no_message_shows_it() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let ask = async |method, path: &str, who, body| {
        let answer = app.door(method, path, Some(who)).json(&body).send().await;
        assert!(answer.status < 300, "{answer:?}");
        answer.body["data"].clone()
    };
    ask(Method::PATCH, "/api/v1/dm/settings", &budi, json!({ "dm_privacy": "open" })).await;
    let opening = json!({ "recipient_id": budi.id });
    let opened = ask(Method::POST, "/api/v1/conversations", &siti, opening).await;
    let messages = format!("/api/v1/conversations/{}/messages", opened["conversation"]["id"].as_str().unwrap());
    let key = app.upload(&siti, "chat_image", "image/png", &files::png(60, 40), None).await.key;
    let send = async || {
        let body = json!({ "message_type": "image", "content": { "object_key": key } });
        let sent = ask(Method::POST, &messages, &siti, body).await;
        format!("/api/v1/messages/{}", sent["id"].as_str().unwrap())
    };
    let (first, second) = (send().await, send().await);
    let exists = async || app.storage(&key).await.status == 200;
    let much_later = async || {
        for _ in 0..8 {
            app.sql(DAYS_LATER).await;
        }
        app.sweep("unreferenced").await;
    };
    much_later().await;
    assert!(exists().await);
    ask(Method::DELETE, &first, &siti, json!({})).await;
    much_later().await;
    assert!(exists().await, "the other message shows it");

    let released = "select count(*) from objects where released_at is not null";
    ask(Method::DELETE, &second, &siti, json!({})).await;
    eventually("it is released", async || app.count(released).await == 1).await;
    let third = send().await;
    app.sql(DAYS_LATER).await;
    app.sweep("unreferenced").await;
    assert!(exists().await, "it was sent once more");
    ask(Method::DELETE, &third, &siti, json!({})).await;
    // The release of it may still be on its way, and begins its days anew.
    eventually("it is gone", async || {
        much_later().await;
        !exists().await
    })
    .await;
}
