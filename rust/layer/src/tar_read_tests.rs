//! Tests of the reader on tars that are made, bent and broken here.
//!
//! That it reads what GNU tar and Python write is tested in `tests/layer/`.

use super::*;
use crate::tar_header::encode;

/// A tar from entries, each with its content.
fn tar(entries: &[(Entry, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (entry, content) in entries {
        encode(entry, &entry.path, &mut bytes);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn file(path: &str, content: &'static str) -> (Entry, &'static [u8]) {
    let mut entry = Entry::new(path, Kind::File, 0o644);
    entry.size = content.len() as u64;
    (entry, content.as_bytes())
}

fn plain(path: &str, kind: Kind) -> (Entry, &'static [u8]) {
    (Entry::new(path, kind, 0o755), b"")
}

fn symlink(path: &str, target: &str) -> (Entry, &'static [u8]) {
    let mut entry = Entry::new(path, Kind::Symlink, 0o777);
    entry.link_target = Some(target.into());
    (entry, b"")
}

fn hard_link(path: &str, first: &str) -> (Entry, &'static [u8]) {
    let mut entry = Entry::new(path, Kind::File, 0o644);
    entry.hard_link = Some(first.into());
    (entry, b"")
}

/// Reads a tar all the way to its index.
fn index_with(bytes: &[u8], limits: &Limits) -> Result<Index, LayerError> {
    let mut source = bytes;
    let mut passed = Vec::new();
    let mut sink = |piece: &[u8]| {
        passed.extend_from_slice(piece);
        Ok(())
    };
    let builder = read(&mut source, &mut sink, limits, Interrupt::default())?;
    assert!(passed == bytes, "every byte is passed on");
    let mut out = Vec::new();
    let facts = TarFacts {
        diff_id: DiffId([7; 32]),
        tar_bytes: 0,
        extents: Vec::new(),
    };
    builder.finish(&facts, &mut out)?;
    Index::from_bytes(out)
}

fn index(bytes: &[u8]) -> Result<Index, LayerError> {
    index_with(bytes, &Limits::default())
}

fn paths(index: &Index) -> Vec<String> {
    index
        .entries()
        .map(|entry| String::from_utf8(entry.unwrap().path).unwrap())
        .collect()
}

/// Changes the header at `offset` and makes its checksum right again.
fn patch(bytes: &mut [u8], offset: usize, change: impl FnOnce(&mut [u8])) {
    let header = &mut bytes[offset..offset + 512];
    change(header);
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn what_was_written_is_what_is_read() {
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(250));
    let mut odd = Entry::new(&b"\xff\xfe/x"[..], Kind::File, 0o4711);
    odd.uid = 4_000_000_000;
    odd.gid = 3_000_000;
    odd.mtime_ns = -1_500_000_001;
    odd.xattrs = vec![
        (b"security.capability".to_vec(), vec![0, 1, 2]),
        (b"user.a=b".to_vec(), vec![3]),
    ];
    odd.size = 5;
    let mut device = Entry::new("null", Kind::Character, 0o666);
    device.device = (1, 3);
    let mut deep = symlink("deep", "");
    deep.0.link_target = Some(b"t".repeat(3000));
    let entries = [
        (odd, &b"hello"[..]),
        (device, b""),
        deep,
        file(&long, "content"),
        plain("fifo", Kind::Fifo),
    ];
    let index = index(&tar(&entries)).unwrap();
    for (entry, content) in &entries {
        let mut found = index.get(&entry.path).unwrap().unwrap();
        if entry.kind == Kind::File {
            assert_eq!(
                found.digest.take().unwrap(),
                *blake3::hash(content).as_bytes()
            );
        }
        assert_eq!(found.data_offset % 512, 0);
        found.data_offset = 0;
        assert_eq!(&found, entry);
    }
}

#[test]
fn directories_that_nobody_described_are_implied() {
    let index = index(&tar(&[file("a/b/c", "1"), file("a-b", "2")])).unwrap();
    assert_eq!(paths(&index), ["", "a", "a/b", "a/b/c", "a-b"]);
    let implied: Vec<bool> = index
        .entries()
        .map(|entry| entry.unwrap().is_implicit)
        .collect();
    assert_eq!(implied, [true, true, true, false, false]);
    assert_eq!(
        (
            index.implied_count(),
            index.entry_count(),
            index.content_bytes()
        ),
        (2, 2, 2)
    );
}

#[test]
fn the_last_of_several_entries_counts() {
    let bytes = tar(&[
        file("a", "old"),
        plain("a", Kind::Directory),
        file("a/x", "new"),
    ]);
    assert_eq!(paths(&index(&bytes).unwrap()), ["", "a", "a/x"]);
    let bytes = tar(&[file("a", "old"), file("a", "newer")]);
    let entry = index(&bytes).unwrap().get(b"a").unwrap().unwrap();
    assert_eq!((entry.size, entry.data_offset), (5, 1536));
}

#[test]
fn a_hard_link_means_what_was_there_when_it_was_written() {
    let bytes = tar(&[
        file("a", "old"),
        hard_link("b", "a"),
        file("a", "newer"),
        hard_link("c", "a"),
    ]);
    let index = index(&bytes).unwrap();
    let facts = |path: &[u8]| {
        let entry = index.get(path).unwrap().unwrap();
        (entry.size, entry.hard_link)
    };
    assert_eq!(facts(b"a"), (5, None));
    assert_eq!(facts(b"b"), (3, None));
    assert_eq!(facts(b"c"), (5, Some(b"a".to_vec())));
    assert_eq!(index.content_bytes(), 8);
}

#[test]
fn links_to_links_and_links_to_themselves() {
    let bytes = tar(&[symlink("s", "t"), hard_link("l", "s"), hard_link("m", "l")]);
    let entry = index(&bytes).unwrap().get(b"m").unwrap().unwrap();
    assert_eq!(
        (entry.kind, entry.link_target.as_deref()),
        (Kind::Symlink, Some(&b"t"[..]))
    );
    assert_eq!(entry.hard_link.as_deref(), Some(&b"s"[..]));
    // GNU tar does this when a file is named twice.
    let bytes = tar(&[file("a", "x"), hard_link("a", "a")]);
    assert_eq!(index(&bytes).unwrap().get(b"a").unwrap().unwrap().size, 1);
}

#[test]
fn whiteouts_are_what_they_say() {
    let bytes = tar(&[
        file("etc/.wh.passwd", ""),
        plain("var", Kind::Directory),
        file("var/.wh..wh..opq", ""),
        file("run/.wh..wh..opq", ""),
        file(".wh.both", ""),
        file("both/new", "x"),
        file(".wh.file", ""),
        file("file", "x"),
    ]);
    let index = index(&bytes).unwrap();
    let table: [(&[u8], Kind, bool, bool); 6] = [
        (b"etc/passwd", Kind::Whiteout, false, false),
        (b"var", Kind::Directory, true, false),
        (b"run", Kind::Directory, true, true),
        (b"both", Kind::Directory, true, true),
        (b"both/new", Kind::File, false, false),
        (b"file", Kind::File, false, false),
    ];
    for (path, kind, is_opaque, is_implicit) in table {
        let entry = index.get(path).unwrap().unwrap();
        assert_eq!(
            (entry.kind, entry.is_opaque, entry.is_implicit),
            (kind, is_opaque, is_implicit)
        );
    }
}

#[test]
fn a_device_that_overlayfs_would_take_for_a_whiteout_is_one() {
    let entry = index(&tar(&[plain("x", Kind::Character)]))
        .unwrap()
        .get(b"x")
        .unwrap()
        .unwrap();
    assert_eq!(entry.kind, Kind::Whiteout);
}

#[test]
fn attributes_of_overlays_and_security_modules_are_left_out() {
    let (mut entry, content) = file("a", "");
    for name in [
        "security.selinux",
        "trusted.overlay.opaque",
        "trusted.overlay.overlay.opaque",
        "user.overlay.",
        "user.overlay.redirect",
        "user.overlay.overlay.whiteout",
        "user.kept",
        "user.overlays",
    ] {
        entry.xattrs.push((name.into(), b"y".to_vec()));
    }
    let entry = index(&tar(&[(entry, content)]))
        .unwrap()
        .get(b"a")
        .unwrap()
        .unwrap();
    let names: Vec<&[u8]> = entry.xattrs.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, [&b"user.kept"[..], b"user.overlays"]);
}

#[test]
fn a_leading_slash_is_dropped() {
    let index = index(&tar(&[
        file("/etc//./passwd", "x"),
        hard_link("/b", "/etc/passwd"),
    ]))
    .unwrap();
    assert_eq!(paths(&index), ["", "b", "etc", "etc/passwd"]);
}

#[test]
fn sparse_maps_must_fit() {
    let good = tar(&[file("a", "x")]);
    let sparse = |offset: &str, length: &str, size: &str| {
        let mut bytes = good.clone();
        patch(&mut bytes, 0, |header| {
            header[156] = b'S';
            header[257..265].copy_from_slice(b"ustar  \0");
            header[386..386 + offset.len()].copy_from_slice(offset.as_bytes());
            header[398..398 + length.len()].copy_from_slice(length.as_bytes());
            header[483..483 + size.len()].copy_from_slice(size.as_bytes());
        });
        index(&bytes)
    };
    let entry = sparse("1000", "1", "1001")
        .unwrap()
        .get(b"a")
        .unwrap()
        .unwrap();
    assert_eq!(
        (entry.size, entry.segments),
        (
            513,
            vec![Segment {
                offset: 512,
                length: 1
            }]
        )
    );
    let mut content = vec![0; 513];
    content[512] = b'x';
    assert_eq!(entry.digest.unwrap(), *blake3::hash(&content).as_bytes());
    for (offset, length, size) in [
        ("1000", "1", "1000"),
        ("0", "2", "10"),
        ("77777777777", "1", "1"),
    ] {
        assert_eq!(sparse(offset, length, size).unwrap_err().kind(), "bad-tar");
    }
    let limits = Limits {
        sparse_bytes: 100,
        ..Limits::default()
    };
    let mut bytes = good.clone();
    patch(&mut bytes, 0, |header| {
        header[156] = b'S';
        header[398] = b'1';
        header[483..486].copy_from_slice(b"777");
    });
    assert_eq!(index_with(&bytes, &limits).unwrap_err().kind(), "limit");
}

#[test]
fn global_headers_hold_until_they_are_overruled() {
    let pax = |text: &[u8], flag: u8| {
        let mut entry = Entry::new("pax", Kind::File, 0o644);
        entry.size = text.len() as u64;
        let mut bytes = tar(&[(entry, text)]);
        bytes.truncate(bytes.len() - 1024);
        patch(&mut bytes, 0, |header| header[156] = flag);
        bytes
    };
    let one = tar(&[file("a", "")]);
    let two = tar(&[file("b", "")]);
    // The second record counts 19 bytes and says 18.
    let bytes = pax(b"10 uid=42\n18 comment=nothing\n", b'g');
    let error = index(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad tar at byte 1024: a pax header is malformed"
    );
    let bytes = [
        pax(b"10 uid=42\n19 comment=nothing\n", b'g').as_slice(),
        &one[..512],
        &pax(b"8 uid=7\n", b'x'),
        &two,
    ]
    .concat();
    let read = index(&bytes).unwrap();
    let uid = |path: &[u8]| read.get(path).unwrap().unwrap().uid;
    assert_eq!((uid(b"a"), uid(b"b")), (42, 7));
    let dangling = pax(b"8 uid=7\n", b'x');
    assert_eq!(index(&dangling).unwrap_err().kind(), "bad-tar");
}

#[path = "tar_hostile_tests.rs"]
mod hostile;
