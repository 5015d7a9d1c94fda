//! The two load tools, at the same number of connections and for the same time.

use std::{fmt::Write as _, process::Command};

use grafikarsa_devstack::testing::Stack;
use url::Url;

use super::Page;

const CONNECTIONS: &str = "32";
const SECONDS: &str = "10";

/// What wrk has measured.
pub struct Wrk {
    /// Answers per second.
    pub rate: f64,
    /// Milliseconds.
    pub p50: f64,
    /// Milliseconds.
    pub p99: f64,
    /// Whatever was no success.
    pub errors: u64,
}

pub fn wrk(nginx: &Url, page: &Page) -> Wrk {
    let mut script = "local requests, at = {}, 0\nfunction init()\n".to_owned();
    for request in &page.requests {
        let headers = request
            .token
            .as_ref()
            .map_or_else(String::new, |token| format!(", {{ [\"Authorization\"] = \"Bearer {token}\" }}"));
        writeln!(script, "requests[#requests + 1] = wrk.format(\"GET\", \"{}\"{headers})", request.path).unwrap();
    }
    script.push_str(
        "end
function request() at = at % #requests + 1; return requests[at] end
function done(summary, latency)
    local e = summary.errors
    io.write(string.format(\"RESULT %d %d %d %d %d\\n\", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end",
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("requests.lua");
    std::fs::write(&file, script).unwrap();
    let run = |seconds| {
        let output = Command::new("wrk")
            .args(["--threads=1", "--connections", CONNECTIONS, "--duration", seconds, "--timeout=10", "--script"])
            .arg(&file)
            .arg(nginx.as_str())
            .output()
            .expect("wrk is installed");
        String::from_utf8(output.stdout).unwrap()
    };
    // What is remembered is remembered after this.
    run("2");
    let output = run(SECONDS);
    let result = output.lines().find_map(|line| line.strip_prefix("RESULT ")).expect("a result of wrk");
    let [requests, duration, p50, p99, errors]: [f64; 5] =
        result.split(' ').map(|number| number.parse().unwrap()).collect::<Vec<_>>().try_into().unwrap();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let errors = errors as u64;
    Wrk { rate: requests / duration * 1e6, p50: p50 / 1000.0, p99: p99 / 1000.0, errors }
}

/// Requests per second that PostgreSQL alone could answer: each of `requests` is the statements of one.
pub fn pgbench(stack: &Stack, requests: &[Vec<String>]) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let url = Url::parse(&stack.database_url("portfolio")).unwrap();
    let mut command = Command::new("pgbench");
    command
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=1", "--client", CONNECTIONS, "--time", SECONDS])
        .args(["--host", url.host_str().unwrap(), "--port", &url.port().unwrap().to_string()])
        .args(["--username", url.username()])
        .env("PGPASSWORD", url.password().unwrap());
    for (place, statements) in requests.iter().enumerate() {
        let file = folder.path().join(format!("{place}.sql"));
        std::fs::write(&file, statements.iter().map(|sql| format!("{sql};\n")).collect::<Vec<_>>().concat()).unwrap();
        command.arg("--file").arg(file);
    }
    let output = command.arg(url.path().trim_start_matches('/')).output().expect("pgbench is installed");
    let text = String::from_utf8(output.stdout).unwrap();
    let tps = text.lines().find_map(|line| line.strip_prefix("tps = ")).and_then(|rest| rest.split(' ').next());
    let Some(tps) = tps.filter(|_| output.status.success()) else {
        panic!("pgbench failed: {text}{}", String::from_utf8_lossy(&output.stderr))
    };
    tps.parse().unwrap()
}
