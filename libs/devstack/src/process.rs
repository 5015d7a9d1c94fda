//! Children that die with their parent, and waiting for them with a deadline.

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::Write as _,
    net::TcpListener,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// A server may take this long to answer for the first time.
const START: Duration = Duration::from_secs(30);
/// A server may take this long to end by itself before it is killed.
const STOP: Duration = Duration::from_secs(25);
/// So much of a log is shown.
const LINES: usize = 40;
/// How the crash report of a Go program begins.
const CRASHES: [&str; 3] = ["panic: ", "fatal error: ", "runtime: "];

/// How to run a program.
#[derive(Clone, Debug)]
pub struct Spec {
    /// For messages.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment besides `PATH` and `HOME`.
    pub env: BTreeMap<String, String>,
    /// The user to run as, when the parent is root.
    pub user: Option<&'static str>,
    /// Where its output goes.
    pub log: PathBuf,
    /// The port it listens on.
    pub port: u16,
    /// An address that answers 2xx once it is ready, where listening says too little.
    pub ready: Option<String>,
    /// What asks it to stop: SIGTERM, or SIGINT for PostgreSQL's fast shutdown.
    pub stop: Signal,
    /// What it gets when its parent dies.
    pub orphaned: &'static str,
}

/// A running program.
#[derive(Debug)]
pub struct Server {
    /// How it was started.
    pub spec: Spec,
    child: Child,
}

impl Server {
    /// Starts the program and waits until it listens and is ready, 30 s at the most.
    ///
    /// # Errors
    /// It cannot be started, ends at once, or is not ready in time; the error shows the end of its log.
    pub async fn start(spec: Spec) -> anyhow::Result<Self> {
        let child = launch(&spec)?;
        let mut server = Self { spec, child };
        server.listening().await?;
        Ok(server)
    }

    async fn listening(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if TcpStream::connect(("127.0.0.1", self.spec.port)).await.is_ok() && self.answers().await {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.spec.name, tail(&self.spec.log));
            }
            if Instant::now() > deadline {
                bail!("{} is not ready:\n{}", self.spec.name, tail(&self.spec.log));
            }
            sleep(Duration::from_millis(15)).await;
        }
    }

    async fn answers(&self) -> bool {
        let Some(url) = &self.spec.ready else { return true };
        crate::testing::http_client().get(url).send().await.is_ok_and(|answer| answer.status().is_success())
    }

    /// Its process id, as long as it was not waited for.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it with SIGKILL.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to stop, and kills it after 25 s.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)) {
            // It may have ended on its own.
            let _gone = kill_process(pid, self.spec.stop);
            if timeout(STOP, self.child.wait()).await.is_err() {
                eprintln!("devstack: {} did not stop in time and is killed", self.spec.name);
                self.child.kill().await?;
            }
        }
        Ok(())
    }

    /// Starts it again as before, on the same port.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.ok();
        self.child = launch(&self.spec)?;
        self.listening().await
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }
}

fn launch(spec: &Spec) -> anyhow::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(&spec.log)?;
    let mut command = tied(&spec.program, spec.user, spec.orphaned);
    command
        .args(&spec.args)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(&spec.env)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C in a terminal reaches only this process, which then stops its children in the right order.
        .process_group(0)
        .kill_on_drop(true);
    command.spawn().with_context(|| format!("{} cannot be started", spec.name))
}

/// A command whose process gets the signal `orphaned` when this one dies, run as `user` if this one is root.
pub fn tied(program: &Path, user: Option<&str>, orphaned: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", orphaned]);
    if let Some(user) = user.filter(|_| is_root()) {
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    command.arg("--").arg(program);
    command
}

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A port that nobody listens on and that no other process will get from here before this one ends. It lies below
/// those that the system hands out by itself, so that nobody takes it while its server is killed and starts again.
///
/// # Errors
/// The folder of reservations cannot be used, or no port is left.
pub fn free_port() -> anyhow::Result<u16> {
    for _ in 0..1000 {
        let [.., high, low] = uuid::Uuid::new_v4().into_bytes();
        let port = 20_000 + u16::from_be_bytes([high, low]) % 12_000;
        if reserve(port)? {
            // What an earlier process left behind may still be about to end.
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return Ok(port);
            }
        }
    }
    bail!("no port is free")
}

/// Takes the port's lock for the rest of this process' life; false if somebody has it. Tests run in processes of their
/// own, so between the choice of a port and the start of its server only a lock keeps others away.
fn reserve(port: u16) -> anyhow::Result<bool> {
    static RESERVED: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join(format!("grafikarsa-ports-{}", rustix::process::geteuid().as_raw()));
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    // The file stays: a lock on one that somebody else has deleted would exclude nobody.
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(port.to_string()))?;
    match file.try_lock() {
        Ok(()) => {
            RESERVED.lock().unwrap_or_else(PoisonError::into_inner).push(file);
            Ok(true)
        }
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).context("a port cannot be reserved"),
    }
}

/// Writes a file that only this user can read.
///
/// # Errors
/// The file cannot be written.
pub fn write_secret(file: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())
}

/// What a log says about the latest end: from the start of its crash report on, or the last lines.
pub fn end(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    // A program that was started again goes on in the same log, below the report of an earlier crash.
    match lines.iter().rposition(|line| CRASHES.iter().any(|crash| line.starts_with(crash))) {
        Some(start) => lines[start..].iter().take(LINES).copied().collect::<Vec<_>>().join("\n"),
        None => tail(log),
    }
}

/// The last lines of a log.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Runs a command to its end, with its output in the error if it fails.
///
/// # Errors
/// It cannot be started or exits with another status than 0.
pub async fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output().await.context("a command cannot be started")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{:?} failed: {text}", command.as_std().get_args().collect::<Vec<_>>());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_latest_crash_is_shown_from_its_start_and_otherwise_the_last_lines() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let goroutines = "goroutine 1 [running]:\n".repeat(100);
        std::fs::write(
            &log,
            format!("[INF] ready\npanic: first\n{goroutines}[INF] ready\npanic: second\n{goroutines}"),
        )
        .unwrap();
        let shown = end(log.path());
        assert!(shown.starts_with("panic: second\ngoroutine 1"), "{shown}");
        assert_eq!(shown.lines().count(), LINES);

        std::fs::write(&log, "[INF] ready\n".repeat(100) + "[INF] exiting").unwrap();
        assert!(end(log.path()).ends_with("[INF] exiting"));
    }

    #[test]
    fn a_port_is_given_away_once() {
        let ports: Vec<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), ports.len());
        // A lock belongs to an open file, so a second opening stands for a second process.
        assert!(!reserve(ports[0]).unwrap());
    }
}
