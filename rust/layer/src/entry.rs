//! One entry of a layer.

use std::cmp::Ordering;

/// BLAKE3 of a file's content.
pub type ContentDigest = [u8; 32];

/// What an entry is.
///
/// A hard link is no kind: it is another name of a file (or of a symbolic link
/// or device) and carries the kind and facts of that, with
/// [`Entry::hard_link`] saying which name came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A regular file.
    File = 0,
    /// A directory.
    Directory = 1,
    /// A symbolic link; the text is in [`Entry::link_target`].
    Symlink = 2,
    /// A character device.
    Character = 3,
    /// A block device.
    Block = 4,
    /// A named pipe.
    Fifo = 5,
    /// Hides what the layers below have at this path.
    Whiteout = 6,
}

impl Kind {
    /// Reads the number that [`Kind`] has on disk.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Kind> {
        Some(match number {
            0 => Kind::File,
            1 => Kind::Directory,
            2 => Kind::Symlink,
            3 => Kind::Character,
            4 => Kind::Block,
            5 => Kind::Fifo,
            6 => Kind::Whiteout,
            _ => return None,
        })
    }

    /// The word for it, the same in Python.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Symlink => "symlink",
            Kind::Character => "character",
            Kind::Block => "block",
            Kind::Fifo => "fifo",
            Kind::Whiteout => "whiteout",
        }
    }
}

/// An extended attribute: its name and its value.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// One stretch of data in a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it lies in the file.
    pub offset: u64,
    /// How many bytes it has; the next one follows it in the pack.
    pub length: u64,
}

/// One name in a layer, with everything there is to know about it but content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative, no leading, doubled or trailing slash, no `.` or `..`; the root is empty.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-uid, set-gid and sticky: `0o7777`.
    pub mode: u32,
    /// Owning user.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Bytes of content; 0 for everything but files.
    pub size: u64,
    /// Modification time in nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<Xattr>,
    /// The text of a symbolic link.
    pub link_target: Option<Vec<u8>>,
    /// The first name of the same inode in this layer, for every further name.
    pub hard_link: Option<Vec<u8>>,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// BLAKE3 of the content, for files.
    pub digest: Option<ContentDigest>,
    /// Where the content begins in the layer's tar; a multiple of 512.
    pub data_offset: u64,
    /// Where the stored bytes belong, for sparse files; empty means all, in order.
    pub segments: Vec<Segment>,
    /// The directory hides what the layers below have in it.
    pub is_opaque: bool,
    /// The tar had no header for this directory, only names beneath it.
    pub is_implicit: bool,
}

impl Entry {
    /// An entry of `kind` at `path`, owned by root, with nothing else set.
    #[must_use]
    pub fn new(path: impl Into<Vec<u8>>, kind: Kind, mode: u32) -> Entry {
        Entry {
            path: path.into(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            mtime_ns: 0,
            xattrs: Vec::new(),
            link_target: None,
            hard_link: None,
            device: (0, 0),
            digest: None,
            data_offset: 0,
            segments: Vec::new(),
            is_opaque: false,
            is_implicit: false,
        }
    }

    /// The last component of the path.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        file_name(&self.path)
    }

    /// Bytes of content that lie in the pack: less than the size if sparse.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        if self.segments.is_empty() {
            self.size
        } else {
            self.segments.iter().map(|segment| segment.length).sum()
        }
    }
}

/// Orders paths so that what lies in a directory follows it directly.
///
/// Byte order would put `a-b` between `a` and `a/b`; here the slash is the
/// smallest byte, and every subtree is one stretch.
#[must_use]
pub fn compare_paths(left: &[u8], right: &[u8]) -> Ordering {
    let common = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    match (left.get(common), right.get(common)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(a), Some(b)) => rank(*a).cmp(&rank(*b)),
    }
}

/// Every byte has a rank of its own, NUL too: an order that is none makes sorting panic.
fn rank(byte: u8) -> u16 {
    if byte == b'/' { 0 } else { u16::from(byte) + 1 }
}

/// Tells whether `path` lies somewhere beneath `directory`.
#[must_use]
pub fn is_beneath(path: &[u8], directory: &[u8]) -> bool {
    if directory.is_empty() {
        return !path.is_empty();
    }
    path.len() > directory.len()
        && path.starts_with(directory)
        && path.get(directory.len()) == Some(&b'/')
}

/// The path of the directory that holds `path`; the root holds itself.
#[must_use]
pub fn parent(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|byte| *byte == b'/')
        .map_or(b"", |slash| &path[..slash])
}

/// The last component of `path`.
#[must_use]
pub fn file_name(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|byte| *byte == b'/')
        .map_or(path, |slash| &path[slash + 1..])
}

/// Joins a name to a directory.
#[must_use]
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        return name.to_vec();
    }
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subtree_is_one_stretch() {
        let mut paths: Vec<&[u8]> = vec![b"a-b", b"a/b", b"a", b"", b"a/b/c", b"a.b", b"a/b-c"];
        paths.sort_by(|left, right| compare_paths(left, right));
        let sorted: Vec<&[u8]> = vec![b"", b"a", b"a/b", b"a/b/c", b"a/b-c", b"a-b", b"a.b"];
        assert_eq!(paths, sorted);
        assert_eq!(compare_paths(b"a\0", b"a/"), Ordering::Greater);
    }

    #[test]
    fn names_and_parents() {
        assert_eq!(parent(b"a/b/c"), b"a/b");
        assert_eq!(parent(b"a"), b"");
        assert_eq!(file_name(b"a/b/c"), b"c");
        assert_eq!(join(b"", b"x"), b"x");
        assert_eq!(join(b"a", b"x"), b"a/x");
        assert!(is_beneath(b"a/b", b"a"));
        assert!(!is_beneath(b"ab", b"a"));
        assert!(is_beneath(b"a", b""));
        assert!(!is_beneath(b"", b""));
    }
}
