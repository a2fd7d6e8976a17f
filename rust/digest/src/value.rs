//! The two digest types, and their one text form: `<algorithm>:<64 hex digits>`.

use std::fmt;
use std::str::FromStr;

/// What is wrong with a text that should have been a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadDigest {
    /// The text that was refused.
    pub text: String,
    /// The prefix that a good one has.
    pub algorithm: &'static str,
}

impl fmt::Display for BadDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadDigest { text, algorithm } = self;
        write!(
            f,
            "`{text}` is not a digest of the form `{algorithm}:` and 64 lower-case hex digits"
        )
    }
}

impl std::error::Error for BadDigest {}

macro_rules! digest_type {
    ($(#[$doc:meta])* $name:ident, $algorithm:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The word before the colon.
            pub const ALGORITHM: &'static str = $algorithm;

            /// Takes over 32 bytes that the hash function gave.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The 64 lower-case hex digits, without the algorithm.
            #[must_use]
            pub fn hex(&self) -> String {
                let mut text = String::with_capacity(64);
                push_hex(&mut text, &self.0);
                text
            }

            /// Reads 64 lower-case hex digits.
            ///
            /// # Errors
            ///
            /// [`BadDigest`] for anything else, upper case included: one digest has one spelling.
            pub fn from_hex(text: &str) -> Result<Self, BadDigest> {
                bytes_of_hex(text).map(Self).ok_or_else(|| BadDigest {
                    text: text.to_owned(),
                    algorithm: $algorithm,
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($algorithm, ":{}"), self.hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadDigest;

            fn from_str(text: &str) -> Result<Self, BadDigest> {
                text.strip_prefix(concat!($algorithm, ":"))
                    .and_then(bytes_of_hex)
                    .map(Self)
                    .ok_or_else(|| BadDigest { text: text.to_owned(), algorithm: $algorithm })
            }
        }
    };
}

digest_type!(
    /// The SHA-256 of a blob, a configuration or an uncompressed layer: what OCI speaks.
    Sha256Digest,
    "sha256"
);
digest_type!(
    /// The BLAKE3 of a file's content or of a selection of files: what caches compare.
    ContentDigest,
    "blake3"
);

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn bytes_of_hex(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY_SHA256: &str =
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const EMPTY_BLAKE3: &str =
        "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

    #[test]
    fn the_empty_input_has_the_published_digests() {
        assert_eq!(crate::sha256_of(b"").to_string(), EMPTY_SHA256);
        assert_eq!(crate::blake3_of(b"").to_string(), EMPTY_BLAKE3);
    }

    #[test]
    fn text_and_value_convert_both_ways() {
        let digest: Sha256Digest = EMPTY_SHA256.parse().unwrap();
        assert_eq!(digest.to_string(), EMPTY_SHA256);
        assert_eq!(Sha256Digest::from_hex(&digest.hex()).unwrap(), digest);
    }

    #[test]
    fn anything_but_the_one_spelling_is_refused() {
        for text in [
            "",
            "sha256:",
            &EMPTY_SHA256.to_uppercase(),
            &EMPTY_SHA256[7..],
            &EMPTY_SHA256[..70],
            &format!("{EMPTY_SHA256}0"),
            EMPTY_BLAKE3,
            "sha256:zzb0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            assert!(text.parse::<Sha256Digest>().is_err(), "{text}");
        }
    }
}
