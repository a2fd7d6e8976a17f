//! Access control lists as `system.posix_acl_*` attributes hold them.
//!
//! Behind the version, a `u32`, stand entries of a tag `u16`, permissions `u16` and an id `u32`, all
//! little-endian (`linux/posix_acl_xattr.h`). What is no such list is left as it is: other file systems have their own.

use crate::xattr::Xattr;

/// The attribute that says who may use a file.
pub(crate) const ACCESS: &[u8] = b"system.posix_acl_access";
/// The attribute that says what the files made in a directory begin with.
pub(crate) const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: [u8; 4] = 2_u32.to_le_bytes();
const ENTRY_BYTES: usize = 8;

const OWNER: u16 = 0x01;
const NAMED_USER: u16 = 0x02;
const OWNING_GROUP: u16 = 0x04;
const NAMED_GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHERS: u16 = 0x20;

/// What a user namespace says of somebody who is not in it.
const NOBODY: [u8; 4] = u32::MAX.to_le_bytes();

/// Takes out those who do not exist in this user namespace: a list that names them can be set nowhere.
pub(crate) fn keep_known(list: &mut Vec<u8>) {
    let Some(entries) = list.strip_prefix(&VERSION) else {
        return;
    };
    let is_known = |entry: &&[u8]| {
        !(matches!(tag(entry), NAMED_USER | NAMED_GROUP) && entry.ends_with(&NOBODY))
    };
    let known: Vec<u8> = entries
        .chunks(ENTRY_BYTES)
        .filter(is_known)
        .flatten()
        .copied()
        .collect();
    list.truncate(VERSION.len());
    list.extend(known);
}

/// Changes the access control list among `xattrs` as changing a file's mode to `mode` does.
///
/// What a mode grants to the group is, with a list, the most that anybody named in it gets.
pub fn follow_mode(xattrs: &mut [Xattr], mode: u32) {
    let Some((_, list)) = xattrs.iter_mut().find(|(name, _)| name == ACCESS) else {
        return;
    };
    let Some(entries) = list.strip_prefix(&VERSION) else {
        return;
    };
    let has_mask = entries.chunks(ENTRY_BYTES).any(|entry| tag(entry) == MASK);
    for entry in list[VERSION.len()..].chunks_exact_mut(ENTRY_BYTES) {
        let shift = match tag(entry) {
            OWNER => 6,
            MASK => 3,
            OWNING_GROUP if !has_mask => 3,
            OTHERS => 0,
            _ => continue,
        };
        let [low, high] = ((mode >> shift & 7) as u16).to_le_bytes();
        (entry[2], entry[3]) = (low, high);
    }
}

fn tag(entry: &[u8]) -> u16 {
    match entry {
        [low, high, ..] => u16::from_le_bytes([*low, *high]),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANYBODY: u32 = u32::MAX;

    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = VERSION.to_vec();
        for (tag, permissions, id) in entries {
            bytes.extend_from_slice(&tag.to_le_bytes());
            bytes.extend_from_slice(&permissions.to_le_bytes());
            bytes.extend_from_slice(&id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn those_whom_the_namespace_does_not_know_are_taken_out() {
        let mut bytes = list(&[
            (OWNER, 6, ANYBODY),
            (NAMED_USER, 7, 0),
            (NAMED_USER, 7, ANYBODY),
            (OWNING_GROUP, 4, ANYBODY),
            (NAMED_GROUP, 5, ANYBODY),
            (MASK, 7, ANYBODY),
            (OTHERS, 4, ANYBODY),
        ]);
        keep_known(&mut bytes);
        let known = list(&[
            (OWNER, 6, ANYBODY),
            (NAMED_USER, 7, 0),
            (OWNING_GROUP, 4, ANYBODY),
            (MASK, 7, ANYBODY),
            (OTHERS, 4, ANYBODY),
        ]);
        assert_eq!(bytes, known);
    }

    #[test]
    fn a_mode_changes_the_list_as_chmod_does() {
        let named = [(OWNER, 6, ANYBODY), (NAMED_USER, 7, 1000)];
        let rest = |group, mask, others| {
            [
                (OWNING_GROUP, group, ANYBODY),
                (MASK, mask, ANYBODY),
                (OTHERS, others, ANYBODY),
            ]
        };
        let mut xattrs = [
            (
                ACCESS.to_vec(),
                list(&[&named[..], &rest(4, 7, 4)].concat()),
            ),
            (DEFAULT.to_vec(), list(&named)),
        ];
        follow_mode(&mut xattrs, 0o4750);
        let owner = [(OWNER, 7, ANYBODY), (NAMED_USER, 7, 1000)];
        assert_eq!(xattrs[0].1, list(&[&owner[..], &rest(4, 5, 0)].concat()));
        assert_eq!(xattrs[1].1, list(&named));
    }

    #[test]
    fn without_a_mask_the_mode_is_the_groups() {
        let of = |permissions: [u16; 3]| {
            list(&[
                (OWNER, permissions[0], ANYBODY),
                (OWNING_GROUP, permissions[1], ANYBODY),
                (OTHERS, permissions[2], ANYBODY),
            ])
        };
        let mut xattrs = [(ACCESS.to_vec(), of([6, 4, 4]))];
        follow_mode(&mut xattrs, 0o711);
        assert_eq!(xattrs[0].1, of([7, 1, 1]));
    }

    #[test]
    fn what_is_no_list_stays_as_it_is() {
        for bytes in [
            &b""[..],
            b"\x02",
            b"\x03\0\0\0\x02\0\x07\0\xff\xff\xff\xff",
            b"\x02\0\0\0\x02",
        ] {
            let mut changed = bytes.to_vec();
            keep_known(&mut changed);
            assert_eq!(changed, bytes);
            let mut xattrs = [(ACCESS.to_vec(), bytes.to_vec())];
            follow_mode(&mut xattrs, 0o777);
            assert_eq!(xattrs[0].1, bytes);
        }
    }
}
