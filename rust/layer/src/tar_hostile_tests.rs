//! Tests of the reader on tars that mean harm, or are broken.

use proptest::prelude::*;

use super::*;

#[test]
fn hostile_names_and_links_are_refused() {
    let table = [
        (tar(&[file("../a", "x")]), "unsafe-path"),
        (tar(&[file("a/../../b", "x")]), "unsafe-path"),
        (
            tar(&[file("a", "x"), hard_link("b", "../../etc/passwd")]),
            "unsafe-path",
        ),
        (
            tar(&[symlink("a", "/etc"), file("a/passwd", "x")]),
            "bad-tar",
        ),
        (
            tar(&[file("a/passwd", "x"), symlink("a", "/etc")]),
            "bad-tar",
        ),
        (tar(&[file("a", "x"), file("a/b", "x")]), "bad-tar"),
        (tar(&[hard_link("b", "missing")]), "bad-tar"),
        (tar(&[hard_link("b", "c"), file("c", "x")]), "bad-tar"),
        (tar(&[hard_link("b", "b")]), "bad-tar"),
        (
            tar(&[plain("d", Kind::Directory), hard_link("b", "d")]),
            "bad-tar",
        ),
        (tar(&[file("a/.wh.", "")]), "bad-tar"),
        (
            tar(&[file("a", "x"), file("a/.wh..wh..opq", "")]),
            "bad-tar",
        ),
        (tar(&[file(&"n".repeat(256), "x")]), "limit"),
        (tar(&[file(&"n/".repeat(2000), "x")]), "limit"),
        (
            tar(&[file(&format!("{0}/{0}", "n/".repeat(1100)), "x")]),
            "limit",
        ),
    ];
    for (number, (bytes, kind)) in table.iter().enumerate() {
        assert_eq!(index(bytes).unwrap_err().kind(), *kind, "case {number}");
    }
}

#[test]
fn limits_hold() {
    let bytes = tar(&[file("a", "x"), file("b", "y"), file("c", "z")]);
    let few = Limits {
        entries: 2,
        ..Limits::default()
    };
    assert_eq!(
        index_with(&bytes, &few).unwrap_err().to_string(),
        "the layer has more than 2 entries"
    );
    let narrow = Limits {
        index_bytes: 2,
        ..Limits::default()
    };
    assert_eq!(index_with(&bytes, &narrow).unwrap_err().kind(), "limit");
    let (mut entry, content) = file("a", "");
    entry.xattrs = vec![(b"user.a".to_vec(), vec![0; 2000])];
    let short = Limits {
        header_bytes: 1000,
        ..Limits::default()
    };
    assert_eq!(
        index_with(&tar(&[(entry, content)]), &short)
            .unwrap_err()
            .kind(),
        "limit"
    );
}

#[test]
fn what_entries_imply_is_limited_too() {
    let limits = Limits {
        entries: 250,
        index_bytes: 100_000,
        ..Limits::default()
    };
    let refusal = |entries: &[(Entry, &[u8])]| {
        let error = index_with(&tar(entries), &limits).unwrap_err();
        error.to_string()
    };
    // Three entries, and 300 directories.
    let deep = |top: &str| file(&format!("{top}/{}x", "d/".repeat(100)), "");
    assert_eq!(
        refusal(&[deep("a"), deep("b"), deep("c")]),
        "the layer has more than 250 entries and implied directories"
    );
    // Few directories, with long paths.
    let long = |top: &str| file(&format!("{top}/{}x", "directory/".repeat(150)), "");
    assert_eq!(
        refusal(&[long("a"), long("b")]),
        "the layer has more than 100000 bytes of names and attributes"
    );
    // Every name of a file has its attributes in the index.
    let (mut first, content) = file("first", "");
    first.xattrs = vec![(b"user.a".to_vec(), vec![0; 30_000])];
    let links = ["1", "2", "3", "4"].map(|name| hard_link(name, "first"));
    let entries: Vec<_> = [(first, content)].into_iter().chain(links).collect();
    assert_eq!(
        refusal(&entries),
        "the layer has more than 100000 bytes of names and attributes"
    );
}

#[test]
fn links_are_followed_once_however_long_their_chains() {
    let mut entries = vec![file("000000", "x")];
    for number in 1..30_000 {
        let names = (format!("{number:06}"), format!("{:06}", number - 1));
        entries.push(hard_link(&names.0, &names.1));
    }
    let last = index(&tar(&entries)).unwrap().get(b"029999").unwrap();
    assert_eq!(last.unwrap().hard_link.as_deref(), Some(&b"000000"[..]));

    let mut entries = Vec::new();
    for number in 0..15_000 {
        entries.push(file("first", "x"));
        entries.push(file(".wh.first", ""));
        entries.push(hard_link(&format!("{number:06}"), "first"));
    }
    let index = index(&tar(&entries)).unwrap();
    let link = |path: &[u8]| index.get(path).unwrap().unwrap().hard_link;
    assert_eq!(link(b"000007"), None);
    assert_eq!(link(b"014999").as_deref(), Some(&b"first"[..]));
}

#[test]
fn attributes_that_no_file_can_have_are_refused() {
    let with = |name: Vec<u8>, bytes: usize| {
        let (mut entry, content) = file("a", "");
        entry.xattrs = vec![(name, vec![0; bytes])];
        index(&tar(&[(entry, content)]))
    };
    assert!(with(b"user.a".to_vec(), 65_536).is_ok());
    for (name, bytes) in [(b"user.a".to_vec(), 65_537), (b"user.".repeat(52), 1)] {
        assert_eq!(
            with(name, bytes).unwrap_err().to_string(),
            "bad tar: `a` has an extended attribute that is longer than Linux allows"
        );
    }
}

#[test]
fn global_headers_are_limited() {
    let global = |text: &str| {
        let mut entry = Entry::new("pax", Kind::File, 0o644);
        entry.size = text.len() as u64;
        let mut bytes = tar(&[(entry, text.as_bytes())]);
        bytes.truncate(bytes.len() - 1024);
        patch(&mut bytes, 0, |header| header[156] = b'g');
        bytes.extend(tar(&[file("a", "x")]));
        index(&bytes).map(|index| index.len())
    };
    let record = |number: usize| format!("9 k{number:03}=x\n");
    let records = |count: usize| (0..count).map(record).collect::<String>();
    assert_eq!(global(&records(64)).unwrap(), 2);
    assert_eq!(
        global(&records(65)).unwrap_err().to_string(),
        "the layer has more than 64 records in global headers"
    );
    let long = format!("20011 k={}\n", "x".repeat(20_002));
    assert_eq!(
        global(&long).unwrap_err().to_string(),
        "the layer has more than 16384 bytes in global headers"
    );
}

#[test]
fn broken_archives_say_where() {
    let good = tar(&[file("a", "x"), file("b", "y")]);
    let mut bad_checksum = good.clone();
    bad_checksum[1024] ^= 1;
    let mut lone_zeros = good.clone();
    lone_zeros[1024..1536].fill(0);
    let table = [
        (b"".to_vec(), "bad tar at byte 0: it is empty"),
        (b"hello".to_vec(), "bad tar at byte 5: it is cut short"),
        (
            vec![b'x'; 1024],
            "bad tar at byte 0: it is no tar, or compressed in a way that is not known",
        ),
        (
            bad_checksum,
            "bad tar at byte 1024: the checksum of a header is wrong",
        ),
        (
            lone_zeros,
            "bad tar at byte 2048: a header follows a block of zeros",
        ),
        (good[..512].to_vec(), "bad tar at byte 512: it is cut short"),
        (good[..300].to_vec(), "bad tar at byte 300: it is cut short"),
        (vec![0; 300], "bad tar at byte 300: it is empty"),
        (
            good[..1100].to_vec(),
            "bad tar at byte 1100: it is cut short",
        ),
    ];
    for (bytes, message) in table {
        assert_eq!(index(&bytes).unwrap_err().to_string(), message);
    }
}

#[test]
fn an_end_that_is_missing_takes_nothing_away() {
    let whole = tar(&[file("a", "x"), file("b", "yz")]);
    // Up to the last byte of content; the padding, half of it; one block of zeros and half of one.
    for length in [1538, 1539, 1800, 2047, 2048, 2300, 2560, 2900, 3072] {
        let index = index(&whole[..length]).unwrap();
        assert_eq!(paths(&index), ["", "a", "b"], "{length}");
    }
    let longer = [&whole[..], &[0; 9000], b"junk"].concat();
    assert_eq!(paths(&index(&longer).unwrap()), ["", "a", "b"]);
    for length in [1025, 1500, 1536, 1537] {
        let message = format!("bad tar at byte {length}: it is cut short");
        assert_eq!(index(&whole[..length]).unwrap_err().to_string(), message);
    }
}

#[test]
fn fields_out_of_range_are_refused() {
    let good = tar(&[file("a", "x")]);
    let changes: [(usize, &[u8]); 6] = [
        (100, b"xyz\0"),
        (108, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        (108, b"\x80\0\0\0\xff\xff\xff\xff"),
        (124, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        (124, b"\x80\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        (156, b"M"),
    ];
    for (at, value) in changes {
        let mut bytes = good.clone();
        patch(&mut bytes, 0, |header| {
            header[at..at + value.len()].copy_from_slice(value)
        });
        assert_eq!(
            index(&bytes).unwrap_err().kind(),
            "bad-tar",
            "{at} {value:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        // Either answer will do; a panic would not.
        drop(index_of(&bytes, &Limits::default()));
    }

    #[test]
    fn a_tar_with_any_change_gives_an_answer(
        changes in proptest::collection::vec((0_usize..5120, any::<u8>()), 1..12),
        repairs in any::<bool>(),
    ) {
        let (mut sparse, content) = file("s", "xyz");
        sparse.xattrs = vec![(b"user.a".to_vec(), b"b".to_vec())];
        let mut bytes = tar(&[file("a", "x"), (sparse, content), hard_link("h", "a"), symlink("l", "t")]);
        let length = bytes.len();
        for (at, value) in changes {
            bytes[at % length] = value;
        }
        if repairs {
            for offset in (0..length).step_by(512) {
                patch(&mut bytes, offset, |_| {});
            }
        }
        if let Ok(index) = index(&bytes) {
            for entry in index.entries() {
                entry.unwrap();
            }
        }
    }
}
