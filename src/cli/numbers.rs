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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let shown = [0, 12, 999, 1000, 65_536, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "12", "999", "1,000", "65,536", "1,234,567"]);
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
