//! Query strings, and numbers in them, as the original reads them.

use std::collections::BTreeMap;

/// Fields of a query; of a repeated one the last. What does not decode stands as it is.
pub(super) fn fields(query: &str) -> BTreeMap<String, String> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = (*byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(if *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// A whole number as text coerces to one: blank is zero, and there is no limit upwards.
pub(super) fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.is_empty() {
        return Some(0.0);
    }
    let written = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|number: &f64| written && number.is_finite() && number.fract() == 0.0)
}

/// A whole number from 0 on, held at the largest that fits.
pub(super) fn whole(number: f64) -> u64 {
    format!("{:.0}", number.abs()).parse().unwrap_or(u64::MAX)
}

/// The number that a text begins with, as lenient as the original: `1.9` is 1.
pub(super) fn leading_number(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let text = text.strip_prefix('+').unwrap_or(text);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 { None } else { Some(text[..digits].parse().unwrap_or(u64::MAX)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_decodes_and_keeps_what_does_not() {
        let read = fields("a=1%202&b&c=%zz&a=%C3%A9+x");
        assert_eq!(read["a"], "é x");
        assert_eq!(read["b"], "");
        assert_eq!(read["c"], "%zz");
    }

    #[test]
    fn a_leading_number_is_read_leniently() {
        assert_eq!(leading_number("1.9"), Some(1));
        assert_eq!(leading_number("12abc"), Some(12));
        assert_eq!(leading_number("99999999999999999999999"), Some(u64::MAX));
        assert_eq!(leading_number("abc"), None);
        assert_eq!(leading_number("-1"), None);
    }
}
