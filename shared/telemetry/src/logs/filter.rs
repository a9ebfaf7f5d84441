use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use super::LogsError;

/// Before whatever is asked for, which overrides it: errors always, and of libraries that talk about every
/// frame and packet only their warnings.
const BASE: &str = "error,h2=warn,hyper=warn,hyper_util=warn,mio=warn,rustls=warn,tokio_postgres=warn,\
                    tokio_util=warn,tonic=warn,tower=warn";

/// Reads a filter strictly: a part that is wrong is an error, not a part that is left out.
pub(super) fn parse(text: &str) -> Result<Targets, LogsError> {
    // A lone word that is no level would be taken for a target, and everything else would fall silent.
    let lone = |part: &&str| !part.is_empty() && !part.contains(['=', ':']);
    let words = text.split(',').map(str::trim).filter(lone);
    if let Some(word) = words.into_iter().find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(LogsError::Word(word.to_owned()));
    }
    let asked = if text.trim().is_empty() { BASE.to_owned() } else { format!("{BASE},{text}") };
    asked.parse().map_err(|source| LogsError::Filter { filter: text.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused_rather_than_muting_everything() {
        for text in ["inof", "info,user_service", "debug,h2=loud", "user_service=debug=info"] {
            assert!(matches!(parse(text), Err(LogsError::Word(_) | LogsError::Filter { .. })), "{text}");
        }
        let refused = parse("inof").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`inof` is no log filter: must be off, error, warn, info, debug, trace or TARGET=LEVEL"
        );
    }

    #[test]
    fn libraries_stay_quiet_unless_they_are_named() {
        let level = |text: &str, part: &str| parse(text).unwrap().to_string().contains(part);
        assert!(level("debug", "h2=warn"));
        assert!(level("debug,h2=trace", "h2=trace"));
        assert!(level("user_service=debug", "error"));
    }
}
