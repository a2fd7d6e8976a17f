//! Attributes as they follow an inode of an EROFS image.

use crate::entry::{Entry, Kind};
use crate::erofs_format::xattr_count;

/// Names are stored without these; the number stands for the prefix.
const PREFIXES: [(&[u8], u8); 5] = [
    (b"user.", 1),
    (ACCESS_LIST, 2),
    (DEFAULT_ACCESS_LIST, 3),
    (b"trusted.", 4),
    (b"security.", 6),
];
const ACCESS_LIST: &[u8] = b"system.posix_acl_access";
const DEFAULT_ACCESS_LIST: &[u8] = b"system.posix_acl_default";
/// What says that a directory hides what lies below it.
const OPAQUE: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");
/// Bytes before the first attribute.
const HEADER: usize = 12;

/// The attributes of `entry`, as they are stored; nothing if it has none.
///
/// They are the same that extraction would set: what Linux has no place for, such
/// as user attributes of symbolic links, is left out.
///
/// # Errors
///
/// Says what does not fit into the format.
pub(crate) fn encode_xattrs(entry: &Entry) -> Result<Vec<u8>, &'static str> {
    let kept = entry
        .xattrs
        .iter()
        .filter(|(name, _)| is_possible(entry.kind, name))
        .map(|(name, value)| (name.as_slice(), value.as_slice()));
    let opaque = (entry.kind == Kind::Directory && entry.is_opaque).then_some(OPAQUE);
    let mut out = Vec::new();
    for (name, value) in kept.chain(opaque) {
        if out.is_empty() {
            out.resize(HEADER, 0);
        }
        let (prefix, number) = PREFIXES
            .into_iter()
            .find(|(prefix, _)| name.starts_with(prefix))
            .ok_or("an attribute with a name that images have no number for")?;
        let rest = &name[prefix.len()..];
        let length = u8::try_from(rest.len()).map_err(|_| "an attribute with a long name")?;
        let size = u16::try_from(value.len()).map_err(|_| "an attribute with a long value")?;
        out.extend_from_slice(&[length, number]);
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(rest);
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    match xattr_count(out.len()) {
        Some(_) => Ok(out),
        None => Err("a file with too many attributes"),
    }
}

fn is_possible(kind: Kind, name: &[u8]) -> bool {
    match kind {
        Kind::Directory => true,
        Kind::File => name != DEFAULT_ACCESS_LIST,
        Kind::Symlink => !name.starts_with(b"user.") && !name.starts_with(b"system."),
        _ => !name.starts_with(b"user.") && name != DEFAULT_ACCESS_LIST,
    }
}
