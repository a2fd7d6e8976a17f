//! Where a copy takes its files from: a directory on this machine, or a root file system of layers.

use std::sync::Arc;

use dissolver_tree::Tree;

use crate::copy_error::CopyError;
use crate::entry::{Kind, join, parent};
use crate::error::LayerError;
use crate::view::{Found, View};

/// As many symbolic links as the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// What files are copied from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A build context.
    Tree(Arc<Tree>),
    /// The result of a stage, or an image.
    View(Arc<View>),
}

/// One entry of an origin.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Its number in the tree.
    Tree(usize),
    /// What the view has.
    View(Box<Found>),
}

/// Gets an entry and its path from the directory that is visited.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&[u8], Source) -> Result<(), CopyError>;

impl Origin {
    /// What is at exactly this path; symbolic links in it are not followed.
    pub(crate) fn lookup(&self, path: &[u8]) -> Result<Option<Source>, LayerError> {
        Ok(match self {
            Origin::Tree(tree) => tree.find(path).map(Source::Tree),
            Origin::View(view) => view
                .lookup(path)?
                .map(|found| Source::View(Box::new(found))),
        })
    }

    pub(crate) fn kind(&self, source: &Source) -> Kind {
        match (self, source) {
            (Origin::Tree(tree), Source::Tree(number)) => kind_of(tree.stat(*number).kind),
            (_, Source::View(found)) => found.entry.kind,
            // Sources are only asked of the origin that made them.
            (Origin::View(_), Source::Tree(_)) => Kind::Whiteout,
        }
    }

    pub(crate) fn path<'a>(&'a self, source: &'a Source) -> &'a [u8] {
        match (self, source) {
            (Origin::Tree(tree), Source::Tree(number)) => tree.path(*number),
            (_, Source::View(found)) => &found.entry.path,
            (Origin::View(_), Source::Tree(_)) => b"",
        }
    }

    fn link_target(&self, source: &Source) -> Option<Vec<u8>> {
        match (self, source) {
            (Origin::Tree(tree), Source::Tree(number)) => {
                let is_link = tree.stat(*number).kind == dissolver_tree::Kind::Symlink;
                is_link.then(|| tree.link_target(*number).to_vec())
            }
            (_, Source::View(found)) => found.entry.link_target.clone(),
            (Origin::View(_), Source::Tree(_)) => None,
        }
    }

    /// Makes sure that what a directory holds is known.
    pub(crate) fn check_open(&self, directory: &Source) -> Result<(), CopyError> {
        match (self, directory) {
            (Origin::Tree(tree), Source::Tree(number)) => Ok(tree.check_open(*number)?),
            _ => Ok(()),
        }
    }

    /// What a directory holds, by name.
    pub(crate) fn children(&self, directory: &Source) -> Result<Vec<Source>, LayerError> {
        Ok(match (self, directory) {
            (Origin::Tree(tree), Source::Tree(number)) => {
                tree.children(*number).map(Source::Tree).collect()
            }
            (Origin::View(view), Source::View(found)) => view
                .children(&found.entry.path)?
                .into_iter()
                .map(|found| Source::View(Box::new(found)))
                .collect(),
            _ => Vec::new(),
        })
    }

    /// Follows the symbolic links of `path`, which cannot lead out of the origin; `None` if nothing is there.
    pub(crate) fn resolve(&self, path: &[u8]) -> Result<Option<Source>, CopyError> {
        let mut pending = reversed_components(path);
        let mut current = Vec::new();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    current.truncate(parent(&current).len());
                    continue;
                }
                _ => {}
            }
            let candidate = join(&current, &name);
            let Some(source) = self.lookup(&candidate)? else {
                if let Some(above) = self.lookup(&current)? {
                    self.check_open(&above)?;
                }
                return Ok(None);
            };
            let Some(target) = self.link_target(&source) else {
                current = candidate;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(CopyError::SymlinkLoop {
                    source_path: path.to_vec(),
                });
            }
            if target.starts_with(b"/") {
                current.clear();
            }
            pending.extend(reversed_components(&target));
        }
        Ok(self.lookup(&current)?)
    }

    /// Visits everything beneath `directory`, every directory before what it holds, with its path from there.
    pub(crate) fn visit_beneath(
        &self,
        directory: &Source,
        visit: Visit<'_>,
    ) -> Result<(), CopyError> {
        let from_there = |path: &[u8], top: &[u8]| match top {
            [] => path.to_vec(),
            top => path[(top.len() + 1).min(path.len())..].to_vec(),
        };
        if let (Origin::Tree(tree), Source::Tree(top)) = (self, directory) {
            let prefix = match tree.path(*top).len() {
                0 => 0,
                length => length + 1,
            };
            for number in top + 1..tree.subtree_end(*top) {
                visit(&tree.path(number)[prefix..], Source::Tree(number))?;
            }
            return Ok(());
        }
        let top = self.path(directory).to_vec();
        let mut pending = self.children(directory)?;
        pending.reverse();
        while let Some(source) = pending.pop() {
            if self.kind(&source) == Kind::Directory {
                let mut inside = self.children(&source)?;
                inside.reverse();
                pending.extend(inside);
            }
            visit(&from_there(self.path(&source), &top), source)?;
        }
        Ok(())
    }
}

/// The same kind in the words of layers.
pub(crate) fn kind_of(kind: dissolver_tree::Kind) -> Kind {
    match kind {
        dissolver_tree::Kind::Directory => Kind::Directory,
        dissolver_tree::Kind::File => Kind::File,
        dissolver_tree::Kind::Symlink => Kind::Symlink,
        dissolver_tree::Kind::Character => Kind::Character,
        dissolver_tree::Kind::Block => Kind::Block,
        dissolver_tree::Kind::Fifo => Kind::Fifo,
    }
}

fn reversed_components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .rev()
        .map(<[u8]>::to_vec)
        .collect()
}
