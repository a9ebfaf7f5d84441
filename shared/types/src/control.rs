/// Whether a character acts on the text around it instead of standing in it: control characters, U+0000 among them, which
/// PostgreSQL cannot keep; and what Unicode has beyond ASCII to break a line, or to turn the direction of what stands
/// after it (UAX #9).
pub fn is_control(character: char) -> bool {
    let breaks_or_turns = matches!(
        character,
        '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    );
    character.is_control() || breaks_or_turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_text_is_told_from_what_stands_in_it() {
        let acting = ['\0', '\n', '\u{1b}', '\u{85}', '\u{2028}', '\u{2029}'];
        let turning = ['\u{202A}', '\u{202E}', '\u{2066}', '\u{2069}'];
        assert!(acting.into_iter().chain(turning).all(is_control));
        assert!(!" Aé山🚀\u{200D}\u{2027}\u{202F}".contains(is_control));
    }
}
