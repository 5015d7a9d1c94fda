use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use grafikarsa_events::{Consumer, Message, Relay, outbox};
use proto_events::{
    auth::v1::{Account, AccountChanged, AccountCreated, AccountDeleted, LoggedIn},
    portfolio::v1::ProfileChanged,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{PASSWORD, TestApp, auth, eventually, new_account};

/// What portfolio hears from auth.
async fn listen(app: &TestApp, filter: &str) -> Arc<Mutex<Vec<Message>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let consumer =
        Consumer::new(&app.portfolio().await, app.stack.pool("portfolio").await, "portfolio", "t", "auth", filter);
    let into = heard.clone();
    tokio::spawn(consumer.run(CancellationToken::new(), move |_, message| {
        into.lock().unwrap().push(message.clone());
        async { Ok(()) }.boxed()
    }));
    heard
}

/// Portfolio says that a profile has changed.
async fn profile_changed(app: &TestApp, user: Uuid, version: i64, nama: &str, avatar_url: Option<&str>) {
    let pool = app.stack.pool("portfolio").await;
    let event = ProfileChanged {
        user_id: user.to_string(),
        version,
        nama: nama.to_owned(),
        avatar_url: avatar_url.map(str::to_owned),
    };
    let mut tx = pool.begin().await.unwrap();
    outbox::append(&mut tx, &event, user, version).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_confirmed_account_is_told_with_its_full_state() {
    let app = TestApp::spawn().await;
    let heard = listen(&app, "account.*").await;
    let siti = app.account("siti").await;
    eventually("the event comes", async || heard.lock().unwrap().iter().any(|message| message.aggregate == siti.id))
        .await;
    let messages = heard.lock().unwrap();
    let event: AccountCreated = messages.iter().find(|message| message.aggregate == siti.id).unwrap().decode().unwrap();
    let account = event.account.unwrap();
    assert_eq!((account.id, account.version), (siti.id.to_string(), 1));
    assert_eq!((account.username.as_str(), account.email.as_str()), ("siti", "siti@sekolah.sch.id"));
    assert_eq!((account.role.as_str(), account.is_active, account.deleted), ("student", true, false));
    assert!(account.created_at_ms > 1_700_000_000_000);
}

/// What was told of an account, in order: name of the event and state.
fn told(heard: &Mutex<Vec<Message>>, account: Uuid) -> Vec<(String, Account)> {
    let messages = heard.lock().unwrap();
    let messages = messages.iter().filter(|message| message.aggregate == account);
    let told = messages.map(|message| {
        let state = match message.name.as_str() {
            "account.created" => message.decode::<AccountCreated>().unwrap().account,
            "account.changed" => message.decode::<AccountChanged>().unwrap().account,
            "account.deleted" => message.decode::<AccountDeleted>().unwrap().account,
            other => panic!("{other}"),
        };
        (message.name.clone(), state.unwrap())
    });
    told.collect()
}

#[tokio::test]
async fn changes_and_the_deletion_are_told_in_order_with_the_full_state() {
    let app = TestApp::spawn().await;
    let heard = listen(&app, "account.*").await;
    let siti = app.account("siti").await;
    app.change(siti.id, json!({ "username": "siti_a", "email": "siti_a@sekolah.sch.id" })).await;
    app.change(siti.id, json!({ "role": "alumni", "is_active": false, "password": "kata-sandi-baru" })).await;
    app.change(siti.id, json!({ "delete": true })).await;
    eventually("all four come", async || told(&heard, siti.id).len() == 4).await;
    let told = told(&heard, siti.id);
    let names: Vec<_> = told.iter().map(|(name, state)| (name.as_str(), state.version)).collect();
    assert_eq!(names, [("account.created", 1), ("account.changed", 2), ("account.changed", 3), ("account.deleted", 4)]);
    let [_, (_, renamed), (_, demoted), (_, deleted)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((renamed.username.as_str(), renamed.email.as_str()), ("siti_a", "siti_a@sekolah.sch.id"));
    assert_eq!((renamed.deleted, renamed.deleted_at_ms), (false, 0));
    assert_eq!((demoted.role.as_str(), demoted.is_active, demoted.must_change_password), ("alumni", false, true));
    assert_eq!((deleted.username.as_str(), deleted.deleted), ("siti_a", true));
    assert!(deleted.deleted_at_ms > deleted.created_at_ms);
}

#[tokio::test]
async fn a_consumer_that_lost_its_copies_is_told_of_every_account_and_every_deletion() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.account("siti").await, app.account("budi").await);
    app.change(budi.id, json!({ "delete": true })).await;
    let pending = new_account("rina");
    app.internal("/internal/accounts", &pending).await;
    let heard = listen(&app, "account.*").await;
    eventually("what was told before comes", async || told(&heard, budi.id).len() == 2).await;
    let rebuilt = auth(&app.stack, &["events", "rebuild", "accounts"], &[]).await;
    // Both, and the first admin; the pending one is nobody's business yet.
    assert_eq!(String::from_utf8(rebuilt.stdout).unwrap(), "3 accounts will be published\n");
    eventually("both come", async || told(&heard, siti.id).len() == 2 && told(&heard, budi.id).len() == 3).await;
    let (siti, budi) = (told(&heard, siti.id), told(&heard, budi.id));
    assert_eq!((siti[1].0.as_str(), &siti[1].1), ("account.changed", &siti[0].1));
    assert_eq!((budi[2].0.as_str(), &budi[2].1), ("account.deleted", &budi[1].1));
    assert!(told(&heard, pending["account_id"].as_str().unwrap().parse().unwrap()).is_empty());
}

#[tokio::test]
async fn a_login_is_told_and_a_failed_one_is_not() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    siti.login_with("salah-sekali").await;
    siti.login().await;
    let heard = listen(&app, "session.started").await;
    eventually("the event comes", async || !heard.lock().unwrap().is_empty()).await;
    let messages = heard.lock().unwrap();
    let event: LoggedIn = messages[0].decode().unwrap();
    assert_eq!(event.account_id, siti.id.to_string());
    assert_eq!(messages.len(), 1);
}

#[tokio::test]
async fn name_and_picture_of_the_profile_are_shown_at_login_and_a_late_event_changes_nothing() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let bus = app.portfolio().await;
    let options = (*app.stack.pool("portfolio").await.connect_options()).clone();
    tokio::spawn(Relay::new(bus, options, "portfolio").run(CancellationToken::new()));

    profile_changed(&app, siti.id, 2, "Siti Aminah", Some("http://localhost/storage/a.webp")).await;
    let stored = "select count(*) from accounts where nama = 'Siti Aminah'";
    eventually("the copy is made", async || app.count(stored).await == 1).await;
    let user = siti.login_with(PASSWORD).await.body["data"]["user"].clone();
    assert_eq!(
        (user["nama"].as_str(), user["avatar_url"].as_str()),
        (Some("Siti Aminah"), Some("http://localhost/storage/a.webp"))
    );

    profile_changed(&app, siti.id, 1, "An older name", None).await;
    profile_changed(&app, siti.id, 3, "Siti A.", None).await;
    let stored = "select count(*) from accounts where nama = 'Siti A.' and avatar_url is null";
    eventually("the next copy is made", async || app.count(stored).await == 1).await;
    eventually("all three are taken", async || app.count("select count(*) from inbox").await == 3).await;
    assert_eq!(app.count(stored).await, 1);
}
