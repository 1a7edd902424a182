//! The results on the terminal.

use comfy_table::{CellAlignment, Table, presets};

use super::document::{Document, Row};
use super::plan::Pattern;
use super::units::{bandwidth, bytes, rate, time, times};

/// Everything, as text.
pub(super) fn text(document: &Document) -> String {
    let mut blocks = vec![format!("{}\n{}", document.machine.line(), settings(document))];
    let one_size = document.settings.sizes_bytes.len() == 1;
    for &pattern in &document.settings.patterns {
        let rows: Vec<&Row> = document.rows.iter().filter(|row| row.pattern == pattern).collect();
        blocks.extend(if one_size { of_one_size(&rows) } else { of_all_sizes(&rows, &document.settings.sizes_bytes) });
    }
    blocks.extend(not_run(document));
    blocks.extend(advice(document, one_size));
    blocks.join("\n\n")
}

/// In full, or a line for each size.
fn advice(document: &Document, one_size: bool) -> Vec<String> {
    if one_size {
        return document.advice.iter().map(|it| format!("→ {}", it.text.join("\n  "))).collect();
    }
    let lines: Vec<String> =
        document.advice.iter().filter_map(|it| it.text.first()).map(|text| format!("→ {text}")).collect();
    vec![lines.join("\n"), "What each costs, and when to change it, is in --report and --json.".to_owned()]
}

fn settings(document: &Document) -> String {
    let it = &document.settings;
    let mut text = format!(
        "{} rounds of {:.0} ms for each way, in turns, after one to warm up; spinning is {} µs",
        it.rounds, it.round_millis, it.spin_micros
    );
    for warning in document.warnings() {
        text = format!("{text}\n{warning}");
    }
    text
}

fn of_one_size(rows: &[&Row]) -> Option<String> {
    let first = rows.first()?;
    let unit = first.pattern.unit();
    let mut table = table();
    let header = ["way", "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned);
    let more = [format!("{unit}s/s"), "bytes/s".into(), format!("CPU/{unit}"), "copies".into(), "x raw".into()];
    table.set_header(header.into_iter().chain(more));
    for row in rows {
        let latency = &row.latency_ns;
        let mut cells = vec![row.way.name()];
        cells.extend([latency.p50, latency.p90, latency.p99, latency.p99_9, latency.max].map(|it| time(it as f64)));
        cells.extend([rate(row.per_second), bandwidth(row.bytes_per_second), time(row.cpu_ns_each)]);
        cells.extend([row.copies.to_string(), row.times_raw.map(times).unwrap_or_default()]);
        table.add_row(cells);
    }
    align(&mut table);
    Some(format!("{}, {}\n{table}", first.pattern.title(first.in_flight), bytes(first.size_bytes)))
}

/// One figure for each way and size: the one that counts for the pattern.
fn of_all_sizes(rows: &[&Row], sizes: &[usize]) -> Option<String> {
    let first = rows.first()?;
    let (title, figure): (&str, fn(&Row) -> String) = match first.pattern {
        Pattern::Sequential => ("p50", |row| time(row.latency_ns.p50 as f64)),
        Pattern::InFlight => ("calls/s", |row| rate(row.per_second)),
        Pattern::OneWay => ("bytes/s", |row| bandwidth(row.bytes_per_second)),
    };
    let mut table = table();
    table.set_header(std::iter::once(title.to_owned()).chain(sizes.iter().map(|&size| bytes(size))));
    let mut ways: Vec<_> = rows.iter().map(|row| row.way).collect();
    ways.sort_by_key(|way| way.order());
    ways.dedup();
    for way in ways {
        let of = |&size: &usize| rows.iter().find(|row| row.way == way && row.size_bytes == size);
        let cells = sizes.iter().map(|size| of(size).map(|row| figure(row)).unwrap_or_default());
        table.add_row(std::iter::once(way.name()).chain(cells));
    }
    align(&mut table);
    Some(format!("{}\n{table}", first.pattern.title(first.in_flight)))
}

/// Each reason once.
fn not_run(document: &Document) -> Option<String> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for it in &document.not_run {
        let index = reasons.iter().position(|(reason, _)| *reason == it.reason).unwrap_or_else(|| {
            reasons.push((&it.reason, Vec::new()));
            reasons.len() - 1
        });
        let name = it.way.name();
        if !reasons[index].1.contains(&name) {
            reasons[index].1.push(name);
        }
    }
    let lines: Vec<String> =
        reasons.into_iter().map(|(reason, ways)| format!("Not run: {} ({reason})", ways.join("; "))).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table
}

fn align(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
