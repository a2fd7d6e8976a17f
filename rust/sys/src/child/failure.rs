//! Failures of the child, as they cross the channel.

use rustix::io::Errno;

/// The length of a [`Failure`] on the channel.
const FAILURE_BYTES: usize = 12;

/// A step that failed, as it crosses the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Which step: an index into the script's steps, their number for the program itself, or [`super::BEFORE_STEPS`].
    pub index: u32,
    /// The kernel's error number.
    pub errno: i32,
    /// For the program: which candidate path, with [`super::LACKS_INTERPRETER`] or-ed in. For a step: a
    /// [`Reason`], or 0.
    pub detail: u32,
}

impl Failure {
    pub(super) fn to_bytes(self) -> [u8; FAILURE_BYTES] {
        let (a, b, c) = (
            self.index.to_ne_bytes(),
            self.errno.to_ne_bytes(),
            self.detail.to_ne_bytes(),
        );
        [
            a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3],
        ]
    }

    /// Reads what the child sent; `None` if the message is not a failure.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Failure> {
        let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok();
        if bytes.len() != FAILURE_BYTES {
            return None;
        }
        Some(Failure {
            index: u32::from_ne_bytes(word(0)?),
            errno: i32::from_ne_bytes(word(4)?),
            detail: u32::from_ne_bytes(word(8)?),
        })
    }
}

/// Why a place was refused that the kernel would have taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is a symbolic link, and has to be a directory.
    IsLink = 1,
    /// It leads to the root itself.
    LeadsToRoot,
    /// It leads into a file system that shows the kernel.
    LeadsToKernel,
    /// Something else is there after mounting.
    IsSomethingElse,
}

impl Reason {
    /// The reason that crossed the channel as a number.
    #[must_use]
    pub fn from_detail(detail: u32) -> Option<Reason> {
        let all = [
            Reason::IsLink,
            Reason::LeadsToRoot,
            Reason::LeadsToKernel,
            Reason::IsSomethingElse,
        ];
        all.into_iter().find(|reason| *reason as u32 == detail)
    }
}

/// Why a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) errno: Errno,
    pub(super) reason: Option<Reason>,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal {
            errno,
            reason: None,
        }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Refusal {
        Refusal {
            errno: Errno::LOOP,
            reason: Some(reason),
        }
    }
}
