//! Master data of the demo school. Its back-office routes come later, so it is written here, in one transaction.

use anyhow::Context as _;
use chrono::{Datelike as _, NaiveDate};
use sqlx::PgPool;
use uuid::Uuid;

const JURUSAN: [(&str, &str); 3] =
    [("Rekayasa Perangkat Lunak", "rpl"), ("Teknik Komputer dan Jaringan", "tkj"), ("Desain Komunikasi Visual", "dkv")];

/// A class of the active year.
pub struct Kelas {
    /// Index into [`JURUSAN`].
    jurusan: usize,
    pub tingkat: i32,
    rombel: &'static str,
}

pub const KELAS: [Kelas; 4] = [
    Kelas { jurusan: 0, tingkat: 12, rombel: "A" },
    Kelas { jurusan: 0, tingkat: 11, rombel: "A" },
    Kelas { jurusan: 1, tingkat: 12, rombel: "A" },
    Kelas { jurusan: 2, tingkat: 10, rombel: "B" },
];

pub const TAGS: [&str; 6] = ["Web", "Aplikasi", "Elektronika", "Desain Grafis", "Data", "Seni Rupa"];

impl Kelas {
    /// Such as `XII-RPL-A`.
    fn nama(&self) -> String {
        let tingkat = match self.tingkat {
            10 => "X",
            11 => "XI",
            _ => "XII",
        };
        format!("{tingkat}-{}-{}", JURUSAN[self.jurusan].1.to_uppercase(), self.rombel)
    }
}

/// What the rest of the demo data refers to.
pub struct School {
    pub tahun_mulai: i32,
    /// In the order of [`KELAS`].
    pub kelas: Vec<Uuid>,
    /// In the order of [`TAGS`].
    pub tags: Vec<Uuid>,
}

/// The first year of the academic year that `today` lies in; it begins in July.
fn academic_year(today: NaiveDate) -> i32 {
    if today.month() >= 7 { today.year() } else { today.year() - 1 }
}

/// Inserts what is missing and finds what is there.
pub async fn create(pool: &PgPool, today: NaiveDate) -> anyhow::Result<School> {
    let mut tx = pool.begin().await?;
    let tahun_mulai = academic_year(today);
    sqlx::query!(
        "insert into tahun_ajaran (id, tahun_mulai, is_active)
         values ($1, $2, not exists (select from tahun_ajaran where is_active and deleted_at is null))
         on conflict (tahun_mulai) where deleted_at is null do nothing",
        Uuid::now_v7(),
        tahun_mulai,
    )
    .execute(&mut *tx)
    .await?;
    let tahun_ajaran =
        sqlx::query_scalar!("select id from tahun_ajaran where tahun_mulai = $1 and deleted_at is null", tahun_mulai)
            .fetch_one(&mut *tx)
            .await?;

    let mut jurusan = Vec::new();
    for (nama, kode) in JURUSAN {
        let id = sqlx::query_scalar!(
            "insert into jurusan (id, nama, kode) values ($1, $2, $3)
             on conflict (kode) where deleted_at is null do update set kode = excluded.kode
             returning id",
            Uuid::now_v7(),
            nama,
            kode,
        )
        .fetch_one(&mut *tx)
        .await?;
        jurusan.push(id);
    }

    let mut kelas = Vec::new();
    for class in &KELAS {
        let id = sqlx::query_scalar!(
            "insert into kelas (id, tahun_ajaran_id, jurusan_id, tingkat, rombel, nama)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (tahun_ajaran_id, jurusan_id, tingkat, rombel) where deleted_at is null
             do update set rombel = excluded.rombel
             returning id",
            Uuid::now_v7(),
            tahun_ajaran,
            jurusan[class.jurusan],
            class.tingkat,
            class.rombel,
            class.nama(),
        )
        .fetch_one(&mut *tx)
        .await?;
        kelas.push(id);
    }

    let mut tags = Vec::new();
    for nama in TAGS {
        let id = sqlx::query_scalar!(
            "insert into tags (id, nama) values ($1, $2)
             on conflict (lower(nama)) where deleted_at is null do update set nama = tags.nama
             returning id",
            Uuid::now_v7(),
            nama,
        )
        .fetch_one(&mut *tx)
        .await?;
        tags.push(id);
    }
    tx.commit().await.context("the master data was not stored")?;
    Ok(School { tahun_mulai, kelas, tags })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_academic_year_begins_in_july() {
        let year = |text: &str| academic_year(text.parse().unwrap());
        assert_eq!(year("2026-06-30"), 2025);
        assert_eq!(year("2026-07-01"), 2026);
    }

    #[test]
    fn classes_are_named_by_the_rule() {
        assert_eq!(
            KELAS.iter().map(Kelas::nama).collect::<Vec<_>>(),
            ["XII-RPL-A", "XI-RPL-A", "XII-TKJ-A", "X-DKV-B"]
        );
    }
}
