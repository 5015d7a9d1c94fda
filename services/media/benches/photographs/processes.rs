//! What the kernel says about processes.

use grafikarsa_devstack::testing::Running;

/// Seconds that this process has used.
pub fn own_cpu() -> f64 {
    ticks("self", 13) + ticks("self", 14)
}

/// Seconds that its children have used, of those that have ended.
pub fn cpu_of_children() -> f64 {
    ticks("self", 15) + ticks("self", 16)
}

/// Seconds that a service has used.
pub fn cpu_of(service: &Running) -> f64 {
    let pid = service.pid().unwrap().to_string();
    ticks(&pid, 13) + ticks(&pid, 14)
}

/// A field of `/proc/PID/stat`, counted from 0, in seconds. The kernel counts hundredths.
fn ticks(pid: &str, field: usize) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in the second field may contain anything.
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split(' ').nth(field - 2).unwrap().parse::<f64>().unwrap() / 100.0
}

/// Memory of a service in MiB.
pub struct Memory {
    pub resident: f64,
    /// The most so far.
    pub peak: f64,
}

impl Memory {
    pub fn of(service: &Running) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid().unwrap())).unwrap();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
        };
        Self { resident: value("VmRSS:"), peak: value("VmHWM:") }
    }
}

/// Begins to count the peak anew.
pub fn forget_peak(service: &Running) {
    std::fs::write(format!("/proc/{}/clear_refs", service.pid().unwrap()), "5").unwrap();
}
