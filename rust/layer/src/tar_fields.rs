//! Reading the fields of tar headers: numbers, times, pax records.

use crate::entry::Xattr;

/// Reads a number of a header: octal digits, or base 256 if the first bit is set.
///
/// Spaces may stand before and spaces and NULs behind it; an empty field is 0.
pub(crate) fn number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base_256(field),
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<i64> {
    let is_blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let start = field
        .iter()
        .position(|byte| !is_blank(byte))
        .unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(is_blank).unwrap_or(digits.len());
    // What old writers leave behind the terminator, nobody reads.
    let mut value = 0_i64;
    for digit in &digits[..end] {
        if !(b'0'..=b'7').contains(digit) {
            return None;
        }
        value = value.checked_mul(8)?.checked_add(i64::from(digit - b'0'))?;
    }
    Some(value)
}

fn base_256(field: &[u8]) -> Option<i64> {
    let is_negative = field.first()? & 0x40 != 0;
    let mut value: i128 = if is_negative { -1 } else { 0 };
    for (place, byte) in field.iter().enumerate() {
        let byte = match (place, is_negative) {
            (0, false) => byte & 0x7f,
            _ => *byte,
        };
        value = value << 8 | i128::from(byte);
        if !(-(1 << 100)..(1 << 100)).contains(&value) {
            return None;
        }
    }
    i64::try_from(value).ok()
}

/// The bytes of a text field up to the first NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    &field[..end]
}

/// Tells whether the checksum of a header is right: the sum of its bytes,
/// unsigned as the standard says or signed as some old writers had it.
pub(crate) fn has_valid_checksum(block: &[u8; 512]) -> bool {
    let Some(said) = octal(&block[148..156]) else {
        return false;
    };
    let summed = |place: usize, byte: u8| {
        if (148..156).contains(&place) {
            b' '
        } else {
            byte
        }
    };
    let (mut unsigned, mut signed) = (0_i64, 0_i64);
    for (place, byte) in block.iter().enumerate() {
        let byte = summed(place, *byte);
        unsigned += i64::from(byte);
        signed += i64::from(i8::from_ne_bytes([byte]));
    }
    said == unsigned || said == signed
}

/// Splits pax data into its records; `None` if one is malformed.
///
/// Each is `<length> <key>=<value>\n`, its length counting everything.
pub(crate) fn pax_records(mut data: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !data.is_empty() {
        // Some writers pad the last block with NULs and count them.
        if data.iter().all(|byte| *byte == 0) {
            break;
        }
        let space = data.iter().take(20).position(|byte| *byte == b' ')?;
        let length = usize::try_from(decimal(&data[..space])?).ok()?;
        let record = data.get(..length)?;
        let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
        let equals = body.iter().position(|byte| *byte == b'=')?;
        if equals == 0 {
            return None;
        }
        records.push((&body[..equals], &body[equals + 1..]));
        data = &data[length..];
    }
    Some(records)
}

/// Reads an unsigned decimal number and nothing else.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
    }
    Some(value)
}

/// Reads a time such as `1700000000.123` into nanoseconds.
///
/// Digits beyond the ninth are dropped; a time that 64 bits of nanoseconds
/// cannot say (years before 1677 or after 2262) becomes the nearest that can.
pub(crate) fn pax_time(value: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut parts = digits.splitn(2, |byte| *byte == b'.');
    let whole = parts.next()?;
    let fraction = parts.next().unwrap_or_default();
    let seconds = i128::from(decimal(whole)?);
    let mut nanoseconds = 0_i128;
    for place in 0..9 {
        let digit = fraction.get(place).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        nanoseconds = nanoseconds * 10 + i128::from(digit - b'0');
    }
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let total = seconds * 1_000_000_000 + nanoseconds;
    Some(clamp(if is_negative { -total } else { total }))
}

/// Seconds of a header as nanoseconds.
pub(crate) fn header_time(seconds: i64) -> i64 {
    clamp(i128::from(seconds) * 1_000_000_000)
}

fn clamp(nanoseconds: i128) -> i64 {
    i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
}

/// Reads an attribute from a pax record, if it is one.
///
/// `None` if it is no attribute, `Some(None)` if it is one that cannot be read.
pub(crate) fn xattr(key: &[u8], value: &[u8]) -> Option<Option<Xattr>> {
    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
        return Some(Some((name.to_vec(), value.to_vec())));
    }
    let name = key.strip_prefix(b"LIBARCHIVE.xattr.")?;
    Some(percent_decoded(name).and_then(|name| Some((name, base64_decoded(value)?))))
}

fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        if *byte == b'%' {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            let pair = digit(rest.next()?)? << 4 | digit(rest.next()?)?;
            out.push(u8::try_from(pair).ok()?);
        } else {
            out.push(*byte);
        }
    }
    Some(out)
}

fn base64_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.iter().take_while(|byte| **byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_all_their_writings() {
        let table: [(&[u8], Option<i64>); 11] = [
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644     ", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"00000000008\0", None),
            (b"abc", None),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"777777777777", Some(0o777_777_777_777)),
        ];
        for (field, value) in table {
            assert_eq!(number(field), value, "{field:?}");
        }
    }

    #[test]
    fn times_are_nanoseconds() {
        for (value, expected) in [
            ("1", Some(1_000_000_000)),
            ("1.5", Some(1_500_000_000)),
            ("-1.5", Some(-1_500_000_000)),
            ("0.0000000019", Some(1)),
            ("99999999999999", Some(i64::MAX)),
            ("-99999999999999", Some(i64::MIN)),
            ("1.x", None),
            ("", None),
            ("1.123456789x", None),
        ] {
            assert_eq!(pax_time(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn records_are_taken_apart_and_checked() {
        assert_eq!(
            pax_records(b"8 uid=1\n13 path=a=\nb\n").unwrap(),
            [(&b"uid"[..], &b"1"[..]), (b"path", b"a=\nb")]
        );
        for bad in [
            &b"9 uid=1\n"[..],
            b"7 uid=1\n",
            b"x uid=1\n",
            b"5 =1\n",
            b"99999999999999999999 a=b\n",
        ] {
            assert_eq!(pax_records(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn attributes_of_both_kinds() {
        assert_eq!(xattr(b"mtime", b"1"), None);
        let plain = Some(Some((b"user.a".to_vec(), b"\0b".to_vec())));
        assert_eq!(xattr(b"SCHILY.xattr.user.a", b"\0b"), plain);
        let coded = Some(Some((b"user.=".to_vec(), b"foo".to_vec())));
        assert_eq!(xattr(b"LIBARCHIVE.xattr.user.%3D", b"Zm9v"), coded);
        assert_eq!(xattr(b"LIBARCHIVE.xattr.user.%3", b"Zm9v"), Some(None));
    }
}
