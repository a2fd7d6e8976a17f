//! Becoming the container's program, by way of a first one that is nobody's.

use std::ffi::{CString, c_char};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::io::{Errno, FdFlags, fcntl_setfd};

use super::Script;
use crate::kernel;
use crate::walls::{Wall, stands};

/// The first program: a static executable that tries candidates and reports why none could be
/// executed. `first/first.rs` is its source, and says why there is one.
pub const FIRST_PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/first"));
/// What it is called where processes are listed, for the moment that it takes.
const NAME: &std::ffi::CStr = c"dissolver-first";

/// A program with its arguments and environment, and what executes it.
#[derive(Debug)]
pub struct Program {
    candidates: Vec<CString>,
    argv: Vec<CString>,
    environment: PointerArray,
    first: OwnedFd,
}

/// Strings, and a null-terminated array of pointers to them.
#[derive(Debug)]
pub(super) struct PointerArray {
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
    ///
    /// `first` is an executable file with [`FIRST_PROGRAM`] in it that nobody can change.
    #[must_use]
    pub fn new(
        candidates: Vec<CString>,
        argv: Vec<CString>,
        environment: Vec<CString>,
        first: OwnedFd,
    ) -> Program {
        Program {
            candidates,
            argv,
            environment: PointerArray::new(environment),
            first,
        }
    }

    /// The file that is executed first.
    pub(super) fn descriptor(&self) -> RawFd {
        self.first.as_raw_fd()
    }

    /// The paths that are tried.
    #[must_use]
    pub fn candidates(&self) -> &[CString] {
        &self.candidates
    }

    /// The arguments, the program's own name first.
    #[must_use]
    pub fn arguments(&self) -> &[CString] {
        &self.argv
    }

    /// The arguments of the first program, whose failures are reported as of step `index`.
    pub(super) fn arguments_of_first(&self, channel: &OwnedFd, index: usize) -> PointerArray {
        let numbers = [
            channel.as_raw_fd().to_string(),
            index.to_string(),
            self.candidates.len().to_string(),
        ];
        // Digits have no zero byte among them.
        let numbers = numbers.into_iter().flat_map(CString::new);
        let head = [NAME.to_owned()].into_iter().chain(numbers);
        let rest = self.candidates.iter().chain(&self.argv).cloned();
        PointerArray::new(head.chain(rest).collect())
    }
}

/// Executes the first program, which becomes the script's; returns only if that failed.
pub(super) fn enter_program(script: &Script) -> Errno {
    if !stands(Wall::FirstProgram) {
        return enter_directly(script);
    }
    // The channel has to outlive this exec; the first program closes it with its own.
    if let Err(errno) = fcntl_setfd(&script.channel, FdFlags::empty()) {
        return errno;
    }
    kernel::execute_file(
        script.program.first.as_fd(),
        &script.first_arguments.pointers,
        &script.program.environment.pointers,
    )
}

/// Executes the program itself: what the wall is there to prevent.
fn enter_directly(script: &Script) -> Errno {
    let head = script.first_arguments.strings.len() - script.program.argv.len();
    let argv = script.first_arguments.pointers.get(head..).unwrap_or(&[]);
    let environment = &script.program.environment.pointers;
    let mut errno = Errno::NOENT;
    for candidate in &script.program.candidates {
        errno = kernel::execute(candidate, argv, environment);
    }
    errno
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_program_is_an_executable_without_an_interpreter() {
        assert_eq!(FIRST_PROGRAM.get(..4), Some(&b"\x7fELF"[..]));
        // PT_INTERP names the loader, which would come from the container.
        let headers = u16::from_ne_bytes(FIRST_PROGRAM[56..58].try_into().unwrap());
        for number in 0..usize::from(headers) {
            let at = 64 + number * 56;
            let kind = u32::from_ne_bytes(FIRST_PROGRAM[at..at + 4].try_into().unwrap());
            assert_ne!(kind, 3, "it has an interpreter");
        }
    }
}
