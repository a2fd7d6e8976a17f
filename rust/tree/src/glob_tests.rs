use super::*;
use proptest::prelude::*;

fn ignore(pattern: &str, path: &str) -> bool {
    Glob::ignore(pattern.as_bytes())
        .unwrap()
        .matches(path.as_bytes())
}

fn segment(pattern: &str, name: &str) -> bool {
    Glob::segment(pattern.as_bytes())
        .unwrap()
        .matches(name.as_bytes())
}

#[test]
fn segments_match_as_go_does() {
    for (pattern, name, expected) in [
        ("abc", "abc", true),
        ("*", "abc", true),
        ("*c", "abc", true),
        ("a*", "a", true),
        ("a*", "ab/c", false),
        ("a*b*c*d*e*", "axbxcxdxe", true),
        ("a*b?c*x", "abxbbxdbxebxczzx", true),
        ("a*b?c*x", "abxbbxdbxebxczzy", false),
        ("ab[c]", "abc", true),
        ("ab[b-d]", "abc", true),
        ("ab[e-g]", "abc", false),
        ("ab[^c]", "abc", false),
        ("ab[^e-g]", "abc", true),
        ("a\\*b", "a*b", true),
        ("a\\*b", "ab", false),
        ("a?b", "a☺b", true),
        ("a[^a]b", "a☺b", true),
        ("a???b", "a☺b", false),
        ("*??", "☺", false),
        ("*?", "☺", true),
        ("[a-ζ]*", "α", true),
        ("*[a-ζ]", "A", false),
        ("a?b", "a/b", false),
        ("[\\]a]", "]", true),
        ("[\\-]", "-", true),
        ("[x\\-]", "-", true),
        ("[\\-x]", "z", false),
        ("**", "ab", true),
        ("a]", "a]", true),
        ("", "", true),
        ("", "a", false),
        ("*x", "xxx", true),
        ("[!a]", "!", true),
    ] {
        assert_eq!(segment(pattern, name), expected, "{pattern} against {name}");
    }
}

#[test]
fn patterns_that_are_none_say_why() {
    for (pattern, reason) in [
        ("[", UNCLOSED_CLASS),
        ("a[", UNCLOSED_CLASS),
        ("[^", UNCLOSED_CLASS),
        ("[^bc", UNCLOSED_CLASS),
        ("[]a]", EMPTY_CLASS),
        ("[-x]", BAD_RANGE),
        ("[x-]", BAD_RANGE),
        ("[a-b-c]", BAD_RANGE),
        ("a\\", TRAILING_ESCAPE),
    ] {
        for error in [
            Glob::segment(pattern.as_bytes()),
            Glob::ignore(pattern.as_bytes()),
        ] {
            let expected = BadPattern {
                pattern: pattern.to_owned(),
                reason,
            };
            assert_eq!(error.unwrap_err(), expected, "{pattern}");
        }
    }
}

#[test]
fn ignore_patterns_match_as_docker_does() {
    for (pattern, path, expected) in [
        ("**", "file", true),
        ("**", "dir/file", true),
        ("**/", "file", true),
        ("**/", "dir/file", true),
        ("**/**", "dir/file", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir/dir2/file", true),
        ("dir/**", "dir", false),
        ("dir/**", "dir2", false),
        ("**/dir", "dir", true),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/*", "dir/dir2/dir2/file", true),
        ("**/dir2/**", "dir/dir2/dir2/file", true),
        ("**file", "file", true),
        ("**file", "dir/file", true),
        ("**file", "dir/xfile", true),
        ("**/file", "dir/xfile", false),
        ("**file", "dir/file.txt", false),
        ("**/file*txt", "dir/file.txt", true),
        ("**/file*.txt", "dir/file.txt", true),
        ("**/file*.txt", "dir/filex.txtx", false),
        ("**/**/*.txt", "dir/file.txt", true),
        ("**/**/*.txt2", "dir/file.txt", false),
        ("**/*.txt", "file.txt", true),
        ("**/**/*.txt", "file.txt", true),
        ("a**/*.txt", "a/file.txt", true),
        ("a**/*.txt", "a/dir/file.txt", true),
        ("a/*.txt", "a/dir/file.txt", false),
        ("a/*.txt", "a/file.txt", true),
        ("a/*.txt**", "a/file.txt", true),
        ("a**b", "ab", true),
        ("a**b", "axx/b", true),
        ("a**b", "axb", false),
        ("a[b-d]e", "ae", false),
        ("a[b-d]e", "ace", true),
        ("abc.def", "abcdef", false),
        ("abc.def", "abcZdef", false),
        ("abc?def", "abcZdef", true),
        ("abc?def", "abc/def", false),
        ("a\\*b", "a*b", true),
        ("a\\\\", "a\\", true),
        ("a*", "ab/c", false),
        ("*/**", "a/b/c", true),
        ("*/**", "a", false),
        (".*", ".foo", true),
        (".*", "foo", false),
        ("(foo)", "(foo)", true),
        ("a|b", "a", false),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
        ("**/foo/bar", "foo/bar", true),
        ("**/foo/bar", "dir/foo/bar", true),
        ("**/foo/bar", "dir/dir2/xfoo/bar", false),
        ("abc/**", "abc", false),
        ("abc/**", "abc/def/ghi", true),
        ("**/.foo", "bar.foo", false),
        ("**/.foo", ".foo", true),
        ("./bar.*", "bar.", false),
    ] {
        assert_eq!(ignore(pattern, path), expected, "{pattern} against {path}");
    }
}

#[test]
fn common_patterns_are_plain_comparisons() {
    let shape = |pattern: &str| Glob::ignore(pattern.as_bytes()).unwrap().0;
    assert_eq!(
        shape("node_modules"),
        Shape::Exact(b"node_modules".to_vec())
    );
    assert_eq!(shape("dist/**"), Shape::Prefix(b"dist/".to_vec()));
    assert_eq!(shape("**/.git"), Shape::Suffix(b"/.git".to_vec()));
    assert_eq!(shape("**"), Shape::Prefix(Vec::new()));
}

#[test]
fn a_directory_is_ruled_out_only_when_nothing_below_can_match() {
    for (pattern, directory, expected) in [
        ("a/b", "a", true),
        ("a/b", "b", false),
        ("a/b", "a/b", false),
        ("ab", "a", false),
        ("a*", "abc", false),
        ("a/*/c", "a/b", true),
        ("a/*/c", "a/b/c", false),
        ("a/*/c", "x", false),
        ("*/x", "anything", true),
        ("**/x", "any/thing", true),
        ("a/**/x", "a/b/c", true),
        ("a/**/x", "b", false),
        ("a/**", "a/b/c", true),
        ("a/b/**", "a", true),
        ("?/[xy]/z", "a/x", true),
        ("?/[xy]/z", "a/z", false),
    ] {
        let glob = Glob::ignore(pattern.as_bytes()).unwrap();
        assert_eq!(
            glob.may_match_below(directory.as_bytes()),
            expected,
            "{pattern}, {directory}"
        );
    }
}

#[test]
fn a_byte_that_is_no_utf_8_is_no_letter() {
    let matches = |pattern: &str| Glob::segment(pattern.as_bytes()).unwrap().matches(b"\xe4");
    for (pattern, expected) in [
        ("?", true),
        ("*", true),
        ("[^a]", true),
        ("[\u{e4}]", false),
        ("\u{e4}", false),
    ] {
        assert_eq!(matches(pattern), expected, "{pattern}");
    }
}

#[test]
fn a_long_hostile_pattern_is_answered_at_once() {
    let pattern = "**/*a".repeat(50) + "b";
    assert!(!ignore(&pattern, &"a/".repeat(1000)));
}

#[test]
fn wildcards_are_told_from_escaped_ones() {
    for (text, expected) in [
        ("a", false),
        ("a*", true),
        ("a\\*", false),
        ("\\[a", false),
        ("a?", true),
        ("[a]", true),
    ] {
        assert_eq!(has_wildcard(text.as_bytes()), expected, "{text}");
    }
}

/// A matcher written for being obviously right: it tries every way.
fn slowly(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len())
            .take_while(|&n| !text[..n].contains(&b'/'))
            .any(|n| slowly(rest, &text[n..])),
        [b'?', rest @ ..] => text.first().is_some_and(|&b| b != b'/') && slowly(rest, &text[1..]),
        [byte, rest @ ..] => text.first() == Some(byte) && slowly(rest, &text[1..]),
    }
}

proptest! {
    #[test]
    fn segments_agree_with_trying_every_way(pattern in "[ab*?]{0,8}", text in "[ab/]{0,10}") {
        let glob = Glob::segment(pattern.as_bytes()).unwrap();
        prop_assert_eq!(glob.matches(text.as_bytes()), slowly(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn no_bytes_make_the_compiler_or_the_matcher_panic(pattern: Vec<u8>, text: Vec<u8>) {
        for glob in [Glob::segment(&pattern), Glob::ignore(&pattern)].into_iter().flatten() {
            let _ = (glob.matches(&text), glob.may_match_below(&text));
        }
    }

    #[test]
    fn what_matches_below_was_announced(pattern in "[ab/*?]{1,8}", head in "[ab](/[ab]){0,2}", tail in "[ab](/[ab]){0,2}") {
        let glob = Glob::ignore(pattern.as_bytes()).unwrap();
        if glob.matches(format!("{head}/{tail}").as_bytes()) {
            prop_assert!(glob.may_match_below(head.as_bytes()));
        }
    }
}
