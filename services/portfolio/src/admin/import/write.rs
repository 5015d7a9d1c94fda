//! Our half of many new students, with a constant number of statements.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use grafikarsa_events::outbox;
use proto_events::portfolio::v1::ProfileChanged;
use sqlx::PgConnection;
use uuid::Uuid;

use super::check::{self, Place};
use crate::{admin::audit, users::copy::Account};

/// A class that students are put into.
#[derive(Clone, Debug)]
pub struct Kelas {
    pub id: Uuid,
    pub nama: String,
}

/// A new student.
pub struct Profile<'a> {
    pub account: &'a Account,
    pub nama: &'a str,
    pub nis: &'a str,
    pub kelas: Option<Uuid>,
    pub tahun_masuk: i32,
}

/// Keeps the year active and the majors there until the transaction ends; false if one of them is not so any more.
pub async fn hold_school(connection: &mut PgConnection, year: Uuid, places: &[Place]) -> Result<bool, sqlx::Error> {
    let year = sqlx::query_scalar!(
        "select id from tahun_ajaran where id = $1 and is_active and deleted_at is null for share",
        year,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let wanted: HashSet<Uuid> = places.iter().map(|place| place.jurusan_id).collect();
    let wanted: Vec<Uuid> = wanted.into_iter().collect();
    let held = sqlx::query_scalar!(
        "select id from jurusan where id = any($1) and deleted_at is null order by id for share",
        &wanted,
    )
    .fetch_all(connection)
    .await?;
    Ok(year.is_some() && held.len() == wanted.len())
}

/// The classes of these places, kept as they are until the transaction ends, and how many of them are new. A place whose
/// major is gone has none.
pub async fn ensure_classes(
    connection: &mut PgConnection,
    actor: Uuid,
    year: Uuid,
    places: &[Place],
) -> Result<(HashMap<Place, Kelas>, usize), sqlx::Error> {
    let distinct: HashSet<&Place> = places.iter().collect();
    let (jurusan_ids, tingkat, rombel) = check::columns(distinct.into_iter());
    let ids: Vec<Uuid> = rombel.iter().map(|_| Uuid::now_v7()).collect();
    // In one order, so that two imports do not wait for each other in a circle. Whoever comes second finds the other's.
    let created = sqlx::query_scalar!(
        "
        insert into kelas (id, tahun_ajaran_id, jurusan_id, tingkat, rombel, nama)
        select place.id, $1, j.id, place.tingkat, place.rombel, kelas_nama(place.tingkat, j.kode, place.rombel)
        from unnest($2::uuid[], $3::uuid[], $4::integer[], $5::text[]) as place (id, jurusan_id, tingkat, rombel)
        join jurusan j on j.id = place.jurusan_id and j.deleted_at is null
        order by j.id, place.tingkat, place.rombel
        on conflict (tahun_ajaran_id, jurusan_id, tingkat, rombel) where deleted_at is null do nothing
        returning id
        ",
        year,
        &ids,
        &jurusan_ids,
        &tingkat,
        &rombel,
    )
    .fetch_all(&mut *connection)
    .await?;
    let found = sqlx::query!(
        "
        select id, nama, jurusan_id, tingkat, rombel
        from kelas
        where tahun_ajaran_id = $1
            and deleted_at is null
            and (jurusan_id, tingkat, rombel) in (select * from unnest($2::uuid[], $3::integer[], $4::text[]))
        order by id
        for share
        ",
        year,
        &jurusan_ids,
        &tingkat,
        &rombel,
    )
    .fetch_all(&mut *connection)
    .await?;
    let fields = ["tingkat", "rombel", "jurusan_id", "tahun_ajaran_id"];
    audit::record_each(connection, actor, "kelas.create", &created, &fields).await?;
    let kelas = found.into_iter().map(|row| {
        let place = Place { jurusan_id: row.jurusan_id, tingkat: row.tingkat, rombel: row.rombel };
        (place, Kelas { id: row.id, nama: row.nama })
    });
    Ok((kelas.collect(), created.len()))
}

/// Stores students whom nobody has heard of yet. Returns those who are stored: the others have lost their NIS to
/// somebody else in the meantime.
pub async fn insert(
    connection: &mut PgConnection,
    actor: Uuid,
    profiles: &[Profile<'_>],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let rows = Columns::of(profiles);
    let stored = sqlx::query_as!(
        Stored,
        "
        insert into users (
            id, account_version, username, email, role, is_active, must_change_password, created_at,
            nama, nis, kelas_id, tahun_masuk
        )
        select id, account_version, username, email, 'student', is_active, must_change_password, created_at,
            nama, nis, kelas_id, tahun_masuk
        from unnest(
            $1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::boolean[], $6::boolean[], $7::timestamptz[],
            $8::text[], $9::text[], $10::uuid[], $11::integer[]
        ) as new (
            id, account_version, username, email, is_active, must_change_password, created_at,
            nama, nis, kelas_id, tahun_masuk
        )
        order by nis
        on conflict do nothing
        returning id, nama, profile_version, kelas_id
        ",
        &rows.ids,
        &rows.versions,
        &rows.usernames,
        &rows.emails,
        &rows.active,
        &rows.must_change,
        &rows.created,
        &rows.nama,
        &rows.nis,
        &rows.kelas as &[Option<Uuid>],
        &rows.tahun_masuk,
    )
    .fetch_all(&mut *connection)
    .await?;
    follow_up(connection, actor, &stored).await?;
    Ok(stored.into_iter().map(|student| student.id).collect())
}

/// The same of students whose accounts exist and stay: an event may have left bare rows, and whose NIS was taken in the
/// meantime is stored without it.
pub async fn complete(connection: &mut PgConnection, actor: Uuid, profiles: &[Profile<'_>]) -> Result<(), sqlx::Error> {
    let rows = Columns::of(profiles);
    let stored = sqlx::query_as!(
        Stored,
        "
        insert into users (
            id, account_version, username, email, role, is_active, must_change_password, created_at,
            nama, nis, kelas_id, tahun_masuk
        )
        select id, account_version, username, email, 'student', is_active, must_change_password, created_at,
            nama,
            case
                when not exists (
                    select from users u where u.nis = new.nis and u.id <> new.id and u.deleted_at is null
                ) then nis
            end,
            kelas_id, tahun_masuk
        from unnest(
            $1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::boolean[], $6::boolean[], $7::timestamptz[],
            $8::text[], $9::text[], $10::uuid[], $11::integer[]
        ) as new (
            id, account_version, username, email, is_active, must_change_password, created_at,
            nama, nis, kelas_id, tahun_masuk
        )
        order by nis
        on conflict on constraint users_pkey do update set
            nama = excluded.nama,
            nis = excluded.nis,
            kelas_id = case when users.role = 'student' then excluded.kelas_id end,
            tahun_masuk = excluded.tahun_masuk,
            profile_version = users.profile_version + 1
        returning id, nama, profile_version, kelas_id
        ",
        &rows.ids,
        &rows.versions,
        &rows.usernames,
        &rows.emails,
        &rows.active,
        &rows.must_change,
        &rows.created,
        &rows.nama,
        &rows.nis,
        &rows.kelas as &[Option<Uuid>],
        &rows.tahun_masuk,
    )
    .fetch_all(&mut *connection)
    .await?;
    follow_up(connection, actor, &stored).await
}

/// A student as stored.
struct Stored {
    id: Uuid,
    nama: String,
    profile_version: i64,
    kelas_id: Option<Uuid>,
}

/// Class history, events and audit.
async fn follow_up(connection: &mut PgConnection, actor: Uuid, stored: &[Stored]) -> Result<(), sqlx::Error> {
    let students: Vec<&Stored> = stored.iter().filter(|student| student.kelas_id.is_some()).collect();
    let ids: Vec<Uuid> = students.iter().map(|_| Uuid::now_v7()).collect();
    let users: Vec<Uuid> = students.iter().map(|student| student.id).collect();
    let kelas: Vec<Uuid> = students.iter().filter_map(|student| student.kelas_id).collect();
    sqlx::query!(
        "
        insert into riwayat_kelas (id, user_id, kelas_id, tahun_ajaran_id, is_current)
        select place.id, place.user_id, k.id, k.tahun_ajaran_id, true
        from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as place (id, user_id, kelas_id)
        join kelas k on k.id = place.kelas_id
        ",
        &ids,
        &users,
        &kelas,
    )
    .execute(&mut *connection)
    .await?;
    let told: Vec<_> = stored
        .iter()
        .map(|student| {
            let event = ProfileChanged {
                user_id: student.id.to_string(),
                version: student.profile_version,
                nama: student.nama.clone(),
                avatar_url: None,
            };
            (event, student.id, student.profile_version)
        })
        .collect();
    outbox::append_all(connection, &told).await?;
    let everybody: Vec<Uuid> = stored.iter().map(|student| student.id).collect();
    let fields = ["username", "email", "role", "nama", "nis", "kelas_id", "tahun_masuk"];
    audit::record_each(connection, actor, "user.create", &everybody, &fields).await
}

/// Profiles as columns.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    versions: Vec<i64>,
    usernames: Vec<String>,
    emails: Vec<String>,
    active: Vec<bool>,
    must_change: Vec<bool>,
    created: Vec<DateTime<Utc>>,
    nama: Vec<String>,
    nis: Vec<String>,
    kelas: Vec<Option<Uuid>>,
    tahun_masuk: Vec<i32>,
}

impl Columns {
    fn of(profiles: &[Profile<'_>]) -> Self {
        let mut columns = Self::default();
        for Profile { account, nama, nis, kelas, tahun_masuk } in profiles {
            columns.ids.push(account.id);
            columns.versions.push(account.version);
            columns.usernames.push(account.username.clone());
            columns.emails.push(account.email.clone());
            columns.active.push(account.is_active);
            columns.must_change.push(account.must_change_password);
            columns.created.push(account.created_at);
            columns.nama.push((*nama).to_owned());
            columns.nis.push((*nis).to_owned());
            columns.kelas.push(*kelas);
            columns.tahun_masuk.push(*tahun_masuk);
        }
        columns
    }
}
