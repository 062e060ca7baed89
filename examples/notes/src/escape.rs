//! Text as it is typed on one line: `\n`, `\r`, `\t`, `\\`, `\"` and `\u{1f980}` stand for what they stand for in a string.
//!
//! What must hold: whatever can be in a text can be typed, and what is not an escape is refused rather than guessed.

/// The text that was meant.
///
/// # Errors
/// When a backslash begins nothing that is known, or a number that is no character (surrogates are none).
pub(crate) fn unescape(typed: &str) -> Result<String, String> {
    let mut text = String::with_capacity(typed.len());
    let mut rest = typed.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        text.push(match rest.next() {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(itself @ ('\\' | '"')) => itself,
            Some('u') => number(&mut rest)?,
            Some(other) => return Err(format!("\\{other} stands for nothing; a backslash is \\\\")),
            None => return Err("a backslash at the end stands for nothing; a backslash is \\\\".to_owned()),
        });
    }
    Ok(text)
}

/// What is in braces behind `\u`.
fn number(rest: &mut std::str::Chars<'_>) -> Result<char, String> {
    let known = rest.as_str().strip_prefix('{').and_then(|inner| inner.split_once('}'));
    let (digits, behind) = known.ok_or("write \\u{1f980}, with braces")?;
    *rest = behind.chars();
    let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let value = if hex { u32::from_str_radix(digits, 16).ok() } else { None };
    value.and_then(char::from_u32).ok_or_else(|| format!("\\u{{{digits}}} is no character"))
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn every_text_can_be_typed_and_nothing_else_is() {
        for (typed, text) in [
            ("plain  blanks ", "plain  blanks "),
            (r"a\nb\r\nc\td", "a\nb\r\nc\td"),
            (r#"\\n and \""#, "\\n and \""),
            (r"\u{1f980}\u{41}\u{10FFFF}", "🦀A\u{10ffff}"),
            ("🦀é", "🦀é"),
            ("", ""),
        ] {
            assert_eq!(unescape(typed).as_deref(), Ok(text));
        }
        let bad =
            [r"\x", r"\", r"\u", r"\u{", r"\u{}", r"\u{d800}", r"\u{110000}", r"\u{+41}", r"\u{ffffffffff}", r"\u0041"];
        for typed in bad {
            assert!(unescape(typed).is_err(), "{typed}");
        }
    }
}
