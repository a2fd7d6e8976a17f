//! Names in tars, and what is made of them.

use crate::error::LayerError;
use crate::limits::Limits;
use crate::tar_fields::text;

/// The name in a header: prefix and name, where the format has a prefix.
pub(crate) fn header_name(block: &[u8; 512]) -> Vec<u8> {
    let name = text(&block[..100]);
    let is_ustar = &block[257..263] == b"ustar\0";
    // star keeps two times in what ustar uses for the end of the prefix.
    let is_star = is_ustar && &block[508..512] == b"tar\0";
    let prefix = match (is_ustar, is_star) {
        (true, true) => text(&block[345..476]),
        (true, false) => text(&block[345..500]),
        _ => b"",
    };
    if prefix.is_empty() {
        name.to_vec()
    } else {
        [prefix, b"/", name].concat()
    }
}

/// Makes a name relative and plain; refuses what cannot be made so.
///
/// A leading slash is dropped, as everybody does. `..` is refused even where
/// it would stay inside: no honest archiver writes it.
pub(crate) fn clean(name: &[u8], limits: &Limits) -> Result<Vec<u8>, LayerError> {
    let unsafe_path = |reason| LayerError::UnsafePath {
        path: name.to_vec(),
        reason,
    };
    if name.is_empty() {
        return Err(unsafe_path("it is empty"));
    }
    let mut path = Vec::with_capacity(name.len());
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => continue,
            b".." => return Err(unsafe_path("it contains `..`")),
            _ => {}
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(component);
    }
    check(&path, limits)?;
    Ok(path)
}

/// Tells whether a file can have this path, which is plain already.
///
/// # Errors
///
/// [`LayerError::UnsafePath`] for a NUL, [`LayerError::Limit`] for what is longer
/// or deeper than `limits` say.
pub(crate) fn check(path: &[u8], limits: &Limits) -> Result<(), LayerError> {
    if path.contains(&0) {
        return Err(LayerError::UnsafePath {
            path: path.to_vec(),
            reason: "it contains a NUL",
        });
    }
    let names = path.split(|byte| *byte == b'/');
    let longest = names.clone().map(<[u8]>::len).max().unwrap_or(0);
    for (what, found, limit) in [
        ("bytes in the name of a file", longest, limits.name_bytes),
        ("bytes in a path", path.len(), limits.path_bytes),
        ("directories in a path", names.count(), limits.path_depth),
    ] {
        if found > limit {
            let limit = limit as u64;
            return Err(LayerError::Limit { what, limit });
        }
    }
    Ok(())
}
