//! The modes that a copy gives to what it copies: one for all, or changes to those they have.

/// What becomes of permission bits, special ones included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModeChange {
    /// All get this mode.
    To(u32),
    /// Each keeps its mode but for these changes, made one after the other.
    By(Vec<ModeClause>),
}

/// One change, as in chmod(1) with a umask of 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeClause {
    /// Letters of `ugo`; none means all of them, and the sticky bit.
    pub who: String,
    /// One of `+`, `-` and `=`.
    pub operator: char,
    /// Letters of `rwxXst`, or one of `ugo` whose permissions are taken over.
    pub bits: String,
}

/// The execution bits of everybody.
const EXECUTABLE: u32 = 0o111;
const STICKY: u32 = 0o1000;

impl ModeChange {
    /// The mode of something that has `mode`.
    #[must_use]
    pub fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            ModeChange::To(mode) => *mode,
            ModeChange::By(clauses) => clauses
                .iter()
                .fold(mode, |mode, clause| clause.apply(mode, is_directory)),
        }
    }
}

impl ModeClause {
    fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let everybody = self.who.is_empty();
        let (mut given, mut affected) = (0, 0);
        for who in ['u', 'g', 'o'] {
            if everybody || self.who.contains(who) {
                let (shift, special) = place(who);
                given |= self.bits_for(who, mode, is_directory);
                affected |= 7 << shift | special;
            }
        }
        // Others alone have no sticky bit to give: so for BSD's chmod, and for BuildKit.
        if self.bits.contains('t') && (everybody || self.who.contains(['u', 'g'])) {
            given |= STICKY;
        }
        if everybody {
            affected |= STICKY;
        }
        match self.operator {
            '+' => mode | given,
            '-' => mode & !given,
            _ => mode & !affected | given,
        }
    }

    fn bits_for(&self, who: char, mode: u32, is_directory: bool) -> u32 {
        let (shift, special) = place(who);
        let mut bits = 0;
        for letter in self.bits.chars() {
            bits |= match letter {
                'r' => 4 << shift,
                'w' => 2 << shift,
                'x' => 1 << shift,
                // The right to enter directories, and to execute what somebody may execute.
                'X' if is_directory || mode & EXECUTABLE != 0 => 1 << shift,
                's' => special,
                'u' | 'g' | 'o' => (mode >> place(letter).0 & 7) << shift,
                _ => 0,
            };
        }
        bits
    }
}

/// Where somebody's permissions are, and the special bit that goes with them.
fn place(who: char) -> (u32, u32) {
    match who {
        'u' => (6, 0o4000),
        'g' => (3, 0o2000),
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(text: &str) -> ModeChange {
        let clauses = text.split(',').map(|clause| {
            let at = clause.find(['+', '-', '=']).unwrap();
            ModeClause {
                who: clause[..at].to_owned(),
                operator: clause[at..].chars().next().unwrap(),
                bits: clause[at + 1..].to_owned(),
            }
        });
        ModeChange::By(clauses.collect())
    }

    #[test]
    fn changes_are_those_of_chmod() {
        for (text, mode, of_a_file, of_a_directory) in [
            ("u+x", 0o644, 0o744, 0o744),
            ("+x", 0o644, 0o755, 0o755),
            ("u=rwX,go=rX", 0o600, 0o644, 0o755),
            ("u=rwX,go=rX", 0o700, 0o755, 0o755),
            ("go-w", 0o777, 0o755, 0o755),
            ("=", 0o7777, 0o000, 0o000),
            ("u=s", 0o755, 0o4055, 0o4055),
            ("g+s,+t", 0o755, 0o3755, 0o3755),
            ("u+t", 0o755, 0o1755, 0o1755),
            ("g+t", 0o755, 0o1755, 0o1755),
            ("o+t", 0o755, 0o755, 0o755),
            ("o+s", 0o755, 0o755, 0o755),
            ("g=u", 0o740, 0o770, 0o770),
            ("o=g,g=", 0o751, 0o705, 0o705),
            ("u-r,u+w", 0o444, 0o244, 0o244),
        ] {
            let program = program(text);
            assert_eq!(program.apply(mode, false), of_a_file, "{text} {mode:o}");
            assert_eq!(program.apply(mode, true), of_a_directory, "{text} {mode:o}");
        }
        assert_eq!(ModeChange::To(0o600).apply(0o755, true), 0o600);
    }
}
