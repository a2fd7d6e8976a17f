//! Listing a directory tree with all cores.
//!
//! Each directory is one job: read its names, `statx` them relative to its own
//! descriptor, start a job for each directory in it. Jobs are queued, not
//! nested, so neither the stack nor the number of open descriptors grows with
//! the depth of the tree. The results are put in order at the end.

use crate::TreeError;
use crate::ignore::{IgnoreRules, Inherited};
use crate::open::{is_beneath_missing, open_beneath, open_root, stat_of};
use crate::tree::{IsCancelled, Kind, Node, Stat};
use crate::xattr::{Xattrs, read_xattrs};
use rayon::prelude::*;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, OFlags, RawDir, readlinkat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Names are read this many bytes at a time: one call for most directories, and one that finds the end.
const NAMES_BUFFER_BYTES: usize = 32 * 1024;
/// Fewer names than this are not worth handing to another core, at 1 µs each.
const STATS_AT_ONCE: usize = 256;

pub(crate) struct Listing {
    pub root_fd: OwnedFd,
    pub nodes: Vec<Node>,
    pub names: Vec<u8>,
    pub total_bytes: u64,
    pub closed: HashMap<usize, TreeError>,
}

/// The names in a directory, in one piece of memory: there may be a million.
#[derive(Default)]
struct Names {
    bytes: Vec<u8>,
    list: Vec<Name>,
}

/// Where a name lies in [`Names`], and whether it may be a directory, as far as the directory itself says.
#[derive(Clone, Copy)]
struct Name {
    start: u32,
    end: u32,
    may_be_directory: bool,
}

impl Names {
    fn push(&mut self, name: &[u8], may_be_directory: bool) {
        let start = number_of(self.bytes.len());
        self.bytes.extend_from_slice(name);
        self.list.push(Name {
            start,
            end: number_of(self.bytes.len()),
            may_be_directory,
        });
    }

    fn get(&self, name: Name) -> &[u8] {
        &self.bytes[name.start as usize..name.end as usize]
    }

    fn sort(&mut self) {
        let Names { bytes, list } = self;
        list.sort_unstable_by_key(|name| &bytes[name.start as usize..name.end as usize]);
    }
}

/// One name in a directory, before the listing is put in order.
struct Found {
    name: Name,
    stat: Stat,
    target: Option<Box<[u8]>>,
    /// For a directory that is listed: its job, and whether the rules exclude it.
    inside: Option<(usize, bool)>,
}

/// What a job found.
#[derive(Default)]
struct Directory {
    names: Names,
    found: Vec<Found>,
    xattrs: Xattrs,
    /// Why it could not be listed.
    closed: Option<TreeError>,
}

/// A directory that waits to be listed.
struct Job {
    number: usize,
    path: Vec<u8>,
    inherited: Inherited,
}

/// Lists what the rules leave of `root`.
pub(crate) fn list(
    root: &Path,
    rules: &IgnoreRules,
    is_cancelled: IsCancelled<'_>,
) -> Result<Listing, TreeError> {
    let (root_fd, root_stat) = open_root(root)?;
    let walker = Walker {
        root: root_fd.as_fd(),
        rules,
        is_cancelled,
        next_job: AtomicUsize::new(1),
        done: Mutex::new(Vec::new()),
        failure: OnceLock::new(),
    };
    let first = Job {
        number: 0,
        path: Vec::new(),
        inherited: rules.at_root(),
    };
    rayon::scope(|scope| walker.run(first, scope));
    let directories = walker.into_directories()?;
    let assembly = Assembly::of(root_stat, directories);
    Ok(Listing {
        root_fd,
        nodes: assembly.nodes,
        names: assembly.names,
        total_bytes: assembly.total_bytes,
        closed: assembly.closed,
    })
}

struct Walker<'a> {
    root: BorrowedFd<'a>,
    rules: &'a IgnoreRules,
    is_cancelled: IsCancelled<'a>,
    next_job: AtomicUsize,
    done: Mutex<Vec<(usize, Directory)>>,
    failure: OnceLock<TreeError>,
}

impl<'a> Walker<'a> {
    fn run<'scope>(&'scope self, job: Job, scope: &rayon::Scope<'scope>) {
        if self.failure.get().is_some() {
            return;
        }
        let (directory, jobs) = match self.list(&job) {
            Ok(listed) => listed,
            // Whether anybody wants what is in it is not known here.
            Err(error) if error.is_refusal() && !job.path.is_empty() => {
                let directory = Directory {
                    closed: Some(error),
                    ..Directory::default()
                };
                (directory, Vec::new())
            }
            // The first failure is the one to report; others only follow from chance.
            Err(error) => return drop(self.failure.set(error)),
        };
        self.done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((job.number, directory));
        for job in jobs {
            scope.spawn(move |scope| self.run(job, scope));
        }
    }

    /// The results by number of the job.
    fn into_directories(self) -> Result<Vec<Directory>, TreeError> {
        if let Some(error) = self.failure.into_inner() {
            return Err(error);
        }
        let mut directories = Vec::new();
        directories.resize_with(self.next_job.into_inner(), Directory::default);
        for (number, directory) in self
            .done
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            directories[number] = directory;
        }
        Ok(directories)
    }

    fn list(&self, job: &Job) -> Result<(Directory, Vec<Job>), TreeError> {
        if (self.is_cancelled)() {
            return Err(TreeError::Interrupted);
        }
        let fd = match open_beneath(self.root, &job.path, OFlags::DIRECTORY) {
            Ok(fd) => fd,
            // Removed, or replaced by something else, since its parent was listed.
            Err(errno) if is_beneath_missing(errno) => {
                return Err(TreeError::ChangedWhileRead {
                    path: job.path.clone(),
                });
            }
            Err(errno) => return Err(TreeError::io("open", &job.path)(errno)),
        };
        let xattrs =
            read_xattrs(&fd).map_err(TreeError::io("read the attributes of", &job.path))?;
        let names = Self::names(&fd).map_err(TreeError::io("read the directory", &job.path))?;
        let examined: Result<Vec<_>, TreeError> = names
            .list
            .par_iter()
            .with_min_len(STATS_AT_ONCE)
            .filter_map(|name| self.examine(fd.as_fd(), job, &names, *name).transpose())
            .collect();
        let (found, jobs): (Vec<Found>, Vec<Option<Job>>) = examined?.into_iter().unzip();
        let directory = Directory {
            names,
            found,
            xattrs,
            closed: None,
        };
        Ok((directory, jobs.into_iter().flatten().collect()))
    }

    /// The names in a directory but for sockets, in byte order.
    fn names(fd: &OwnedFd) -> Result<Names, Errno> {
        let mut buffer = Vec::with_capacity(NAMES_BUFFER_BYTES);
        let mut directory = RawDir::new(fd, buffer.spare_capacity_mut());
        let mut names = Names::default();
        while let Some(entry) = directory.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || entry.file_type() == FileType::Socket {
                continue;
            }
            let kind = entry.file_type();
            names.push(
                name,
                matches!(kind, FileType::Directory | FileType::Unknown),
            );
        }
        names.sort();
        Ok(names)
    }

    /// What one name is, and the job for what is in it; `None` if it is excluded or gone.
    fn examine(
        &self,
        directory: BorrowedFd<'_>,
        job: &Job,
        names: &Names,
        name: Name,
    ) -> Result<Option<(Found, Option<Job>)>, TreeError> {
        let path = [prefix(&job.path).as_slice(), names.get(name)].concat();
        // What is surely no directory is judged first, so that excluded files cost no `statx`.
        if !name.may_be_directory && self.rules.excludes_in(&job.inherited, &path) {
            return Ok(None);
        }
        let stat = match stat_of(directory, names.get(name)) {
            Ok(Some(stat)) => stat,
            Ok(None) | Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(TreeError::io("stat", &path)(errno)),
        };
        let found = |target, inside| Found {
            name,
            stat,
            target,
            inside,
        };
        match stat.kind {
            Kind::Directory => {
                let verdict = self.rules.judge_directory(&job.inherited, &path);
                if verdict.can_skip {
                    return Ok(None);
                }
                let number = self.next_job.fetch_add(1, Ordering::Relaxed);
                let inside = Some((number, verdict.is_excluded));
                let job = Job {
                    number,
                    path,
                    inherited: verdict.inherited,
                };
                Ok(Some((found(None, inside), Some(job))))
            }
            // File systems that give no types have said nothing until now.
            _ if name.may_be_directory && self.rules.excludes_in(&job.inherited, &path) => Ok(None),
            Kind::Symlink => match readlinkat(directory, names.get(name), Vec::new()) {
                Ok(target) => Ok(Some((found(Some(target.into_bytes().into()), None), None))),
                Err(Errno::NOENT) => Ok(None),
                Err(errno) => Err(TreeError::io("read the link", &path)(errno)),
            },
            _ => Ok(Some((found(None, None), None))),
        }
    }
}

fn prefix(directory: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 64);
    if !directory.is_empty() {
        path.extend_from_slice(directory);
        path.push(b'/');
    }
    path
}

/// The listing in its final order, while it is put together.
#[derive(Default)]
struct Assembly {
    nodes: Vec<Node>,
    names: Vec<u8>,
    total_bytes: u64,
    /// Why the directories of these numbers could not be listed.
    closed: HashMap<usize, TreeError>,
}

/// A directory whose entries are being appended.
struct Open {
    node: usize,
    is_excluded: bool,
    names: Names,
    rest: std::vec::IntoIter<Found>,
}

impl Assembly {
    fn of(root: Stat, mut directories: Vec<Directory>) -> Assembly {
        let mut assembly = Assembly::default();
        let mut take = |number: usize| std::mem::take(&mut directories[number]);
        let Directory {
            names,
            found,
            xattrs,
            ..
        } = take(0);
        let node = assembly.push(&[], &[], root, xattrs);
        let mut open = vec![Open {
            node,
            is_excluded: false,
            names,
            rest: found.into_iter(),
        }];
        while let Some(directory) = open.last_mut() {
            let Some(found) = directory.rest.next() else {
                if let Some(directory) = open.pop() {
                    assembly.close(&directory);
                }
                continue;
            };
            let parent = assembly.nodes[directory.node].path();
            let name = directory.names.get(found.name);
            let path = [prefix(&assembly.names[parent]).as_slice(), name].concat();
            let Some((number, is_excluded)) = found.inside else {
                let target = found.target.as_deref().unwrap_or_default();
                assembly.push(&path, target, found.stat, Vec::new());
                continue;
            };
            let Directory {
                names,
                found: inside,
                xattrs,
                closed,
            } = take(number);
            let node = assembly.push(&path, &[], found.stat, xattrs);
            if let Some(error) = closed {
                assembly.closed.insert(node, error);
            }
            open.push(Open {
                node,
                is_excluded,
                names,
                rest: inside.into_iter(),
            });
        }
        assembly
    }

    fn push(&mut self, path: &[u8], target: &[u8], stat: Stat, xattrs: Xattrs) -> usize {
        let start = self.names.len();
        self.names.extend_from_slice(path);
        self.names.extend_from_slice(target);
        let number = self.nodes.len();
        self.nodes.push(Node {
            start,
            path_length: number_of(path.len()),
            target_length: number_of(target.len()),
            stat,
            subtree_end: number_of(number + 1),
            content: OnceLock::new(),
            xattrs: (!xattrs.is_empty()).then(|| Box::new(xattrs)),
        });
        self.total_bytes += stat.size;
        number
    }

    /// Ends a directory's subtree; an excluded one that nothing was brought back from disappears.
    fn close(&mut self, directory: &Open) {
        if directory.is_excluded && self.nodes.len() == directory.node + 1 {
            self.nodes.pop();
            self.closed.remove(&directory.node);
            return;
        }
        self.nodes[directory.node].subtree_end = number_of(self.nodes.len());
    }
}

/// A tree of 4 billion entries would need 600 GB of memory first.
fn number_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
