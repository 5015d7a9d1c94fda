//! How fast pages of a school's catalogue are answered through nginx, beside PostgreSQL's own rate for the same statements
//! on the same database in the same run, and how that changes when the catalogue grows tenfold.
//!
//! The statements are those that the service really sends: PostgreSQL logs them, pgbench repeats them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark may panic")]

mod load;
mod report;
mod statements;

use std::{path::PathBuf, process::Command, time::Duration};

use chrono::Utc;
use grafikarsa_config::Secret;
use grafikarsa_devstack::testing::{Running, Stack, http_client};
use grafikarsa_jwt::{Role, TokenKeys};
use report::{Measured, Report};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

/// Published portfolios: of a young school, and of one that has used the platform for years.
const FEW: u32 = 5_000;
const MANY: u32 = 50_000;
/// How many different people, works or words a kind of page is asked for in turn.
const VARIETY: usize = 8;

/// A kind of page.
pub struct Page {
    pub name: &'static str,
    /// The least acceptable share of PostgreSQL's own rate.
    pub target: Option<f64>,
    pub requests: Vec<Request>,
}

#[derive(Clone)]
pub struct Request {
    pub path: String,
    pub token: Option<String>,
}

#[tokio::main]
async fn main() {
    let mut stack = Stack::with_own_servers().await;
    // The limits would end the measurement: lifted, and said so.
    stack.set("RATE_LIMIT_REQUESTS", "100000000").set("LOG_LEVEL", "warn");
    // Portfolio waits for its list of revoked sessions.
    let _auth = stack.spawn("auth").await;
    let nginx = stack.nginx().await;
    let mut report = Report::new(FEW, MANY);

    for portfolios in [FEW, MANY] {
        fill(&stack, portfolios);
        let portfolio = stack.spawn("portfolio").await;
        for page in pages(&stack).await {
            answers(&nginx, &page).await;
            let wrk = load::wrk(&nginx, &page);
            let mut measured = Measured::new(&page, wrk);
            if portfolios == MANY {
                let recorded = statements::record(&stack, &nginx, &page).await;
                measured.statements = recorded.iter().map(Vec::len).max().unwrap_or_default();
                measured.sequential_scans = statements::sequential_scans(&stack, &recorded).await;
                measured.pgbench = Some(load::pgbench(&stack, &recorded));
            }
            eprintln!("{portfolios} portfolios, {}: {:.0}/s", measured.name, measured.wrk.rate);
            report.add(portfolios, measured);
        }
        report.memory = memory(&portfolio);
        drop(portfolio);
    }

    println!("\n{}", report.text());
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    std::fs::write(&file, report.markdown()).unwrap();
    println!("Written to docs/benchmarks.md.");
}

/// Replaces everything by the data of `data.sql`.
fn fill(stack: &Stack, portfolios: u32) {
    let ended = Command::new("psql")
        .args(["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--output=/dev/null"])
        .arg(stack.superuser_url())
        .arg("--file")
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("bench/content/data.sql"))
        .env("PGOPTIONS", format!("-c bench.portfolios={portfolios} -c client_min_messages=warning"))
        .status()
        .expect("psql is installed");
    assert!(ended.success(), "the data cannot be loaded");
}

async fn pages(stack: &Stack) -> Vec<Page> {
    let pool = stack.pool("portfolio").await;
    let people: Vec<Uuid> = sqlx::query_scalar(
        "select user_id from portfolio_likes group by user_id having count(*) >= 3 order by user_id limit $1",
    )
    .bind(i64::try_from(VARIETY).unwrap())
    .fetch_all(&pool)
    .await
    .unwrap();
    let works: Vec<(String, String)> = sqlx::query_as(
        "select p.slug, u.username from portfolios p join users u on u.id = p.user_id order by p.id limit $1",
    )
    .bind(i64::try_from(VARIETY).unwrap())
    .fetch_all(&pool)
    .await
    .unwrap();
    let majors: Vec<Uuid> = sqlx::query_scalar("select id from jurusan order by kode").fetch_all(&pool).await.unwrap();
    let tags: Vec<Uuid> =
        sqlx::query_scalar("select id from tags order by nama limit 8").fetch_all(&pool).await.unwrap();
    pool.close().await;
    let env = stack.env_of("portfolio");
    let keys = TokenKeys::new(&Secret::new(env["JWT_ACCESS_SECRET"].clone()), Duration::from_secs(4 * 3600));
    let tokens: Vec<String> =
        people.iter().map(|&person| keys.mint(person, Role::Student, Uuid::new_v4(), 1, Utc::now()).unwrap()).collect();
    let words = ["desain", "robot", "batik", "perpus", "animasi", "kota", "musik", "wisata"];
    let names = ["budi", "siti", "pratama", "wija", "ahmad", "lestari", "rina", "galih"];

    let guest = |path: String| Request { path, token: None };
    let page = |name, target, requests| Page { name, target, requests };
    vec![
        page("feed recent, guest", Some(0.5), vec![guest("/api/v1/feed?algorithm=recent".to_owned())]),
        page(
            "feed smart, signed in",
            None,
            tokens
                .iter()
                .map(|token| Request { path: "/api/v1/feed?algorithm=smart".to_owned(), token: Some(token.clone()) })
                .collect(),
        ),
        page("portfolios", Some(0.5), vec![guest("/api/v1/portfolios".to_owned())]),
        page(
            "portfolios of a jurusan with a tag",
            None,
            majors
                .iter()
                .zip(&tags)
                .map(|(major, tag)| guest(format!("/api/v1/portfolios?jurusan_id={major}&tag_ids={tag}")))
                .collect(),
        ),
        page(
            "portfolios, searched",
            None,
            words.iter().map(|word| guest(format!("/api/v1/portfolios?search={word}"))).collect(),
        ),
        page(
            "detail by slug",
            Some(0.4),
            works.iter().map(|(slug, owner)| guest(format!("/api/v1/portfolios/{slug}?username={owner}"))).collect(),
        ),
        page("users", None, vec![guest("/api/v1/users".to_owned())]),
        page(
            "search of users",
            None,
            names.iter().map(|name| guest(format!("/api/v1/search/users?q={name}"))).collect(),
        ),
        page(
            "search of portfolios",
            None,
            words.iter().map(|word| guest(format!("/api/v1/search/portfolios?q={word}"))).collect(),
        ),
    ]
}

/// A page that shows nothing would be measured for nothing.
async fn answers(nginx: &Url, page: &Page) {
    let http = http_client();
    for request in &page.requests {
        let mut asked = http.get(nginx.join(&request.path).unwrap());
        if let Some(token) = &request.token {
            asked = asked.bearer_auth(token);
        }
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", request.path);
        let body: Value = answer.json().await.unwrap();
        let shown = body["data"].as_array().map_or(usize::from(body["data"].is_object()), Vec::len);
        assert!(shown > 0, "{} shows nothing", request.path);
    }
}

/// Resident memory in MiB.
fn memory(service: &Running) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
