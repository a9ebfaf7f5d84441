//! How durations and sizes are written: a whole number and its unit, `250ms`, `64KiB`.

use std::time::Duration;

const MILLISECONDS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
const BYTES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A duration with its unit, such as `250ms`, `5s` or `2m`.
pub fn read_duration(text: &str) -> Option<Duration> {
    read(text, &MILLISECONDS).map(Duration::from_millis)
}

/// As [`read_duration`] reads it.
pub fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &MILLISECONDS)
}

/// A size in bytes with its unit, such as `64KiB`.
pub fn read_size(text: &str) -> Option<u64> {
    read(text, &BYTES)
}

/// As [`read_size`] reads it.
pub fn show_size(bytes: u64) -> String {
    show(bytes, &BYTES)
}

pub(super) fn read_bool(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn read(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let &(_, factor) = units.iter().find(|&&(name, _)| name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn show(value: u64, units: &[(&str, u64)]) -> String {
    let fits = |&&(_, factor): &&(&str, u64)| value > 0 && value.is_multiple_of(factor);
    let &(unit, factor) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    format!("{}{unit}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_or_size_is_a_whole_number_and_its_unit() {
        let times = ["250ms", "5s", "2m", "1h", "0ms"];
        for text in times {
            assert_eq!(read_duration(text).map(show_duration).as_deref(), Some(text));
        }
        for text in ["1B", "64KiB", "3MiB", "2GiB"] {
            assert_eq!(read_size(text).map(show_size).as_deref(), Some(text));
        }
        assert_eq!(read_duration("90s"), Some(Duration::from_secs(90)));
    }

    #[test]
    fn what_has_no_unit_or_another_one_or_overflows_is_refused() {
        for text in
            ["", "5", "s", "-5s", "5 s", "1.5s", "5S", "5d", "99999999999999999999s", "18446744073709551615h"]
        {
            assert_eq!(read_duration(text), None, "{text}");
        }
        for text in ["64kb", "64K", "0x10B", "18446744073709551615GiB"] {
            assert_eq!(read_size(text), None, "{text}");
        }
    }
}
