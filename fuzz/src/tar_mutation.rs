//! Mutations that know what a tar is.
//!
//! Bytes changed at random nearly always break a checksum, and then only the
//! refusal of broken checksums is tested. Here entries are moved, doubled and
//! renamed as a whole, and checksums are made right again.

const BLOCK: usize = 512;

/// Names that meet each other, and some that mean harm.
const NAMES: &[&[u8]] = &[
    b"a",
    b"a/b",
    b"a/b/c",
    b"b",
    b"b/a",
    b"link",
    b"link/x",
    b"up/x",
    b"./a",
    b"/a",
    b"a/",
    b"../x",
    b"a/../../x",
    b"..",
    b".",
    b"",
    b"a//b",
    b".wh.a",
    b"a/.wh.b",
    b"a/.wh..wh..opq",
    b".wh..wh..opq",
    b".wh.",
    b".wh..",
    b"a/.wh.link",
    b"target/x",
    b"link/../x",
    b"\xff\xfe",
];
/// Texts of links; the jail has a canary where they lead.
const LINKS: &[&[u8]] = &[
    b"a",
    b"a/b",
    b"b",
    b"link",
    b"/",
    b"..",
    b"../canary",
    b"../../canary",
    b"../../../canary",
    b"/dev/shm/canary",
    b"/proc/self/cwd/canary",
    b".",
    b"a/../a",
    b"/a",
    b"",
];
const TYPES: &[u8] = b"0123456\x007SDgxXLKVM";
const PAX: &[&[u8]] = &[
    b"path=a/b",
    b"path=../x",
    b"path=a\0b",
    b"linkpath=../../canary",
    b"linkpath=a",
    b"size=0",
    b"size=7",
    b"uid=7",
    b"gid=4294967295",
    b"mtime=-1.5",
    b"mtime=99999999999",
    b"SCHILY.xattr.user.a=1",
    b"SCHILY.xattr.trusted.overlay.opaque=y",
    b"LIBARCHIVE.xattr.user.b=MQ",
    b"GNU.sparse.major=1",
    b"GNU.sparse.minor=0",
    b"GNU.sparse.realsize=1000",
    b"GNU.sparse.size=10",
    b"GNU.sparse.map=0,1,5,1",
    b"GNU.sparse.offset=3",
    b"GNU.sparse.numbytes=1",
    b"GNU.sparse.name=a/b",
    b"path=",
    b"comment=x",
];

/// xorshift: enough to choose with.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// Starts from `seed`.
    #[must_use]
    pub fn new(seed: u32) -> Chance {
        Chance(u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// Changes the tar in the first `size` bytes of `data`; returns its new size.
///
/// `bytewise` is the fuzzer's own mutation; it has its turn, with and without repair.
pub fn mutate(
    data: &mut [u8],
    size: usize,
    seed: u32,
    bytewise: impl FnOnce(&mut [u8], usize) -> usize,
) -> usize {
    let mut chance = Chance::new(seed);
    if chance.below(3) == 0 {
        let size = bytewise(data, size);
        if chance.below(8) > 0 {
            repair(&mut data[..size]);
        }
        return size;
    }
    let mut entries = split(&data[..size]);
    for _ in 0..=chance.below(3) {
        change(&mut entries, &mut chance);
    }
    let mut joined = entries.concat();
    joined.truncate(data.len());
    repair(&mut joined);
    data[..joined.len()].copy_from_slice(&joined);
    joined.len()
}

/// Cuts a tar into headers with their content.
fn split(tar: &[u8]) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    let mut rest = tar;
    while !rest.is_empty() {
        let length = extent(rest).min(rest.len());
        entries.push(rest[..length].to_vec());
        rest = &rest[length..];
    }
    entries
}

/// Bytes of the entry at the front of `tar`, header and content.
fn extent(tar: &[u8]) -> usize {
    let Some(header) = tar.get(..BLOCK) else {
        return tar.len();
    };
    let has_content = !matches!(header[156], b'1'..=b'6');
    let size = if has_content {
        octal(&header[124..136])
    } else {
        0
    };
    BLOCK + size.min(1 << 20).next_multiple_of(BLOCK)
}

fn octal(field: &[u8]) -> usize {
    let digits = field.iter().skip_while(|byte| **byte == b' ');
    let digits = digits.take_while(|byte| (b'0'..=b'7').contains(byte));
    digits.fold(0, |value: usize, digit| {
        value
            .saturating_mul(8)
            .saturating_add(usize::from(digit - b'0'))
    })
}

/// Makes the checksum of every header right.
fn repair(tar: &mut [u8]) {
    let mut offset = 0;
    while offset + BLOCK <= tar.len() {
        let length = extent(&tar[offset..]);
        let header = &mut tar[offset..offset + BLOCK];
        if header.iter().any(|byte| *byte != 0) {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        offset += length;
    }
}

fn change(entries: &mut Vec<Vec<u8>>, chance: &mut Chance) {
    let count = entries.len();
    let (one, other) = (chance.below(count), chance.below(count + 1));
    match chance.below(10) {
        0 if count > 0 => {
            let copy = entries[one].clone();
            entries.insert(other, copy);
        }
        1 if count > 1 => {
            entries.remove(one);
        }
        2 if count > 1 => entries.swap(one, other.min(count - 1)),
        3 if count > 0 => set(&mut entries[one], 0..100, chance.of(NAMES)),
        4 if count > 0 => set(&mut entries[one], 157..257, chance.of(LINKS)),
        5 if count > 0 && entries[one].len() >= BLOCK => {
            entries[one][156] = TYPES[chance.below(TYPES.len())];
        }
        6 | 7 => entries.insert(other, pax(chance)),
        _ => entries.insert(other, entry(chance)),
    }
}

fn set(entry: &mut [u8], field: std::ops::Range<usize>, value: &[u8]) {
    if entry.len() >= BLOCK {
        let field = &mut entry[field];
        field.fill(0);
        let length = value.len().min(field.len());
        field[..length].copy_from_slice(&value[..length]);
    }
}

fn header(name: &[u8], flag: u8, size: usize) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    set(&mut block, 0..100, name);
    set(&mut block, 100..108, b"0000755");
    set(&mut block, 108..116, b"0000000");
    set(&mut block, 116..124, b"0000000");
    set(&mut block, 124..136, format!("{size:011o}").as_bytes());
    set(&mut block, 136..148, b"00000000001");
    set(&mut block, 257..265, b"ustar\x0000");
    set(&mut block, 329..337, b"0000001");
    set(&mut block, 337..345, b"0000003");
    block[156] = flag;
    block
}

fn entry(chance: &mut Chance) -> Vec<u8> {
    let flag = b"0000125634"[chance.below(10)];
    let size = if flag == b'0' {
        chance.below(3) * 300
    } else {
        0
    };
    let mut entry = header(chance.of(NAMES), flag, size);
    if matches!(flag, b'1' | b'2') {
        set(&mut entry, 157..257, chance.of(LINKS));
    }
    entry.resize(BLOCK + size.next_multiple_of(BLOCK), b'x');
    entry
}

fn pax(chance: &mut Chance) -> Vec<u8> {
    let mut records = Vec::new();
    for _ in 0..=chance.below(4) {
        let body = chance.of(PAX);
        // Two digits and a blank before it, a line feed behind it.
        records.extend_from_slice(format!("{:02} ", body.len() + 4).as_bytes());
        records.extend_from_slice(body);
        records.push(b'\n');
    }
    let flag = if chance.below(6) == 0 { b'g' } else { b'x' };
    let mut entry = header(b"pax", flag, records.len());
    records.resize(records.len().next_multiple_of(BLOCK), 0);
    entry.append(&mut records);
    entry
}
