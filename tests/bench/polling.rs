//! What the open tabs of a school cost: 2,000 of them ask three routes as the web client does, for a minute, through nginx.
//! Release builds, durable PostgreSQL. The tabs share a few connections: what reaches the services is the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark may panic")]
#![expect(clippy::cast_precision_loss, reason = "counts are small")]

use std::{
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use grafikarsa_config::Secret;
use grafikarsa_devstack::testing::{Stack, http_client};
use grafikarsa_jwt::{Role, TokenKeys};
use tokio::time::sleep_until;
use url::Url;
use uuid::Uuid;

const TABS: usize = 2000;
const PORTFOLIOS: u32 = 5_000;
const SPAN: Duration = Duration::from_secs(60);
/// What a tab asks for, and how often.
const ROUTES: [(&str, Duration); 3] = [
    ("/api/v1/notifications/count", Duration::from_secs(30)),
    ("/api/v1/changelogs/unread-count", Duration::from_secs(60)),
    ("/api/v1/admin/assessments/stats", Duration::from_secs(60)),
];
/// The share of one core that the service may use.
const TARGET: f64 = 0.1;

#[tokio::main]
async fn main() {
    let mut stack = Stack::with_own_servers().await;
    // All come from one address and one admin asks for every tab: the limits are about other things.
    stack.set("RATE_LIMIT_REQUESTS", "1000000").set("LOG_LEVEL", "warn");
    let (_auth, portfolio) = tokio::join!(stack.spawn("auth"), stack.spawn("portfolio"));
    let nginx = stack.nginx().await;
    fill(&stack).await;
    let tabs = Arc::new(Tabs::new(&stack, nginx).await);
    for (route, _) in ROUTES {
        tabs.ask(0, route).await;
    }

    let pid = portfolio.pid().unwrap();
    let (before, started) = (cpu(pid), Instant::now());
    let asking: Vec<_> = (0..TABS)
        .flat_map(|tab| ROUTES.map(|(route, every)| (tab, route, every)))
        .map(|(tab, route, every)| tokio::spawn(poll(tabs.clone(), tab, route, every)))
        .collect();
    let mut times = Vec::new();
    for one in asking {
        times.extend(one.await.unwrap());
    }
    let (span, used) = (started.elapsed().as_secs_f64(), cpu(pid) - before);

    times.sort_unstable_by(f64::total_cmp);
    let at = |percent: usize| times[times.len() * percent / 100];
    println!("{TABS} tabs, {} requests in {span:.0} s, none failed", times.len());
    println!("{:<44}{:>12}", "requests per second", format!("{:.1}", times.len() as f64 / span));
    println!("{:<44}{:>12}", "answers, p50 / p99", format!("{:.1} / {:.1} ms", at(50), at(99)));
    println!("{:<44}{:>12}", "CPU of portfolio for one", format!("{:.2} ms", used * 1000.0 / times.len() as f64));
    println!("{:<44}{:>12}", format!("cores used by portfolio (target {TARGET})"), format!("{:.3}", used / span));
}

/// Asks for one route until the span is over; the times of the answers in milliseconds.
async fn poll(tabs: Arc<Tabs>, tab: usize, route: &'static str, every: Duration) -> Vec<f64> {
    let started = tokio::time::Instant::now();
    // Tabs are opened at all times.
    let mut next = started + every.mul_f64(tab as f64 / TABS as f64);
    let mut times = Vec::new();
    while next < started + SPAN {
        sleep_until(next).await;
        let begun = Instant::now();
        tabs.ask(tab, route).await;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        next += every;
    }
    times
}

struct Tabs {
    http: reqwest::Client,
    nginx: Url,
    people: Vec<String>,
    admin: String,
}

impl Tabs {
    async fn new(stack: &Stack, nginx: Url) -> Self {
        let pool = stack.pool("portfolio").await;
        let students: Vec<Uuid> = sqlx::query_scalar(
            "select id from users where role = 'student' and deleted_at is null order by id limit $1",
        )
        .bind(i64::try_from(TABS).unwrap())
        .fetch_all(&pool)
        .await
        .unwrap();
        let promoted = "
            update users set role = 'admin', kelas_id = null
            where id = (select max(id::text)::uuid from users)
            returning id";
        let admin: Uuid = sqlx::query_scalar(promoted).fetch_one(&pool).await.unwrap();
        pool.close().await;
        let env = stack.env_of("portfolio");
        let keys = TokenKeys::new(&Secret::new(env["JWT_ACCESS_SECRET"].clone()), Duration::from_secs(3600));
        let mint = |user, role| keys.mint(user, role, Uuid::new_v4(), 1, Utc::now()).unwrap();
        Self {
            http: http_client(),
            nginx,
            people: students.iter().map(|&student| mint(student, Role::Student)).collect(),
            admin: mint(admin, Role::Admin),
        }
    }

    async fn ask(&self, tab: usize, route: &str) {
        let token = if route.contains("/admin/") { &self.admin } else { &self.people[tab % self.people.len()] };
        let answer = self.http.get(self.nginx.join(route).unwrap()).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{route}");
        answer.bytes().await.unwrap();
    }
}

/// A school with works, and for everybody forty notifications, ten of them unread, and twenty changelogs, half of them read.
async fn fill(stack: &Stack) {
    let ended = Command::new("psql")
        .args(["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--output=/dev/null"])
        .arg(stack.superuser_url())
        .arg("--file")
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("bench/content/data.sql"))
        .env("PGOPTIONS", format!("-c bench.portfolios={PORTFOLIOS} -c client_min_messages=warning"))
        .status()
        .expect("psql is installed");
    assert!(ended.success(), "the data cannot be loaded");
    let pool = stack.pool("portfolio").await;
    sqlx::raw_sql(
        "insert into notifications (id, user_id, kind, data, dedup_key, created_at, read_at)
         select gen_random_uuid(), u.id, 'new_follower', '{}', n::text, now() - n * interval '1 hour',
             case when n > 10 then now() end
         from users u, generate_series(1, 40) n;
         insert into changelogs (id, version, title, release_date, is_published, created_by)
         select gen_random_uuid(), '1.' || n, 'Baru', current_date - n, true, (select min(id::text)::uuid from users)
         from generate_series(1, 20) n;
         insert into changelog_reads (user_id, changelog_id)
         select u.id, c.id from users u, (select id from changelogs order by release_date limit 10) c;
         analyze;",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
}

/// Seconds of processor time that a process has used.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // After the name, which may contain anything: user and system time in clock ticks of 10 ms.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
