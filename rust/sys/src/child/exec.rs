//! Becoming the container's program.

use std::ffi::{CStr, CString, c_char};
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, accessat, fstat, openat};
use rustix::io::{Errno, read};

use super::LACKS_INTERPRETER;
use super::resolve::open_with;
use crate::kernel;

/// How many scripts may name each other as interpreters; the kernel stops at five as well.
const MOST_INTERPRETERS: usize = 5;
/// How much of a script's first line the kernel reads.
const FIRST_LINE_BYTES: usize = 256;

/// A program with its arguments and environment, laid out as `execve` takes them.
#[derive(Debug)]
pub struct Program {
    candidates: Vec<CString>,
    argv: PointerArray,
    environment: PointerArray,
}

/// Strings, and a null-terminated array of pointers to them.
#[derive(Debug)]
struct PointerArray {
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers lead into `strings`, whose heap blocks move with the value
// and are never changed; nothing about them is tied to a thread.
unsafe impl Send for PointerArray {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for PointerArray {}

impl PointerArray {
    fn new(strings: Vec<CString>) -> PointerArray {
        let pointers = strings
            .iter()
            .map(|text| text.as_ptr())
            .chain([std::ptr::null()])
            .collect();
        PointerArray { strings, pointers }
    }
}

impl Program {
    /// Lays out a program; `candidates` are the paths to try, in order.
    #[must_use]
    pub fn new(candidates: Vec<CString>, argv: Vec<CString>, environment: Vec<CString>) -> Program {
        Program {
            candidates,
            argv: PointerArray::new(argv),
            environment: PointerArray::new(environment),
        }
    }

    /// The paths that are tried.
    #[must_use]
    pub fn candidates(&self) -> &[CString] {
        &self.candidates
    }

    /// The arguments, the program's own name first.
    #[must_use]
    pub fn arguments(&self) -> &[CString] {
        &self.argv.strings
    }

    /// Tries the candidates; returns only if none could be executed, with the best reason.
    pub(super) fn execute(&self) -> (Errno, u32) {
        let (mut reason, mut detail) = (Errno::NOENT, 0);
        for (number, candidate) in self.candidates.iter().enumerate() {
            let number = number as u32;
            let errno = kernel::execute(candidate, &self.argv.pointers, &self.environment.pointers);
            match errno {
                Errno::NOENT | Errno::NOTDIR if reason == Errno::ACCESS => {}
                Errno::NOENT
                    if accessat(
                        CWD,
                        &**candidate,
                        rustix::fs::Access::EXISTS,
                        AtFlags::empty(),
                    )
                    .is_ok() =>
                {
                    (reason, detail) = (errno, number | LACKS_INTERPRETER);
                }
                // In a search these say no more than "not here".
                Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP
                    if self.candidates.len() > 1 => {}
                Errno::ACCESS if reason == Errno::ACCESS => {}
                Errno::ACCESS => (reason, detail) = (errno, number),
                _ => return (errno, number),
            }
        }
        (reason, detail)
    }

    /// Refuses a program, or an interpreter, that is reached through a magic link.
    ///
    /// Until exec, `/proc/self/exe` is the host's binary. Executing it inside the
    /// container would run it with the container's libraries, which could then
    /// open it for writing.
    pub(super) fn refuse_magic_links(&self) -> Result<(), Errno> {
        for candidate in &self.candidates {
            refuse_magic(candidate, MOST_INTERPRETERS)?;
        }
        Ok(())
    }
}

fn refuse_magic(path: &CStr, interpreters_left: usize) -> Result<(), Errno> {
    let file = match open_with(
        CWD,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        ResolveFlags::empty(),
    ) {
        Ok(file) => file,
        // A loop of symlinks is refused with the same number, but by a plain open too.
        Err(Errno::LOOP)
            if openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).is_ok() =>
        {
            return Err(Errno::LOOP);
        }
        // Exec will say what is wrong with it.
        Err(_) => return Ok(()),
    };
    let is_file = fstat(&file)
        .is_ok_and(|facts| FileType::from_raw_mode(facts.st_mode) == FileType::RegularFile);
    if !is_file || interpreters_left == 0 {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(script) = open_with(CWD, path, flags, ResolveFlags::empty()) else {
        return Ok(());
    };
    let mut line = [0u8; FIRST_LINE_BYTES];
    let Ok(length) = read(script.as_fd(), &mut line) else {
        return Ok(());
    };
    match interpreter(line.get_mut(..length).unwrap_or(&mut [])) {
        Some(path) => refuse_magic(path, interpreters_left - 1),
        None => Ok(()),
    }
}

/// The interpreter that a script's first line names; the line is cut behind it.
fn interpreter(line: &mut [u8]) -> Option<&CStr> {
    let rest = line.starts_with(b"#!").then(|| line.get_mut(2..))??;
    let start = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    let rest = rest.get_mut(start..)?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\t' | b'\n' | 0))?;
    *rest.get_mut(end)? = 0;
    CStr::from_bytes_with_nul(rest.get(..=end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_what_stands_between_the_marks() {
        for (line, expected) in [
            (&b"#!/bin/sh\necho"[..], Some(c"/bin/sh")),
            (b"#! \t/usr/bin/env python\n", Some(c"/usr/bin/env")),
            (b"\x7fELF", None),
            (b"#!", None),
            (b"#!/no/end", None),
        ] {
            assert_eq!(interpreter(&mut line.to_vec()), expected);
        }
    }

    #[test]
    fn a_program_behind_a_magic_link_is_refused() {
        assert_eq!(refuse_magic(c"/proc/self/exe", 5), Err(Errno::LOOP));
        assert_eq!(refuse_magic(c"/bin/sh", 5), Ok(()));
        assert_eq!(refuse_magic(c"/does/not/exist", 5), Ok(()));
    }
}
