//! `Range`: one range is served as a part, everything else as the whole.

/// What part of an object is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    /// First and last byte.
    Part(u64, u64),
    /// Nothing of it exists.
    Unsatisfiable,
}

/// Reads the header. Other units, several ranges and nonsense ask for the whole.
pub(super) fn parse(header: Option<&str>, size: u64) -> Wanted {
    let Some(range) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Wanted::Whole };
    match (number(first), number(last)) {
        (Some(Some(first)), Some(last)) => {
            let last = last.unwrap_or(u64::MAX);
            match first {
                _ if last < first => Wanted::Whole,
                _ if first >= size => Wanted::Unsatisfiable,
                _ => Wanted::Part(first, last.min(size - 1)),
            }
        }
        // The last so many bytes.
        (Some(None), Some(Some(0))) => Wanted::Unsatisfiable,
        (Some(None), Some(Some(_))) if size == 0 => Wanted::Unsatisfiable,
        (Some(None), Some(Some(length))) => Wanted::Part(size.saturating_sub(length), size - 1),
        _ => Wanted::Whole,
    }
}

/// `None` for nonsense, `Some(None)` for nothing.
#[expect(clippy::option_option, reason = "absent and broken differ")]
fn number(text: &str) -> Option<Option<u64>> {
    match text.trim() {
        "" => Some(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(Some(digits.parse().unwrap_or(u64::MAX))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_mean_what_the_standard_says() {
        for (header, wanted) in [
            ("bytes=0-99", Wanted::Part(0, 99)),
            ("bytes=0-0", Wanted::Part(0, 0)),
            ("bytes=500-", Wanted::Part(500, 999)),
            ("bytes=500-5000", Wanted::Part(500, 999)),
            ("bytes=-100", Wanted::Part(900, 999)),
            ("bytes=-5000", Wanted::Part(0, 999)),
            ("bytes=1000-", Wanted::Unsatisfiable),
            ("bytes=1000-2000", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=0-1,5-9", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("lines=0-9", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(parse(Some(header), 1000), wanted, "{header}");
        }
        assert_eq!(parse(None, 1000), Wanted::Whole);
    }
}
