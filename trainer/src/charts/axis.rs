//! Axes of round numbers.

/// From a round number to a round number in round steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    /// Where it begins.
    pub(crate) first: f64,
    /// Where it ends, above `first`.
    pub(crate) last: f64,
    /// From tick to tick.
    step: f64,
}

impl Axis {
    /// The shortest axis that covers `least` to `most` in about `intervals` steps of
    /// 1, 2 or 5 times a power of ten.
    pub(crate) fn covering(least: f64, most: f64, intervals: f64) -> Self {
        let span = most - least;
        let (least, span) = match span {
            _ if !span.is_finite() => (0.0, 1.0),
            span if span > 0.0 => (least, span),
            // One value alone: an axis begins below it and ends above it.
            _ => (least, least.abs().max(1.0) / 4.0),
        };
        let step = round_step(span / intervals);
        let first = (least / step).floor() * step;
        let last = ((least + span) / step).ceil() * step;
        Self { first, last, step }
    }

    /// The same for shares in per cent: one value alone does not push it above 100.
    pub(crate) fn of_shares(least: f64, most: f64, intervals: f64) -> Self {
        match Self::covering(least, most, intervals) {
            axis if most <= 100.0 && axis.last > 100.0 => Self::covering(75.0, 100.0, 5.0),
            axis => axis,
        }
    }

    /// The same for counts: from 0, in whole steps.
    pub(crate) fn counting(most: f64, intervals: f64) -> Self {
        let most = most.max(1.0);
        let step = round_step(most / intervals).max(1.0);
        Self {
            first: 0.0,
            last: (most / step).ceil() * step,
            step,
        }
    }

    /// The same, ending at `last` wherever the steps fall.
    pub(crate) fn ending_at(self, last: f64) -> Self {
        Self { last, ..self }
    }

    /// Values of the ticks.
    pub(crate) fn ticks(self) -> impl Iterator<Item = f64> {
        // Counted, so that rounding errors do not add up.
        (0..)
            .map(f64::from)
            .take_while(move |index| index * self.step <= self.last - self.first + self.step / 2.0)
            .map(move |index| self.first + index * self.step)
    }

    /// Where `value` is between `from` (for `first`) and `to` (for `last`).
    pub(crate) fn place(self, value: f64, from: f64, to: f64) -> f64 {
        from + (value - self.first) / (self.last - self.first) * (to - from)
    }

    /// `value` with the decimals that the steps have.
    pub(crate) fn label(self, value: f64) -> String {
        let decimals = (0..9)
            .find(|&decimals| {
                let scaled = self.step * 10_f64.powi(decimals);
                (scaled - scaled.round()).abs() < 1e-6
            })
            .unwrap_or(9);
        let decimals = usize::try_from(decimals).unwrap_or(0);
        format!("{value:.decimals$}")
    }
}

/// The least and the most of the values that are numbers; infinite the wrong way round, if
/// there are none.
pub(crate) fn extremes(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let numbers = values.filter(|value| value.is_finite());
    numbers.fold(
        (f64::INFINITY, f64::NEG_INFINITY),
        |(least, most), value| (least.min(value), most.max(value)),
    )
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `least`.
pub(crate) fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|factor| factor * power);
    let fits = steps.into_iter().find(|&step| step >= least * 0.999_999);
    fits.unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        let steps = [0.013, 0.2, 0.21, 1.0, 3.0, 7.0, 99.0].map(round_step);
        let expected = [0.02, 0.2, 0.5, 1.0, 5.0, 10.0, 100.0];
        for (step, expected) in steps.into_iter().zip(expected) {
            assert!((step / expected - 1.0).abs() < 1e-9, "{step} {expected}");
        }
    }

    #[test]
    fn ticks_cover_the_values() {
        let axis = Axis::covering(61.3, 97.9, 4.0);
        assert_eq!(
            axis.ticks().collect::<Vec<_>>(),
            [60.0, 70.0, 80.0, 90.0, 100.0]
        );
        let fine = Axis::covering(0.0, 0.31, 4.0);
        let labels: Vec<_> = fine.ticks().map(|tick| fine.label(tick)).collect();
        assert_eq!(labels, ["0.0", "0.1", "0.2", "0.3", "0.4"]);
    }

    #[test]
    fn no_values_still_make_an_axis() {
        for (least, most) in [
            (f64::INFINITY, f64::NEG_INFINITY),
            (f64::NAN, f64::NAN),
            (5.0, 5.0),
            (0.0, 0.0),
        ] {
            let axis = Axis::covering(least, most, 4.0);
            assert!(axis.last > axis.first, "{axis:?}");
            assert!((2..=12).contains(&axis.ticks().count()), "{axis:?}");
        }
        assert_eq!(Axis::counting(0.0, 4.0).ticks().count(), 2);
    }
}
