//! Numbers as people read them.

use std::time::Duration;

/// `1.5s`, `2m03s`, `1h05m`.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", time.as_secs_f64()),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0 B`, `12 B`, `1.5 KiB`, `338 MiB`.
#[cfg(feature = "server")]
pub(super) fn bytes(bytes: f64) -> String {
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"].into_iter();
    let (mut number, mut unit) = (bytes, units.next().expect("there are six"));
    // What would be rounded to 1,024 is one of the next unit.
    while number >= 1023.5
        && let Some(larger) = units.next()
    {
        (number, unit) = (number / 1024.0, larger);
    }
    match number {
        ..9.95 if unit != "B" => format!("{number:.1} {unit}"),
        _ => format!("{number:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let shown = [0, 12, 999, 1000, 65_536, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "12", "999", "1,000", "65,536", "1,234,567"]);
    }

    #[cfg(feature = "server")]
    #[test]
    fn bytes_have_a_unit_and_two_digits_at_least() {
        let shown = [
            0.0,
            12.4,
            1023.0,
            1023.6,
            1536.0,
            10240.0,
            354_418_688.0,
            1e40,
        ];
        let shown = shown.map(bytes);
        assert_eq!(
            shown[..7],
            [
                "0 B", "12 B", "1023 B", "1.0 KiB", "1.5 KiB", "10 KiB", "338 MiB"
            ]
        );
        assert!(shown[7].ends_with(" PiB"));
    }

    #[test]
    fn a_time_has_two_units_at_most() {
        let shown = [1.25, 59.94, 60.0, 123.9, 3599.0, 3600.0, 7_500.0];
        let shown = shown.map(|seconds| time(Duration::from_secs_f64(seconds)));
        assert_eq!(
            shown,
            [
                "1.2s", "59.9s", "1m00s", "2m03s", "59m59s", "1h00m", "2h05m"
            ]
        );
    }
}
