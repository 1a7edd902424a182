//! Where a schema's text names other files: `import "…"` and `embed "…"`.

use std::ops::Range;

/// A file named in a schema.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) what: What,
    /// Where the name stands in the text, without its quotes.
    pub(super) place: Range<usize>,
}

/// How a file is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A schema, for its types.
    Import,
    /// Any file, for its bytes.
    Embed,
}

/// Finds the files that a schema names, in the order of the text. The schema must be one that the `capnp` tool
/// accepts, so that only comments and strings can hide a name or look like one.
pub(super) fn mentions(text: &str) -> Vec<Mention> {
    let bytes = text.as_bytes();
    let (mut mentions, mut what, mut at) = (Vec::new(), None, 0);
    while let Some(&byte) = bytes.get(at) {
        let end = match byte {
            // A comment, or a line of a text of several.
            b'#' | b'`' => end_of(bytes, at, |byte| byte != b'\n'),
            b'"' => end_of_string(bytes, at),
            _ if is_word(byte) => end_of(bytes, at, is_word),
            _ => at + 1,
        };
        match (byte, what) {
            (b'"', Some(kind)) => {
                mentions.push(Mention { what: kind, place: at + 1..(end - 1).max(at + 1) });
                what = None;
            }
            // Between the word and the name.
            (b'#', _) => {}
            (byte, _) if byte.is_ascii_whitespace() => {}
            _ => {
                what = match &text.as_bytes()[at..end] {
                    b"import" => Some(What::Import),
                    b"embed" => Some(What::Embed),
                    _ => None,
                }
            }
        }
        at = end;
    }
    mentions
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn end_of(bytes: &[u8], start: usize, belongs: impl Fn(u8) -> bool) -> usize {
    bytes[start..].iter().position(|&byte| !belongs(byte)).map_or(bytes.len(), |length| start + length)
}

/// Just behind the closing quote.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<(What, &str)> {
        mentions(text).into_iter().map(|mention| (mention.what, &text[mention.place])).collect()
    }

    #[test]
    fn names_are_found_wherever_they_may_stand() {
        let text = r#"
            using A = import "a.capnp";
            $import "/go.capnp".package("x");
            struct B { a @0 :import  # a comment, with "quotes"
              "../b-c.capnp".B = (x = "y"); }
            const c :Data = embed"c.bin";"#;
        assert_eq!(
            names(text),
            [
                (What::Import, "a.capnp"),
                (What::Import, "/go.capnp"),
                (What::Import, "../b-c.capnp"),
                (What::Embed, "c.bin")
            ]
        );
    }

    #[test]
    fn comments_strings_and_other_words_are_no_names() {
        for text in [
            r#"# import "a.capnp""#,
            r#"const a :Text = "import \"a.capnp\"";"#,
            "const a :Text =\n`import \"a.capnp\"\n;",
            r#"const important :Text = "a"; struct S { import @0 :Text = "a"; reimport @1 :Text = "b"; }"#,
            "import",
            "import \"",
            "\"\\",
        ] {
            assert_eq!(names(text).iter().filter(|(_, name)| !name.is_empty()).count(), 0, "{text}");
        }
    }
}
