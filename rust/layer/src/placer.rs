//! Putting files into a directory that has others already.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, linkat, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::create::{Powers, failed, make_directory, make_special, open_directory, set_metadata};
use crate::entry::{Entry, Kind, file_name, join, parent};
use crate::error::LayerError;
use crate::inspect::inspect;
use crate::interrupt::Interrupt;
use crate::os_path;
use crate::root::{Root, is_absent, open_inner};
use crate::view::LastLink;

/// Bytes that are copied before anybody looks for an interrupt.
const COPY_BYTES: u64 = 32 << 20;

/// The content of what is placed.
pub(crate) enum Body<'body> {
    /// There is none.
    None,
    /// A file of the machine, which the kernel copies by itself.
    File(File),
    /// Bytes from elsewhere.
    Reader(Box<dyn Read + 'body>),
}

/// Places entries beneath a directory: see [`Root::copy`] for what it promises.
pub(crate) struct Placer<'work> {
    directory: OwnedFd,
    owner: Option<(u32, u32)>,
    /// The root that links on the way are followed in, and the path of `directory` in it.
    links: Option<(&'work Root, Vec<u8>)>,
    powers: Powers,
    interrupt: &'work Interrupt,
    /// Directories, parents first; they get their metadata last, in reverse.
    directories: Vec<Entry>,
    bytes: u64,
}

impl<'work> Placer<'work> {
    pub(crate) fn new(
        directory: OwnedFd,
        owner: Option<(u32, u32)>,
        interrupt: &'work Interrupt,
    ) -> Placer<'work> {
        Placer {
            directory,
            owner,
            links: None,
            powers: Powers::of_this_process(),
            interrupt,
            directories: Vec::new(),
            bytes: 0,
        }
    }

    /// Follows symbolic links on the way to an entry, inside `root`; `path` is the directory's there.
    pub(crate) fn through_links(mut self, root: &'work Root, path: &[u8]) -> Placer<'work> {
        self.links = Some((root, path.to_vec()));
        self
    }

    /// Places one entry; directories come before what they hold, first names before links.
    pub(crate) fn place(&mut self, entry: &Entry, body: Body<'_>) -> Result<(), LayerError> {
        self.interrupt.check()?;
        if entry.path.is_empty() {
            // The directory itself is there already, and is not what is copied.
            return Ok(());
        }
        let above = self.open(parent(&entry.path))?;
        let there = match inspect(above.as_fd(), parent(&entry.path), entry.name(), None) {
            Err(error) if is_absent(&error) => None,
            other => other?.map(|inspected| inspected.entry.kind),
        };
        let mut entry = entry.clone();
        self.change_owner(&mut entry);
        if entry.kind == Kind::Directory {
            self.place_directory(above.as_fd(), entry, there)
        } else if there == Some(Kind::Directory) {
            Err(LayerError::NotAFile { path: entry.path })
        } else {
            self.replace(above.as_fd(), &entry, body)
        }
    }

    fn open(&self, path: &[u8]) -> Result<OwnedFd, LayerError> {
        match &self.links {
            Some((root, base)) => root.open_directory(&join(base, path)),
            None => open_directory(self.directory.as_fd(), path),
        }
    }

    /// Gives an entry its new owner, and takes what was meant for the old one only.
    fn change_owner(&self, entry: &mut Entry) {
        let Some((uid, gid)) = self.owner else {
            return;
        };
        if (uid, gid) == (entry.uid, entry.gid) {
            return;
        }
        (entry.uid, entry.gid) = (uid, gid);
        if entry.kind == Kind::File {
            entry.mode &= 0o1777;
        }
        entry.xattrs.retain(|(name, _)| name.starts_with(b"user."));
    }

    fn place_directory(
        &mut self,
        above: BorrowedFd<'_>,
        entry: Entry,
        there: Option<Kind>,
    ) -> Result<(), LayerError> {
        match there {
            None => make_directory(above, &entry)?,
            Some(Kind::Directory) if entry.is_implicit => return Ok(()),
            Some(Kind::Directory) => {}
            Some(Kind::Symlink) if entry.is_implicit && self.leads_to_directory(&entry.path) => {
                return Ok(());
            }
            Some(_) => return Err(LayerError::NotADirectory { path: entry.path }),
        }
        self.directories.push(entry);
        Ok(())
    }

    fn leads_to_directory(&self, path: &[u8]) -> bool {
        self.links.as_ref().is_some_and(|(root, base)| {
            let found = root.stat(&join(base, path), LastLink::Follow);
            matches!(found, Ok((_, Some(entry))) if entry.kind == Kind::Directory)
        })
    }

    /// Makes the entry under a name of its own, and renames it when it is whole.
    fn replace(
        &mut self,
        above: BorrowedFd<'_>,
        entry: &Entry,
        body: Body<'_>,
    ) -> Result<(), LayerError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".dissolver-{}-{number}.part", std::process::id()).into_bytes();
        // What a process of the same number left that was killed here.
        let _ = unlinkat(above, &name, AtFlags::empty());
        let part = Entry {
            path: name.clone(),
            ..entry.clone()
        };
        let placed = self.make(above, &part, entry, body).and_then(|is_made| {
            if is_made {
                self.rename(above, &part, entry)
            } else {
                Ok(())
            }
        });
        // Gone unless something failed, or both names are links to one file.
        let _ = unlinkat(above, &name, AtFlags::empty());
        placed
    }

    /// Makes `part`; false if this user cannot make such a thing, and nobody minds.
    fn make(
        &mut self,
        above: BorrowedFd<'_>,
        part: &Entry,
        entry: &Entry,
        body: Body<'_>,
    ) -> Result<bool, LayerError> {
        if let Some(first) = &entry.hard_link {
            let from = self.open(parent(first))?;
            let linked = linkat(from, file_name(first), above, part.name(), AtFlags::empty());
            return match linked {
                // A device that was left out has no further names either.
                Err(Errno::NOENT) if self.powers.leaves_devices_out() => Ok(false),
                result => result.map(|()| true).map_err(failed("link", &entry.path)),
            };
        }
        if entry.kind != Kind::File {
            make_special(above, part, self.powers)?;
            return Ok(inspect(above, b"", part.name(), None).is_ok());
        }
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(above, part.name(), flags, Mode::RUSR | Mode::WUSR)
            .map_err(failed("create", &entry.path))?;
        let mut file = File::from(file);
        self.bytes += write_body(&mut file, entry, body, self.interrupt)?;
        set_metadata(file.as_fd(), entry, self.powers)?;
        Ok(true)
    }

    fn rename(&self, above: BorrowedFd<'_>, part: &Entry, entry: &Entry) -> Result<(), LayerError> {
        match renameat(above, part.name(), above, entry.name()) {
            // Something is mounted there, such as `/etc/hosts`: it can only be written to.
            Err(Errno::BUSY) if entry.kind == Kind::File => self.write_over(above, part, entry),
            result => result.map_err(failed("rename", &entry.path)),
        }
    }

    fn write_over(
        &self,
        above: BorrowedFd<'_>,
        part: &Entry,
        entry: &Entry,
    ) -> Result<(), LayerError> {
        let open = |name: &[u8], flags| {
            openat(
                above,
                name,
                flags | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .map(File::from)
            .map_err(failed("open", &entry.path))
        };
        let source = open(part.name(), OFlags::RDONLY)?;
        let mut target = open(entry.name(), OFlags::WRONLY | OFlags::TRUNC)?;
        write_body(&mut target, entry, Body::File(source), self.interrupt)?;
        set_metadata(target.as_fd(), entry, self.powers)
    }

    /// Gives the directories their metadata; returns how many bytes were written to files.
    pub(crate) fn finish(self) -> Result<u64, LayerError> {
        for entry in self.directories.iter().rev() {
            self.interrupt.check()?;
            let above = self.open(parent(&entry.path))?;
            let directory = open_inner(above.as_fd(), entry.name(), &entry.path)?;
            set_metadata(directory.as_fd(), entry, self.powers)?;
        }
        Ok(self.bytes)
    }
}

fn write_body(
    target: &mut File,
    entry: &Entry,
    body: Body<'_>,
    interrupt: &Interrupt,
) -> Result<u64, LayerError> {
    let failed = || LayerError::io("copy", os_path(&entry.path));
    let mut written = 0;
    let mut copy = |source: &mut dyn FnMut(&mut File) -> io::Result<u64>| {
        loop {
            interrupt.check()?;
            let count = source(target).map_err(failed())?;
            written += count;
            if count == 0 {
                return Ok(written);
            }
        }
    };
    match body {
        Body::None => Ok(0),
        // The standard library lets the kernel copy from one file to another.
        Body::File(file) => copy(&mut |target| io::copy(&mut (&file).take(COPY_BYTES), target)),
        Body::Reader(mut reader) => {
            let mut block = vec![0; 1 << 20];
            copy(&mut |target| {
                let count = reader.read(&mut block)?;
                target.write_all(&block[..count]).map(|()| count as u64)
            })
        }
    }
}
