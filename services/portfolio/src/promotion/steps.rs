use std::fmt;

use chrono::NaiveDate;
use grafikarsa_events::outbox;
use proto_events::portfolio::v1::StudentGraduated;
use sqlx::PgConnection;
use uuid::Uuid;

use super::due::Year;
use crate::{academic::history, admin::audit};

/// The actor of what nobody asked for.
const SYSTEM: Uuid = Uuid::nil();

/// What became of a year.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// 2025 is 2025/2026.
    pub tahun_mulai: i32,
    /// Names of the classes that were made in the next year.
    pub created_kelas: Vec<String>,
    pub promoted: usize,
    pub graduated: usize,
    /// Inactive students, who stay where they are.
    pub skipped: usize,
    /// Whether the next year is the active one from now on.
    pub activates: bool,
}

impl Promotion {
    pub(super) fn log(&self) {
        tracing::info!(
            tahun_mulai = self.tahun_mulai,
            created_kelas = self.created_kelas.len(),
            promoted = self.promoted,
            graduated = self.graduated,
            skipped = self.skipped,
            "an academic year was promoted"
        );
    }
}

impl fmt::Display for Promotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tahun_mulai: from, created_kelas, promoted, graduated, skipped, activates } = self;
        let to = from + 1;
        let end = to + 1;
        writeln!(f, "{from}/{to} to {to}/{end}: {promoted} promoted, {graduated} graduated, {skipped} skipped")?;
        write!(f, "  {} classes created", created_kelas.len())?;
        for (place, nama) in created_kelas.iter().enumerate() {
            write!(f, "{}{nama}", if place == 0 { ": " } else { ", " })?;
        }
        if *activates { write!(f, "\n  {to}/{end} becomes the active year") } else { Ok(()) }
    }
}

/// Promotes the year, whose row is locked: every row, event and record of it belongs to the caller's transaction. Rows are
/// locked in the order in which others lock them: years, majors, classes, users.
pub async fn carry_out(connection: &mut PgConnection, year: &Year, as_of: NaiveDate) -> anyhow::Result<Promotion> {
    let next = next_year(connection, year).await?;
    let kelas = lock_kelas(connection, year.id, next).await?;
    let created_kelas = create_successors(connection, &kelas, next).await?;
    let (active, inactive) = lock_students(connection, &kelas).await?;
    let graduated = graduate(connection, &active, year).await?;
    let promoted = move_up(connection, &active, (year.id, next)).await?;
    anyhow::ensure!(
        promoted + graduated == active.len(),
        "of {} students {promoted} were promoted and {graduated} graduated",
        active.len()
    );
    if year.is_active {
        hand_over(connection, year.id, next, as_of).await?;
    }
    let promotion = Promotion {
        tahun_mulai: year.tahun_mulai,
        created_kelas,
        promoted,
        graduated,
        skipped: inactive,
        activates: year.is_active,
    };
    record(connection, year.id, next, &promotion).await?;
    Ok(promotion)
}

/// The year after, made like this one where it is missing, with its row locked.
async fn next_year(connection: &mut PgConnection, year: &Year) -> Result<Uuid, sqlx::Error> {
    sqlx::query!(
        "
        insert into tahun_ajaran (id, tahun_mulai, is_active, promotion_month, promotion_day)
        values ($1, $2, false, $3, $4)
        on conflict (tahun_mulai) where deleted_at is null do nothing
        ",
        Uuid::now_v7(),
        year.tahun_mulai + 1,
        year.promotion_month,
        year.promotion_day,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query_scalar!(
        "select id from tahun_ajaran where tahun_mulai = $1 and deleted_at is null for no key update",
        year.tahun_mulai + 1,
    )
    .fetch_one(connection)
    .await
}

/// The classes of the year. They, those of the next one and their majors keep their names and stay until the end.
async fn lock_kelas(connection: &mut PgConnection, year: Uuid, next: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query!(
        "
        select id
        from jurusan
        where id in (select jurusan_id from kelas where tahun_ajaran_id = $1 and deleted_at is null)
        order by id
        for share
        ",
        year,
    )
    .fetch_all(&mut *connection)
    .await?;
    let kelas = sqlx::query!(
        "
        select id, tahun_ajaran_id
        from kelas
        where tahun_ajaran_id in ($1, $2) and deleted_at is null
        order by id
        for share
        ",
        year,
        next,
    )
    .fetch_all(connection)
    .await?;
    Ok(kelas.into_iter().filter(|kelas| kelas.tahun_ajaran_id == year).map(|kelas| kelas.id).collect())
}

/// Makes what the classes of grade 10 and 11 move into, empty ones too, and returns the names.
async fn create_successors(
    connection: &mut PgConnection,
    kelas: &[Uuid],
    next: Uuid,
) -> Result<Vec<String>, sqlx::Error> {
    let ids: Vec<Uuid> = kelas.iter().map(|_| Uuid::now_v7()).collect();
    let mut created = sqlx::query!(
        "
        insert into kelas (id, tahun_ajaran_id, jurusan_id, tingkat, rombel, nama)
        select new.id, $3, k.jurusan_id, k.tingkat + 1, k.rombel, kelas_nama(k.tingkat + 1, j.kode, k.rombel)
        from unnest($1::uuid[], $2::uuid[]) as new (id, from_id)
        join kelas k on k.id = new.from_id and k.tingkat in (10, 11)
        join jurusan j on j.id = k.jurusan_id
        on conflict (tahun_ajaran_id, jurusan_id, tingkat, rombel) where deleted_at is null do nothing
        returning tingkat, nama
        ",
        &ids,
        kelas,
        next,
    )
    .fetch_all(connection)
    .await?;
    created.sort_by(|a, b| (a.tingkat, &a.nama).cmp(&(b.tingkat, &b.nama)));
    Ok(created.into_iter().map(|kelas| kelas.nama).collect())
}

/// The active students of the classes, with their rows locked, and how many others there are.
async fn lock_students(connection: &mut PgConnection, kelas: &[Uuid]) -> Result<(Vec<Uuid>, usize), sqlx::Error> {
    let students = sqlx::query!(
        "
        select id, is_active
        from users
        where kelas_id = any($1) and role = 'student' and deleted_at is null
        order by id
        for no key update
        ",
        kelas,
    )
    .fetch_all(connection)
    .await?;
    let all = students.len();
    let active: Vec<Uuid> = students.into_iter().filter(|user| user.is_active).map(|user| user.id).collect();
    let inactive = all - active.len();
    Ok((active, inactive))
}

/// Grade 10 and 11: into the next class.
async fn move_up(
    connection: &mut PgConnection,
    students: &[Uuid],
    (year, next): (Uuid, Uuid),
) -> Result<usize, sqlx::Error> {
    let moved = sqlx::query!(
        "
        update users u
        set kelas_id = successor.id, updated_at = now()
        from kelas k
        join kelas successor
            on successor.tahun_ajaran_id = $3
            and successor.jurusan_id = k.jurusan_id
            and successor.tingkat = k.tingkat + 1
            and successor.rombel = k.rombel
            and successor.deleted_at is null
        where u.id = any($1) and k.id = u.kelas_id and k.tahun_ajaran_id = $2
        returning u.id, successor.id as kelas_id
        ",
        students,
        year,
        next,
    )
    .fetch_all(&mut *connection)
    .await?;
    let (users, kelas): (Vec<Uuid>, Vec<Uuid>) = moved.into_iter().map(|row| (row.id, row.kelas_id)).unzip();
    history::enter_all(connection, &users, &kelas).await?;
    Ok(users.len())
}

/// Grade 12: out of school. auth hears of it by the events, and until it has dealt with them no state of the account
/// brings the old role back.
async fn graduate(connection: &mut PgConnection, students: &[Uuid], year: &Year) -> Result<usize, sqlx::Error> {
    let graduates = sqlx::query!(
        "
        update users u
        set role = 'alumni',
            kelas_id = null,
            tahun_lulus = coalesce(u.tahun_lulus, $3),
            graduation = u.graduation + 1,
            updated_at = now()
        from kelas k
        where u.id = any($1) and k.id = u.kelas_id and k.tahun_ajaran_id = $2 and k.tingkat = 12
        returning u.id, u.graduation
        ",
        students,
        year.id,
        year.tahun_mulai + 1,
    )
    .fetch_all(&mut *connection)
    .await?;
    let users: Vec<Uuid> = graduates.iter().map(|user| user.id).collect();
    history::leave_all(connection, &users).await?;
    let events: Vec<_> = graduates
        .into_iter()
        .map(|user| {
            let event = StudentGraduated { user_id: user.id.to_string(), version: user.graduation };
            (event, user.id, user.graduation)
        })
        .collect();
    outbox::append_all(connection, &events).await?;
    Ok(users.len())
}

/// The next year becomes the active one. It counts as armed on the day of the run, even one that was asked for early, so
/// that the same run never takes it for due.
async fn hand_over(connection: &mut PgConnection, year: Uuid, next: Uuid, as_of: NaiveDate) -> Result<(), sqlx::Error> {
    sqlx::query!("update tahun_ajaran set is_active = false, updated_at = now() where id = $1", year)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "
        update tahun_ajaran
        set is_active = true,
            armed_at = greatest(now(), $2::date::timestamp at time zone 'Asia/Jakarta'),
            updated_at = now()
        where id = $1
        ",
        next,
        as_of,
    )
    .execute(connection)
    .await
    .map(drop)
}

async fn record(connection: &mut PgConnection, year: Uuid, next: Uuid, promotion: &Promotion) -> anyhow::Result<()> {
    sqlx::query!(
        "
        insert into promotion_runs (
            from_tahun_ajaran_id, to_tahun_ajaran_id, created_kelas, promoted, graduated, skipped
        )
        values ($1, $2, $3, $4, $5, $6)
        ",
        year,
        next,
        i32::try_from(promotion.created_kelas.len())?,
        i32::try_from(promotion.promoted)?,
        i32::try_from(promotion.graduated)?,
        i32::try_from(promotion.skipped)?,
    )
    .execute(&mut *connection)
    .await?;
    let fields = ["kelas_id", "role", "tahun_lulus", "is_active"];
    audit::record(connection, SYSTEM, "tahun_ajaran.promote", year, &fields).await?;
    Ok(())
}
