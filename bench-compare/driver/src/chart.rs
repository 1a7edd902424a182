//! A picture of one work: bars on a logarithmic scale, and a line from the lowest round to the highest.

use std::fmt::Write;

use crate::peers::Kind;
use crate::report::short;
use crate::sample::{Row, Samples, highest, lowest, median};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 210.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 56.0;
const BAR: f64 = 14.0;
const STEP: f64 = 19.0;
const HEADING: f64 = 24.0;

const OURS: &str = "#0b6bcb";
const PEER: &str = "#9aa5b1";
const RAW: &str = "#d9cfa8";
const INK: &str = "#1f2933";

pub fn draw(samples: &Samples) -> String {
    let work = samples.work;
    let scale = Scale::of(samples);
    let kinds: Vec<(Kind, Vec<&Row>)> = Kind::ALL.into_iter().map(|kind| (kind, rows(samples, kind))).collect();
    let (mut bars, mut y) = (String::new(), TOP);
    for (kind, rows) in kinds.iter().filter(|(_, rows)| !rows.is_empty()) {
        let _ = writeln!(bars, r#"<text x="8" y="{}" font-weight="bold">{}</text>"#, y + 13.0, kind.title());
        y += HEADING;
        for row in rows {
            bars.push_str(&bar(row, &row.figures(work), &scale, y));
            y += STEP;
        }
        y += 6.0;
    }
    let height = y + 10.0;
    let better = if work.figure.less_is_better() { "less is better" } else { "more is better" };
    let mut text = String::new();
    let _ = writeln!(
        text,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" fill="{INK}">
<rect width="{WIDTH}" height="{height}" fill="white"/>
<text x="8" y="20" font-size="16" font-weight="bold">{}</text>
<text x="8" y="38">{}, {better}; logarithmic scale</text>"#,
        work.title,
        work.figure.unit()
    );
    text.push_str(&legend());
    for tick in scale.ticks() {
        let x = scale.x(tick);
        let _ = writeln!(
            text,
            r##"<line x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{y}" stroke="#e4e7eb"/><text x="{x:.1}" y="{}" text-anchor="middle" font-size="10">{}</text>"##,
            TOP - 4.0,
            grouped(tick)
        );
    }
    text.push_str(&bars);
    text.push_str("</svg>\n");
    text
}

/// Best first.
fn rows(samples: &Samples, kind: Kind) -> Vec<&Row> {
    let middle = |row: &Row| median(&row.figures(samples.work));
    let mut rows: Vec<&Row> = samples.measured().filter(|row| row.way.kind == kind).collect();
    rows.sort_by(|a, b| middle(a).total_cmp(&middle(b)));
    if !samples.work.figure.less_is_better() {
        rows.reverse();
    }
    rows
}

fn bar(row: &Row, figures: &[f64], scale: &Scale, y: f64) -> String {
    let colour = match row.way.peer {
        "shipmate" => OURS,
        "raw" => RAW,
        _ => PEER,
    };
    let (middle, x) = (median(figures), scale.x(median(figures)));
    let (low, high) = (scale.x(lowest(figures)), scale.x(highest(figures)));
    let text_y = y + BAR - 3.0;
    let line_y = y + BAR / 2.0;
    format!(
        r#"<text x="{}" y="{text_y}" text-anchor="end">{}</text><rect x="{LEFT}" y="{y}" width="{:.1}" height="{BAR}" fill="{colour}"/><line x1="{low:.1}" x2="{high:.1}" y1="{line_y}" y2="{line_y}" stroke="{INK}"/><text x="{:.1}" y="{text_y}" font-size="11">{}</text>
"#,
        LEFT - 8.0,
        row.way.title(),
        x - LEFT,
        x.max(high) + 5.0,
        if middle >= 1000.0 { grouped(middle) } else { short(middle) }
    )
}

fn legend() -> String {
    let mut text = String::new();
    for (index, (colour, name)) in [(OURS, "Shipmate"), (PEER, "peer"), (RAW, "raw: no types")].into_iter().enumerate()
    {
        let x = WIDTH - 290.0 + index as f64 * 92.0;
        let _ = writeln!(
            text,
            r#"<rect x="{x}" y="10" width="12" height="12" fill="{colour}"/><text x="{}" y="20">{name}</text>"#,
            x + 17.0
        );
    }
    text
}

/// From a power of ten below all values to one above them.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(samples: &Samples) -> Self {
        let all: Vec<f64> = samples.measured().flat_map(|row| row.figures(samples.work)).collect();
        let (low, high) = (lowest(&all).log10().floor(), highest(&all).log10().ceil());
        Scale { low, high: high.max(low + 1.0) }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (value.log10() - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.low as i32..=self.high as i32).map(|power| 10f64.powi(power))
    }
}

/// 1,234,567, or as many decimals as a small power of ten has.
fn grouped(value: f64) -> String {
    if value < 1.0 {
        return format!("{value}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
