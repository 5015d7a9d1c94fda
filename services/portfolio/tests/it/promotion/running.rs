//! The services: they look at the calendar, survive a kill, and auth makes alumni of the graduates.

use chrono::{Datelike as _, Days, NaiveDate, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::school::School;
use crate::support::{TestApp, User, eventually};

/// A school with a year whose day was yesterday.
async fn due_yesterday(app: &TestApp) -> (School, Uuid) {
    let school = School::of(app).await;
    let due: NaiveDate = Utc::now().date_naive() - Days::new(1);
    let armed_at = format!("{}T00:00:00Z", due - Days::new(30));
    let year = school.year(due.year() - 1, true, Some(&armed_at)).await;
    sqlx::query("update tahun_ajaran set promotion_month = $1, promotion_day = $2")
        .bind(i32::try_from(due.month()).unwrap())
        .bind(i32::try_from(due.day()).unwrap())
        .execute(&school.pool)
        .await
        .unwrap();
    (school, year)
}

/// Siti, in the last class of 2025.
async fn last_year_student(app: &TestApp) -> (School, User) {
    let school = School::of(app).await;
    let kelas = school.kelas(school.ready_year().await, 12, "A").await;
    let siti = app.student("siti").await;
    school.enter(siti.id, kelas).await;
    (school, siti)
}

async fn role_in_auth(app: &TestApp, user: Uuid) -> String {
    let pool = app.stack.pool("auth").await;
    sqlx::query_scalar("select role from accounts where id = $1").bind(user).fetch_one(&pool).await.unwrap()
}

async fn role_here(school: &School, user: Uuid) -> String {
    sqlx::query_scalar("select role from users where id = $1").bind(user).fetch_one(&school.pool).await.unwrap()
}

async fn everything_is_told(app: &TestApp) {
    let untold = "select count(*) from outbox where published_at is null";
    eventually("everything is told", async || app.count(untold).await == 0).await;
}

/// Keeps the event of the graduation from being published: a relay that starts takes what was published before the stream
/// was made for lost, so it has a time that cannot be.
async fn hold_back(school: &School) {
    school
        .sql("update outbox set published_at = now() + interval '1 hour' where event_type = 'student.graduated'")
        .await;
}

async fn let_go(school: &School) {
    school.sql("update outbox set published_at = null where event_type = 'student.graduated'").await;
    school.sql("select pg_notify('outbox_portfolio', '')").await;
}

#[tokio::test]
async fn a_service_that_was_down_on_the_day_catches_up_when_it_starts() {
    let mut app = TestApp::spawn().await;
    app.portfolio.terminate().await;
    let (school, year) = due_yesterday(&app).await;
    let kelas = school.kelas(year, 10, "A").await;
    school.student("siti", Some(kelas)).await;
    app.portfolio.restart().await;
    eventually("the year is promoted", async || school.ledger().await.len() == 1).await;
    assert_eq!(
        app.count("select count(*) from users u join kelas k on k.id = u.kelas_id where k.nama = 'XI-RPL-A'").await,
        1
    );
}

#[tokio::test]
async fn two_replicas_that_start_at_once_promote_once() {
    let mut app = TestApp::spawn().await;
    app.portfolio.terminate().await;
    let (school, year) = due_yesterday(&app).await;
    let kelas = school.kelas(year, 10, "A").await;
    school.student("siti", Some(kelas)).await;
    tokio::join!(app.portfolio.restart(), async { drop(app.stack.spawn_replica("portfolio", &[]).await) });
    eventually("the year is promoted", async || school.ledger().await.len() == 1).await;
    assert_eq!(school.years().await.len(), 2);
    assert_eq!(app.count("select count(*) from audit_log where action = 'tahun_ajaran.promote'").await, 1);
}

#[tokio::test]
async fn a_kill_in_the_middle_leaves_everything_as_it_was_and_the_next_start_does_it_all() {
    let mut app = TestApp::spawn().await;
    app.portfolio.terminate().await;
    let (school, year) = due_yesterday(&app).await;
    for (name, tingkat) in [("andi", 10), ("citra", 12)] {
        let kelas = school.kelas(year, tingkat, "A").await;
        school.student(name, Some(kelas)).await;
    }
    let before = (school.students().await, school.years().await);
    // The years and classes are made by the time it wants the students.
    let mut lock = school.pool.begin().await.unwrap();
    sqlx::query("select from users where username = 'citra' for update").execute(&mut *lock).await.unwrap();
    app.portfolio.restart().await;
    app.somebody_waits_for_a_lock().await;
    app.portfolio.kill().await;
    lock.rollback().await.unwrap();
    let connected = "select count(*) from pg_stat_activity
                     where datname = current_database() and application_name = 'portfolio'";
    eventually("its connections are gone", async || app.count(connected).await == 0).await;
    assert_eq!((school.students().await, school.years().await), before);
    assert_eq!(school.ledger().await, [""; 0]);

    app.portfolio.restart().await;
    eventually("the year is promoted", async || school.ledger().await.len() == 1).await;
    assert_eq!(app.count("select count(*) from users where role = 'alumni' and kelas_id is null").await, 1);
    assert_eq!(app.count("select count(*) from outbox where event_type = 'student.graduated'").await, 1);
}

#[tokio::test]
async fn auth_makes_alumni_of_graduates_and_refuses_their_old_tokens() {
    let app = TestApp::spawn().await;
    let (school, siti) = last_year_student(&app).await;
    school.promote("2026-07-01").await;
    eventually("auth knows", async || role_in_auth(&app, siti.id).await == "alumni").await;
    eventually("the old token is refused", async || siti.get("/api/v1/me").await.status == 401).await;
    siti.get("/api/v1/me").await.fails(401, "TOKEN_REVOKED");
    let me = app.again(&siti).await.get("/api/v1/me").await.data(200);
    assert_eq!((&me["role"], &me["kelas"], &me["tahun_lulus"]), (&json!("alumni"), &Value::Null, &json!(2026)));
}

#[tokio::test]
async fn auth_is_told_when_it_comes_back() {
    let mut app = TestApp::spawn().await;
    let (school, siti) = last_year_student(&app).await;
    app.auth.kill().await;
    school.promote("2026-07-01").await;
    everything_is_told(&app).await;
    app.auth.restart().await;
    eventually("auth knows", async || role_in_auth(&app, siti.id).await == "alumni").await;
}

#[tokio::test]
async fn who_is_no_student_in_auth_any_more_keeps_the_role() {
    let mut app = TestApp::spawn().await;
    let (school, siti) = last_year_student(&app).await;
    app.portfolio.kill().await;
    app.change(&siti, json!({ "role": "admin" })).await;
    school.promote("2026-07-01").await;
    assert_eq!(role_here(&school, siti.id).await, "alumni");
    app.portfolio.restart().await;
    eventually("the role of auth comes here", async || role_here(&school, siti.id).await == "admin").await;
    let dealt_with = "select count(*) from users where graduation = 1 and account_version = 3";
    eventually("auth has dealt with it", async || app.count(dealt_with).await == 1).await;
    assert_eq!(
        (role_in_auth(&app, siti.id).await, role_here(&school, siti.id).await),
        ("admin".into(), "admin".into())
    );
}

#[tokio::test]
async fn while_a_graduation_is_open_no_account_event_brings_the_old_role_back() {
    let mut app = TestApp::spawn().await;
    let (school, siti) = last_year_student(&app).await;
    app.portfolio.kill().await;
    school.promote("2026-07-01").await;
    hold_back(&school).await;
    app.portfolio.restart().await;
    app.change(&siti, json!({ "email": "baru@sekolah.sch.id" })).await;
    let changed = "select count(*) from users where email = 'baru@sekolah.sch.id'";
    eventually("the event is applied", async || app.count(changed).await == 1).await;
    assert_eq!(school.students().await, ["(siti,alumni,,)"]);
    assert_eq!(role_in_auth(&app, siti.id).await, "student");
    let_go(&school).await;
    eventually("auth knows", async || role_in_auth(&app, siti.id).await == "alumni").await;
}

#[tokio::test]
async fn a_wrong_graduate_becomes_a_student_again_by_an_edit() {
    let app = TestApp::spawn().await;
    let (school, siti) = last_year_student(&app).await;
    school.promote("2026-07-01").await;
    eventually("auth knows", async || role_in_auth(&app, siti.id).await == "alumni").await;
    correct(&app, &school, &siti).await;
    everything_is_told(&app).await;
    assert_eq!(role_in_auth(&app, siti.id).await, "student");
    assert_eq!(school.students().await, ["(siti,student,XII-RPL-B,2026)"]);
}

#[tokio::test]
async fn a_correction_overtakes_a_graduation_that_is_still_under_way() {
    let mut app = TestApp::spawn().await;
    let (school, siti) = last_year_student(&app).await;
    app.portfolio.kill().await;
    school.promote("2026-07-01").await;
    hold_back(&school).await;
    app.portfolio.restart().await;
    correct(&app, &school, &siti).await;
    let_go(&school).await;
    let pool = app.stack.pool("auth").await;
    let taken = "select count(*) from inbox where consumer = 'auth_graduations'";
    eventually("auth has taken the event", async || {
        sqlx::query_scalar::<_, i64>(taken).fetch_one(&pool).await.unwrap() == 1
    })
    .await;
    assert_eq!(role_in_auth(&app, siti.id).await, "student");
    everything_is_told(&app).await;
    assert_eq!(school.students().await, ["(siti,student,XII-RPL-B,2026)"]);
}

/// Siti stays for another year, in a class of 2026.
async fn correct(app: &TestApp, school: &School, siti: &User) {
    let next = sqlx::query_scalar("select id from tahun_ajaran where tahun_mulai = 2026").fetch_one(&school.pool).await;
    let kelas = school.kelas(next.unwrap(), 12, "B").await;
    let body = json!({ "role": "student", "kelas_id": kelas, "tahun_lulus": null });
    let data = app.admin().patch(&format!("/api/v1/admin/users/{}", siti.id), &body).await.data(200);
    assert_eq!((&data["role"], &data["kelas"]["nama"]), (&json!("student"), &json!("XII-RPL-B")));
}
