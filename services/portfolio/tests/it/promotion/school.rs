//! A school to be promoted.

use std::collections::BTreeMap;

use grafikarsa_devstack::{services, testing::Stack};
use sqlx::PgPool;
use tokio::process::Command;
use uuid::Uuid;

use crate::support::TestApp;

/// Long before the day of 2025.
pub const EARLY: &str = "2025-07-01T00:00:00Z";

/// A database with a major.
pub struct School {
    pub pool: PgPool,
    jurusan: Uuid,
    env: BTreeMap<String, String>,
    /// Kept alive, where no service runs.
    _stack: Option<Stack>,
}

impl School {
    /// Without any service.
    pub async fn new() -> Self {
        let stack = Stack::new().await;
        let school = Self::set_up(&stack).await;
        Self { _stack: Some(stack), ..school }
    }

    /// In a running installation.
    pub async fn of(app: &TestApp) -> Self {
        Self::set_up(&app.stack).await
    }

    async fn set_up(stack: &Stack) -> Self {
        let (pool, jurusan) = (stack.pool("portfolio").await, Uuid::now_v7());
        sqlx::query("insert into jurusan (id, nama, kode) values ($1, 'Rekayasa Perangkat Lunak', 'rpl')")
            .bind(jurusan)
            .execute(&pool)
            .await
            .unwrap();
        Self { pool, jurusan, env: stack.env_of("portfolio"), _stack: None }
    }

    /// An academic year whose day is 1 July.
    pub async fn year(&self, tahun_mulai: i32, is_active: bool, armed_at: Option<&str>) -> Uuid {
        let id = Uuid::now_v7();
        sqlx::query(
            "insert into tahun_ajaran (id, tahun_mulai, is_active, armed_at) values ($1, $2, $3, $4::timestamptz)",
        )
        .bind(id)
        .bind(tahun_mulai)
        .bind(is_active)
        .bind(armed_at)
        .execute(&self.pool)
        .await
        .unwrap();
        id
    }

    /// 2025, active and armed.
    pub async fn ready_year(&self) -> Uuid {
        self.year(2025, true, Some(EARLY)).await
    }

    pub async fn kelas(&self, year: Uuid, tingkat: i32, rombel: &str) -> Uuid {
        let id = Uuid::now_v7();
        sqlx::query(
            "insert into kelas (id, tahun_ajaran_id, jurusan_id, tingkat, rombel, nama)
             values ($1, $2, $3, $4, $5, kelas_nama($4, 'rpl', $5))",
        )
        .bind(id)
        .bind(year)
        .bind(self.jurusan)
        .bind(tingkat)
        .bind(rombel)
        .execute(&self.pool)
        .await
        .unwrap();
        id
    }

    /// A student whose account auth does not know.
    pub async fn student(&self, username: &str, kelas: Option<Uuid>) -> Uuid {
        let id = Uuid::now_v7();
        sqlx::query(
            "insert into users (
                 id, account_version, username, email, role, is_active, must_change_password, created_at, nama, kelas_id
             )
             values ($1, 1, $2, $2 || '@sekolah.sch.id', 'student', true, false, now(), $2, $3)",
        )
        .bind(id)
        .bind(username)
        .bind(kelas)
        .execute(&self.pool)
        .await
        .unwrap();
        if let Some(kelas) = kelas {
            self.enter(id, kelas).await;
        }
        id
    }

    /// Class and history, as the back office writes them.
    pub async fn enter(&self, user: Uuid, kelas: Uuid) {
        for statement in [
            "update users set kelas_id = $2 where id = $1",
            "insert into riwayat_kelas (id, user_id, kelas_id, tahun_ajaran_id, is_current)
             select gen_random_uuid(), $1, id, tahun_ajaran_id, true from kelas where id = $2",
        ] {
            sqlx::query(statement).bind(user).bind(kelas).execute(&self.pool).await.unwrap();
        }
    }

    pub async fn sql(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&self.pool).await.expect(statement);
    }

    /// The rows of a query, each as text.
    pub async fn rows(&self, query: &str) -> Vec<String> {
        let query = format!("select line::text from ({query}) line");
        sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_all(&self.pool).await.unwrap()
    }

    /// Who is where: name, role, class and its year.
    pub async fn students(&self) -> Vec<String> {
        self.rows(
            "select u.username, u.role, k.nama, t.tahun_mulai
             from users u left join kelas k on k.id = u.kelas_id left join tahun_ajaran t on t.id = k.tahun_ajaran_id
             where u.role <> 'admin'
             order by u.username",
        )
        .await
    }

    /// Every year with its classes.
    pub async fn years(&self) -> Vec<String> {
        self.rows(
            "select t.tahun_mulai, t.is_active,
                 (select string_agg(k.nama, ' ' order by k.nama) from kelas k
                  where k.tahun_ajaran_id = t.id and k.deleted_at is null)
             from tahun_ajaran t
             where t.deleted_at is null
             order by t.tahun_mulai",
        )
        .await
    }

    pub async fn ledger(&self) -> Vec<String> {
        self.rows(
            "select t.tahun_mulai, n.tahun_mulai, r.created_kelas, r.promoted, r.graduated, r.skipped
             from promotion_runs r
             join tahun_ajaran t on t.id = r.from_tahun_ajaran_id
             join tahun_ajaran n on n.id = r.to_tahun_ajaran_id
             order by t.tahun_mulai",
        )
        .await
    }

    /// `portfolio promotion run --as-of …`.
    pub async fn promote(&self, as_of: &str) -> String {
        self.run(&["--as-of", as_of]).await
    }

    /// `portfolio promotion run …`; what it prints.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new(services::programs().unwrap().join("portfolio"))
            .args(["promotion", "run"])
            .args(arguments)
            .env_clear()
            .envs(&self.env)
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
