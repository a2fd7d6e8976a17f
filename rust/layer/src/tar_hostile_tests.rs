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
        (good[..700].to_vec(), "bad tar at byte 700: it is cut short"),
        (
            good[..1100].to_vec(),
            "bad tar at byte 1100: it is cut short",
        ),
    ];
    for (bytes, message) in table {
        assert_eq!(index(&bytes).unwrap_err().to_string(), message);
    }
    // Without blocks of zeros at the end, and with too many, it is whole all the same.
    assert_eq!(paths(&index(&good[..2048]).unwrap()), ["", "a", "b"]);
    assert_eq!(
        paths(&index(&[&good[..], &[0; 9000], b"junk"].concat()).unwrap()),
        ["", "a", "b"]
    );
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
        let _ = check(&bytes, &Limits::default());
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
