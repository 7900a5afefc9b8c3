//! Faults of shaders: one token in place of another. Whether the text is still a shader shows when it is compiled; one
//! that is none kills its fault at once.

use std::ops::Range;

use crate::Fault;

/// A token: a name, a number or some punctuation, with its bytes.
type Token<'t> = (&'t str, Range<usize>);

/// Longest first.
const OPERATORS: &[&str] = &["<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "*=", "/=", "->", "++", "--"];

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        } else if c.is_ascii_digit() {
            rest.find(|c| !is_word(c) && c != '.').unwrap_or(rest.len())
        } else if is_word(c) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            OPERATORS.iter().find(|operator| rest.starts_with(**operator)).map_or(c.len_utf8(), |op| op.len())
        };
        tokens.push((&rest[..length], at..at + length));
        at += length;
    }
    tokens
}

/// What stands in for a token, and the name of the fault. `spaced`: it has blanks on both sides, as operators of two
/// sides have, and brackets of types and signs have not.
fn other(token: &str, spaced: bool) -> Vec<(String, &'static str)> {
    let one = |text: &str, what| vec![(text.to_owned(), what)];
    match token {
        "<" if spaced => one("<=", "< to <="),
        "<=" => one("<", "<= to <"),
        ">" if spaced => one(">=", "> to >="),
        ">=" => one(">", ">= to >"),
        "==" => one("!=", "== to !="),
        "!=" => one("==", "!= to =="),
        "+" if spaced => one("-", "+ to -"),
        "-" if spaced => one("+", "- to +"),
        "-" => one(" ", "minus dropped"),
        "*" if spaced => one("/", "* to /"),
        "/" if spaced => one("*", "/ to *"),
        "&&" => one("||", "&& to ||"),
        "||" => one("&&", "|| to &&"),
        "+=" => one("-=", "+= to -="),
        "!" => one(" ", "negation dropped"),
        "min" => one("max", "min to max"),
        "max" => one("min", "max to min"),
        _ if token.starts_with(|c: char| c.is_ascii_digit()) => numbers(token),
        _ => Vec::new(),
    }
}

fn numbers(token: &str) -> Vec<(String, &'static str)> {
    if let Some(whole) = token.strip_suffix('u') {
        return whole.parse::<u32>().map_or_else(|_| Vec::new(), |n| vec![(format!("{}u", n + 1), "off by one")]);
    }
    let Ok(number) = token.parse::<f64>() else { return Vec::new() };
    if !token.contains('.') {
        return Vec::new();
    }
    let double = (format!("{:?}", 2.0 * number), "constant times 2");
    if number > 0.0 { vec![double, ("0.0".into(), "constant to 0")] } else { Vec::new() }
}

/// All faults that a shader can have, in its functions.
pub(crate) fn faults(file: &str, text: &str) -> Vec<Fault> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut add = |range: Range<usize>, text_there: String, what: &str| {
        let line = text[..range.start].matches('\n').count() + 1;
        found.push(Fault { file: file.into(), line, range, text: text_there, what: what.into() });
    };
    let (mut depth, mut in_function, mut statement) = (0, false, None);
    for (i, (token, range)) in tokens.iter().enumerate() {
        match *token {
            "fn" if depth == 0 => in_function = true,
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                in_function &= depth > 0;
            }
            _ => {}
        }
        if !in_function || depth == 0 {
            continue;
        }
        // Assignments and calls that stand alone, from the token behind the last `;` or brace.
        if matches!(*token, ";" | "{" | "}") {
            if let (";", Some(first)) = (*token, statement) {
                let (first, _): &Token = &tokens[first];
                let keeps = ["var", "let", "return", "for", "if", "else", "while", "override", "const"];
                let from = tokens[statement.unwrap_or(i)].1.start;
                let has_loop = text[from..range.start].contains("for (");
                if !keeps.contains(first) && !has_loop && tokens[i - 1].0 != ")" || *first == "workgroupBarrier" {
                    add(from..range.start, String::new(), "statement dropped");
                }
            }
            statement = Some(i + 1);
        }
        let blank = |at: Option<usize>| at.and_then(|at| text.as_bytes().get(at)).is_some_and(u8::is_ascii_whitespace);
        let spaced = blank(range.start.checked_sub(1)) && blank(Some(range.end));
        for (new, what) in other(token, spaced) {
            add(range.clone(), new, what);
        }
        // `select(no, yes, condition)` with both in the other's place.
        if *token == "select" {
            let mut level = 0;
            let mut commas = Vec::new();
            for (other, place) in &tokens[i + 1..] {
                match *other {
                    "(" | "[" => level += 1,
                    ")" | "]" => level -= 1,
                    "," if level == 1 => commas.push(place.clone()),
                    _ => {}
                }
                if level == 0 {
                    break;
                }
            }
            if let [first, second] = &commas[..] {
                let open = tokens[i + 1].1.end;
                let [no, yes] = [&text[open..first.start], &text[first.end..second.start]].map(str::trim);
                add(open..second.start, format!("{yes}, {no}"), "arguments swapped");
            }
        }
    }
    found
}
