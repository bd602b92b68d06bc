//! The values that conditions compare: numbers, dates and bytes.

use std::cmp::Ordering;

use aws_smithy_types::base64;
use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

/// A decimal number of arbitrary length, compared exactly.
#[derive(Clone, Debug)]
pub(super) struct Decimal {
    is_negative: bool,
    /// Without leading zeros.
    integer: String,
    /// Without trailing zeros.
    fraction: String,
}

impl Decimal {
    /// Reads digits with an optional sign and fraction.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (is_negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if integer.is_empty()
            || digits.ends_with('.')
            || !is_digits(integer)
            || !is_digits(fraction)
        {
            return None;
        }
        let (integer, fraction) = (
            integer.trim_start_matches('0'),
            fraction.trim_end_matches('0'),
        );
        Some(Self {
            // Zero has no sign.
            is_negative: is_negative && !(integer.is_empty() && fraction.is_empty()),
            integer: integer.to_owned(),
            fraction: fraction.to_owned(),
        })
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |a: &Self, b: &Self| {
            (a.integer.len(), &a.integer, &a.fraction).cmp(&(
                b.integer.len(),
                &b.integer,
                &b.fraction,
            ))
        };
        match (self.is_negative, other.is_negative) {
            (false, false) => size(self, other),
            (true, true) => size(other, self),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

/// Decodes base64.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    base64::decode(text).ok()
}

/// Reads a date as nanoseconds since 1970: seconds since 1970, or the W3C profile of ISO 8601 (`2026-01`, `2026-01-31`,
/// `2026-01-31T12:00Z`, `2026-01-31T12:00:00.5+01:00`). A year alone is rejected, because it is ambiguous.
pub(super) fn epoch_nanos(text: &str) -> Option<i128> {
    const NANOS: i128 = 1_000_000_000;
    let is_seconds = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b == b'-' || b == b'.')
        && !text.get(1..).unwrap_or_default().contains('-')
        && text.len() != 4;
    if is_seconds {
        let number = Decimal::read(text)?;
        let seconds: i128 = format!("0{}", number.integer).parse().ok()?;
        let nanos: i128 = format!("{:0<9.9}", number.fraction).parse().ok()?;
        let nanos = seconds.checked_mul(NANOS)?.checked_add(nanos)?;
        return Some(if number.is_negative { -nanos } else { nanos });
    }
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut fields = date.split('-');
    let year = number(fields.next()?, 4)?;
    let month = Month::try_from(u8::try_from(number(fields.next()?, 2)?).ok()?).ok()?;
    let day = match (fields.next(), time) {
        (Some(day), _) => number(day, 2)?,
        (None, None) => 1,
        // A time requires a day.
        (None, Some(_)) => return None,
    };
    if fields.next().is_some() {
        return None;
    }
    let date = Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()?;
    let (time, offset) = match time {
        Some(time) => time_and_offset(time)?,
        None => (Time::MIDNIGHT, UtcOffset::UTC),
    };
    let at = PrimitiveDateTime::new(date, time).assume_offset(offset);
    Some(at.unix_timestamp_nanos())
}

/// Reads `12:00Z` or `12:00:00.5+01:00`.
fn time_and_offset(text: &str) -> Option<(Time, UtcOffset)> {
    let zone = text.find(['Z', '+', '-'])?;
    let (time, zone) = text.split_at(zone);
    let mut fields = time.split(':');
    let hour = number(fields.next()?, 2)?;
    let minute = number(fields.next()?, 2)?;
    let (second, nanos) = match fields.next() {
        None => (0, 0),
        Some(seconds) => {
            let (seconds, fraction) = match seconds.split_once('.') {
                Some((_, "")) => return None,
                Some((seconds, fraction)) => (seconds, fraction),
                None => (seconds, ""),
            };
            if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            (
                number(seconds, 2)?,
                format!("{fraction:0<9.9}").parse().ok()?,
            )
        }
    };
    if fields.next().is_some() {
        return None;
    }
    let byte = |number: i32| u8::try_from(number).ok();
    let time = Time::from_hms_nano(byte(hour)?, byte(minute)?, byte(second)?, nanos).ok()?;
    let offset = match zone {
        "Z" => UtcOffset::UTC,
        _ => {
            let (sign, zone) = zone.split_at(1);
            let (hours, minutes) = zone.split_once(':')?;
            let seconds = number(hours, 2)? * 3600 + number(minutes, 2)? * 60;
            let sign = if sign == "-" { -1 } else { 1 };
            UtcOffset::from_whole_seconds(sign * seconds).ok()?
        }
    };
    Some((time, offset))
}

/// Reads a number with exactly this many digits.
fn number(text: &str, digits: usize) -> Option<i32> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_w3c_and_seconds_since_1970() {
        for (text, expected) in [
            ("2026-01-01", Some(1_767_225_600)),
            ("2026-01", Some(1_767_225_600)),
            ("2026-01-01T00:00Z", Some(1_767_225_600)),
            ("2026-01-01T00:00:00Z", Some(1_767_225_600)),
            ("2026-01-01T00:00:00.25Z", Some(1_767_225_600)),
            ("2026-01-01T01:00:00+01:00", Some(1_767_225_600)),
            ("2025-12-31T19:00-05:00", Some(1_767_225_600)),
            ("1767225600", Some(1_767_225_600)),
            ("1767225600.9", Some(1_767_225_600)),
            ("-1", Some(-1)),
            ("0", Some(0)),
            ("1600-01-01", Some(-11_676_096_000)),
            ("2026", None),
            ("2026-1-1", None),
            ("2026-02-30", None),
            ("2026-13-01", None),
            ("2026-01-01T00:00", None),
            ("2026-01-01T24:00Z", None),
            ("2026-01-01T00:00:60Z", None),
            ("2026-01T00:00Z", None),
            ("2026-01-01T00Z", None),
            ("2026-01-01T00:00:00.Z", None),
            ("2026-01-01T00:00:00+0100", None),
            ("2026-01-01T00:00:00+é1:00", None),
            ("2026-01-01 00:00:00Z", None),
            ("1-1", None),
            ("-", None),
            ("", None),
            ("tomorrow", None),
            ("9999999999999999999999999999999999999999999", None),
        ] {
            let seconds = epoch_nanos(text).map(|nanos| nanos.div_euclid(1_000_000_000));
            assert_eq!(seconds, expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_compared_exactly() {
        let number = |text| Decimal::read(text).unwrap();
        let ordered = [
            "-9007199254740993",
            "-9007199254740992",
            "-10",
            "-9.5",
            "0",
            "0.05",
            "0.5",
            "9",
            "10",
            "9007199254740992",
            "9007199254740993",
        ];
        for pair in ordered.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        }
        for (a, b) in [("1", "1.0"), ("-0", "0"), ("+7", "007"), ("1.50", "1.5")] {
            assert_eq!(number(a), number(b));
        }
        for wrong in ["", "-", "1.", ".5", "1e3", "NaN", "inf", "1 ", "0x1", "١"] {
            assert!(Decimal::read(wrong).is_none(), "{wrong}");
        }
    }
}
