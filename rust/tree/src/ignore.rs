//! `.dockerignore`: which paths of a context do not exist for the build.

use crate::glob::{BadPattern, Glob};

/// The rules of a `.dockerignore`, compiled once.
///
/// The last rule that matches a path or one of its parent directories decides;
/// a rule that starts with `!` brings back what earlier ones excluded. Paths are
/// relative to the context, without a leading or trailing slash.
#[derive(Debug, Clone, Default)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
    has_exceptions: bool,
}

#[derive(Debug, Clone)]
struct Rule {
    is_exception: bool,
    glob: Glob,
}

/// Which rules match a directory or one of its parents; they match all that it contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Inherited(Vec<bool>);

/// What the rules say about one directory.
#[derive(Debug)]
pub(crate) struct DirectoryVerdict {
    /// The directory itself is excluded; it reappears if something in it is brought back.
    pub is_excluded: bool,
    /// Nothing in it can be brought back, so it need not be looked at.
    pub can_skip: bool,
    /// For judging what it contains.
    pub inherited: Inherited,
}

impl IgnoreRules {
    /// Compiles patterns, in their order in the file; comments and blank ones are not expected, but harmless.
    ///
    /// # Errors
    ///
    /// [`BadPattern`] names the first one that is not a pattern.
    pub fn new<P: AsRef<[u8]>>(patterns: impl IntoIterator<Item = P>) -> Result<Self, BadPattern> {
        let mut rules = Vec::new();
        for pattern in patterns {
            let text = pattern.as_ref().trim_ascii();
            if text.is_empty() {
                continue;
            }
            let (is_exception, body) = match text.strip_prefix(b"!") {
                Some(rest) => (true, rest.trim_ascii()),
                None => (false, text),
            };
            if body.is_empty() {
                return Err(BadPattern {
                    pattern: "!".to_owned(),
                    reason: "nothing follows the `!`",
                });
            }
            rules.push(Rule {
                is_exception,
                glob: Glob::ignore(&cleaned(body))?,
            });
        }
        let has_exceptions = rules.iter().any(|rule| rule.is_exception);
        Ok(Self {
            rules,
            has_exceptions,
        })
    }

    /// Tells whether there is no rule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Tells whether `path` is excluded, by itself or with a parent directory.
    #[must_use]
    pub fn excludes(&self, path: &[u8]) -> bool {
        let mut inherited = self.at_root();
        let parents = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
        for (end, _) in parents {
            inherited = self.inherit(&inherited, &path[..end]);
        }
        self.excludes_in(&inherited, path)
    }

    /// What holds for everything: nothing.
    pub(crate) fn at_root(&self) -> Inherited {
        Inherited(vec![false; self.rules.len()])
    }

    /// Tells whether `path`, whose parent directory gave `inherited`, is excluded.
    pub(crate) fn excludes_in(&self, inherited: &Inherited, path: &[u8]) -> bool {
        let mut is_excluded = false;
        for (rule, &holds_for_parent) in self.rules.iter().zip(&inherited.0) {
            // A rule that could only repeat the verdict is not evaluated.
            if rule.is_exception == is_excluded && (holds_for_parent || rule.glob.matches(path)) {
                is_excluded = !rule.is_exception;
            }
        }
        is_excluded
    }

    /// Judges a directory, whose parent directory gave `inherited`.
    pub(crate) fn judge_directory(&self, inherited: &Inherited, path: &[u8]) -> DirectoryVerdict {
        let inherited = self.inherit(inherited, path);
        let deciding = self
            .rules
            .iter()
            .zip(&inherited.0)
            .rfind(|&(_, &holds)| holds);
        let is_excluded = deciding.is_some_and(|(rule, _)| !rule.is_exception);
        let can_skip = is_excluded && !(self.has_exceptions && self.brings_back_below(path));
        DirectoryVerdict {
            is_excluded,
            can_skip,
            inherited,
        }
    }

    fn inherit(&self, inherited: &Inherited, path: &[u8]) -> Inherited {
        let rules = self.rules.iter().zip(&inherited.0);
        Inherited(
            rules
                .map(|(rule, &holds)| holds || rule.glob.matches(path))
                .collect(),
        )
    }

    fn brings_back_below(&self, directory: &[u8]) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.is_exception && rule.glob.may_match_below(directory))
    }
}

/// The pattern without `.`, `..`, empty segments and the leading slash, as Go's `filepath.Clean` would leave it.
fn cleaned(pattern: &[u8]) -> Vec<u8> {
    let is_rooted = pattern.starts_with(b"/");
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in pattern.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." if segments.last().is_some_and(|last| *last != b"..") => {
                segments.pop();
            }
            b".." if is_rooted => {}
            other => segments.push(other),
        }
    }
    match segments.is_empty() {
        // Neither `.` nor `/` is the path of anything in a context.
        true => b"/".to_vec(),
        false => segments.join(&b'/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn excludes(patterns: &[&str], path: &str) -> bool {
        IgnoreRules::new(patterns)
            .unwrap()
            .excludes(path.as_bytes())
    }

    #[test]
    fn the_last_match_wins() {
        for (patterns, path, expected) in [
            (&["*.md", "!README.md"][..], "README.md", false),
            (&["!README.md", "*.md"], "README.md", true),
            (&["*.md", "!README.md", "README*"], "README.md", true),
            (&["docs", "!docs/keep"], "docs/keep", false),
            (&["docs", "!docs/keep"], "docs/keep/deep", false),
            (&["docs", "!docs/keep"], "docs/other", true),
            (
                &["docs", "!docs/keep", "docs/keep/not"],
                "docs/keep/not",
                true,
            ),
            (&["**", "!src"], "src/a.py", false),
            (&["**", "!src"], "other/a.py", true),
            (&["*", "!src/a.py"], "src/a.py", false),
            (&["*", "!src/a.py"], "src/b.py", true),
            (&["!a", "a/b"], "a/b/c", true),
            (&[], "anything", false),
        ] {
            assert_eq!(excludes(patterns, path), expected, "{patterns:?} on {path}");
        }
    }

    #[test]
    fn patterns_are_cleaned_before_they_are_read() {
        for (pattern, path) in [
            ("/a", "a"),
            ("./a", "a"),
            ("a/", "a"),
            ("a//b", "a/b"),
            ("a/./b", "a/b"),
            ("a/../b", "b"),
            ("/../a", "a"),
            ("  a  ", "a"),
            ("a", "a/below"),
        ] {
            assert!(excludes(&[pattern], path), "{pattern} on {path}");
        }
        assert!(!excludes(&["a", "!  /a/"], "a"));
        assert!(!excludes(&["/", ".", "..", "../a", "a/.."], "a"));
    }

    #[test]
    fn a_lone_exclamation_mark_is_no_pattern() {
        assert_eq!(
            IgnoreRules::new(["a", "! "]).unwrap_err().to_string(),
            "`!` is not a valid pattern: nothing follows the `!`"
        );
    }

    #[test]
    fn a_directory_is_entered_only_if_something_in_it_can_come_back() {
        let rules =
            IgnoreRules::new(["node_modules", "!node_modules/keep", "dist", "!*.md"]).unwrap();
        for (directory, is_excluded, can_skip) in [
            ("node_modules", true, false),
            ("dist", true, true),
            ("src", false, false),
        ] {
            let verdict = rules.judge_directory(&rules.at_root(), directory.as_bytes());
            assert_eq!(
                (verdict.is_excluded, verdict.can_skip),
                (is_excluded, can_skip),
                "{directory}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_skipped_directory_holds_nothing_that_is_wanted(
            patterns in prop::collection::vec("!?[ab*]{1,3}(/[ab*]{1,2}){0,2}", 0..5),
            directory in "[ab](/[ab]){0,1}",
            tail in "[ab](/[ab]){0,1}",
        ) {
            let rules = IgnoreRules::new(&patterns).unwrap();
            let mut inherited = rules.at_root();
            if let Some((parent, _)) = directory.split_once('/') {
                inherited = rules.judge_directory(&inherited, parent.as_bytes()).inherited;
            }
            if rules.judge_directory(&inherited, directory.as_bytes()).can_skip {
                let inside = format!("{directory}/{tail}");
                prop_assert!(rules.excludes(inside.as_bytes()));
            }
        }
    }
}
