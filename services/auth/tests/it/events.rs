use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use grafikarsa_config::Reader;
use grafikarsa_events::{Bus, Consumer, EventsSettings, Message, Relay, outbox};
use proto_events::{
    auth::v1::{AccountCreated, LoggedIn},
    portfolio::v1::ProfileChanged,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{PASSWORD, TestApp, eventually};

/// The bus as portfolio uses it.
async fn portfolio(app: &TestApp) -> Bus {
    let mut env = Reader::from_map(app.stack.env_of("portfolio"));
    let settings = EventsSettings::read(&mut env);
    Bus::connect(&settings, "portfolio").await.unwrap()
}

/// What portfolio hears from auth.
async fn listen(app: &TestApp, filter: &str) -> Arc<Mutex<Vec<Message>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let consumer =
        Consumer::new(&portfolio(app).await, app.stack.pool("portfolio").await, "portfolio", "t", "auth", filter);
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
    let bus = portfolio(&app).await;
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
