//! How many times a second a picture is served: from nginx' cache, by nginx from a file, and by media itself.

use std::process::{Child, Command, Stdio};

use url::Url;

use crate::people::People;

pub struct Visits {
    size: usize,
    cached: f64,
    file: f64,
    uncached: f64,
}

impl Visits {
    pub fn markdown(&self) -> String {
        format!(
            "A picture of {} kB, 32 connections for 10 s each:\n\n| served | requests/s | ratio |\n| --- | --- | --- |\n\
             | by nginx, cached | {:.0} | {:.2} (target: 0.9) |\n| by nginx from a file on disk | {:.0} | |\n\
             | by media, from the store | {:.0} | |",
            self.size / 1000,
            self.cached,
            self.cached / self.file,
            self.file,
            self.uncached,
        )
    }
}

pub async fn measure(people: &People, path: &str) -> Visits {
    let cached = people.door.join(path).unwrap();
    let bytes =
        people.http.get(cached.clone()).header("accept", "image/webp").send().await.unwrap().bytes().await.unwrap();
    let disk = Disk::new(&bytes);
    // In turn, so that a busy moment of the machine strikes both.
    let (mut from_cache, mut from_file) = (0.0, 0.0);
    for _ in 0..2 {
        from_cache += wrk(&cached) / 2.0;
        from_file += wrk(&disk.url) / 2.0;
    }
    Visits {
        size: bytes.len(),
        cached: from_cache,
        file: from_file,
        uncached: wrk(&people.media.public_url().join(path).unwrap()),
    }
}

fn wrk(url: &Url) -> f64 {
    let run = |seconds: &str| {
        let output = Command::new("wrk")
            .args([
                "--threads=1",
                "--connections=32",
                "--timeout=10",
                "--header",
                "Accept: image/webp",
                "--duration",
                seconds,
            ])
            .arg(url.as_str())
            .output()
            .expect("wrk is installed");
        String::from_utf8(output.stdout).unwrap()
    };
    run("2");
    let text = run("10");
    assert!(!text.contains("Non-2xx"), "{text}");
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")).expect("a rate");
    rate.trim().parse().unwrap()
}

/// nginx with one file, set up like the one in front of the services.
struct Disk {
    url: Url,
    nginx: Child,
    #[expect(dead_code, reason = "it exists for as long as this is held")]
    folder: tempfile::TempDir,
}

impl Disk {
    fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display();
        let port = grafikarsa_devstack::process::free_port().unwrap();
        std::fs::write(folder.path().join("picture.webp"), bytes).unwrap();
        let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
        let conf = format!(
            "{user} master_process off; daemon off; pid {root}/pid; error_log {root}/error.log warn;
             events {{ worker_connections 4096; }}
             http {{
                 types {{ image/webp webp; }}
                 client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
                 uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
                 access_log {root}/access.log combined buffer=64k flush=1s; sendfile on; tcp_nopush on;
                 server {{ listen 127.0.0.1:{port}; root {root}; }}
             }}"
        );
        std::fs::write(folder.path().join("nginx.conf"), conf).unwrap();
        let nginx = Command::new("/usr/sbin/nginx")
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        Self { url: format!("http://127.0.0.1:{port}/picture.webp").parse().unwrap(), nginx, folder }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.nginx.kill().unwrap();
        self.nginx.wait().unwrap();
    }
}
