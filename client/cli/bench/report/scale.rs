//! Scales: from values to places on a chart.

/// Logarithmic, between round numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Log {
    low: f64,
    high: f64,
    /// Where the two ends are.
    from: f64,
    to: f64,
}

impl Log {
    /// Holds all the values, of which those that are not above zero are ignored.
    pub(super) fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = values
            .filter(|value| *value > 0.0 && value.is_finite())
            .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return Log { low: 1.0, high: 10.0, from, to };
        }
        let (low, mut high) = (round_down(low), round_up(high));
        if high < low * 10.0 {
            high = low * 10.0;
        }
        Log { low, high, from, to }
    }

    /// Between the very values, as they are.
    pub(super) fn exactly(low: f64, high: f64, from: f64, to: f64) -> Self {
        let high = if high > low { high } else { low * 2.0 };
        Log { low, high, from, to }
    }

    pub(super) fn place(&self, value: f64) -> f64 {
        let part = (value.clamp(self.low, self.high) / self.low).ln() / (self.high / self.low).ln();
        self.from + part * (self.to - self.from)
    }

    /// The values to mark: each decade, and between them as many as there is room for.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let steps: &[f64] = if decades <= 1.7 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        let all = (first..=last).flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
        let within = (self.low * 0.999)..=(self.high * 1.001);
        all.filter(|tick| within.contains(tick)).collect()
    }
}

/// To 1, 2 or 5 times a power of ten.
fn round_down(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let step = [5.0, 2.0, 1.0].into_iter().find(|step| step * decade <= value * 1.000_001);
    step.unwrap_or(1.0) * decade
}

fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|step| step * decade >= value * 0.999_999);
    step.unwrap_or(10.0) * decade
}

/// Where a quantile is: each nine more is as far as the last one.
pub(super) fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_has_round_ends_that_hold_every_value() {
        let scale = Log::over([230.0, 61_000.0].into_iter(), 0.0, 100.0);
        assert_eq!((scale.low, scale.high), (200.0, 100_000.0));
        assert_eq!((scale.place(200.0), scale.place(100_000.0)), (0.0, 100.0));
        assert!(scale.place(1000.0) < scale.place(2000.0));
        assert_eq!(scale.place(1.0), 0.0);
    }

    #[test]
    fn ticks_are_round_and_within() {
        let close = Log::over([20.0, 90.0].into_iter(), 0.0, 1.0).ticks();
        let rounded: Vec<i64> = close.iter().map(|tick| tick.round() as i64).collect();
        assert_eq!(rounded, [20, 50, 100, 200]);
        let far = Log::over([1.0, 1e6].into_iter(), 0.0, 1.0).ticks();
        assert_eq!(far.len(), 7);
    }

    #[test]
    fn nothing_and_one_value_have_a_scale_too() {
        assert!(Log::over(std::iter::empty(), 0.0, 1.0).place(5.0).is_finite());
        let scale = Log::over([3.0].into_iter(), 0.0, 1.0);
        assert!((0.0..=1.0).contains(&scale.place(3.0)) && scale.ticks().len() > 1);
    }

    #[test]
    fn nines_are_equally_far_apart() {
        for (quantile, place) in [(0.0, 0.0), (0.9, 1.0), (0.99, 2.0), (0.999, 3.0)] {
            assert!((nines(quantile) - place).abs() < 1e-9, "{quantile}");
        }
    }
}
