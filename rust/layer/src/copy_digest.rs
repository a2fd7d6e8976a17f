//! What a copy amounts to, as one digest and as named inputs.
//!
//! The digest is the BLAKE3 of a line that names the format, the destination, and
//! the facts of each entry in the order of the layer. It is part of cache keys:
//! whoever changes the bytes below changes [`FORMAT`] too.

use std::borrow::Cow;
use std::io::Write as _;

use flate2::write::ZlibEncoder;

use crate::copy_error::CopyError;
use crate::copy_origin::Origin;
use crate::copy_plan::{CopyPart, CopyPlan, Planned, What};
use crate::entry::{ContentDigest, Entry, Kind, Xattr};
use crate::interrupt::Interrupt;

/// What the digest begins with.
const FORMAT: &[u8] = b"dissolver copy 1\n";
/// As many hexadecimal digits as a reader of `why` needs to tell two apart.
const SHORT_DIGITS: usize = 16;

/// Bytes of inputs that are compressed at once.
const PACKED_AT_ONCE: usize = 64 << 10;

/// What the layer of a copy says about one entry.
#[derive(Debug, Clone)]
pub(crate) struct Facts<'a> {
    pub path: &'a [u8],
    pub kind: Kind,
    pub mode: u32,
    pub owner: (u32, u32),
    pub size: u64,
    pub mtime_ns: i64,
    pub device: (u32, u32),
    pub xattrs: Cow<'a, [Xattr]>,
    pub link_target: Option<&'a [u8]>,
    pub hard_link: Option<&'a [u8]>,
    pub digest: Option<ContentDigest>,
}

impl<'a> Facts<'a> {
    /// A directory of root's, without a time.
    pub(crate) fn directory(path: &'a [u8], mode: u32) -> Facts<'a> {
        Facts {
            path,
            kind: Kind::Directory,
            mode,
            owner: (0, 0),
            size: 0,
            mtime_ns: 0,
            device: (0, 0),
            xattrs: Cow::Borrowed(&[]),
            link_target: None,
            hard_link: None,
            digest: None,
        }
    }

    /// What `entry` says, but at `path`, and as a first name.
    pub(crate) fn of_entry(path: &'a [u8], entry: &'a Entry) -> Facts<'a> {
        Facts {
            path,
            kind: entry.kind,
            mode: entry.mode,
            owner: (entry.uid, entry.gid),
            size: entry.size,
            mtime_ns: entry.mtime_ns,
            device: entry.device,
            xattrs: Cow::Borrowed(&entry.xattrs),
            link_target: entry.link_target.as_deref(),
            hard_link: None,
            digest: entry.digest,
        }
    }

    pub(crate) fn to_entry(&self) -> Entry {
        let mut entry = Entry::new(self.path, self.kind, self.mode);
        (entry.uid, entry.gid) = self.owner;
        entry.size = self.size;
        entry.mtime_ns = self.mtime_ns;
        entry.xattrs = self.xattrs.to_vec();
        entry.link_target = self.link_target.map(<[u8]>::to_vec);
        entry.hard_link = self.hard_link.map(<[u8]>::to_vec);
        entry.device = self.device;
        entry.digest = self.digest;
        entry
    }

    /// Appends everything but path and time, so that no two entries that differ give the same bytes.
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.kind as u8);
        for number in [
            self.mode,
            self.owner.0,
            self.owner.1,
            self.device.0,
            self.device.1,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        // No link has an empty target: nothing there and nothing said are the same bytes.
        put(out, self.link_target.unwrap_or_default());
        put(out, self.hard_link.unwrap_or_default());
        out.extend_from_slice(&(self.xattrs.len() as u64).to_le_bytes());
        for (name, value) in self.xattrs.as_ref() {
            put(out, name);
            put(out, value);
        }
        // What a hard link holds is said by its first name.
        let digest = self.digest.filter(|_| self.hard_link.is_none());
        out.extend_from_slice(digest.as_ref().map_or(&[], |digest| &digest[..]));
    }

    /// Digests everything but path, time and mode: who reads the mode beside it can tell whether
    /// that alone has changed.
    fn short_digest(&self, scratch: &mut Vec<u8>) -> String {
        scratch.clear();
        let facts = Facts {
            mode: 0,
            ..self.clone()
        };
        facts.encode(scratch);
        let mut hex = blake3::hash(scratch).to_hex().to_string();
        hex.truncate(SHORT_DIGITS);
        hex
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

impl CopyPlan {
    /// The digest of everything that the layer will hold but modification times.
    ///
    /// Reads the files of a context whose content the stat cache does not know;
    /// nothing else, and the second call nothing. After [`CopyPlan::prepare`] what is
    /// read may be written at once.
    ///
    /// # Errors
    ///
    /// A file that changed since it was listed, or that cannot be read;
    /// [`crate::LayerError::Interrupted`].
    pub fn digest(&self, interrupt: &Interrupt) -> Result<ContentDigest, CopyError> {
        let bytes = self.write_ahead(interrupt)? + self.hash_contents(interrupt)?;
        // The first call is the one that may have read something.
        self.bytes_hashed.get_or_init(|| bytes);
        let mut hasher = blake3::Hasher::new();
        let mut buffer = FORMAT.to_vec();
        put(&mut buffer, &self.destination);
        for planned in &self.entries {
            hasher.update(&buffer);
            buffer.clear();
            put(&mut buffer, &planned.path);
            let facts_start = buffer.len();
            buffer.extend_from_slice(&0_u64.to_le_bytes());
            self.facts(planned).encode(&mut buffer);
            let length = (buffer.len() - facts_start - 8) as u64;
            buffer[facts_start..facts_start + 8].copy_from_slice(&length.to_le_bytes());
        }
        hasher.update(&buffer);
        Ok(*hasher.finalize().as_bytes())
    }

    /// The parts of the digest by name: where to, what is copied, and the directories on the way.
    ///
    /// Each has the permission bits and a short digest of all else that counts about
    /// it. Contents are part of that only after [`CopyPlan::digest`].
    #[must_use]
    pub fn inputs(&self) -> Vec<(String, String)> {
        let mut inputs = Vec::new();
        self.each_input(&mut |name, value| inputs.push((name, value)));
        inputs
    }

    /// The same, names and values in turn, separated by NUL and compressed with zlib: as they are kept.
    ///
    /// # Errors
    ///
    /// None in practice: nothing but memory is written to.
    pub fn packed_inputs(&self) -> std::io::Result<Vec<u8>> {
        let mut packer = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut pending = Vec::new();
        let mut outcome = Ok(());
        self.each_input(&mut |name, value| {
            for text in [name, value] {
                pending.extend_from_slice(text.as_bytes());
                pending.push(0);
            }
            // The last NUL separates nothing; it stays here and goes in the end.
            if pending.len() > PACKED_AT_ONCE && outcome.is_ok() {
                outcome = packer.write_all(&pending[..pending.len() - 1]);
                pending.drain(..pending.len() - 1);
            }
        });
        outcome?;
        pending.pop();
        packer.write_all(&pending)?;
        packer.finish()
    }

    fn each_input(&self, take: &mut dyn FnMut(String, String)) {
        let mut scratch = Vec::new();
        let destination = format!("/{}", lossy(&self.destination));
        take("destination".to_owned(), destination);
        for planned in &self.entries {
            let facts = self.facts(planned);
            let value = format!("{:o} {}", facts.mode, facts.short_digest(&mut scratch));
            take(self.input_name(planned), value);
        }
    }

    fn input_name(&self, planned: &Planned) -> String {
        match (&planned.what, self.part(planned)) {
            (What::Copied(source), Some(CopyPart { origin, .. })) => {
                let top = match origin {
                    Origin::Tree(_) => "context",
                    Origin::View(_) => "from",
                };
                format!("{top}/{}", lossy(origin.path(source)))
            }
            _ => format!("directory/{}", lossy(&planned.path)),
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
