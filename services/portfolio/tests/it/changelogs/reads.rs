//! Marks of readers, and the badge that counts what has none.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{ADMIN, NOBODY, PUBLIC, draft, public, published};
use crate::support::{TestApp, User, eventually};

const COUNT: &str = "/api/v1/changelogs/unread-count";
const ALL: &str = "/api/v1/changelogs/mark-all-read";

async fn unread(user: &User) -> i64 {
    let answer = user.get(COUNT).await;
    let count = answer.data(200)["count"].as_i64().unwrap();
    assert_eq!(answer.body, json!({ "success": true, "data": { "count": count }, "count": count }));
    count
}

#[tokio::test]
async fn the_badge_counts_what_is_published_and_not_read() {
    let app = TestApp::spawn().await;
    let (first, _second) = (published(&app, "Satu").await, published(&app, "Dua").await);
    let waiting = draft(&app, "Draf").await;
    let siti = app.student("siti").await;
    assert_eq!(unread(&siti).await, 2, "also what is older than the account");
    assert_eq!(unread(app.admin()).await, 2);
    let path = format!("{}/mark-read", public(&first));
    assert_eq!(siti.act(&path).await.data(200), Value::Null);
    assert_eq!((unread(&siti).await, unread(app.admin()).await), (1, 2));
    app.admin().act(&format!("{waiting}/publish")).await.data(200);
    assert_eq!(unread(&siti).await, 2);
    app.admin().act(&format!("{first}/unpublish")).await.data(200);
    assert_eq!((unread(&siti).await, unread(app.admin()).await), (2, 2));
    app.admin().act(&format!("{first}/publish")).await.data(200);
    assert_eq!((unread(&siti).await, unread(app.admin()).await), (2, 3), "read is read");
    app.admin().delete(&waiting).await.data(200);
    assert_eq!(unread(&siti).await, 1);
    for path in [COUNT, ALL, &path] {
        let method = if path == COUNT { reqwest::Method::GET } else { reqwest::Method::POST };
        app.guest(method, path, &[]).await.fails(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn the_first_time_of_reading_is_kept() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let path = format!("{}/mark-read", public(&published(&app, "Satu").await));
    siti.act(&path).await.data(200);
    app.sql("update changelog_reads set read_at = '2025-01-01'").await;
    for answer in join_all((0..4).map(|_| siti.act(&path))).await {
        answer.data(200);
    }
    siti.act(ALL).await.data(200);
    let kept = "select count(*) from changelog_reads where read_at = '2025-01-01'";
    assert_eq!((app.count(kept).await, app.count("select count(*) from changelog_reads").await), (1, 1));
}

#[tokio::test]
async fn nobody_learns_of_drafts_by_marking_them() {
    let app = TestApp::spawn().await;
    let path = draft(&app, "Draf").await;
    for user in [&app.student("siti").await, app.admin()] {
        for address in [public(&path), format!("{PUBLIC}/{NOBODY}")] {
            user.act(&format!("{address}/mark-read")).await.fails(404, "NOT_FOUND");
        }
        user.act(&format!("{PUBLIC}/x/mark-read")).await.fails(400, "VALIDATION_ERROR");
        user.act(ALL).await.data(200);
    }
    assert_eq!(app.count("select count(*) from changelog_reads").await, 0);
}

#[tokio::test]
async fn several_visits_at_once_mark_everything_once() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    for n in 0..5 {
        published(&app, &n.to_string()).await;
    }
    let visits = (0..6).map(|n| if n % 3 == 2 { budi.act(ALL) } else { siti.act(ALL) });
    for answer in join_all(visits).await {
        assert_eq!(answer.data(200), Value::Null);
    }
    assert_eq!((unread(&siti).await, unread(&budi).await), (0, 0));
    assert_eq!(app.count("select count(*) from changelog_reads").await, 10);
    published(&app, "baru").await;
    assert_eq!(unread(&siti).await, 1);
}

#[tokio::test]
async fn the_marks_of_a_deleted_account_go_with_it() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    published(&app, "Satu").await;
    for user in [&siti, &budi] {
        user.act(ALL).await.data(200);
    }
    app.delete_account(&siti).await;
    assert_eq!(app.count("select count(*) from changelog_reads").await, 1);
    assert_eq!(unread(&budi).await, 0);
    app.deactivate(&budi).await;
    assert_eq!(app.count("select count(*) from changelog_reads").await, 1, "who may come back has read it");
}

#[tokio::test]
async fn a_mark_waits_for_a_deletion_and_comes_too_late() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let path = published(&app, "Satu").await;
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query("update changelogs set deleted_at = now()").execute(&mut *tx).await.unwrap();
    let mark = format!("{}/mark-read", public(&path));
    let (one, all, ()) = tokio::join!(siti.act(&mark), siti.act(ALL), async {
        app.somebody_waits_for_a_lock().await;
        tx.commit().await.unwrap();
    });
    one.fails(404, "NOT_FOUND");
    all.data(200);
    assert_eq!(app.count("select count(*) from changelog_reads").await, 0);
    app.admin().get(&format!("{ADMIN}?page=1")).await.data(200);
}

#[tokio::test]
async fn the_badge_is_counted_on_indexes_alone() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    app.sql(
        "insert into users (id, account_version, username, email, role, is_active, must_change_password, created_at, nama)
         select gen_random_uuid(), 1, 'u' || n, 'u' || n || '@a.test', 'student', true, false, now(), 'u'
         from generate_series(1, 500) n;
         insert into changelogs (id, version, title, description, release_date, is_published, created_by)
         select gen_random_uuid(), 'x', 'x', repeat('x', 1900), date '2025-01-01' + n, n % 20 > 0,
             (select id from users limit 1)
         from generate_series(1, 400) n;
         insert into changelog_reads (user_id, changelog_id)
         select u.id, c.id from users u, changelogs c where c.is_published and u.username <> 'siti';
         insert into changelog_reads (user_id, changelog_id)
         select u.id, c.id from users u, (select id from changelogs where is_published limit 370) c
         where u.username = 'siti'",
    )
    .await;
    app.sql("analyze changelog_reads").await;
    eventually("an index alone can tell what is published", async || {
        app.sql("vacuum analyze changelogs").await;
        app.count("select (relpages - relallvisible)::bigint from pg_class where relname = 'changelogs'").await == 0
    })
    .await;
    let scans = async |column: &str| {
        let query = format!(
            "select coalesce(sum({column}), 0)::bigint from pg_stat_user_tables
             where relname in ('changelogs', 'changelog_reads')"
        );
        sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(query)).fetch_one(&app.pool).await.unwrap()
    };
    // What the lines above did themselves is told late.
    eventually("the statistics are settled", async || scans("n_tup_ins").await > 100_000).await;
    let (whole, by_index) = (scans("seq_scan").await, scans("idx_scan").await);
    for _ in 0..20 {
        assert_eq!(unread(&siti).await, 10);
    }
    eventually("the counts are in the statistics", async || scans("idx_scan").await >= by_index + 40).await;
    assert_eq!(scans("seq_scan").await, whole, "no table is read as a whole");
}
