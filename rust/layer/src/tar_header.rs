//! The bytes of a tar header: ustar, with pax records only where ustar cannot say it.
//!
//! The same entry gives the same bytes, always: no names of users, no process
//! IDs, no padding to a tape's record.

use crate::entry::{Entry, Kind, file_name};

/// The unit of everything in a tar.
pub(crate) const BLOCK: usize = 512;
const NANOSECONDS: i64 = 1_000_000_000;
/// The largest numbers that eight and twelve octal digits hold, less the NUL.
const MAX_OCTAL_7: u64 = 0o7_777_777;
const MAX_OCTAL_11: u64 = 0o77_777_777_777;

/// Encodes the headers of `entry` under the name `name`; the content follows them.
pub(crate) fn encode(entry: &Entry, name: &[u8], out: &mut Vec<u8>) {
    let mut records = Vec::new();
    let full_name = full_name(entry, name);
    let split = split_name(&full_name);
    if split.is_none() {
        put_record(&mut records, b"path", &full_name);
    }
    let link = link_of(entry);
    if link.len() > 100 {
        put_record(&mut records, b"linkpath", link);
    }
    let size = if entry.hard_link.is_none() {
        entry.size
    } else {
        0
    };
    for (key, number, limit) in [
        (&b"size"[..], size, MAX_OCTAL_11),
        (b"uid", u64::from(entry.uid), MAX_OCTAL_7),
        (b"gid", u64::from(entry.gid), MAX_OCTAL_7),
    ] {
        if number > limit {
            put_record(&mut records, key, number.to_string().as_bytes());
        }
    }
    let seconds = entry.mtime_ns.div_euclid(NANOSECONDS);
    let fits = u64::try_from(seconds).is_ok_and(|seconds| seconds <= MAX_OCTAL_11);
    if !fits || entry.mtime_ns.rem_euclid(NANOSECONDS) != 0 {
        put_record(&mut records, b"mtime", decimal(entry.mtime_ns).as_bytes());
    }
    if entry.hard_link.is_none() {
        for (name, value) in &entry.xattrs {
            put_xattr(&mut records, name, value);
        }
    }
    if !records.is_empty() {
        let mut carrier = Fields::new(b'x', 0o644);
        carrier.name = [b"PaxHeaders.0/", file_name(name)].concat();
        carrier.name.truncate(100);
        carrier.size = records.len() as u64;
        carrier.write(out);
        out.extend_from_slice(&records);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    let mut fields = Fields::new(type_flag(entry), entry.mode & 0o7777);
    match split {
        Some((prefix, rest)) => (fields.prefix, fields.name) = (prefix.to_vec(), rest.to_vec()),
        None => fields.name = full_name[..100].to_vec(),
    }
    fields.link = link[..link.len().min(100)].to_vec();
    fields.size = size;
    fields.uid = entry.uid;
    fields.gid = entry.gid;
    fields.seconds = u64::try_from(seconds).unwrap_or(0).min(MAX_OCTAL_11);
    if matches!(entry.kind, Kind::Character | Kind::Block) && entry.hard_link.is_none() {
        fields.device = entry.device;
    }
    fields.write(out);
}

/// The name as tar has it: the root is `./`, directories end with a slash.
fn full_name(entry: &Entry, name: &[u8]) -> Vec<u8> {
    let mut full = name.to_vec();
    if full.is_empty() {
        full.push(b'.');
    }
    if entry.kind == Kind::Directory && entry.hard_link.is_none() {
        full.push(b'/');
    }
    full
}

fn link_of(entry: &Entry) -> &[u8] {
    entry
        .hard_link
        .as_deref()
        .or(entry.link_target.as_deref())
        .unwrap_or_default()
}

fn type_flag(entry: &Entry) -> u8 {
    if entry.hard_link.is_some() {
        return b'1';
    }
    match entry.kind {
        Kind::File | Kind::Whiteout => b'0',
        Kind::Symlink => b'2',
        Kind::Character => b'3',
        Kind::Block => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

/// Splits a name over the fields prefix (155 bytes) and name (100), if it fits.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 {
        return Some((b"", name));
    }
    if name.len() > 256 {
        return None;
    }
    // The name must not be empty: the slash that ends a directory cannot be the cut.
    let earliest = name.len() - 101;
    let cut = name[..name.len() - 1]
        .iter()
        .enumerate()
        .position(|(at, byte)| *byte == b'/' && at >= earliest && at > 0)?;
    (cut <= 155).then(|| (&name[..cut], &name[cut + 1..]))
}

/// One pax record: its own length in decimal, a space, key, `=`, value, newline.
fn put_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// The name that everybody reads, or libarchive's where that has an equals sign.
fn put_xattr(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if !name.contains(&b'=') {
        put_record(out, &[b"SCHILY.xattr.", name].concat(), value);
        return;
    }
    let mut key = b"LIBARCHIVE.xattr.".to_vec();
    for byte in name {
        match byte {
            b'=' | b'%' | 0..=32 | 127.. => {
                key.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
            _ => key.push(*byte),
        }
    }
    put_record(out, &key, &base64(value));
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = 0_u32;
        for place in 0..3 {
            group = group << 8 | u32::from(chunk.get(place).copied().unwrap_or(0));
        }
        // libarchive writes no padding.
        for place in 0..=chunk.len() {
            out.push(DIGITS[(group >> (18 - 6 * place) & 63) as usize]);
        }
    }
    out
}

/// Nanoseconds as seconds with as many decimals as are needed.
fn decimal(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let magnitude = nanoseconds.unsigned_abs();
    let (seconds, rest) = (magnitude / 1_000_000_000, magnitude % 1_000_000_000);
    if rest == 0 {
        return format!("{sign}{seconds}");
    }
    format!("{sign}{seconds}.{rest:09}")
        .trim_end_matches('0')
        .to_owned()
}

/// The fields of one ustar header.
struct Fields {
    name: Vec<u8>,
    prefix: Vec<u8>,
    link: Vec<u8>,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    seconds: u64,
    type_flag: u8,
    device: (u32, u32),
}

impl Fields {
    fn new(type_flag: u8, mode: u32) -> Fields {
        Fields {
            name: Vec::new(),
            prefix: Vec::new(),
            link: Vec::new(),
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            seconds: 0,
            type_flag,
            device: (0, 0),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut block = [0_u8; BLOCK];
        let octal = |number: u64, limit: u64, digits: usize| {
            // What does not fit is said in a pax record; the field is then not read.
            format!("{:0digits$o}", if number > limit { 0 } else { number })
        };
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name);
        put(100, octal(u64::from(self.mode), MAX_OCTAL_7, 7).as_bytes());
        put(108, octal(u64::from(self.uid), MAX_OCTAL_7, 7).as_bytes());
        put(116, octal(u64::from(self.gid), MAX_OCTAL_7, 7).as_bytes());
        put(124, octal(self.size, MAX_OCTAL_11, 11).as_bytes());
        put(136, octal(self.seconds, MAX_OCTAL_11, 11).as_bytes());
        put(148, b"        ");
        put(156, &[self.type_flag]);
        put(157, &self.link);
        put(257, b"ustar\x0000");
        put(
            329,
            octal(u64::from(self.device.0), MAX_OCTAL_7, 7).as_bytes(),
        );
        put(
            337,
            octal(u64::from(self.device.1), MAX_OCTAL_7, 7).as_bytes(),
        );
        put(345, &self.prefix);
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for (value, expected) in [("1", "8 uid=1"), ("12345678", "16 uid=12345678")] {
            let mut out = Vec::new();
            put_record(&mut out, b"uid", value.as_bytes());
            assert_eq!(
                out.len().to_string(),
                expected.split(' ').next().unwrap_or("")
            );
            assert_eq!(String::from_utf8_lossy(&out), format!("{expected}\n"));
        }
        for length in 0..1100 {
            let mut out = Vec::new();
            put_record(&mut out, b"path", &vec![b'x'; length]);
            let digits = out.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let said: usize = String::from_utf8_lossy(&out[..digits]).parse().unwrap();
            assert_eq!(said, out.len());
        }
    }

    #[test]
    fn times_have_no_needless_digits() {
        for (nanoseconds, text) in [
            (0, "0"),
            (1_500_000_000, "1.5"),
            (-1_500_000_000, "-1.5"),
            (1, "0.000000001"),
            (-1, "-0.000000001"),
        ] {
            assert_eq!(decimal(nanoseconds), text);
        }
    }

    #[test]
    fn long_names_are_split_at_a_slash() {
        let name = [&b"d".repeat(120)[..], b"/", &b"f".repeat(99)].concat();
        let (prefix, rest) = split_name(&name).unwrap();
        assert_eq!((prefix.len(), rest.len()), (120, 99));
        assert!(split_name(&b"f".repeat(101)).is_none());
        let directory = [&b"d".repeat(100)[..], b"/"].concat();
        assert!(split_name(&directory).is_none());
    }

    #[test]
    fn base64_is_without_padding() {
        for (plain, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v")] {
            assert_eq!(base64(plain.as_bytes()), text.as_bytes());
        }
    }
}
