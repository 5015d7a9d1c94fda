//! What is removed in the background.

use crate::{
    files,
    support::{TestApp, eventually},
};

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
        assert!(app.is_in_store(&format!("variants/128/{}", promise.key)));
        keys.push(promise.key);
        let promise = app.promise(&siti, "banner", "image/png", bytes.len(), None).await;
        assert_eq!(app.put(&promise, &bytes).await, 200);
        assert!(app.is_in_store(&format!("staging/{}", promise.id)));
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
            assert!(!app.is_in_store(&gone), "{gone}");
        }
    }
    for promise in &promises[1..] {
        assert!(!app.is_in_store(&format!("staging/{}", promise.id)));
    }
    assert_eq!(app.count("select count(*) from uploads where state = 'issued'").await, 1, "the step that failed");
    let log = app.stack.log("media");
    assert!(log.contains("an object was not removed") && log.contains("an upload was not removed"), "{log}");
    assert!(log.contains("a step of the sweep did not end"), "{log}");
}
