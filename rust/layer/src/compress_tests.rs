use std::io::Write as _;

use super::*;
use crate::compress_noise::tests::noise;
use crate::limits::Limits;

const FORMATS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

/// Text that compresses, and numbers that do not.
fn sample(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut sample = Vec::with_capacity(bytes + 64);
    while sample.len() < bytes {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        if state % 3 == 0 {
            sample.extend_from_slice(&state.to_le_bytes());
        } else {
            // Writing into memory cannot fail.
            let _ = writeln!(sample, "the line that begins with {}", state % 1000);
        }
    }
    sample.truncate(bytes);
    sample
}

fn options(compression: Compression, threads: usize) -> CompressOptions {
    CompressOptions {
        threads: NonZeroUsize::new(threads),
        ..CompressOptions::new(compression)
    }
}

fn compress_all(data: &[u8], options: &CompressOptions) -> (Vec<u8>, Compressed) {
    let mut out = Vec::new();
    let compressed = compress(&mut &*data, &mut out, options, &Interrupt::default()).unwrap();
    (out, compressed)
}

#[test]
fn what_was_compressed_is_read_again() {
    let around = [0, 1, 1 << 20, (1 << 20) + 1, 4 << 20];
    for size in around {
        let data = sample(size);
        for format in FORMATS {
            let (bytes, facts) = compress_all(&data, &options(format, 2));
            assert_eq!(facts.size, bytes.len() as u64, "{format:?} {size}");
            let mut found = Vec::new();
            let source = Box::new(std::io::Cursor::new(bytes));
            let interrupt = Interrupt::default();
            let count = decompress(source, &mut found, &Limits::default(), &interrupt).unwrap();
            assert_eq!(count, size as u64);
            assert!(found == data, "{format:?} {size}");
        }
    }
}

/// Gives one byte at a time, as a pipe may.
struct Drops(std::io::Cursor<Vec<u8>>);

impl std::io::Read for Drops {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}

#[test]
fn a_source_that_yields_byte_by_byte_is_told_by_its_first_bytes_as_well() {
    for data in [sample(5000), b"short".to_vec(), Vec::new()] {
        for format in FORMATS {
            let (bytes, _) = compress_all(&data, &options(format, 1));
            let mut found = Vec::new();
            let source = Box::new(Drops(std::io::Cursor::new(bytes)));
            decompress(
                source,
                &mut found,
                &Limits::default(),
                &Interrupt::default(),
            )
            .unwrap();
            assert!(found == data, "{format:?} {}", data.len());
        }
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads_nor_on_how_the_source_yields() {
    let data = sample(4_500_000);
    for format in FORMATS {
        let (one, facts) = compress_all(&data, &options(format, 1));
        for threads in [2, 7] {
            assert!(
                compress_all(&data, &options(format, threads)).0 == one,
                "{format:?}"
            );
        }
        let mut dripping = Dripping(&data);
        let mut out = Vec::new();
        let again = compress(
            &mut dripping,
            &mut out,
            &options(format, 2),
            &Interrupt::default(),
        );
        assert_eq!(again.unwrap(), facts);
    }
}

#[test]
fn every_level_takes_what_cannot_be_compressed() {
    let noise = noise(600_000);
    // What is not stored as it is: bytes that the fastest level gives nine bits.
    let high: Vec<u8> = noise.iter().map(|byte| byte | 0x80).collect();
    for level in 1..=9 {
        let with_level = CompressOptions {
            level: Some(level),
            ..CompressOptions::new(Compression::Gzip)
        };
        for data in [&noise, &high] {
            let (bytes, _) = compress_all(data, &with_level);
            assert!(unzipped(&bytes) == *data, "{level}");
        }
    }
}

fn unzipped(bytes: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    let mut reader = flate2::bufread::GzDecoder::new(bytes);
    reader.read_to_end(&mut found).unwrap();
    found
}

#[test]
fn noise_between_texts_is_kept_and_costs_next_to_nothing() {
    let mut noise = noise(900_000).into_iter();
    let mut data = Vec::new();
    let mut texts = 0;
    for size in (0..).map(|number| 1 << (number % 16)).take(90) {
        data.extend(noise.by_ref().take(size));
        data.extend(sample(size));
        texts += size;
    }
    let (bytes, _) = compress_all(&data, &options(Compression::Gzip, 2));
    assert!(unzipped(&bytes) == data);
    let noises = data.len() - texts;
    assert!(
        bytes.len() < noises + texts / 2,
        "{} of {}",
        bytes.len(),
        data.len()
    );
}

#[test]
fn gzip_has_one_member_that_a_simple_reader_takes_whole() {
    let data = sample(2_500_000);
    let (bytes, _) = compress_all(&data, &options(Compression::Gzip, 2));
    let mut found = Vec::new();
    let mut reader = flate2::bufread::GzDecoder::new(&bytes[..]);
    reader.read_to_end(&mut found).unwrap();
    assert!(found == data);
    assert!(reader.into_inner().is_empty());
}

#[test]
fn a_level_that_a_format_lacks_is_its_nearest() {
    let data = sample(100_000);
    for (format, beyond, nearest) in [(Compression::Gzip, 99, 9), (Compression::Zstd, -5, 1)] {
        let with = |level| CompressOptions {
            level: Some(level),
            ..CompressOptions::new(format)
        };
        assert_eq!(
            compress_all(&data, &with(beyond)),
            compress_all(&data, &with(nearest))
        );
    }
}

#[test]
fn failures_of_either_end_come_back() {
    let data = sample(3_000_000);
    for format in FORMATS {
        let full = compress(
            &mut &*data,
            &mut Full,
            &options(format, 1),
            &Interrupt::default(),
        );
        let Err(LayerError::Io {
            op: "write",
            source,
            ..
        }) = full
        else {
            panic!("{full:?}");
        };
        assert_eq!(source.raw_os_error(), Some(28));
        let broken = compress(
            &mut Broken,
            &mut Vec::new(),
            &options(format, 2),
            &Interrupt::default(),
        );
        assert_eq!(broken.unwrap_err().kind(), "limit");
        let interrupt = Interrupt::default();
        interrupt.set();
        let stopped = compress(
            &mut &*data,
            &mut Vec::new(),
            &options(format, 2),
            &interrupt,
        );
        assert_eq!(stopped.unwrap_err().kind(), "interrupted");
    }
}

/// Yields a few bytes at a time.
struct Dripping<'data>(&'data [u8]);

impl Read for Dripping<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(40_009);
        self.0.read(&mut buffer[..count])
    }
}

/// A disk without room.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::from_raw_os_error(28))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A source that fails with an error of this crate.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other(LayerError::Limit {
            what: "things",
            limit: 1,
        }))
    }
}
