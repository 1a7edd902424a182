//! Charts, as SVG that stands in the page. Colours and fonts are the page's.

use std::fmt::Write;

use super::html::escape;
use super::look::Look;
use super::scale::{Log, nines};
use crate::bench::document::Row;
use crate::bench::units::bytes;

/// How a value is written.
pub(super) type Unit = fn(f64) -> String;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 34.0;
/// Of a chart with a line for each way: the names are on the left, and each line is this high.
const NAMES: f64 = 184.0;
const LINE: f64 = 25.0;

/// How many took how long: the way through the quantiles of each row.
pub(super) fn curves(rows: &[&Row], unit: Unit) -> String {
    let times = rows.iter().flat_map(|row| row.quantiles.iter().map(|&(_, nanos)| nanos as f64));
    let y = Log::over(times, HEIGHT - BOTTOM, TOP);
    let last = rows.iter().flat_map(|row| row.quantiles.last()).map(|&(quantile, _)| nines(quantile));
    let most = last.fold(1.0, f64::max);
    let x = |quantile: f64| LEFT + nines(quantile) / most * (WIDTH - LEFT - RIGHT);
    let mut svg = open(HEIGHT, "Part of all against time");
    horizontal_grid(&mut svg, &y, unit);
    for (quantile, label) in
        [(0.0, "0"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")]
    {
        if nines(quantile) <= most + 1e-9 {
            vertical_line(&mut svg, x(quantile), label, HEIGHT);
        }
    }
    for row in rows {
        let point = |&(quantile, nanos): &(f64, u64)| {
            let tip = format!("{}: {} % within {}", row.way.name(), percent(quantile), unit(nanos as f64));
            (x(quantile), y.place(nanos as f64), tip)
        };
        series(&mut svg, row, &row.quantiles.iter().map(point).collect::<Vec<_>>());
    }
    svg + "</svg>"
}

/// One figure of each way, by size.
pub(super) fn by_size(rows: &[&Row], sizes: &[usize], figure: fn(&Row) -> f64, unit: Unit) -> String {
    let (Some(&first), Some(&last)) = (sizes.first(), sizes.last()) else { return String::new() };
    let y = Log::over(rows.iter().map(|row| figure(row)), HEIGHT - BOTTOM, TOP);
    let x = Log::exactly(first as f64, last as f64, LEFT + 8.0, WIDTH - RIGHT - 8.0);
    let mut svg = open(HEIGHT, "By size of the payload");
    horizontal_grid(&mut svg, &y, unit);
    let mut free = 0.0;
    for &size in sizes {
        let place = x.place(size as f64);
        // Only where there is room for it.
        let label = if place >= free { bytes(size) } else { String::new() };
        if !label.is_empty() {
            free = place + 50.0;
        }
        vertical_line(&mut svg, place, &label, HEIGHT);
    }
    let mut ways: Vec<_> = rows.iter().map(|row| row.way).collect();
    ways.sort_by_key(|way| way.order());
    ways.dedup();
    for way in ways {
        let of: Vec<&&Row> = rows.iter().filter(|row| row.way == way).collect();
        let point = |row: &&&Row| {
            let value = figure(row);
            let tip = format!("{}, {}: {}", way.name(), bytes(row.size_bytes), unit(value));
            (x.place(row.size_bytes as f64), y.place(value), tip)
        };
        series(&mut svg, of[0], &of.iter().map(point).collect::<Vec<_>>());
    }
    svg + "</svg>"
}

/// Figures of each way on a line of its own: from the lowest to the highest, with a mark on the first given.
pub(super) fn lines(rows: &[&Row], figures: fn(&Row) -> Vec<f64>, unit: Unit) -> String {
    let height = TOP + LINE * rows.len() as f64 + BOTTOM;
    let x = Log::over(rows.iter().flat_map(|row| figures(row)), NAMES, WIDTH - RIGHT - 12.0);
    let mut svg = open(height, "For each way");
    let mut free = 0.0;
    for tick in x.ticks() {
        let place = x.place(tick);
        let label = if place >= free { unit(tick) } else { String::new() };
        if !label.is_empty() {
            free = place + 58.0;
        }
        vertical_line(&mut svg, place, &label, height);
    }
    for (index, row) in rows.iter().enumerate() {
        let (values, y) = (figures(row), TOP + LINE * (index as f64 + 0.5));
        let Some(&main) = values.first() else { continue };
        let (low, high) = values.iter().fold((main, main), |(low, high), &it| (low.min(it), high.max(it)));
        let (look, name) = (Look::of(row.way), row.way.name());
        let range = if values.len() > 1 { format!(" ({} to {})", unit(low), unit(high)) } else { String::new() };
        let tip = escape(&format!("{name}: {}{range}", unit(main)));
        let _ = write!(
            svg,
            "<g class=\"series {}\" data-way=\"{name}\"><text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>\
             <line class=\"range\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>{}</g>",
            look.class,
            NAMES - 12.0,
            y + 4.0,
            x.place(low),
            x.place(high),
            mark(&look, x.place(main), y, &tip),
        );
    }
    svg + "</svg>"
}

/// A sample for the legend.
pub(super) fn sample(look: &Look) -> String {
    format!(
        "<svg class=\"sample {}\" viewBox=\"0 0 34 14\" aria-hidden=\"true\"><path class=\"line\" d=\"M1 7H33\"/>\
         <path class=\"mark\" transform=\"translate(17 7)\" d=\"{}\"/></svg>",
        look.class, look.mark
    )
}

fn open(height: f64, label: &str) -> String {
    format!("<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">")
}

fn horizontal_grid(svg: &mut String, y: &Log, unit: Unit) {
    for tick in y.ticks() {
        let place = y.place(tick);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{place:.1}\" y2=\"{place:.1}\"/>\
             <text class=\"label end\" x=\"{}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            place + 4.0,
            short(&unit(tick))
        );
    }
}

fn vertical_line(svg: &mut String, x: f64, label: &str, height: f64) {
    let _ = write!(
        svg,
        "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>\
         <text class=\"label middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
        height - BOTTOM,
        height - BOTTOM + 18.0,
        short(label)
    );
}

/// A line through points, each with what to show about it.
fn series(svg: &mut String, row: &Row, points: &[(f64, f64, String)]) {
    let (look, name) = (Look::of(row.way), row.way.name());
    let _ = write!(svg, "<g class=\"series {}\" data-way=\"{name}\"><path class=\"line\" d=\"", look.class);
    for (index, (x, y, _)) in points.iter().enumerate() {
        let _ = write!(svg, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
    svg.push_str("\"/>");
    for (x, y, tip) in points {
        svg.push_str(&mark(&look, *x, *y, &escape(tip)));
    }
    svg.push_str("</g>");
}

fn mark(look: &Look, x: f64, y: f64, tip: &str) -> String {
    format!(
        "<path class=\"mark\" transform=\"translate({x:.1} {y:.1})\" d=\"{}\" data-x=\"{x:.1}\" data-y=\"{y:.1}\">\
         <title>{tip}</title></path>",
        look.mark
    )
}

fn percent(quantile: f64) -> String {
    let text = format!("{:.3}", quantile * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Round numbers need no digits after the point.
fn short(text: &str) -> String {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number} {unit}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short() {
        for (long, expected) in [("10.0 µs", "10 µs"), ("0.50 µs", "0.5 µs"), ("100 µs", "100 µs"), ("7.00", "7")]
        {
            assert_eq!(short(long), expected);
        }
        assert_eq!([0.0, 0.5, 0.999, 0.99999].map(percent), ["0", "50", "99.9", "99.999"]);
    }
}
