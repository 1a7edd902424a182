//! What every peer is asked to do.

/// One table of the report, and one picture.
pub struct Work {
    /// As the programs know it.
    pub name: &'static str,
    pub size: usize,
    pub title: &'static str,
    pub file: &'static str,
    /// What it is about.
    pub figure: Figure,
    pub one_way: bool,
}

/// The figure by which peers are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Microseconds: less is better.
    Latency,
    /// A second: more is better.
    Calls,
    Messages,
    /// MB/s.
    Bandwidth,
}

impl Figure {
    pub fn unit(self) -> &'static str {
        match self {
            Figure::Latency => "p50, us",
            Figure::Calls => "calls/s",
            Figure::Messages => "messages/s",
            Figure::Bandwidth => "MB/s",
        }
    }

    pub fn less_is_better(self) -> bool {
        self == Figure::Latency
    }
}

const fn calls(name: &'static str, size: usize, title: &'static str, file: &'static str, figure: Figure) -> Work {
    Work { name, size, title, file, figure, one_way: false }
}

const fn one_way(name: &'static str, size: usize, title: &'static str, file: &'static str, figure: Figure) -> Work {
    Work { name, size, title, file, figure, one_way: true }
}

pub const WORKS: [Work; 8] = [
    calls("multiply", 1, "A call, one after the other", "call", Figure::Latency),
    calls("multiply", 64, "64 calls in flight", "calls-64", Figure::Calls),
    calls("blob", 4 << 10, "Calls with 4 KiB", "blob-4k", Figure::Bandwidth),
    calls("blob", 64 << 10, "Calls with 64 KiB", "blob-64k", Figure::Bandwidth),
    calls("blob", 1 << 20, "Calls with 1 MiB", "blob-1m", Figure::Bandwidth),
    calls("blob", 16 << 20, "Calls with 16 MiB", "blob-16m", Figure::Bandwidth),
    one_way("record", 0, "Records, one way", "records", Figure::Messages),
    one_way("bulk", 1 << 20, "Messages of 1 MiB, one way", "bulk-1m", Figure::Bandwidth),
];
