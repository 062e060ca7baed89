//! Text on its way in and out: a shell's line as words, dates, times ago.

/// Splits a line at blanks, except within quotes; a backslash takes the next character as it is.
///
/// # Errors
/// When a quote does not end.
pub(crate) fn split(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', _) => word.get_or_insert_default().extend(characters.next()),
            (end, Some(begun)) if end == begun => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (blank, None) if blank.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    if let Some(quote) = quote {
        return Err(format!("the quote {quote} does not end"));
    }
    words.extend(word);
    Ok(words)
}

/// A date as people sort it, or `none`.
///
/// # Errors
/// When it is neither.
pub(crate) fn due(text: &str) -> Result<String, String> {
    let number = |part: Option<&str>, digits: usize, range: std::ops::RangeInclusive<u16>| {
        let part = part.filter(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()));
        part.and_then(|part| part.parse().ok()).is_some_and(|number| range.contains(&number))
    };
    let mut parts = text.split('-');
    let date = number(parts.next(), 4, 1..=9999) && number(parts.next(), 2, 1..=12) && number(parts.next(), 2, 1..=31);
    if text == "none" || (date && parts.next().is_none()) {
        return Ok(text.to_owned());
    }
    Err("write it as 2026-12-24, or none".to_owned())
}

/// A span of time in the largest unit that is not 0.
pub(crate) fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_words_and_quotes_hold_them_together() {
        let words = |line: &str| split(line).unwrap();
        assert_eq!(words("  add buy   milk "), ["add", "buy", "milk"]);
        assert_eq!(
            words(r#"edit 4f --title "buy 'milk'" --note ''"#),
            ["edit", "4f", "--title", "buy 'milk'", "--note", ""]
        );
        assert_eq!(words(r#"add \"a b\" c\ d"#), ["add", "\"a", "b\"", "c d"]);
        assert_eq!(words(""), Vec::<String>::new());
        assert!(split("add \"milk").is_err());
    }

    #[test]
    fn a_date_is_a_date_or_none() {
        for good in ["2026-12-24", "0001-01-31", "none"] {
            assert_eq!(due(good).as_deref(), Ok(good));
        }
        for bad in ["", "2026-13-01", "2026-1-01", "2026-12-32", "2026-12-24-1", "tomorrow", "+026-12-24"] {
            assert!(due(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_span_has_its_largest_unit() {
        let spans = [0, 59_999, 60_000, 3_600_000, 172_799_999, 172_800_000].map(span);
        assert_eq!(spans, ["0 s", "59 s", "1 min", "1 h", "47 h", "2 days"]);
    }
}
