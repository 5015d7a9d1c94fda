//! Every class moves up by a year, once a year. What needs no service is asked of the command, which does the same.

mod running;
mod school;

use std::time::Instant;

use uuid::Uuid;

use self::school::{EARLY, School};

#[tokio::test]
async fn on_the_day_before_nothing_happens() {
    let school = School::new().await;
    let kelas = school.kelas(school.ready_year().await, 10, "A").await;
    school.student("siti", Some(kelas)).await;
    assert_eq!(school.promote("2026-06-30").await, "no academic year is due\n");
    assert_eq!(school.students().await, ["(siti,student,X-RPL-A,2025)"]);
    assert_eq!(school.years().await, ["(2025,t,X-RPL-A)"]);
}

#[tokio::test]
async fn on_the_day_every_class_moves_up_and_the_last_ones_graduate() {
    let school = School::new().await;
    let year = school.ready_year().await;
    school.sql("update tahun_ajaran set promotion_month = 6, promotion_day = 30").await;
    for (name, tingkat) in [("andi", 10), ("budi", 11), ("citra", 12)] {
        let kelas = school.kelas(year, tingkat, "A").await;
        school.student(name, Some(kelas)).await;
    }
    // Nobody is in it, and it goes on all the same.
    school.kelas(year, 10, "B").await;
    let printed = school.promote("2026-06-30").await;
    assert_eq!(
        printed,
        "2025/2026 to 2026/2027: 2 promoted, 1 graduated, 0 skipped\n  \
         3 classes created: XI-RPL-A, XI-RPL-B, XII-RPL-A\n  \
         2026/2027 becomes the active year\n"
    );
    assert_eq!(
        school.students().await,
        ["(andi,student,XI-RPL-A,2026)", "(budi,student,XII-RPL-A,2026)", "(citra,alumni,,)"]
    );
    // No class of grade 10: the import or an admin makes them.
    assert_eq!(
        school.years().await,
        ["(2025,f,\"X-RPL-A X-RPL-B XI-RPL-A XII-RPL-A\")", "(2026,t,\"XI-RPL-A XI-RPL-B XII-RPL-A\")"]
    );
    assert_eq!(school.ledger().await, ["(2025,2026,3,2,1,0)"]);
    let copied = "select promotion_month, promotion_day, armed_at is not null from tahun_ajaran where is_active";
    assert_eq!(school.rows(copied).await, ["(6,30,t)"]);
    let graduate = "select tahun_lulus, is_active from users where username = 'citra'";
    assert_eq!(school.rows(graduate).await, ["(2026,t)"]);
    let told = "select event_type, aggregate_id = (select id from users where username = 'citra') from outbox";
    assert_eq!(school.rows(told).await, ["(student.graduated,t)"]);
    let audit = "select action, actor_id = '00000000-0000-0000-0000-000000000000' from audit_log";
    assert_eq!(school.rows(audit).await, ["(tahun_ajaran.promote,t)"]);
    assert_eq!(school.rows("select id from notifications").await, [""; 0]);
}

#[tokio::test]
async fn the_history_keeps_the_old_class_and_knows_the_new_one() {
    let school = School::new().await;
    let year = school.ready_year().await;
    for (name, tingkat) in [("andi", 10), ("citra", 12)] {
        let kelas = school.kelas(year, tingkat, "A").await;
        school.student(name, Some(kelas)).await;
    }
    school.promote("2026-07-01").await;
    let history = "select u.username, k.nama, t.tahun_mulai, h.is_current
                   from riwayat_kelas h
                   join users u on u.id = h.user_id
                   join kelas k on k.id = h.kelas_id
                   join tahun_ajaran t on t.id = h.tahun_ajaran_id
                   order by u.username, t.tahun_mulai";
    assert_eq!(
        school.rows(history).await,
        ["(andi,X-RPL-A,2025,f)", "(andi,XI-RPL-A,2026,t)", "(citra,XII-RPL-A,2025,f)"]
    );
}

#[tokio::test]
async fn a_known_year_of_leaving_is_kept() {
    let school = School::new().await;
    let kelas = school.kelas(school.ready_year().await, 12, "A").await;
    school.student("siti", Some(kelas)).await;
    school.sql("update users set tahun_lulus = 2027").await;
    school.promote("2026-07-01").await;
    assert_eq!(school.rows("select role, tahun_lulus from users").await, ["(alumni,2027)"]);
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let school = School::new().await;
    let year = school.ready_year().await;
    for (name, tingkat) in [("andi", 10), ("citra", 12)] {
        let kelas = school.kelas(year, tingkat, "A").await;
        school.student(name, Some(kelas)).await;
    }
    school.promote("2026-07-01").await;
    // A student who comes late into the old class stays there.
    let old = sqlx::query_scalar("select id from kelas where nama = 'X-RPL-A'").fetch_one(&school.pool).await.unwrap();
    school.student("tata", Some(old)).await;
    let before = (school.students().await, school.years().await, school.ledger().await);
    assert_eq!(school.promote("2026-07-01").await, "no academic year is due\n");
    assert_eq!(school.promote("2026-12-31").await, "no academic year is due\n");
    assert_eq!((school.students().await, school.years().await, school.ledger().await), before);
}

#[tokio::test]
async fn of_several_replicas_at_once_one_promotes() {
    let school = School::new().await;
    let year = school.ready_year().await;
    for (name, tingkat) in [("andi", 10), ("budi", 11), ("citra", 12)] {
        let kelas = school.kelas(year, tingkat, "A").await;
        school.student(name, Some(kelas)).await;
    }
    let runs = futures_util::future::join_all((0..4).map(|_| school.promote("2026-07-01"))).await;
    let idle = runs.iter().filter(|printed| *printed == "no academic year is due\n").count();
    assert_eq!(idle, 3, "{runs:?}");
    assert_eq!(school.ledger().await, ["(2025,2026,2,2,1,0)"]);
    assert_eq!(school.rows("select count(*) from outbox").await, ["(1)"]);
}

#[tokio::test]
async fn after_an_outage_over_the_day_the_year_is_promoted_once() {
    let school = School::new().await;
    let kelas = school.kelas(school.ready_year().await, 11, "A").await;
    school.student("siti", Some(kelas)).await;
    school.promote("2026-07-20").await;
    assert_eq!(school.students().await, ["(siti,student,XII-RPL-A,2026)"]);
    assert_eq!(school.promote("2026-07-21").await, "no academic year is due\n");
}

#[tokio::test]
async fn a_year_that_is_armed_on_its_day_or_later_or_never_promotes_nobody() {
    let school = School::new().await;
    for (armed_at, as_of) in [
        (Some("2026-11-10T05:00:00Z"), "2026-11-10"),
        (Some("2026-11-10T05:00:00Z"), "2027-06-30"),
        // In Jakarta the day has begun.
        (Some("2026-06-30T17:30:00Z"), "2026-07-02"),
        (None, "2026-07-02"),
    ] {
        let kelas = school.kelas(school.year(2025, true, armed_at).await, 10, "A").await;
        school.student("siti", Some(kelas)).await;
        assert_eq!(school.promote(as_of).await, "no academic year is due\n", "{armed_at:?} {as_of}");
        assert_eq!(school.students().await, ["(siti,student,X-RPL-A,2025)"]);
        school.sql("delete from riwayat_kelas; delete from users; delete from kelas; delete from tahun_ajaran").await;
    }
    // Half an hour earlier it has not.
    let kelas = school.kelas(school.year(2025, true, Some("2026-06-30T16:30:00Z")).await, 10, "A").await;
    school.student("siti", Some(kelas)).await;
    school.promote("2026-07-01").await;
    assert_eq!(school.students().await, ["(siti,student,XI-RPL-A,2026)"]);
}

#[tokio::test]
async fn a_next_year_that_an_admin_has_activated_before_stays_active_and_takes_the_students() {
    let school = School::new().await;
    let year = school.year(2025, false, Some(EARLY)).await;
    school.year(2026, true, Some("2026-06-20T00:00:00Z")).await;
    let kelas = school.kelas(year, 10, "A").await;
    school.student("siti", Some(kelas)).await;
    let armed = "select tahun_mulai, is_active, armed_at from tahun_ajaran order by tahun_mulai";
    let before = school.rows(armed).await;
    let printed = school.promote("2026-07-01").await;
    assert!(!printed.contains("active"), "{printed}");
    assert_eq!(school.students().await, ["(siti,student,XI-RPL-A,2026)"]);
    assert_eq!(school.rows(armed).await, before);
}

#[tokio::test]
async fn another_active_year_stays_active() {
    let school = School::new().await;
    school.kelas(school.year(2025, false, Some(EARLY)).await, 10, "A").await;
    school.year(2030, true, Some("2026-06-20T00:00:00Z")).await;
    school.promote("2026-07-01").await;
    assert_eq!(school.years().await, ["(2025,f,X-RPL-A)", "(2026,f,XI-RPL-A)", "(2030,t,)"]);
}

#[tokio::test]
async fn who_is_inactive_elsewhere_or_no_student_is_not_touched() {
    let school = School::new().await;
    let year = school.ready_year().await;
    let next = school.year(2026, false, None).await;
    let (ten, twelve) = (school.kelas(year, 10, "A").await, school.kelas(year, 12, "A").await);
    let moved = school.kelas(next, 10, "A").await;
    for (name, kelas) in [
        ("andi", Some(ten)),
        ("budi", Some(twelve)),
        ("citra", Some(moved)),
        ("deni", None),
        ("eka", Some(ten)),
        ("fajar", None),
    ] {
        school.student(name, kelas).await;
    }
    school.sql("update users set is_active = false where username in ('andi', 'budi')").await;
    school.sql("update users set deleted_at = now() where username = 'eka'").await;
    school.sql("update users set role = 'alumni', tahun_lulus = 2020 where username = 'fajar'").await;
    let before = school.students().await;
    school.promote("2026-07-01").await;
    assert_eq!(school.students().await, before);
    assert_eq!(school.ledger().await, ["(2025,2026,1,0,0,2)"]);
    assert_eq!(school.rows("select count(*) from riwayat_kelas where is_current").await, ["(4)"]);
    assert_eq!(school.rows("select count(*) from outbox").await, ["(0)"]);
}

#[tokio::test]
async fn a_successor_that_exists_is_used_and_a_deleted_one_is_made_anew() {
    let school = School::new().await;
    let year = school.ready_year().await;
    let next = school.year(2026, false, None).await;
    let there = school.kelas(next, 11, "A").await;
    school.kelas(next, 11, "B").await;
    school.sql("update kelas set deleted_at = now() where nama = 'XI-RPL-B'").await;
    for (name, rombel) in [("andi", "A"), ("budi", "B")] {
        let kelas = school.kelas(year, 10, rombel).await;
        school.student(name, Some(kelas)).await;
    }
    school.promote("2026-07-01").await;
    assert_eq!(school.students().await, ["(andi,student,XI-RPL-A,2026)", "(budi,student,XI-RPL-B,2026)"]);
    assert_eq!(school.ledger().await, ["(2025,2026,1,2,0,0)"]);
    let andi: Uuid =
        sqlx::query_scalar("select kelas_id from users where username = 'andi'").fetch_one(&school.pool).await.unwrap();
    assert_eq!(andi, there);
    assert_eq!(
        school
            .rows("select count(*) from users u join kelas k on k.id = u.kelas_id and k.deleted_at is not null")
            .await,
        ["(0)"]
    );
}

#[tokio::test]
async fn the_29th_of_february_is_the_28th_in_common_years() {
    let school = School::new().await;
    school.ready_year().await;
    school.sql("update tahun_ajaran set promotion_month = 2, promotion_day = 29").await;
    assert_eq!(school.promote("2026-02-27").await, "no academic year is due\n");
    school.promote("2026-02-28").await;
    assert_eq!(school.years().await, ["(2025,f,)", "(2026,t,)"]);
}

#[tokio::test]
async fn after_2100_there_is_no_year_to_move_into() {
    let school = School::new().await;
    let kelas = school.kelas(school.year(2100, true, Some(EARLY)).await, 10, "A").await;
    school.student("siti", Some(kelas)).await;
    assert_eq!(school.promote("2101-07-01").await, "no academic year is due\n");
    assert_eq!(school.years().await, ["(2100,t,X-RPL-A)"]);
}

#[tokio::test]
async fn years_that_were_missed_are_promoted_in_their_order() {
    let school = School::new().await;
    let missed = school.kelas(school.year(2024, false, Some("2024-07-10T00:00:00Z")).await, 10, "A").await;
    let kelas = school.kelas(school.ready_year().await, 10, "B").await;
    school.student("andi", Some(missed)).await;
    school.student("budi", Some(kelas)).await;
    let printed = school.promote("2026-07-01").await;
    assert_eq!(printed.matches("promoted").count(), 2, "{printed}");
    assert_eq!(school.students().await, ["(andi,student,XII-RPL-A,2026)", "(budi,student,XI-RPL-B,2026)"]);
    assert_eq!(school.ledger().await, ["(2024,2025,1,1,0,0)", "(2025,2026,2,2,0,0)"]);
}

#[tokio::test]
async fn the_year_that_a_run_activates_is_not_due_in_the_same_run() {
    let school = School::new().await;
    let kelas = school.kelas(school.ready_year().await, 10, "A").await;
    school.student("siti", Some(kelas)).await;
    school.promote("2040-01-01").await;
    assert_eq!(school.promote("2040-01-01").await, "no academic year is due\n");
    assert_eq!(school.students().await, ["(siti,student,XI-RPL-A,2026)"]);
}

#[tokio::test]
async fn a_dry_run_tells_what_would_happen_and_changes_nothing() {
    let school = School::new().await;
    let missed = school.kelas(school.year(2024, false, Some("2024-07-10T00:00:00Z")).await, 11, "A").await;
    let year = school.ready_year().await;
    for (name, kelas) in
        [("andi", missed), ("budi", school.kelas(year, 12, "B").await), ("citra", school.kelas(year, 10, "B").await)]
    {
        school.student(name, Some(kelas)).await;
    }
    school.sql("update users set is_active = false where username = 'citra'").await;
    let everything = async || {
        let history = school.rows("select * from riwayat_kelas order by id").await;
        let users = school.rows("select * from users order by id").await;
        let years = school.rows("select * from tahun_ajaran order by id").await;
        let rest = school
            .rows(
                "select (select count(*) from outbox), (select count(*) from audit_log), (select count(*) from kelas)",
            )
            .await;
        (school.students().await, school.ledger().await, history, users, years, rest)
    };
    let before = everything().await;
    let printed = school.run(&["--as-of", "2026-07-01", "--dry-run"]).await;
    assert_eq!(
        printed,
        "2024/2025 to 2025/2026: 1 promoted, 0 graduated, 0 skipped\n  1 classes created: XII-RPL-A\n\
         2025/2026 to 2026/2027: 0 promoted, 2 graduated, 1 skipped\n  1 classes created: XI-RPL-B\n  \
         2026/2027 becomes the active year\n\
         a dry run: nothing was changed\n"
    );
    assert_eq!(everything().await, before);
    let done = school.promote("2026-07-01").await;
    assert_eq!(done, printed.replace("a dry run: nothing was changed\n", ""));
}

#[tokio::test]
async fn two_thousand_students_move_up_at_once() {
    let school = School::new().await;
    let year = school.ready_year().await;
    for tingkat in 10..=12 {
        for rombel in ["A", "B", "C", "D", "E", "F"] {
            school.kelas(year, tingkat, rombel).await;
        }
    }
    school
        .sql(
            "insert into users (
                 id, account_version, username, email, role, is_active, must_change_password, created_at, nama, kelas_id
             )
             select gen_random_uuid(), 1, 'siswa_' || n, n || '@sekolah.sch.id', 'student', true, false, now(), 'S ' || n,
                 (array(select id from kelas order by nama))[1 + n % 18]
             from generate_series(1, 2000) n;
             insert into riwayat_kelas (id, user_id, kelas_id, tahun_ajaran_id, is_current)
             select gen_random_uuid(), u.id, u.kelas_id, k.tahun_ajaran_id, true
             from users u join kelas k on k.id = u.kelas_id",
        )
        .await;
    let begun = Instant::now();
    let printed = school.promote("2026-07-01").await;
    println!("2000 students: {:?}", begun.elapsed());
    assert!(printed.contains(" graduated, 0 skipped"), "{printed}");
    let wrong = "select count(*) from users u
                 join riwayat_kelas h on h.user_id = u.id and not h.is_current
                 join kelas old on old.id = h.kelas_id
                 left join kelas k on k.id = u.kelas_id
                 where case when old.tingkat = 12 then u.role <> 'alumni' or k.id is not null
                     else (k.tingkat, k.rombel) is distinct from (old.tingkat + 1, old.rombel) end";
    assert_eq!(school.rows(wrong).await, ["(0)"]);
    let counts = "select (select sum(promoted + graduated) from promotion_runs),
                      (select graduated from promotion_runs) = (select count(*) from outbox),
                      (select count(*) from riwayat_kelas where is_current) = (select promoted from promotion_runs)";
    assert_eq!(school.rows(counts).await, ["(2000,t,t)"]);
}
