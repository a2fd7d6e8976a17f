//! The frames of the attach protocol: a type, a length, a payload.

use super::log::Stream;

/// The bytes before the payload: a type, and a big-endian length.
const HEADER_BYTES: usize = 5;
/// The longest payload that a client may send.
pub const MOST_PAYLOAD_BYTES: usize = 1024 * 1024;

/// Types of frames to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outgoing {
    /// The state, as JSON. The first frame.
    Hello = 0,
    /// Bytes of standard output.
    Output = 1,
    /// Bytes of standard error.
    Error = 2,
    /// The exit status and error, as JSON. The last frame.
    Exit = 3,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// Bytes for standard input.
    Input(Vec<u8>),
    /// The end of standard input.
    InputEnd,
    /// A new size of the terminal: rows, columns.
    Resize(u16, u16),
    /// A signal for the program.
    Signal(u8),
    /// Stopping, with seconds until it is killed.
    Stop(f64),
    /// Output from now on.
    Subscribe,
    /// Nobody reads this output any more.
    OutputEnd(Stream),
}

/// A frame that breaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Appends a frame to a queue.
pub fn encode(queue: &mut Vec<u8>, kind: Outgoing, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    queue.push(kind as u8);
    queue.extend_from_slice(&length.to_be_bytes());
    queue.extend_from_slice(payload);
}

/// Takes one whole frame off the front of `buffer`, if there is one.
///
/// # Errors
///
/// [`Malformed`] for an unknown type, a payload of the wrong length, or one that is too long.
pub fn decode(buffer: &mut Vec<u8>) -> Result<Option<Incoming>, Malformed> {
    let Some((header, rest)) = buffer.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let [kind, length @ ..] = *header;
    let length = u32::from_be_bytes(length) as usize;
    if length > MOST_PAYLOAD_BYTES {
        return Err(Malformed);
    }
    let Some(payload) = rest.get(..length) else {
        return Ok(None);
    };
    let frame = interpret(kind, payload)?;
    buffer.drain(..HEADER_BYTES + length);
    Ok(Some(frame))
}

fn interpret(kind: u8, payload: &[u8]) -> Result<Incoming, Malformed> {
    Ok(match (kind, payload) {
        (10, data) => Incoming::Input(data.to_vec()),
        (11, []) => Incoming::InputEnd,
        (12, &[a, b, c, d]) => {
            Incoming::Resize(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
        }
        (13, &[signal]) => Incoming::Signal(signal),
        (14, seconds) => {
            let seconds = f64::from_be_bytes(seconds.try_into().map_err(|_| Malformed)?);
            Incoming::Stop(if seconds.is_nan() {
                return Err(Malformed);
            } else {
                seconds
            })
        }
        (15, []) => Incoming::Subscribe,
        (16, [1]) => Incoming::OutputEnd(Stream::Output),
        (16, [2]) => Incoming::OutputEnd(Stream::Error),
        _ => return Err(Malformed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_one_by_one_and_only_whole() {
        let mut buffer = vec![
            10, 0, 0, 0, 2, b'h', b'i', 15, 0, 0, 0, 0, 12, 0, 0, 0, 4, 0, 24, 0,
        ];
        assert_eq!(
            decode(&mut buffer),
            Ok(Some(Incoming::Input(b"hi".to_vec())))
        );
        assert_eq!(decode(&mut buffer), Ok(Some(Incoming::Subscribe)));
        assert_eq!(decode(&mut buffer), Ok(None));
        buffer.push(80);
        assert_eq!(decode(&mut buffer), Ok(Some(Incoming::Resize(24, 80))));
        assert!(buffer.is_empty());
        buffer.extend([16, 0, 0, 0, 1, 2]);
        assert_eq!(
            decode(&mut buffer),
            Ok(Some(Incoming::OutputEnd(Stream::Error)))
        );
    }

    #[test]
    fn numbers_are_big_endian() {
        let mut buffer = vec![14, 0, 0, 0, 8];
        buffer.extend(2.5f64.to_be_bytes());
        assert_eq!(decode(&mut buffer), Ok(Some(Incoming::Stop(2.5))));
        let mut queue = Vec::new();
        encode(&mut queue, Outgoing::Error, b"x");
        assert_eq!(queue, [2, 0, 0, 0, 1, b'x']);
    }

    #[test]
    fn broken_frames_are_refused() {
        let broken = [
            vec![99, 0, 0, 0, 0],
            vec![13, 0, 0, 0, 2, 1, 1],
            vec![10, 0xff, 0, 0, 0],
            vec![11, 0, 0, 0, 1, 0],
            vec![16, 0, 0, 0, 1, 3],
        ];
        for mut frame in broken {
            assert_eq!(decode(&mut frame), Err(Malformed));
        }
    }
}
