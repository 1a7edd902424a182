//! Numbers as a person reads and writes them.

/// A number of bytes, as an argument: `64`, `4KiB`, `1 MiB`, `16M`. Letters stand for powers of 1024.
pub(super) fn parse_bytes(text: &str) -> Result<usize, String> {
    let wrong = || "write a number of bytes, as in 64, 4KiB or 16MiB".to_owned();
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: usize = number.parse().map_err(|_| wrong())?;
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        _ => return Err(wrong()),
    };
    let bytes = number.saturating_mul(factor);
    match (BYTES_MIN..=BYTES_MAX).contains(&bytes) {
        true => Ok(bytes),
        false => Err(format!("from {} to {}", self::bytes(BYTES_MIN), self::bytes(BYTES_MAX))),
    }
}

/// Room for the time at which it was sent.
const BYTES_MIN: usize = 8;
/// A frame may have 64 MiB.
const BYTES_MAX: usize = 48 << 20;

/// 64 B, 4 KiB, 16 MiB.
pub(super) fn bytes(bytes: usize) -> String {
    match bytes {
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

/// A time in nanoseconds, with three digits: 0.12 µs, 6.21 µs, 58.3 µs, 1.20 ms.
pub(super) fn time(nanos: f64) -> String {
    match nanos {
        _ if nanos < 999.5e3 => format!("{} µs", digits(nanos / 1e3)),
        _ if nanos < 999.5e6 => format!("{} ms", digits(nanos / 1e6)),
        _ => format!("{} s", digits(nanos / 1e9)),
    }
}

/// How many in a second: 950, 16.4 k, 1.21 M.
pub(super) fn rate(each_second: f64) -> String {
    match each_second {
        _ if each_second < 999.5 => digits(each_second),
        _ if each_second < 999.5e3 => format!("{} k", digits(each_second / 1e3)),
        _ => format!("{} M", digits(each_second / 1e6)),
    }
}

/// Bytes in a second, in powers of ten as is usual for it: 12.1 MB/s, 3.40 GB/s.
pub(super) fn bandwidth(bytes_each_second: f64) -> String {
    match bytes_each_second {
        _ if bytes_each_second < 999.5e3 => format!("{} kB/s", digits(bytes_each_second / 1e3)),
        _ if bytes_each_second < 999.5e6 => format!("{} MB/s", digits(bytes_each_second / 1e6)),
        _ => format!("{} GB/s", digits(bytes_each_second / 1e9)),
    }
}

/// How many times: 0.52, 1.3, 12, 230.
pub(super) fn times(ratio: f64) -> String {
    match ratio {
        _ if ratio < 0.995 => format!("{ratio:.2}"),
        _ if ratio < 9.95 => format!("{ratio:.1}"),
        _ => format!("{ratio:.0}"),
    }
}

/// Three digits, and no more than two after the point.
fn digits(value: f64) -> String {
    match value {
        _ if value < 9.995 => format!("{value:.2}"),
        _ if value < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, expected) in [("64", 64), ("64B", 64), ("4KiB", 4096), ("4k", 4096), ("1 MiB", 1 << 20)] {
            assert_eq!(parse_bytes(text), Ok(expected), "{text}");
        }
        for size in [8, 1000, 1024, 3 << 10, 16 << 20] {
            assert_eq!(parse_bytes(&bytes(size)), Ok(size));
        }
        for text in ["", "-1", "1.5k", "4 GiB", "KiB", "7", "49MiB", "99999999999999999999", "99999999999999999k"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_have_three_digits_on_both_sides_of_each_step() {
        assert_eq!([123.0, 6_214.0, 58_310.0].map(time), ["0.12 µs", "6.21 µs", "58.3 µs"]);
        assert_eq!([999_400.0, 999_600.0, 1.5e9].map(time), ["999 µs", "1.00 ms", "1.50 s"]);
        assert_eq!([7.0, 999.4, 999.6, 1.21e6].map(rate), ["7.00", "999", "1.00 k", "1.21 M"]);
        assert_eq!([640.0, 12.1e6, 3.4e9].map(bandwidth), ["0.64 kB/s", "12.1 MB/s", "3.40 GB/s"]);
        assert_eq!([0.52, 9.94, 9.96, 230.4].map(times), ["0.52", "9.9", "10", "230"]);
    }
}
