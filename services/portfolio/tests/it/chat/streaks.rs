use serde_json::{Value, json};

use super::{Chat, block, chat, message_path, open, school, unblock};
use crate::support::{TestApp, User, eventually};

const PATH: &str = "/api/v1/dm/streaks";

/// The streak that there is: current, longest, and how many days ago it was counted, in the time zone of the school.
async fn stored(app: &TestApp) -> (i32, i32, i32) {
    let query = "select current_streak, longest_streak, (now() at time zone 'Asia/Jakarta')::date - last_chat_date
                 from chat_streaks";
    sqlx::query_as(query).fetch_one(&app.pool).await.unwrap()
}

async fn pretend(app: &TestApp, current: i32, longest: i32, days_ago: i32) {
    sqlx::query(
        "update chat_streaks
         set current_streak = $1, longest_streak = $2,
             last_chat_date = (now() at time zone 'Asia/Jakarta')::date - $3",
    )
    .bind(current)
    .bind(longest)
    .bind(days_ago)
    .execute(&app.pool)
    .await
    .unwrap();
}

async fn listed(user: &User) -> Vec<(String, i64)> {
    let data = user.get(PATH).await.data(200);
    let streaks = data.as_array().unwrap().iter();
    streaks
        .map(|streak| {
            let username = streak["other_user"]["username"].as_str().unwrap().to_owned();
            (username, streak["current_streak"].as_i64().unwrap())
        })
        .collect()
}

/// Waits if the day ends within the next seconds, so that a test does not run over midnight.
async fn not_at_midnight(app: &TestApp) {
    let near = "select count(*) where (now() at time zone 'Asia/Jakarta')::time > '23:59:45'";
    eventually("the day is not about to end", async || app.count(near).await == 0).await;
}

#[tokio::test]
async fn the_first_message_of_a_day_counts() {
    let (app, budi, siti) = school(&[]).await;
    not_at_midnight(&app).await;
    let (conversation, message) = chat(&budi, &siti, "Halo").await;
    assert_eq!(stored(&app).await, (1, 1, 0));
    // stored: current, longest, days ago; then after a message
    for (before, after) in [
        ((1, 1, 0), (1, 1, 0)),
        ((4, 9, 0), (4, 9, 0)),
        ((1, 1, 1), (2, 2, 0)),
        ((4, 9, 1), (5, 9, 0)),
        ((9, 9, 1), (10, 10, 0)),
        ((9, 9, 2), (1, 9, 0)),
        ((3, 9, 400), (1, 9, 0)),
    ] {
        pretend(&app, before.0, before.1, before.2).await;
        // Either of the two counts for both, and only once.
        conversation.say(&siti, "Ya").await;
        assert_eq!(stored(&app).await, after, "{before:?}");
        conversation.say(&budi, "Ya").await;
        assert_eq!(stored(&app).await, after, "{before:?}");
    }
    // What is counted stays counted.
    budi.delete(&message_path(&message, "")).await.data(200);
    assert_eq!(stored(&app).await, (1, 9, 0));
}

#[tokio::test]
async fn a_day_begins_in_the_time_zone_of_the_school() {
    // These two are 26 hours apart, and have never the same date.
    let mut dates = Vec::new();
    for zone in ["Etc/GMT-14", "Etc/GMT+12"] {
        let (app, budi, siti) = school(&[("STREAK_TIME_ZONE", zone)]).await;
        chat(&budi, &siti, "Halo").await;
        let here: bool = sqlx::query_scalar("select last_chat_date = (now() at time zone $1)::date from chat_streaks")
            .bind(zone)
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert!(here, "{zone}");
        let streaks = budi.get(PATH).await.data(200);
        dates.push(streaks[0]["last_chat_date"].as_str().unwrap().to_owned());
    }
    assert!(dates.iter().all(|date| date.ends_with("T00:00:00Z")), "{dates:?}");
    assert_ne!(dates[0], dates[1]);
}

#[tokio::test]
async fn messages_at_once_count_once() {
    let (app, budi, siti) = school(&[]).await;
    not_at_midnight(&app).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    pretend(&app, 4, 4, 1).await;
    let sent = (0..12).map(|number| {
        let user = if number % 2 == 0 { &budi } else { &siti };
        conversation.say(user, "x")
    });
    futures_util::future::join_all(sent).await;
    assert_eq!(stored(&app).await, (5, 5, 0));
}

#[tokio::test]
async fn only_streaks_that_go_on_are_listed() {
    let (app, budi, siti) = school(&[]).await;
    not_at_midnight(&app).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    pretend(&app, 5, 12, 1).await;
    let date: String =
        sqlx::query_scalar("select last_chat_date::text from chat_streaks").fetch_one(&app.pool).await.unwrap();
    let expected = json!([{
        "other_user": {
            "id": siti.id, "username": "siti", "nama": "Nama siti", "avatar_url": null, "role": "student",
            "is_online": false,
        },
        "current_streak": 5, "longest_streak": 12, "last_chat_date": format!("{date}T00:00:00Z"),
    }]);
    let answer = budi.get(PATH).await;
    assert_eq!(answer.data(200), expected);
    assert_eq!(answer.body["meta"], Value::Null);
    assert_eq!(listed(&siti).await, [("budi".to_owned(), 5)]);
    pretend(&app, 5, 12, 2).await;
    assert!(listed(&budi).await.is_empty() && listed(&siti).await.is_empty());
    pretend(&app, 5, 12, 0).await;
    assert_eq!(listed(&budi).await.len(), 1);
    for (by, of) in [(&budi, &siti), (&siti, &budi)] {
        block(by, of).await;
        assert!(listed(&budi).await.is_empty() && listed(&siti).await.is_empty());
        unblock(by, of).await;
    }
    assert_eq!(stored(&app).await, (5, 12, 0));
    app.deactivate(&siti).await;
    assert!(listed(&budi).await.is_empty());
    app.reactivate(&siti).await;
    assert_eq!(listed(&budi).await.len(), 1);
    app.delete_account(&siti).await;
    assert!(listed(&budi).await.is_empty());
    drop::<Chat>(conversation);
}

#[tokio::test]
async fn the_longest_streaks_come_first() {
    let (app, budi, siti) = school(&[]).await;
    not_at_midnight(&app).await;
    chat(&budi, &siti, "Halo").await;
    let mut users = vec![siti];
    for username in ["tono", "tata", "tutik"] {
        let user = app.student(username).await;
        open(&user).await;
        chat(&budi, &user, "Halo").await;
        users.push(user);
    }
    for (user, current, days_ago) in [(&users[0], 3, 0), (&users[1], 7, 1), (&users[2], 7, 0), (&users[3], 3, 0)] {
        sqlx::query(
            "update chat_streaks
             set current_streak = $2, longest_streak = 9, last_chat_date = last_chat_date - $3
             where $1 in (user_a, user_b)",
        )
        .bind(user.id)
        .bind(current)
        .bind(days_ago)
        .execute(&app.pool)
        .await
        .unwrap();
    }
    let (first, second) = if users[0].id < users[3].id { ("siti", "tutik") } else { ("tutik", "siti") };
    let expected = [("tata", 7), ("tono", 7), (first, 3), (second, 3)].map(|(name, days)| (name.to_owned(), days));
    assert_eq!(listed(&budi).await, expected);
    let few = budi.get(&format!("{PATH}?limit=2")).await.data(200);
    assert_eq!(few.as_array().unwrap().len(), 2);
    for query in ["?limit=0", "?limit=x", "?limit=1000"] {
        assert_eq!(budi.get(&format!("{PATH}{query}")).await.data(200).as_array().unwrap().len(), 4, "{query}");
    }
}

#[tokio::test]
async fn the_list_has_100_streaks_at_most() {
    let (app, budi, _siti) = school(&[]).await;
    app.sql(
        "insert into users (id, account_version, username, email, role, is_active, must_change_password, created_at, nama)
         select md5('u' || n)::uuid, 1, 'u' || n, 'u' || n, 'student', true, false, now(), 'U' || n
         from generate_series(1, 101) n;
         insert into chat_streaks (user_a, user_b, current_streak, longest_streak, last_chat_date)
         select least(b.id, u.id), greatest(b.id, u.id), 3, 3, (now() at time zone 'Asia/Jakarta')::date
         from users b, users u where b.username = 'budi' and u.username like 'u%'",
    )
    .await;
    assert_eq!(listed(&budi).await.len(), 100);
    for limit in [7, 100, 1000] {
        let data = budi.get(&format!("{PATH}?limit={limit}")).await.data(200);
        assert_eq!(data.as_array().unwrap().len(), limit.min(100), "{limit}");
    }
}
