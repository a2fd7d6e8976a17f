//! A listing of a directory tree.

use crate::TreeError;
use crate::ignore::IgnoreRules;
use crate::stat_cache::StatCache;
use crate::xattr::{Xattr, Xattrs};
use dissolver_digest::ContentDigest;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

/// What an entry of a tree is. Sockets are not listed: no image can hold one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A named pipe.
    Fifo,
}

/// What `statx` said about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The type.
    pub kind: Kind,
    /// Permission bits with set-uid, set-gid and sticky: `0o7777`.
    pub mode: u32,
    /// Owning user.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Bytes of content, for regular files; otherwise 0.
    pub size: u64,
    /// Modification time in nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Time of the last change to the inode in nanoseconds since the epoch.
    pub ctime_ns: i64,
    /// The device that the inode lives on.
    pub device: u64,
    /// The number of the inode there.
    pub inode: u64,
    /// How many names the inode has.
    pub links: u32,
    /// Major and minor number of a device; otherwise zeros.
    pub device_numbers: (u32, u32),
}

/// What reading a regular file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// BLAKE3 of the bytes.
    pub digest: ContentDigest,
    /// The extended attributes that a layer carries.
    pub xattrs: Box<[Xattr]>,
    /// The times were safely in the past when the file was read, so that any later change shows in them.
    pub(crate) is_settled: bool,
}

/// One entry of a tree; its place in the list is its number.
#[derive(Debug)]
pub(crate) struct Node {
    /// Where the path begins in the arena of names; the text of a symbolic link follows it.
    pub start: usize,
    pub path_length: u32,
    pub target_length: u32,
    /// The number of the first entry behind this one's subtree.
    pub subtree_end: u32,
    pub stat: Stat,
    pub content: OnceLock<Content>,
    /// Attributes of directories, where there are any; files have them in their content.
    pub xattrs: Option<Box<Xattrs>>,
}

impl Node {
    pub fn path(&self) -> Range<usize> {
        self.start..self.start + self.path_length as usize
    }

    fn target(&self) -> Range<usize> {
        let start = self.start + self.path_length as usize;
        start..start + self.target_length as usize
    }
}

/// A directory tree, listed at one moment.
///
/// Entries are ordered so that a directory is followed directly by what it
/// holds, names in byte order; entry 0 is the root, whose path is empty.
/// Contents are read when they are asked for, and remembered.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    root_fd: OwnedFd,
    nodes: Vec<Node>,
    names: Vec<u8>,
    total_bytes: u64,
    rules: IgnoreRules,
    /// Why the directories of these numbers could not be listed.
    closed: HashMap<usize, TreeError>,
    pub(crate) stat_cache: Option<Mutex<StatCache>>,
}

/// How a tree is listed.
#[derive(Debug, Default)]
pub struct ScanOptions {
    /// What the tree leaves out.
    pub rules: IgnoreRules,
    /// The file that remembers content digests from run to run.
    pub stat_cache: Option<PathBuf>,
}

/// Asked now and then by long work; `true` ends it with [`TreeError::Interrupted`].
pub type IsCancelled<'a> = &'a (dyn Fn() -> bool + Sync);

impl Tree {
    /// Lists everything beneath `root` that the rules do not exclude.
    ///
    /// Symbolic links are listed, never followed, but for `root` itself. An
    /// excluded directory is not entered, unless a `!` rule can match inside it,
    /// and is listed only if something in it is. No content is read. A stat
    /// cache that is missing, damaged or of another version counts as empty.
    ///
    /// # Errors
    ///
    /// [`TreeError::NotFound`] and [`TreeError::NotADirectory`] for the root,
    /// [`TreeError::Io`] for a directory that cannot be read, unless its permissions are what
    /// forbids it: [`Tree::check_open`] is for those who want what is in it.
    pub fn scan(
        root: &Path,
        options: ScanOptions,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<Tree, TreeError> {
        let listing = crate::walk::list(root, &options.rules, is_cancelled)?;
        let tree = Tree {
            root: root.to_owned(),
            root_fd: listing.root_fd,
            nodes: listing.nodes,
            names: listing.names,
            total_bytes: listing.total_bytes,
            rules: options.rules,
            closed: listing.closed,
            stat_cache: None,
        };
        let Some(path) = options.stat_cache else {
            return Ok(tree);
        };
        let cache = StatCache::load(path, &tree);
        Ok(Tree {
            stat_cache: Some(Mutex::new(cache)),
            ..tree
        })
    }

    /// The directory that was listed.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn root_fd(&self) -> BorrowedFd<'_> {
        self.root_fd.as_fd()
    }

    /// The number of entries, the root included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never true: the root is always listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The bytes of all regular files, each name counted.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// The rules that the tree was listed with.
    #[must_use]
    pub fn rules(&self) -> &IgnoreRules {
        &self.rules
    }

    pub(crate) fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// The path of entry `number`, relative to the root; panics past the end, as all accessors.
    #[must_use]
    pub fn path(&self, number: usize) -> &[u8] {
        &self.names[self.nodes[number].path()]
    }

    /// What the kernel said about entry `number`.
    #[must_use]
    pub fn stat(&self, number: usize) -> &Stat {
        &self.nodes[number].stat
    }

    /// The text of a symbolic link; empty for everything else.
    #[must_use]
    pub fn link_target(&self, number: usize) -> &[u8] {
        &self.names[self.nodes[number].target()]
    }

    /// The content of a regular file, once it was hashed.
    #[must_use]
    pub fn content(&self, number: usize) -> Option<&Content> {
        self.nodes[number].content.get()
    }

    /// The attributes of a directory, or those of a file once it was hashed.
    #[must_use]
    pub fn xattrs(&self, number: usize) -> &[Xattr] {
        let node = &self.nodes[number];
        match (node.content.get(), &node.xattrs) {
            (Some(content), _) => &content.xattrs,
            (None, Some(xattrs)) => xattrs,
            (None, None) => &[],
        }
    }

    /// The number of the first entry behind the subtree of `number`.
    #[must_use]
    pub fn subtree_end(&self, number: usize) -> usize {
        self.nodes[number].subtree_end as usize
    }

    /// Makes sure that what directory `number` holds could be listed.
    ///
    /// # Errors
    ///
    /// [`TreeError::Io`] if this user may not read it.
    pub fn check_open(&self, number: usize) -> Result<(), TreeError> {
        match self.closed.get(&number) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// The number of the entry at `path`.
    #[must_use]
    pub fn find(&self, path: &[u8]) -> Option<usize> {
        let compare = |node: &Node| compare_paths(&self.names[node.path()], path);
        self.nodes.binary_search_by(compare).ok()
    }

    /// The numbers of what directory `number` holds, in order.
    pub fn children(&self, number: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.subtree_end(number);
        let or_end = move |child: usize| (child < end).then_some(child);
        std::iter::successors(or_end(number + 1), move |&child| {
            or_end(self.subtree_end(child))
        })
    }
}

/// Orders paths so that a directory is followed directly by what it holds: the slash is the least byte.
pub(crate) fn compare_paths(left: &[u8], right: &[u8]) -> Ordering {
    let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    left.iter().map(rank).cmp(right.iter().map(rank))
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
