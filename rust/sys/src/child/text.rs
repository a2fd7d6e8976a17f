//! Texts that are put together without allocating.

use std::ffi::CStr;

use rustix::io::Errno;

/// The kernel's own limit for a path and for the options of a mount, with the final zero byte.
pub(super) const TEXT_BYTES: usize = 4096;
/// The digits of the largest number.
const DIGITS: usize = 10;

/// A text with room to change it: zero-terminated, in a buffer of fixed size.
pub(super) struct Text {
    pub(super) bytes: [u8; TEXT_BYTES],
    pub(super) length: usize,
}

impl Text {
    pub(super) fn new(path: &CStr) -> Result<Text, Errno> {
        let mut buffer = Text {
            bytes: [0; TEXT_BYTES],
            length: 0,
        };
        buffer.append(path.to_bytes())?;
        Ok(buffer)
    }

    pub(super) fn append(&mut self, part: &[u8]) -> Result<(), Errno> {
        let end = self.length + part.len();
        // Strictly less: the byte after the end must stay zero.
        let room = self
            .bytes
            .get_mut(self.length..end)
            .filter(|_| end < TEXT_BYTES)
            .ok_or(Errno::NAMETOOLONG)?;
        room.copy_from_slice(part);
        self.length = end;
        Ok(())
    }

    /// Appends a number in decimal digits.
    pub(super) fn append_number(&mut self, number: u32) -> Result<(), Errno> {
        let mut digits = [0u8; DIGITS];
        let mut rest = number;
        for (count, slot) in digits.iter_mut().rev().enumerate() {
            *slot = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return self.append(digits.get(DIGITS - 1 - count..).unwrap_or(&[]));
            }
        }
        Ok(())
    }

    /// The whole text.
    pub(super) fn as_c_str(&self) -> Result<&CStr, Errno> {
        CStr::from_bytes_until_nul(&self.bytes).map_err(|_| Errno::INVAL)
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }

    /// The first `end` bytes as a C string, by a zero byte that [`Self::restore`] takes back.
    pub(super) fn cut(&mut self, from: usize, end: usize) -> Result<(&CStr, u8), Errno> {
        let slot = self.bytes.get_mut(end).ok_or(Errno::NAMETOOLONG)?;
        let kept = *slot;
        *slot = 0;
        let part = self.bytes.get(from..=end).ok_or(Errno::NAMETOOLONG)?;
        let part = CStr::from_bytes_with_nul(part).map_err(|_| Errno::INVAL)?;
        Ok((part, kept))
    }

    pub(super) fn restore(&mut self, end: usize, kept: u8) {
        if let Some(slot) = self.bytes.get_mut(end) {
            *slot = kept;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 4096, u32::MAX] {
            let mut text = Text::new(c"n=").unwrap();
            text.append_number(number).unwrap();
            assert_eq!(text.as_slice(), format!("n={number}").as_bytes());
            assert_eq!(text.as_c_str().unwrap().to_bytes(), text.as_slice());
        }
    }
}
