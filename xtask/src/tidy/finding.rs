use std::fmt;

/// One place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    wrong: String,
    right: &'static str,
}

impl Finding {
    /// A finding on the first line of `path`, and what would be right instead.
    pub(crate) fn new(path: &str, wrong: impl Into<String>, right: &'static str) -> Self {
        Self { path: path.into(), line: 1, wrong: wrong.into(), right }
    }

    /// The same on another line, counted from 1.
    pub(crate) fn at(self, line: usize) -> Self {
        Self { line, ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.wrong, self.right)
    }
}

/// The line on which `offset` lies.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count() + 1
}
