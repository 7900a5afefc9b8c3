//! The words of an expression: keywords, names, values and signs, with their places.

use std::ops::Range;

use super::expr::{Literal, Op};
use super::number::Number;
use super::placed;
use crate::error::{Error, Result};

pub(super) const OPERATORS: &str =
    "The operators are = != < <= > >=, in (...), between ... and ..., is null and is not null; there is no arithmetic.";
pub(super) const QUOTED_NAMES: &str = "A column whose name has other signs stands in double quotes: \"net-income\".";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Or,
    Not,
    In,
    Is,
    Null,
    Between,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Keyword(Keyword),
    Column(String),
    Literal(Literal),
    Op(Op),
    Open,
    Close,
    Comma,
    End,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// The characters of the text.
    pub(super) span: Range<usize>,
}

fn word(text: &str) -> Kind {
    match text.to_ascii_lowercase().as_str() {
        "and" => Kind::Keyword(Keyword::And),
        "or" => Kind::Keyword(Keyword::Or),
        "not" => Kind::Keyword(Keyword::Not),
        "in" => Kind::Keyword(Keyword::In),
        "is" => Kind::Keyword(Keyword::Is),
        "null" => Kind::Keyword(Keyword::Null),
        "between" => Kind::Keyword(Keyword::Between),
        "true" => Kind::Literal(Literal::Boolean(true)),
        "false" => Kind::Literal(Literal::Boolean(false)),
        _ => Kind::Column(text.to_owned()),
    }
}

/// The tokens of `text`, an [`Kind::End`] behind the last.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>> {
    let chars: Vec<char> = text.chars().collect();
    let char_at = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let run = |from: usize, of: &dyn Fn(char) -> bool| {
        from + chars[from..].iter().position(|&c| !of(c)).unwrap_or(chars.len() - from)
    };
    let slice = |span: &Range<usize>| chars[span.clone()].iter().collect::<String>();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        let begins_number =
            |at: usize| char_at(at).is_ascii_digit() || char_at(at) == '.' && char_at(at + 1).is_ascii_digit();
        let (kind, end) = match c {
            _ if c.is_whitespace() => {
                at += 1;
                continue;
            }
            '(' => (Kind::Open, at + 1),
            ')' => (Kind::Close, at + 1),
            ',' => (Kind::Comma, at + 1),
            '\'' | '"' | '`' => {
                let (inner, end) = quoted(&chars, at).ok_or_else(|| {
                    let what = if c == '\'' { "text" } else { "name" };
                    Error::usage(
                        placed(text, at, &format!("this {what} has no closing {c}")),
                        format!("Add a {c} behind it; one within the {what} is doubled: {c}{c}"),
                    )
                })?;
                (if c == '\'' { Kind::Literal(Literal::Text(inner)) } else { Kind::Column(inner) }, end)
            }
            _ if begins_number(at) || (c == '+' || c == '-') && begins_number(at + 1) => {
                let mut end = at + 1;
                while char_at(end).is_alphanumeric()
                    || matches!(char_at(end), '.' | '_')
                    || matches!(char_at(end), '+' | '-') && matches!(char_at(end - 1), 'e' | 'E')
                {
                    end += 1;
                }
                let shown = slice(&(at..end));
                let number = Number::parse(&shown).ok_or_else(|| {
                    Error::usage(
                        placed(text, at, &format!("`{shown}` is no number")),
                        "Text stands in single quotes, a column whose name begins with a digit in double quotes.",
                    )
                })?;
                (Kind::Literal(Literal::Number(number)), end)
            }
            _ if c.is_alphabetic() || c == '_' => {
                let end = run(at, &|c| c.is_alphanumeric() || c == '_' || c == '.');
                (word(&slice(&(at..end))), end)
            }
            _ if "=<>!&|~^".contains(c) => {
                let end = run(at, &|c| "=<>!&|~^".contains(c));
                let shown = slice(&(at..end));
                let op = Op::parse(&shown).ok_or_else(|| {
                    let meant = match shown.as_str() {
                        "=<" => "<=",
                        "=>" => ">=",
                        "===" => "=",
                        "!" => "not",
                        "!==" | "=!" | "><" | "^=" | "~=" => "!=",
                        "&" | "&&" => "and",
                        "|" | "||" => "or",
                        _ => "",
                    };
                    let way_out =
                        if meant.is_empty() { OPERATORS.to_owned() } else { format!("Did you mean `{meant}`?") };
                    Error::usage(placed(text, at, &format!("`{shown}` is no operator")), way_out)
                })?;
                (Kind::Op(op), end)
            }
            _ => {
                return Err(Error::usage(
                    placed(text, at, &format!("`{c}` has no meaning here")),
                    format!("There is no arithmetic. {QUOTED_NAMES}"),
                ));
            }
        };
        tokens.push(Token { kind, span: at..end });
        at = end;
    }
    let end = tokens.last().map_or(0, |token: &Token| token.span.end);
    tokens.push(Token { kind: Kind::End, span: end..end });
    Ok(tokens)
}

/// What the quotes that open at `open` enclose, and the place behind them; `None` if they are not closed.
fn quoted(chars: &[char], open: usize) -> Option<(String, usize)> {
    let quote = chars[open];
    let mut inner = String::new();
    let mut at = open + 1;
    loop {
        match chars.get(at)? {
            &c if c != quote => inner.push(c),
            _ if chars.get(at + 1) == Some(&quote) => {
                inner.push(quote);
                at += 1;
            }
            _ => return Some((inner, at + 1)),
        }
        at += 1;
    }
}

/// A column's name as it stands in an expression.
pub fn name_in_text(name: &str) -> String {
    let plain = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
        && matches!(word(name), Kind::Column(_));
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
