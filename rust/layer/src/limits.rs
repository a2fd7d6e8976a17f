//! How much a layer may ask of whoever reads it.

/// Bounds that keep a hostile archive from taking memory, disk or time without end.
///
/// The defaults are far above what images have and low enough that reaching them
/// hurts nobody: a layer of a million files stays below a gigabyte of memory, a
/// compressed layer that expands beyond reason is refused early.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entries in one layer, with the directories that they imply. Refusing 10 million empty
    /// files takes 250 MB and five seconds with this; the largest layers have a few 100,000.
    pub entries: usize,
    /// Bytes of one path: what the kernel takes, less the NUL.
    pub path_bytes: usize,
    /// Bytes of one name in a path: `NAME_MAX`.
    pub name_bytes: usize,
    /// Names in one path.
    pub path_depth: usize,
    /// Bytes of pax records or of a GNU long name before one entry.
    pub header_bytes: u64,
    /// Bytes of names, link texts and attributes of all entries together.
    pub index_bytes: usize,
    /// Stretches of data in one sparse file.
    pub segments: usize,
    /// Bytes that all sparse files together claim to have.
    pub sparse_bytes: u64,
    /// Uncompressed bytes from which on [`Limits::expansion`] counts.
    pub expansion_from: u64,
    /// How many bytes one compressed byte may become. Zeros reach 1,000 with
    /// gzip; programs and texts stay below 20.
    pub expansion: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            entries: 2_000_000,
            path_bytes: 4095,
            name_bytes: 255,
            path_depth: 1024,
            header_bytes: 4 << 20,
            index_bytes: 512 << 20,
            segments: 1 << 20,
            sparse_bytes: 64 << 30,
            expansion_from: 2 << 30,
            expansion: 500,
        }
    }
}
