//! What cannot be compressed: pictures, films, archives, keys.
//!
//! Looking for repetitions in it takes most of the time of a compressor, and finds none.

use std::ops::Range;

/// Bytes that are judged together: enough to tell noise from chance, few enough to find it
/// between the headers of a tar.
const WINDOW_BYTES: usize = 4 << 10;
/// Noise shorter than this is not worth a change of the method.
const LEAST_WINDOWS: usize = 2;
/// How much more often two bytes are alike than chance has it, as a part: 1/32 is 0.04 bits of
/// each byte, which is what coding the bytes alone could save.
const TOLERANCE: u64 = 32;

/// Cuts a block into parts that are noise (`true`) and parts that are not, in their order.
///
/// Only counts decide: the same block is always cut the same way.
pub(crate) fn parts(block: &[u8]) -> Vec<(bool, Range<usize>)> {
    let mut found: Vec<(bool, Range<usize>)> = Vec::new();
    let mut windows = block.chunks(WINDOW_BYTES).map(is_noise).peekable();
    let mut start = 0;
    while let Some(is_noise) = windows.next() {
        let mut count = 1;
        while windows.next_if_eq(&is_noise).is_some() {
            count += 1;
        }
        let end = block.len().min(start + count * WINDOW_BYTES);
        let is_noise = is_noise && count >= LEAST_WINDOWS;
        match found.last_mut() {
            Some((before, range)) if *before == is_noise => range.end = end,
            _ => found.push((is_noise, start..end)),
        }
        start = end;
    }
    found
}

/// Tells whether all bytes are about equally frequent: then no code for them is shorter.
///
/// Of `n` bytes, two are alike as often as `n²/256` by chance and `n` times because each is
/// like itself.
fn is_noise(window: &[u8]) -> bool {
    if window.len() < WINDOW_BYTES {
        return false;
    }
    // Four tables: the same byte again and again would wait for its own count.
    let mut counts = [[0u32; 256]; 4];
    for bytes in window.chunks_exact(4) {
        for (table, byte) in counts.iter_mut().zip(bytes) {
            table[usize::from(*byte)] += 1;
        }
    }
    let [a, b, c, d] = &counts;
    let alike: u64 = (0..256)
        .map(|byte| u64::from(a[byte] + b[byte] + c[byte] + d[byte]))
        .map(|count| count * count)
        .sum();
    let bytes = window.len() as u64;
    let by_chance = bytes * bytes / 256;
    alike <= by_chance + by_chance / TOLERANCE + bytes
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Bytes that look like chance, the same each time.
    pub(crate) fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 7_u64;
        std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .take(bytes)
        .collect()
    }

    fn kinds(block: &[u8]) -> Vec<(bool, usize)> {
        let parts = parts(block);
        let mut end = 0;
        for (_, range) in &parts {
            assert_eq!(range.start, end);
            end = range.end;
        }
        assert_eq!(end, block.len());
        parts
            .into_iter()
            .map(|(is_noise, range)| (is_noise, range.len()))
            .collect()
    }

    #[test]
    fn noise_is_told_from_what_can_be_coded() {
        let window = noise(WINDOW_BYTES);
        assert!(is_noise(&window));
        assert!(!is_noise(&window[1..]));
        let nearly: Vec<u8> = window.iter().map(|byte| byte & 0xfe).collect();
        assert!(!is_noise(&nearly));
        assert!(!is_noise(&[0; WINDOW_BYTES]));
        let counting: Vec<u8> = (0..=255).cycle().take(WINDOW_BYTES).collect();
        assert!(is_noise(&counting), "only how often bytes come counts");
    }

    #[test]
    fn parts_cover_a_block_and_little_noise_is_no_part() {
        let (long, short) = (noise(5 * WINDOW_BYTES), noise(WINDOW_BYTES));
        let text = vec![b'a'; 2 * WINDOW_BYTES];
        assert_eq!(kinds(&[]), []);
        assert_eq!(kinds(&long), [(true, long.len())]);
        assert_eq!(kinds(&text), [(false, text.len())]);
        let mixed = [&text[..], &long, &text, &short, &text, &long[..100]].concat();
        let last = 5 * WINDOW_BYTES + 100;
        let expected = [(false, text.len()), (true, long.len()), (false, last)];
        assert_eq!(kinds(&mixed), expected);
    }
}
