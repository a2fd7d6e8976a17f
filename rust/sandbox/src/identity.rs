//! What tells a process from a later one with the same number.

/// The position of `starttime` in `/proc/<pid>/stat`, counted from the field after the name.
const START_TIME_FIELD: usize = 19;

/// When a process started, in clock ticks since the machine did; `None` if it is gone.
///
/// Together with the process ID it names one process for as long as the machine runs. A
/// zombie counts as gone: nothing of it is left but its status.
#[must_use]
pub fn start_time(pid: i32) -> Option<u64> {
    parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(stat: &[u8]) -> Option<u64> {
    // The name is whatever the process likes, with brackets and spaces: it ends at the last bracket.
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let fields = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = fields.split_ascii_whitespace();
    if matches!(fields.clone().next()?, "Z" | "X") {
        return None;
    }
    fields.nth(START_TIME_FIELD)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_mislead() {
        let rest = "1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 2 3";
        assert_eq!(parse(format!("7 (a) S 1) S {rest}").as_bytes()), Some(4711));
        assert_eq!(parse(format!("7 (a) Z {rest}").as_bytes()), None);
        assert_eq!(parse(b"7 (a) S"), None);
    }

    #[test]
    fn this_process_has_a_start_time() {
        assert!(start_time(std::process::id() as i32).is_some());
        assert_eq!(start_time(i32::MAX), None);
    }
}
