//! `portfolio seed`: a demo school for development.
//!
//! Master data goes into the database; everything else takes the way of real people, through nginx of the running
//! stack: accounts by an admin, works and pictures by their owners, reviews by a moderator.

mod people;
mod school;
mod visitor;
mod works;

use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use futures_util::{StreamExt as _, TryStreamExt as _};
use grafikarsa_config::Reader;
use grafikarsa_http::database;
use serde_json::json;
use sqlx::PgPool;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use self::{
    people::{STUDENTS, Student},
    school::{KELAS, School},
    visitor::Visitor,
    works::{State, Work, works},
};
use crate::Settings;

/// Every student of the demo school logs in with it.
const STUDENT_PASSWORD: &str = "grafikarsa-siswa";
/// Works in progress at once: enough to keep the machine busy, few enough for a small one.
const AT_ONCE: usize = 4;
/// The admin's account comes from auth by an event, which may still be on its way.
const ADMIN_DEADLINE: Duration = Duration::from_secs(30);
/// In the audit log: this installation has its demo data, whatever became of it since.
const DONE: &str = "demo_data_created";

/// Creates the demo data, once. `base_url` is where nginx listens; by default the host of the storage's public address.
///
/// # Errors
/// In production; when the stack does not answer; when a step is refused. A second try goes on where the first ended.
pub async fn seed(settings: &Settings, base_url: Option<Url>) -> anyhow::Result<()> {
    let mut env = Reader::from_process();
    anyhow::ensure!(!env.environment().is_production(), "demo data has no place in production (APP_ENV)");
    let username = env.string("ADMIN_USERNAME", "admin");
    let password = env.secret("ADMIN_PASSWORD", 8);
    let password = env.finish(password)?;

    let pool = database::connect(&settings.database, "portfolio-seed").await?;
    let done = sqlx::query_scalar!(r#"select exists (select from audit_log where action = $1) as "done!""#, DONE);
    if done.fetch_one(&pool).await? {
        println!("the demo data is there already");
        return Ok(());
    }

    let base = match base_url {
        Some(url) => url,
        None => Url::parse(&settings.rules.storage_base)?.join("/")?,
    };
    let guest = Visitor::guest(base)?;
    let admin = guest.login(&username, password.expose()).await?;
    let admin_id = known(&admin).await?;
    let school = school::create(&pool, Utc::now().date_naive()).await?;

    futures_util::stream::iter(STUDENTS.iter().enumerate())
        .map(|(number, student)| enrol(&admin, &school, number, student))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    futures_util::stream::iter(works())
        .map(|work| make(&guest, &admin, &school, work))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    remember(&pool, admin_id).await?;
    println!("{} students in {} classes, {} portfolios", STUDENTS.len(), KELAS.len(), works().count());
    Ok(())
}

/// Waits until this service knows the admin as one, and gives his id.
async fn known(admin: &Visitor) -> anyhow::Result<Uuid> {
    let deadline = Instant::now() + ADMIN_DEADLINE;
    loop {
        let answer = admin.get("/api/v1/me").await?;
        if answer.status.is_success() {
            return Ok(serde_json::from_value(answer.data()?["id"].take())?);
        }
        anyhow::ensure!(Instant::now() < deadline, "the admin is not known here: {}", answer.body);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn enrol(admin: &Visitor, school: &School, number: usize, student: &Student) -> anyhow::Result<()> {
    let answer = admin
        .post(
            "/api/v1/admin/users",
            &json!({
                "username": student.username,
                "email": format!("{}@siswa.grafikarsa.example", student.username),
                "password": STUDENT_PASSWORD,
                "nama": student.nama,
                "role": "student",
                "nis": format!("{}{number:04}", school.tahun_mulai),
                "nisn": format!("00{:08}", 91_000_000 + number),
                "kelas_id": school.kelas[student.kelas],
                "tahun_masuk": school.tahun_mulai - (KELAS[student.kelas].tingkat - 10),
            }),
        )
        .await?;
    // An earlier try got this far.
    if answer.code() == "DUPLICATE_USERNAME" {
        return Ok(());
    }
    answer.data().map(drop).with_context(|| format!("{} was not created", student.username))
}

async fn make(guest: &Visitor, admin: &Visitor, school: &School, work: Work) -> anyhow::Result<()> {
    let username = STUDENTS[work.owner].username;
    let owner = guest.login(username, STUDENT_PASSWORD).await?;
    if is_made(&owner, &work).await? {
        return Ok(());
    }
    let step = || format!("{} of {username}", work.judul);
    let tags: Vec<Uuid> = work.tags.iter().map(|&tag| school.tags[tag]).collect();
    let wish = json!({ "judul": work.judul, "tag_ids": tags });
    let created = owner.post("/api/v1/portfolios", &wish).await?.data().with_context(step)?;
    let id = created["id"].as_str().context("a portfolio without id")?;

    let thumbnail =
        owner.upload("thumbnail", id, work.picture.filename, work.picture.bytes).await.with_context(step)?;
    let portfolio = format!("/api/v1/portfolios/{id}");
    owner.patch(&portfolio, &json!({ "thumbnail_url": thumbnail })).await?.data().with_context(step)?;
    let picture =
        owner.upload("portfolio_image", id, work.picture.filename, work.picture.bytes).await.with_context(step)?;
    for block in [
        json!({ "block_type": "text", "payload": { "content": work.text } }),
        json!({ "block_type": "image", "payload": { "url": picture, "caption": work.picture.caption } }),
    ] {
        owner.post(&format!("{portfolio}/blocks"), &block).await?.data().with_context(step)?;
    }
    advance(&owner, admin, id, work.state).await.with_context(step)
}

/// Whether an earlier try made this work; what it left half made is deleted.
async fn is_made(owner: &Visitor, work: &Work) -> anyhow::Result<bool> {
    let mine = owner.get("/api/v1/me/portfolios?limit=100").await?.data()?;
    let same = mine.as_array().into_iter().flatten().find(|portfolio| portfolio["judul"] == work.judul.as_str());
    let Some(portfolio) = same else { return Ok(false) };
    // A draft may be one that is meant to stay one: it is made when both blocks are there.
    let id = portfolio["id"].as_str().context("a portfolio without id")?;
    let detail = owner.get(&format!("/api/v1/portfolios/id/{id}")).await?.data()?;
    let blocks = detail["content_blocks"].as_array().map_or(0, Vec::len);
    if portfolio["status"] == work.state.as_str() && blocks == 2 {
        return Ok(true);
    }
    owner.delete(&format!("/api/v1/portfolios/{id}")).await?.data()?;
    Ok(false)
}

/// Takes a draft through the review to where it belongs.
async fn advance(owner: &Visitor, admin: &Visitor, id: &str, state: State) -> anyhow::Result<()> {
    if state == State::Draft {
        return Ok(());
    }
    owner.post(&format!("/api/v1/portfolios/{id}/submit"), &json!({})).await?.data()?;
    let review = format!("/api/v1/admin/portfolios/{id}");
    match state {
        State::Draft | State::PendingReview => {}
        State::Rejected => {
            let note = json!({ "note": "Tambahkan penjelasan tentang peranmu dalam proyek ini, lalu kirim lagi." });
            admin.post(&format!("{review}/reject"), &note).await?.data()?;
        }
        State::Published | State::Archived => {
            admin.post(&format!("{review}/approve"), &json!({})).await?.data()?;
        }
    }
    if state == State::Archived {
        owner.post(&format!("/api/v1/portfolios/{id}/archive"), &json!({})).await?.data()?;
    }
    Ok(())
}

async fn remember(pool: &PgPool, admin: Uuid) -> anyhow::Result<()> {
    sqlx::query!("insert into audit_log (id, actor_id, action) values ($1, $2, $3)", Uuid::now_v7(), admin, DONE)
        .execute(pool)
        .await?;
    Ok(())
}
