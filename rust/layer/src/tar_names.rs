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
    if name.contains(&0) {
        return Err(unsafe_path("it contains a NUL"));
    }
    let mut path = Vec::with_capacity(name.len());
    let mut depth = 0;
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => continue,
            b".." => return Err(unsafe_path("it contains `..`")),
            _ => {}
        }
        if component.len() > limits.name_bytes {
            let limit = limits.name_bytes as u64;
            return Err(LayerError::Limit {
                what: "bytes in the name of a file",
                limit,
            });
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(component);
        depth += 1;
    }
    if path.len() > limits.path_bytes {
        let limit = limits.path_bytes as u64;
        return Err(LayerError::Limit {
            what: "bytes in a path",
            limit,
        });
    }
    if depth > limits.path_depth {
        let limit = limits.path_depth as u64;
        return Err(LayerError::Limit {
            what: "directories in a path",
            limit,
        });
    }
    Ok(path)
}
