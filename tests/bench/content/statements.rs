//! The statements of a request, taken from PostgreSQL's log.

use std::{collections::HashSet, sync::LazyLock, time::Duration};

use grafikarsa_devstack::testing::Stack;
use regex::{Captures, Regex};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use url::Url;

use super::{Page, answers};

/// Tables that grow with the school.
const BIG: [&str; 9] = [
    "portfolios",
    "content_blocks",
    "portfolio_likes",
    "portfolio_views",
    "portfolio_tags",
    "users",
    "follows",
    "comments",
    "assessments",
];

static ENTRY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^\d{4}-\d\d-\d\d \S+ \S+ \[(\d+)\] (\S* )?([A-Z]+):  ").unwrap());
static EXECUTED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?s)^execute [^:]+: (.*)$").unwrap());
static VALUE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$(\d+) = (NULL|'(?:[^']|'')*')").unwrap());
static PLACE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$(\d+)").unwrap());

/// The statements of each of the page's requests, with their values. What the service does by itself meanwhile is left out.
pub async fn record(stack: &Stack, nginx: &Url, page: &Page) -> Vec<Vec<String>> {
    let mut server = stack.superuser().await;
    log_statements(&mut server, "all").await;
    let before = log(stack).len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let of_idle: HashSet<String> = executed(&log(stack)[before..]).into_iter().map(|(sql, _)| sql).collect();
    let mut all = Vec::new();
    for request in &page.requests {
        let one = Page { name: page.name, target: None, requests: vec![request.clone()] };
        let mut fewest: Option<Vec<String>> = None;
        // The first finds nothing remembered, and a job may run beside one of them.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let before = log(stack).len();
            answers(nginx, &one).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            let statements: Vec<String> = executed(&log(stack)[before..])
                .into_iter()
                .filter(|(sql, _)| !of_idle.contains(sql) && is_read(sql))
                .map(|(sql, values)| filled(&sql, &values))
                .collect();
            fewest = fewest.filter(|fewest| fewest.len() <= statements.len()).or(Some(statements));
        }
        let statements = fewest.unwrap_or_default();
        assert!(!statements.is_empty(), "no statement of {} is in the log", request.path);
        all.push(statements);
    }
    log_statements(&mut server, "none").await;
    all
}

/// A statement with its values in their places.
fn filled(sql: &str, values: &[String]) -> String {
    let value = |place: &Captures<'_>| values[place[1].parse::<usize>().unwrap() - 1].clone();
    PLACE.replace_all(sql, value).into_owned()
}

/// Views are written later, and for many requests at once.
fn is_read(sql: &str) -> bool {
    let sql = sql.trim_start().to_ascii_lowercase();
    (sql.starts_with("select") || sql.starts_with("with")) && !sql.contains("insert into") && !sql.contains("update ")
}

async fn log_statements(server: &mut PgConnection, what: &'static str) {
    for sql in [
        "alter system set log_line_prefix = '%m [%p] %u '".to_owned(),
        format!("alter system set log_statement = '{what}'"),
        "select pg_reload_conf()".to_owned(),
    ] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *server).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
}

fn log(stack: &Stack) -> String {
    stack.log("postgres/postgres")
}

/// Statements of a log with their values.
fn executed(log: &str) -> Vec<(String, Vec<String>)> {
    let marks: Vec<_> = ENTRY.captures_iter(log).collect();
    let mut found: Vec<(String, String, Vec<String>)> = Vec::new();
    for (place, mark) in marks.iter().enumerate() {
        let whole = mark.get(0).unwrap();
        let end = marks.get(place + 1).map_or(log.len(), |next| next.get(0).unwrap().start());
        let text = log[whole.end()..end].trim_end().replace("\n\t", "\n");
        let is_ours = mark.get(2).is_some_and(|role| role.as_str() == "portfolio ");
        if let Some(statement) = EXECUTED.captures(&text).filter(|_| is_ours) {
            found.push((mark[1].to_owned(), statement[1].to_owned(), Vec::new()));
        } else if &mark[3] == "DETAIL"
            && let Some((.., values)) = found.iter_mut().rev().find(|(process, ..)| *process == mark[1])
        {
            *values = VALUE.captures_iter(&text).map(|value| value[2].to_owned()).collect();
        }
    }
    found.into_iter().map(|(_, sql, values)| (sql, values)).collect()
}

/// Big tables that one of the statements reads from end to end.
pub async fn sequential_scans(stack: &Stack, requests: &[Vec<String>]) -> Vec<String> {
    let mut database = PgConnection::connect(&stack.database_url("portfolio")).await.unwrap();
    let mut found = Vec::new();
    for sql in requests.iter().flatten() {
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("explain {sql}")))
            .fetch_all(&mut database)
            .await
            .unwrap_or_else(|error| panic!("{error}: {sql}"));
        let scanned = plan.iter().filter_map(|line| line.split("Seq Scan on ").nth(1)?.split(' ').next());
        found.extend(scanned.filter(|table| BIG.contains(table)).map(str::to_owned));
    }
    found.sort();
    found.dedup();
    found
}
