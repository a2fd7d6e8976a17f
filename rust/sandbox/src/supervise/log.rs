//! The log: one JSON object a line, as Docker's `json-file` driver writes it.
//!
//! A file that is full gets a number at the end of its name, which is 1 for the latest; the
//! oldest goes when there are too many.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::report::SandboxError;

/// Longer lines are cut into pieces of this size, as Docker cuts them.
pub const MOST_LINE_BYTES: usize = 16 * 1024;
/// The longest UTF-8 sequence, without its last byte.
const MOST_INCOMPLETE_BYTES: usize = 3;
const NANOSECONDS: u64 = 1_000_000_000;
const SECONDS_A_DAY: u64 = 86_400;

/// Which of the program's streams something came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, and all of a terminal.
    Output,
    /// Standard error.
    Error,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Stream::Output => "stdout",
            Stream::Error => "stderr",
        }
    }
}

/// How much of a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptLog {
    /// How long a file gets; 0 is without end.
    pub bytes: u64,
    /// How many files there are; 0 keeps nothing.
    pub files: u32,
}

/// Cuts a stream into lines and writes them to a file.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    kept: KeptLog,
    /// What lines go to, unless none is kept.
    file: Option<File>,
    /// How long it is.
    size: u64,
    partial: [Vec<u8>; 2],
    entries: Vec<u8>,
}

impl Log {
    /// Opens a log, to add to what is there.
    ///
    /// # Errors
    ///
    /// [`SandboxError::BadContainer`].
    pub fn open(path: &Path, kept: KeptLog) -> Result<Log, SandboxError> {
        let explain = |error: io::Error| SandboxError::BadContainer {
            file: path.display().to_string(),
            reason: error.to_string(),
        };
        let (mut file, mut size) = (None, 0);
        if kept.files > 0 {
            let found = open(path).map_err(explain)?;
            size = found.metadata().map_err(explain)?.len();
            file = Some(found);
        }
        Ok(Log {
            path: path.to_owned(),
            kept,
            file,
            size,
            partial: [Vec::new(), Vec::new()],
            entries: Vec::new(),
        })
    }

    /// Takes output; whole lines are written, the rest waits for its end.
    ///
    /// A log that cannot be written to, as on a full disk, loses lines: the program goes on.
    pub fn take(&mut self, stream: Stream, data: &[u8], at: u64) {
        let Log {
            partial, entries, ..
        } = self;
        let pending = &mut partial[stream as usize];
        for piece in data.split_inclusive(|&byte| byte == b'\n') {
            pending.extend_from_slice(piece);
            while pending.len() >= MOST_LINE_BYTES {
                let cut = character_boundary(pending, MOST_LINE_BYTES);
                entry(entries, stream, pending.get(..cut).unwrap_or(&[]), at);
                pending.drain(..cut);
            }
            if pending.last() == Some(&b'\n') {
                entry(entries, stream, pending, at);
                pending.clear();
            }
        }
        self.flush();
    }

    /// Writes what still waits for the end of its line.
    pub fn finish(&mut self, at: u64) {
        for stream in [Stream::Output, Stream::Error] {
            let pending = std::mem::take(&mut self.partial[stream as usize]);
            if !pending.is_empty() {
                entry(&mut self.entries, stream, &pending, at);
            }
        }
        self.flush();
    }

    fn flush(&mut self) {
        let entries = std::mem::take(&mut self.entries);
        let fits = self.kept.bytes == 0 || self.size + entries.len() as u64 <= self.kept.bytes;
        if fits {
            self.write(&entries);
        } else {
            for entry in entries.split_inclusive(|&byte| byte == b'\n') {
                if self.size > 0 && self.size + entry.len() as u64 > self.kept.bytes {
                    self.rotate();
                }
                self.write(entry);
            }
        }
        self.entries = entries;
        self.entries.clear();
    }

    fn write(&mut self, entries: &[u8]) {
        if let Some(file) = &mut self.file {
            // See `take`: the container is worth more than its log.
            let _ = file.write_all(entries);
            self.size += entries.len() as u64;
        }
    }

    /// Begins a new file. Where that fails, the old one goes on being written.
    fn rotate(&mut self) {
        for number in (0..self.kept.files).rev() {
            let from = numbered(&self.path, number);
            // A file that is not there need not be moved.
            let _ = if number + 1 < self.kept.files {
                fs::rename(&from, numbered(&self.path, number + 1))
            } else {
                fs::remove_file(&from)
            };
        }
        if let Ok(file) = open(&self.path) {
            self.file = Some(file);
            self.size = 0;
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o640).open(path)
}

/// The name of a file of the log: 0 is the one that is written.
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

/// Where to cut at or before `limit`, so that no character is split.
fn character_boundary(bytes: &[u8], limit: usize) -> usize {
    let is_start = |at: &usize| {
        bytes
            .get(*at)
            .is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000)
    };
    (limit - MOST_INCOMPLETE_BYTES..=limit)
        .rev()
        .find(is_start)
        .unwrap_or(limit)
}

fn entry(entries: &mut Vec<u8>, stream: Stream, line: &[u8], at: u64) {
    entries.extend_from_slice(b"{\"log\":");
    let text = String::from_utf8_lossy(line);
    // Writing a string into memory cannot fail.
    let _ = serde_json::to_writer(&mut *entries, &text);
    let rest = format!(
        ",\"stream\":\"{}\",\"time\":\"{}\"}}\n",
        stream.name(),
        timestamp(at)
    );
    entries.extend_from_slice(rest.as_bytes());
}

/// Nanoseconds since the epoch as RFC 3339 with as many digits as needed, as Go writes it.
#[must_use]
pub fn timestamp(at: u64) -> String {
    let (seconds, nanoseconds) = (at / NANOSECONDS, at % NANOSECONDS);
    let (days, second) = (seconds / SECONDS_A_DAY, seconds % SECONDS_A_DAY);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = format!(".{nanoseconds:09}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The date of a day since the epoch, in the Gregorian calendar: years that start in March put
/// the leap day last, so that months and years follow from divisions.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn written(chunks: &[(Stream, &[u8])]) -> Vec<serde_json::Value> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.json");
        let mut log = Log::open(&path, KeptLog { bytes: 0, files: 1 }).unwrap();
        for (stream, chunk) in chunks {
            log.take(*stream, chunk, 1);
        }
        log.finish(2);
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn times_are_written_as_go_writes_them() {
        for (at, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_500_000_000, "2024-02-29T23:59:59.5Z"),
            (1_735_689_599_000_000_001, "2024-12-31T23:59:59.000000001Z"),
            (4_102_444_800_123_456_789, "2100-01-01T00:00:00.123456789Z"),
        ] {
            assert_eq!(timestamp(at), expected);
        }
    }

    #[test]
    fn lines_are_put_together_for_each_stream() {
        let log = written(&[
            (Stream::Output, b"a"),
            (Stream::Error, b"oh\n"),
            (Stream::Output, b"b\nc"),
        ]);
        let lines: Vec<(&str, &str)> = log
            .iter()
            .map(|line| {
                (
                    line["stream"].as_str().unwrap(),
                    line["log"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            lines,
            [("stderr", "oh\n"), ("stdout", "ab\n"), ("stdout", "c")]
        );
    }

    /// The lines of each file that is left, the latest first.
    fn files_of(kept: KeptLog, lines: u32) -> Vec<Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.json");
        let mut log = Log::open(&path, kept).unwrap();
        for number in 0..lines {
            log.take(Stream::Output, format!("{number}\n").as_bytes(), 1);
        }
        let read = |number| std::fs::read_to_string(numbered(&path, number)).ok();
        let texts = (0..).map_while(read);
        let line = |text: &str| {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            value["log"].as_str().unwrap().trim().to_owned()
        };
        texts.map(|text| text.lines().map(line).collect()).collect()
    }

    #[test]
    fn full_files_make_room_for_new_ones() {
        // A line is 71 bytes.
        let three = KeptLog {
            bytes: 150,
            files: 3,
        };
        assert_eq!(files_of(three, 2), [vec!["0", "1"]]);
        assert_eq!(files_of(three, 3), [vec!["2"], vec!["0", "1"]]);
        let last = [vec!["8"], vec!["6", "7"], vec!["4", "5"]];
        assert_eq!(files_of(three, 9), last);
        assert_eq!(
            files_of(
                KeptLog {
                    bytes: 150,
                    files: 1
                },
                5
            ),
            [vec!["4"]]
        );
        assert_eq!(files_of(KeptLog { bytes: 1, files: 2 }, 3), [["2"], ["1"]]);
        let none: [Vec<String>; 0] = [];
        assert_eq!(
            files_of(
                KeptLog {
                    bytes: 150,
                    files: 0
                },
                3
            ),
            none
        );
    }

    #[test]
    fn what_is_there_when_a_log_is_opened_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.json");
        std::fs::write(&path, [b'x'; 100]).unwrap();
        let mut log = Log::open(
            &path,
            KeptLog {
                bytes: 150,
                files: 2,
            },
        )
        .unwrap();
        log.take(Stream::Output, b"a\n", 1);
        assert_eq!(std::fs::read(numbered(&path, 1)).unwrap(), [b'x'; 100]);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let mut line = vec![b'x'; MOST_LINE_BYTES - 1];
        line.extend("ä\n".as_bytes());
        let log = written(&[(Stream::Output, &line)]);
        assert_eq!(log[0]["log"].as_str().unwrap().len(), MOST_LINE_BYTES - 1);
        assert_eq!(log[1]["log"], "ä\n");
    }

    #[test]
    fn what_is_not_text_is_replaced() {
        let log = written(&[(Stream::Output, b"a\xff\x00b\n")]);
        assert_eq!(log[0]["log"], "a\u{fffd}\u{0}b\n");
        let endless = written(&[(Stream::Output, &[0x80; MOST_LINE_BYTES * 2])]);
        assert_eq!(endless.len(), 2);
    }
}
