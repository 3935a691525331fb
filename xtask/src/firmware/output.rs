//! Compares what a program printed with what was expected.

/// How equal two outputs must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tolerance {
    /// Every character.
    Exact,
    /// Numbers within this many per cent of the expected one, the rest exactly.
    Percent(u64),
}

/// The first line that differs, as it was expected and as it is.
pub(crate) fn difference(expected: &str, printed: &str, tolerance: Tolerance) -> Option<String> {
    let mut expected_lines = expected.lines();
    let mut printed_lines = printed.lines();
    for number in 1_usize.. {
        let (expected, printed) = (expected_lines.next(), printed_lines.next());
        match (expected, printed) {
            (None, None) => break,
            (Some(expected), Some(printed)) if agree(expected, printed, tolerance) => {}
            _ => {
                let show = |line: Option<&str>| line.unwrap_or("(end)").to_owned();
                return Some(format!(
                    "line {number}\n  expected: {}\n  printed:  {}",
                    show(expected),
                    show(printed)
                ));
            }
        }
    }
    None
}

fn agree(expected: &str, printed: &str, tolerance: Tolerance) -> bool {
    let Tolerance::Percent(percent) = tolerance else {
        return expected == printed;
    };
    let (mut expected, mut printed) = (expected.split(' '), printed.split(' '));
    loop {
        match (expected.next(), printed.next()) {
            (None, None) => return true,
            (Some(expected), Some(printed)) => {
                let near = match (expected.parse::<u64>(), printed.parse::<u64>()) {
                    (Ok(expected), Ok(printed)) => {
                        expected.abs_diff(printed) * 100 <= expected * percent
                    }
                    _ => expected == printed,
                };
                if !near {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_means_exact() {
        assert_eq!(difference("a 100\n", "a 100\n", Tolerance::Exact), None);
        assert!(difference("a 100\n", "a 101\n", Tolerance::Exact).is_some());
        assert!(difference("a\nb\n", "a\n", Tolerance::Exact).is_some());
        assert!(difference("a\n", "a\nb\n", Tolerance::Exact).is_some());
    }

    #[test]
    fn numbers_may_be_near() {
        let near = Tolerance::Percent(2);
        assert_eq!(difference("a 100 b", "a 102 b", near), None);
        assert_eq!(difference("a 100 b", "a 98 b", near), None);
        assert!(difference("a 100 b", "a 103 b", near).is_some());
        assert!(difference("a 100 b", "c 100 b", near).is_some());
        assert!(difference("a 100", "a 100 b", near).is_some());
        assert!(difference("a n/a", "a 0", near).is_some());
    }
}
