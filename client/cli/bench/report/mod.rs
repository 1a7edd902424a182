//! The report: one page that needs nothing beside it, no script, font or picture from elsewhere.

mod chart;
mod html;
mod look;
mod scale;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;

use self::html::{escape, prose};
use self::look::Look;
use super::document::{Advice, Document, Row};
use super::plan::Pattern;
use super::units::{bandwidth, bytes, rate, time, times};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

pub(super) fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("write {}", path.display()))
}

pub(super) fn write(mut file: File, document: &Document) -> io::Result<()> {
    file.write_all(page(document).as_bytes())
}

fn page(document: &Document) -> String {
    let sections: String = document.settings.patterns.iter().map(|&pattern| section(document, pattern)).collect();
    let links = document
        .settings
        .patterns
        .iter()
        .map(|pattern| format!("<a href=\"#{}\">{}</a>", id(*pattern), pattern.title(document.settings.in_flight)));
    let warnings = document.warnings();
    let warning: String = warnings.iter().map(|it| format!("<p class=\"warning\">{}</p>", escape(it))).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Shipmate bench</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><p class=\"brand\">shipmate bench</p><h1>Which way between two processes?</h1>\
         <p class=\"machine\">{}<br><time data-unix=\"{}\"></time></p>{warning}<nav>{}<a href=\"#how\">How it was measured</a></nav></header>\n\
         <main>\n{sections}{}</main>\n<div id=\"tip\" role=\"status\"></div>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escape(&document.machine.line()),
        document.measured_unix_seconds,
        links.collect::<String>(),
        how(document),
    )
}

fn id(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::Sequential => "sequential",
        Pattern::InFlight => "in-flight",
        Pattern::OneWay => "one-way",
    }
}

/// One pattern: what to use, the charts, and the figures.
fn section(document: &Document, pattern: Pattern) -> String {
    let rows: Vec<&Row> = document.rows.iter().filter(|row| row.pattern == pattern).collect();
    let sizes = &document.settings.sizes_bytes;
    let advice: Vec<&Advice> = document.advice.iter().filter(|it| it.pattern == pattern).collect();
    let size = if let [only] = sizes[..] { format!(" <small>{}</small>", bytes(only)) } else { String::new() };
    // Fewer than were asked for, where they are large.
    let in_flight = rows.iter().map(|row| row.in_flight).max().unwrap_or_default();
    let mut text = format!(
        "<section id=\"{}\"><h2>{}{size}</h2><p class=\"what\">{}</p>",
        id(pattern),
        pattern.title(in_flight),
        what(pattern)
    );
    text += &advise(&advice);
    text += &legend(&rows);
    text += "<div class=\"charts\">";
    text += &figures(&rows, sizes, pattern);
    text += "</div>";
    text += &match sizes.len() {
        1 => table(&rows),
        _ => format!("<details class=\"all\"><summary>All figures</summary>{}</details>", table(&rows)),
    };
    text + "</section>\n"
}

fn what(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::Sequential => {
            "The caller waits for each result before it makes the next call. The argument has the size, the result is small."
        }
        Pattern::InFlight => "So many callers at once over one connection, each of which waits for its own results.",
        Pattern::OneWay => {
            "A stream of messages, as fast as they are taken. The times are from send to receipt, with all queues full."
        }
    }
}

fn advise(advice: &[&Advice]) -> String {
    let of_one = |it: &&Advice| {
        let (first, rest) = it.text.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let first = first.split_once(": ").map_or(first, |(_, rest)| rest);
        let rest: String = rest.iter().map(|text| format!("<p>{}</p>", prose(text))).collect();
        (capital(&prose(first)), rest)
    };
    match advice {
        [] => String::new(),
        [only] => {
            let (first, rest) = of_one(only);
            format!(
                "<div class=\"advice\"><p class=\"use\"><code>{}</code> <span>{}</span></p><p>{first}</p>{rest}</div>",
                only.address,
                setting(only)
            )
        }
        many => {
            let line = |it: &&Advice| {
                let (first, rest) = of_one(it);
                format!(
                    "<details><summary><b>{}</b> <code>{}</code> <span>{}</span>\
                     <i>{}</i></summary><p>{first}</p>{rest}</details>",
                    bytes(it.size_bytes),
                    it.address,
                    setting(it),
                    escape(&it.figure)
                )
            };
            format!("<div class=\"advice many\">{}</div>", many.iter().map(line).collect::<String>())
        }
    }
}

/// What distinguishes the way beside its address.
fn setting(advice: &Advice) -> String {
    let name = advice.way.name();
    name.strip_prefix("shm ").unwrap_or_default().to_owned()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn legend(rows: &[&Row]) -> String {
    let mut ways: Vec<_> = rows.iter().map(|row| row.way).collect();
    ways.sort_by_key(|way| way.order());
    ways.dedup();
    let button = |way: super::plan::Way| {
        let name = way.name();
        format!("<button type=\"button\" data-way=\"{name}\">{}{name}</button>", chart::sample(&Look::of(way)))
    };
    format!("<div class=\"legend\">{}</div>", ways.into_iter().map(button).collect::<String>())
}

fn figures(rows: &[&Row], sizes: &[usize], pattern: Pattern) -> String {
    let unit = pattern.unit();
    let mut text = String::new();
    let title = match pattern {
        Pattern::OneWay => "From send to receipt".to_owned(),
        _ => "How long a call takes".to_owned(),
    };
    text += &figure(&title, "time against the part that took no longer", &of_each_size(rows, sizes));
    let many = capital(&format!("{unit}s a second"));
    let cpu = format!("CPU time of a {unit}");
    if sizes.len() > 1 {
        text += &match pattern {
            Pattern::Sequential => {
                let median = chart::by_size(rows, sizes, |row| row.latency_ns.p50 as f64, time);
                figure("Median by size", "half of the calls take no longer", &median)
            }
            _ => {
                let rates = chart::by_size(rows, sizes, |row| row.per_second, rate);
                figure(&format!("{many} by size"), "higher is better", &rates)
            }
        };
        let bytes_per_second = chart::by_size(rows, sizes, |row| row.bytes_per_second, bandwidth);
        text += &figure("Bandwidth by size", "payload, higher is better", &bytes_per_second);
        let chart = chart::by_size(rows, sizes, |row| row.cpu_ns_each, time);
        text += &figure(&format!("{cpu} by size"), "both processes, lower is better", &chart);
    } else {
        let times = |row: &Row| [row.latency_ns.p50, row.latency_ns.p99].map(|nanos| nanos as f64).to_vec();
        text += &figure("Median, and up to 99 %", "lower is better", &chart::lines(rows, times, time));
        let range = |row: &Row| vec![row.per_second, row.per_second_lowest, row.per_second_highest];
        let note = "higher is better; the line is from the lowest round to the highest";
        text += &figure(&many, note, &chart::lines(rows, range, rate));
        let chart = chart::lines(rows, |row| vec![row.cpu_ns_each], time);
        text += &figure(&cpu, "both processes, lower is better", &chart);
    }
    text
}

/// The curves of each size, of which the buttons show one.
fn of_each_size(rows: &[&Row], sizes: &[usize]) -> String {
    if sizes.len() < 2 {
        return chart::curves(rows, time);
    }
    let button = |size: &usize| format!("<button type=\"button\" data-size=\"{size}\">{}</button>", bytes(*size));
    let pane = |&size: &usize| {
        let rows: Vec<&Row> = rows.iter().copied().filter(|row| row.size_bytes == size).collect();
        format!("<div class=\"pane\" data-size=\"{size}\">{}</div>", chart::curves(&rows, time))
    };
    let (buttons, panes): (String, String) = (sizes.iter().map(button).collect(), sizes.iter().map(pane).collect());
    format!("<div class=\"panes\"><div class=\"sizes\">{buttons}</div>{panes}</div>")
}

fn figure(title: &str, note: &str, content: &str) -> String {
    format!("<figure><figcaption><b>{title}</b> <span>{note}</span></figcaption>{content}</figure>")
}

fn table(rows: &[&Row]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let unit = first.pattern.unit();
    let mut text = format!(
        "<div class=\"scroll\"><table><thead><tr><th>way</th><th>size</th><th>p50</th><th>p90</th><th>p99</th>\
         <th>p99.9</th><th>max</th><th>{unit}s/s</th><th>bytes/s</th><th>CPU/{unit}</th><th>copies</th>\
         <th>x raw</th></tr></thead><tbody>"
    );
    for row in rows {
        let (look, latency) = (Look::of(row.way), &row.latency_ns);
        let mut cells = vec![bytes(row.size_bytes)];
        cells.extend([latency.p50, latency.p90, latency.p99, latency.p99_9, latency.max].map(|it| time(it as f64)));
        cells.extend([rate(row.per_second), bandwidth(row.bytes_per_second), time(row.cpu_ns_each)]);
        cells.extend([row.copies.to_string(), row.times_raw.map(times).unwrap_or_default()]);
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        let name = row.way.name();
        let _ =
            write!(text, "<tr data-way=\"{name}\"><th scope=\"row\">{}{name}</th>{cells}</tr>", chart::sample(&look));
    }
    text + "</tbody></table></div>"
}

fn how(document: &Document) -> String {
    let (settings, machine) = (&document.settings, &document.machine);
    let mut not_run: Vec<String> = Vec::new();
    for it in &document.not_run {
        let line = format!("<li>{}, {}: {}</li>", it.way.name(), bytes(it.size_bytes), escape(&it.reason));
        if !not_run.contains(&line) {
            not_run.push(line);
        }
    }
    let left_out = match not_run.is_empty() {
        true => String::new(),
        false => {
            format!("<details><summary>What was not run, and why</summary><ul>{}</ul></details>", not_run.concat())
        }
    };
    format!(
        "<section id=\"how\"><h2>How it was measured</h2>\
         <dl><dt>Machine</dt><dd>{}</dd><dt>Load before</dt><dd>{:.2} processes</dd>\
         <dt>Rounds</dt><dd>{} of {:.0} ms for each way, after one to warm up</dd>\
         <dt>Spinning</dt><dd>up to {} µs, on both sides</dd><dt>Version</dt><dd>Shipmate {}, {}</dd></dl>\
         <p>Two processes of the same program, on this machine. The ways take turns, round after round, so that what \
         disturbs one disturbs the others too. Rates are those of the median round; times are of all rounds.</p>\
         <p><b>Raw</b> ways have no Shipmate in them: blocking reads and writes on the same kind of socket or pipe, and \
         for shared memory a word that goes there and back, slept on in a futex or spun on, with one copy of the payload \
         each. <b>x raw</b> is how many times the time of the raw way of the same kind a way takes: by the median where \
         each call is waited for, and by the rate elsewhere. With many in flight, the raw words stand for a whole batch \
         in one hand-over, which nothing that looks at its messages comes near to; below 1, many messages in one write beat \
         one write for each.</p>\
         <p><b>CPU time</b> is that of both processes, in user and kernel mode. <b>Copies</b> are how often each byte of \
         the payload is copied from where it was built to where it is read.</p>{left_out}</section>\n",
        escape(&machine.line()),
        machine.load_before,
        settings.rounds,
        settings.round_millis,
        settings.spin_micros,
        document.version,
        if settings.optimized { "optimized" } else { "not optimized" },
    )
}
