//! Who is online, who is told, and who is not.

use futures_util::future::join_all;
use grafikarsa_devstack::testing::Running;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Pair, Two,
    client::{Client, talk},
};
use crate::support::{TestApp, User, eventually};

const QUICK: (&str, &str) = ("PRESENCE_LINGER", "500ms");

fn presence(user: &User, is_online: bool) -> Value {
    json!({ "user_id": user.id, "is_online": is_online })
}

async fn is_online(viewer: &User, conversation: Uuid) -> bool {
    let data = viewer.get(&format!("/api/v1/conversations/{conversation}")).await.data(200);
    data["other_user"]["is_online"].as_bool().unwrap()
}

/// What was said about presence, while something else was waited for.
fn said(client: &Client) -> Vec<Value> {
    client.seen.iter().filter(|frame| frame["type"] == "presence").map(|frame| frame["payload"].clone()).collect()
}

fn signal(replica: &Running, signal: &str) {
    let pid = replica.pid().unwrap().to_string();
    assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

#[tokio::test]
async fn partners_hear_of_the_first_socket_and_of_the_end_of_the_last_alone() {
    let two = Two::with(&[QUICK]).await;
    let pair = Pair::of(&two.app).await;
    let mut watching = pair.budi.socket(&two.app.portfolio).await;
    let [first, second] = two.sockets(&pair.siti).await;
    assert_eq!(watching.expect("presence").await, presence(&pair.siti, true));
    assert!(is_online(&pair.budi, pair.conversation).await);
    first.close().await;
    eventually("one is left", async || two.app.count("select count(*) from chat_sockets").await == 2).await;
    assert!(is_online(&pair.budi, pair.conversation).await);
    second.close().await;
    assert_eq!(watching.expect("presence").await, presence(&pair.siti, false), "nothing in between");
    assert!(!is_online(&pair.budi, pair.conversation).await);
}

#[tokio::test]
async fn presence_is_told_to_partners_alone() {
    let two = Two::with(&[QUICK]).await;
    let pair = Pair::of(&two.app).await;
    let (wati, joko) = (two.app.student("wati").await, two.app.student("joko").await);
    // A conversation in which nothing was ever said is none.
    joko.patch("/api/v1/dm/settings", &json!({ "dm_privacy": "open" })).await.data(200);
    pair.siti.post("/api/v1/conversations", &json!({ "recipient_id": joko.id })).await.data(201);
    let mut partner = pair.budi.socket(&two.second).await;
    let mut strangers =
        [wati.socket(&two.second).await, joko.socket(&two.second).await, two.app.admin().socket(&two.second).await];
    let siti = pair.siti.socket(&two.app.portfolio).await;
    partner.expect("presence").await;
    siti.close().await;
    partner.expect_with("presence", |presence| presence["is_online"] == false).await;
    for stranger in &mut strangers {
        assert_eq!(stranger.frames_so_far().await, Vec::<Value>::new());
    }
}

#[tokio::test]
async fn a_new_socket_hears_right_after_ready_which_partners_are_online() {
    let two = Two::spawn().await;
    let pair = Pair::of(&two.app).await;
    let (wati, joko) = (two.app.student("wati").await, two.app.student("joko").await);
    talk(&pair.siti, &wati).await;
    talk(&pair.siti, &joko).await;
    let _open = [
        pair.budi.socket(&two.second).await,
        pair.budi.socket(&two.app.portfolio).await,
        wati.socket(&two.app.portfolio).await,
    ];
    let mut siti = pair.siti.opening(&two.second.public_url()).await;
    assert_eq!(siti.next().await.unwrap()["type"], "ready");
    let mut heard = [siti.next().await.unwrap(), siti.next().await.unwrap()].map(|frame| frame["payload"].clone());
    heard.sort_by_key(|payload| payload["user_id"].as_str().unwrap().to_owned());
    let mut expected = [presence(&pair.budi, true), presence(&wati, true)];
    expected.sort_by_key(|payload| payload["user_id"].as_str().unwrap().to_owned());
    assert_eq!(heard, expected);
    assert_eq!(siti.frames_so_far().await, Vec::<Value>::new(), "one for each");
}

#[tokio::test]
async fn a_reconnect_within_the_linger_does_not_flicker() {
    let two = Two::with(&[("PRESENCE_LINGER", "2s")]).await;
    let pair = Pair::of(&two.app).await;
    let mut watching = pair.budi.socket(&two.app.portfolio).await;
    let mut socket = pair.siti.socket(&two.app.portfolio).await;
    watching.expect("presence").await;
    for replica in [&two.second, &two.app.portfolio, &two.second] {
        socket.close().await;
        let closed = "select count(*) from chat_presence where closed_at is not null";
        eventually("it is closed", async || two.app.count(closed).await == 1).await;
        socket = pair.siti.socket(replica).await;
    }
    socket.close().await;
    assert_eq!(watching.expect("presence").await, presence(&pair.siti, false), "nothing in between");
}

#[tokio::test]
async fn many_sockets_that_open_and_close_at_once_are_one_person_who_comes_and_goes() {
    let two = Two::with(&[QUICK]).await;
    let pair = Pair::of(&two.app).await;
    let mut watching = pair.budi.socket(&two.app.portfolio).await;
    for _ in 0..3 {
        let opening = (0..8).map(|number| {
            let (siti, two) = (&pair.siti, &two);
            async move { siti.socket(if number % 2 == 0 { &two.app.portfolio } else { &two.second }).await }
        });
        let sockets = join_all(opening).await;
        assert_eq!(watching.expect("presence").await, presence(&pair.siti, true));
        join_all(sockets.into_iter().map(Client::close)).await;
        assert_eq!(watching.expect("presence").await, presence(&pair.siti, false), "nothing in between");
    }
    assert_eq!(two.app.count("select count(*) from chat_sockets").await, 1);
}

#[tokio::test]
async fn a_block_hides_both_from_each_other_at_once_and_for_as_long_as_it_stands() {
    let two = Two::with(&[QUICK]).await;
    let pair = Pair::of(&two.app).await;
    let wati = two.app.student("wati").await;
    talk(&wati, &pair.siti).await;
    talk(&wati, &pair.budi).await;
    let mut siti = pair.siti.socket(&two.app.portfolio).await;
    let mut budi = pair.budi.socket(&two.second).await;
    siti.expect_with("presence", |presence| presence["is_online"] == true).await;
    pair.budi.act(&format!("/api/v1/dm/block/{}", pair.siti.id)).await.data(200);
    siti.expect_with("presence", |heard| *heard == presence(&pair.budi, false)).await;
    budi.expect_with("presence", |heard| *heard == presence(&pair.siti, false)).await;
    assert!(!is_online(&pair.siti, pair.conversation).await && !is_online(&pair.budi, pair.conversation).await);
    budi.close().await;
    eventually("budi is offline", async || two.app.count("select count(*) from chat_presence where shown").await == 1)
        .await;
    let mut budi = pair.budi.socket(&two.app.portfolio).await;
    // What is told of somebody else comes after what would have been told of the two.
    let _wati = wati.socket(&two.second).await;
    for client in [&mut siti, &mut budi] {
        client.seen.clear();
        client.expect_with("presence", |heard| *heard == presence(&wati, true)).await;
        assert_eq!(said(client), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn a_block_of_somebody_who_is_offline_tells_nothing() {
    let two = Two::spawn().await;
    let pair = Pair::of(&two.app).await;
    let mut siti = pair.siti.socket(&two.app.portfolio).await;
    pair.siti.act(&format!("/api/v1/dm/block/{}", pair.budi.id)).await.data(200);
    pair.siti.delete(&format!("/api/v1/dm/block/{}", pair.budi.id)).await.data(200);
    // A message goes the longer way, and comes after what would have been told.
    pair.write("Maaf").await;
    siti.expect("message.new").await;
    assert_eq!(said(&siti), Vec::<Value>::new());
}

#[tokio::test]
async fn people_on_a_killed_replica_go_offline_by_themselves() {
    let mut two = Two::with(&[QUICK, ("PRESENCE_LEASE", "2s")]).await;
    let pair = Pair::of(&two.app).await;
    let wati = two.app.student("wati").await;
    talk(&wati, &pair.budi).await;
    let mut watching = pair.budi.socket(&two.app.portfolio).await;
    let _siti = pair.siti.socket(&two.second).await;
    // Somebody with a second socket elsewhere stays online.
    let _wati = two.sockets(&wati).await;
    for _ in 0..2 {
        watching.expect("presence").await;
    }
    two.second.kill().await;
    assert_eq!(watching.expect("presence").await, presence(&pair.siti, false));
    assert!(!is_online(&pair.budi, pair.conversation).await);
    eventually("its rows are gone", async || two.app.count("select count(*) from chat_replicas").await == 1).await;
    eventually("two are left", async || two.app.count("select count(*) from chat_presence where shown").await == 2)
        .await;
    // And comes back when somebody else opens a socket for her.
    let _again = pair.siti.socket(&two.app.portfolio).await;
    assert_eq!(watching.expect("presence").await, presence(&pair.siti, true));
}

#[tokio::test]
async fn a_replica_that_was_taken_for_dead_brings_its_sockets_back() {
    let two = Two::with(&[QUICK, ("PRESENCE_LEASE", "2s")]).await;
    let pair = Pair::of(&two.app).await;
    let mut watching = pair.budi.socket(&two.app.portfolio).await;
    let mut siti = pair.siti.socket(&two.second).await;
    watching.expect("presence").await;
    signal(&two.second, "-STOP");
    assert_eq!(watching.expect("presence").await, presence(&pair.siti, false));
    signal(&two.second, "-CONT");
    assert_eq!(watching.expect("presence").await, presence(&pair.siti, true));
    assert!(is_online(&pair.budi, pair.conversation).await);
    siti.ping().await;
    siti.expect("pong").await;
    assert_eq!(two.app.count("select count(*) from chat_sockets").await, 2);
}

#[tokio::test]
async fn a_restart_of_a_replica_is_not_seen_by_the_partners_of_whoever_reconnects() {
    let mut two = Two::with(&[("PRESENCE_LINGER", "3s")]).await;
    let pair = Pair::of(&two.app).await;
    let mut watching = pair.budi.socket(&two.app.portfolio).await;
    let mut siti = pair.siti.socket(&two.second).await;
    watching.expect("presence").await;
    two.second.terminate().await;
    siti.closes_with(1012).await;
    let siti = pair.siti.socket(&two.app.portfolio).await;
    siti.close().await;
    assert_eq!(watching.expect("presence").await, presence(&pair.siti, false), "nothing in between");
}

#[tokio::test]
async fn who_is_deactivated_goes_offline() {
    let app = TestApp::with(&[QUICK]).await;
    let pair = Pair::of(&app).await;
    let mut watching = pair.budi.socket(&app.portfolio).await;
    let mut siti = pair.siti.socket(&app.portfolio).await;
    watching.expect("presence").await;
    app.deactivate(&pair.siti).await;
    siti.closes_with(4403).await;
    assert_eq!(watching.expect("presence").await, presence(&pair.siti, false));
    assert!(!is_online(&pair.budi, pair.conversation).await);
}

/// Keeps everybody from asking who has blocked whom, which every list of partners does.
async fn lock_blocks(app: &TestApp) -> PgConnection {
    let mut lock = app.stack.superuser().await;
    let locked = sqlx::raw_sql("begin; lock table portfolio.dm_blocks in access exclusive mode");
    locked.execute(&mut lock).await.unwrap();
    lock
}

#[tokio::test]
async fn a_first_socket_that_fails_leaves_the_next_one_the_first() {
    let app = TestApp::spawn().await;
    let pair = Pair::of(&app).await;
    let mut watching = pair.budi.socket(&app.portfolio).await;
    let mut lock = lock_blocks(&app).await;
    pair.siti.opening(&app.portfolio.public_url()).await.closes_with(1011).await;
    sqlx::raw_sql("rollback").execute(&mut lock).await.unwrap();
    assert_eq!(app.count("select count(*) from chat_presence where shown").await, 1, "nobody was told");
    let _siti = pair.siti.socket(&app.portfolio).await;
    assert_eq!(watching.expect("presence").await, presence(&pair.siti, true));
}

#[tokio::test]
async fn everybody_who_left_while_the_database_was_in_trouble_is_told_later() {
    let app = TestApp::with(&[QUICK]).await;
    let pair = Pair::of(&app).await;
    let wati = app.student("wati").await;
    talk(&wati, &pair.budi).await;
    let mut watching = pair.budi.socket(&app.portfolio).await;
    let leaving = [pair.siti.socket(&app.portfolio).await, wati.socket(&app.portfolio).await];
    for _ in &leaving {
        watching.expect("presence").await;
    }
    let mut lock = lock_blocks(&app).await;
    join_all(leaving.into_iter().map(Client::close)).await;
    eventually("both could not be told", async || app.stack.log("portfolio").matches("told later").count() >= 2).await;
    sqlx::raw_sql("rollback").execute(&mut lock).await.unwrap();
    let mut heard = [watching.expect("presence").await, watching.expect("presence").await];
    heard.sort_by_key(|payload| payload["user_id"].as_str().unwrap().to_owned());
    let mut expected = [presence(&pair.siti, false), presence(&wati, false)];
    expected.sort_by_key(|payload| payload["user_id"].as_str().unwrap().to_owned());
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn who_comes_back_while_his_end_is_told_is_online_afterwards() {
    let app = TestApp::with(&[QUICK]).await;
    let pair = Pair::of(&app).await;
    let mut watching = pair.budi.socket(&app.portfolio).await;
    let siti = pair.siti.socket(&app.portfolio).await;
    assert_eq!(watching.expect("presence").await, presence(&pair.siti, true));
    let mut lock = lock_blocks(&app).await;
    siti.close().await;
    app.somebody_waits_for_a_lock().await;
    let mut again = pair.siti.opening(&app.portfolio.public_url()).await;
    eventually("both wait", async || {
        app.count(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
        )
        .await
            != 1
    })
    .await;
    sqlx::raw_sql("rollback").execute(&mut lock).await.unwrap();
    // On a slow machine it may have waited for too long; what was told is in order all the same.
    if again.next().await.is_ok() {
        again.close().await;
    }
    let gone = "select count(*) from chat_presence where shown";
    eventually("she is gone", async || app.count(gone).await == 1).await;
    let wati = app.student("wati").await;
    talk(&wati, &pair.budi).await;
    let _wati = wati.socket(&app.portfolio).await;
    watching.expect_with("presence", |heard| *heard == presence(&wati, true)).await;
    let heard: Vec<bool> = said(&watching).iter().map(|presence| presence["is_online"] == true).collect();
    assert!(heard.windows(2).all(|two| two[0] != two[1]), "{heard:?}");
    assert_eq!((heard.first(), heard.last()), (Some(&false), Some(&false)), "{heard:?}");
}

#[tokio::test]
async fn a_socket_that_finds_its_replica_taken_for_dead_opens_and_brings_the_others_back() {
    let app = TestApp::with(&[("PRESENCE_LEASE", "1h")]).await;
    let pair = Pair::of(&app).await;
    let mut watching = pair.budi.socket(&app.portfolio).await;
    app.sql("delete from chat_replicas").await;
    assert_eq!(app.count("select count(*) from chat_sockets").await, 0);
    let _siti = pair.siti.socket(&app.portfolio).await;
    assert_eq!(watching.expect("presence").await, presence(&pair.siti, true));
    assert_eq!(app.count("select count(*) from chat_sockets").await, 2);
    assert!(is_online(&pair.siti, pair.conversation).await);
}
