//! [`timestamp`] formats a time for people.

use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// Formats a time as AWS does, to the second. A time outside the years 1 to 9999, which a source may use for "never",
/// is clamped to them.
pub(crate) fn timestamp(time: SystemTime) -> String {
    let seconds = DateTime::from(time).secs();
    DateTime::from_secs(seconds.clamp(-62_135_596_800, 253_402_300_799))
        .fmt(Format::DateTime)
        .unwrap_or_else(|_| format!("{time:?}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_time_is_printed_as_aws_prints_it_however_far_away_it_is() {
        let seconds = Duration::from_secs;
        for (time, printed) in [
            (UNIX_EPOCH + seconds(951_868_800), "2000-03-01T00:00:00Z"),
            (
                UNIX_EPOCH - Duration::from_millis(1),
                "1969-12-31T23:59:59Z",
            ),
            (
                UNIX_EPOCH + seconds(253_402_300_799),
                "9999-12-31T23:59:59Z",
            ),
            // The format has four digits for the year.
            (
                UNIX_EPOCH + seconds(253_402_300_800),
                "9999-12-31T23:59:59Z",
            ),
            #[cfg(unix)] // Not every system has such times.
            (
                UNIX_EPOCH + seconds(i64::MAX as u64),
                "9999-12-31T23:59:59Z",
            ),
            #[cfg(unix)]
            (
                UNIX_EPOCH - seconds(i64::MAX as u64),
                "0001-01-01T00:00:00Z",
            ),
        ] {
            assert_eq!(timestamp(time), printed);
        }
    }
}
