//! The machine on which something was measured.

use std::fs;
use std::thread::available_parallelism;

use serde::Serialize;

#[derive(Clone, Serialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    /// That this process may use.
    pub(super) cpus: usize,
    /// Whether another system runs below this one, which then has a part in every wake.
    pub(super) virtual_machine: bool,
    pub(super) kernel: String,
    pub(super) memory_bytes: u64,
    /// Processes that wanted to run in the minute before.
    pub(super) load_before: f64,
}

impl Machine {
    pub(super) fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (cpus, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let model = field(&cpus, "model name").or_else(|| field(&cpus, "Model"));
        let flags = field(&cpus, "flags").unwrap_or_default();
        let kib = field(&memory, "MemTotal").and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
        Machine {
            cpu: model.unwrap_or(std::env::consts::ARCH).to_owned(),
            cpus: available_parallelism().map_or(1, Into::into),
            virtual_machine: flags.split(' ').any(|flag| flag == "hypervisor"),
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            memory_bytes: kib.unwrap_or(0) << 10,
            load_before: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        }
    }

    /// What to be careful about.
    pub(super) fn warning(&self) -> Option<String> {
        let load = self.load_before;
        let busy = load > self.cpus as f64 / 4.0;
        busy.then(|| format!("The machine was busy before, with a load of {load:.1}: measure again when it is quiet."))
    }

    pub(super) fn line(&self) -> String {
        let virtual_machine = if self.virtual_machine { ", a virtual machine" } else { "" };
        let cpus = if self.cpus == 1 { "1 CPU".to_owned() } else { format!("{} CPUs", self.cpus) };
        let gib = self.memory_bytes as f64 / f64::from(1 << 30);
        format!("{}, {cpus}{virtual_machine}, {gib:.0} GiB, {}", self.cpu, self.kernel)
    }
}

/// A line such as `MemTotal:       24105 kB`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let of = |line: &'a str| line.split_once(':').filter(|(key, _)| key.trim() == name);
    text.lines().find_map(of).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let text = "processor\t: 0\nmodel name\t: A: B\nMemTotal:       24105 kB\n";
        assert_eq!(field(text, "model name"), Some("A: B"));
        assert_eq!(field(text, "MemTotal"), Some("24105 kB"));
        assert_eq!(field(text, "model"), None);
    }
}
