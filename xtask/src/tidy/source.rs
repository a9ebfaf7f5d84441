use super::finding::{Finding, line_at};
use super::tree::Tree;

/// Time is virtual there: sleeping is how it passes.
const SIMULATION: &str = "tests/simulation/";
/// What stands above a file's tests, which come last.
const TESTS: &str = "\n#[cfg(test)]\nmod tests {";
/// The one error that is made of text for whoever sent the field.
const SHOWN: &str = "FieldError::";

/// An error keeps its cause; its text is made where it is shown, which a `FieldError` is and a test may do.
pub(crate) fn errors_are_typed(tree: &Tree) -> Vec<Finding> {
    const OPENING: &str = "map_err(";
    let mut findings = Vec::new();
    for (path, text) in tree.sources().filter(|(path, _)| !is_test(path)) {
        let code = text.split(TESTS).next().unwrap_or(text);
        for (offset, _) in code.match_indices(OPENING) {
            let argument = argument(&code[offset + OPENING.len()..]);
            if flattens(argument) && !argument.contains(SHOWN) {
                findings.push(
                    Finding::new(
                        path,
                        "an error becomes its text",
                        "keep it as a #[source] of a typed error",
                    )
                    .at(line_at(text, offset)),
                );
            }
        }
    }
    findings
}

/// `text` up to the parenthesis that closes it.
fn argument(text: &str) -> &str {
    let mut open = 1_usize;
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => open += 1,
            b')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return &text[..offset];
        }
    }
    text
}

/// Whether a closure makes text of the error that it is given.
fn flattens(closure: &str) -> bool {
    let closure = closure.trim_start();
    if closure.ends_with("::to_string") {
        return true;
    }
    let Some((error, body)) = closure.strip_prefix('|').and_then(|rest| rest.split_once('|')) else {
        return false;
    };
    let error = error.split(':').next().unwrap_or(error).trim();
    let made_text = [format!("{error}.to_string()"), format!("{{{error}}}"), format!("{{{error}:")];
    made_text.iter().any(|text| contains_word(body, text)) || body.trim_start().starts_with("format!(")
}

/// An `expect` says why and is reported when it is no longer needed.
pub(crate) fn lints_are_expected_not_allowed(tree: &Tree) -> Vec<Finding> {
    let right = "`#[expect(lint, reason = \"…\")]`";
    let attributes = [concat!("#[", "allow("), concat!("#![", "allow(")];
    let mut findings = Vec::new();
    for (path, text) in tree.sources() {
        for (offset, _) in attributes.iter().flat_map(|attribute| text.match_indices(attribute)) {
            let line = line_at(text, offset);
            findings.push(Finding::new(path, "a lint is switched off for good", right).at(line));
        }
    }
    findings
}

/// A test that waits for a time is slow when it passes and fails when the machine is slow.
pub(crate) fn tests_wait_for_conditions(tree: &Tree) -> Vec<Finding> {
    let right = "wait for the condition, or pause the clock";
    let mut findings = Vec::new();
    for (path, text) in tree.sources().filter(|(path, _)| is_test(path) && !path.starts_with(SIMULATION)) {
        for (offset, _) in text.match_indices("sleep(") {
            let before = &text[..offset];
            if !is_inside_word(before) && !is_clock_paused(before) {
                findings.push(Finding::new(path, "a test sleeps", right).at(line_at(text, offset)));
            }
        }
    }
    findings
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/")
}

/// Whether the test that `before` ends in runs under a paused clock, where a sleep is an exact step.
fn is_clock_paused(before: &str) -> bool {
    let attribute = before.rfind("test]").max(before.rfind("::test("));
    attribute
        .is_some_and(|start| before[start..].lines().next().is_some_and(|line| line.contains("start_paused")))
}

/// Whether `word` stands in `text` other than as the end of a longer name or path.
fn contains_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(offset, _)| !is_inside_word(&text[..offset]))
}

fn is_inside_word(before: &str) -> bool {
    before.ends_with(|last: char| last.is_alphanumeric() || last == '_' || last == '.')
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;

    // The rules read this file too.
    const MAP_ERR: &str = concat!("map", "_err");

    fn is_stringly(closure: &str) -> bool {
        let text = format!("fn f() {{\n    g().{MAP_ERR}({closure})\n}}\n");
        let found = shown(errors_are_typed, &[("a.rs", &text)]);
        assert!(found.iter().all(|f| f.starts_with("a.rs:2: an error becomes its text; ")), "{found:?}");
        !found.is_empty()
    }

    #[test]
    fn an_error_made_text_is_found() {
        assert!(is_stringly("|e| e.to_string()"));
        assert!(is_stringly("ToString::to_string"));
        assert!(is_stringly("|error: Error| Failure::Other(error.to_string())"));
        assert!(is_stringly("|e| anyhow!(\"reading: {e}\")"));
        assert!(is_stringly("|e| Failure::Other(format!(\"reading: {e:?}\"))"));
        assert!(is_stringly("\n        |_| format!(\"no\")"));
    }

    #[test]
    fn an_error_kept_as_a_cause_is_fine() {
        assert!(!is_stringly("|source| Failure::Read { path: path.to_string(), source }"));
        assert!(!is_stringly("|e| Failure::Named(name.to_string(), e)"));
        assert!(!is_stringly("Failure::Read).unwrap_or(other.to_string()"));
        assert!(!is_stringly("|e| FieldError::of(name, e.to_string())"));
    }

    #[test]
    fn a_test_may_look_at_the_text_of_an_error() {
        let call = format!("    g().{MAP_ERR}(|e| e.to_string())\n");
        let inner = format!("fn f() {{}}\n{TESTS}\n{call}}}\n");
        assert_eq!(shown(errors_are_typed, &[("a.rs", &inner), ("a/tests/it/main.rs", &call)]), [""; 0]);
    }

    #[test]
    fn an_allowed_lint_is_found() {
        let text = format!("{}dead_code)]\n#[expect(dead_code)]\n", concat!("#[", "allow("));
        assert_eq!(
            shown(lints_are_expected_not_allowed, &[("a.rs", &text)]),
            ["a.rs:1: a lint is switched off for good; `#[expect(lint, reason = \"…\")]`"]
        );
    }

    #[test]
    fn a_sleep_is_found_in_tests_and_not_where_time_is_virtual() {
        let nap = "    tokio::time::sleep(SECOND).await;\n";
        let real = format!("#[tokio::test]\nasync fn t() {{\n{nap}}}\n");
        let paused = format!("#[tokio::test(start_paused = true)]\nasync fn t() {{\n{nap}}}\n");
        let both = format!("{paused}\n{real}");
        let files = [
            ("a/src/lib.rs", nap),
            ("a/tests/it/both.rs", &both),
            ("a/tests/it/paused.rs", &paused),
            ("tests/conformance/src/lib.rs", "sleep(SECOND).await"),
            ("tests/conformance/src/nap.rs", "no_sleep()"),
            ("tests/simulation/src/lib.rs", nap),
        ];
        let right = "wait for the condition, or pause the clock";
        assert_eq!(
            shown(tests_wait_for_conditions, &files),
            [
                format!("a/tests/it/both.rs:8: a test sleeps; {right}"),
                format!("tests/conformance/src/lib.rs:1: a test sleeps; {right}"),
            ]
        );
    }
}
