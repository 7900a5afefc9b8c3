//! The paths of a Rust text, from its tokens.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// Under `#[cfg(test)]`.
    pub(crate) test: bool,
}

pub(crate) struct Lexed {
    pub(crate) found: Vec<Found>,
    pub(crate) tokens: usize,
}

/// Every path of a text, `super` and `self` resolved from `module`.
pub(crate) fn paths(text: &str, module: &[&str]) -> Result<Lexed, String> {
    let stream: TokenStream = text.parse().map_err(|error| format!("not Rust: {error}"))?;
    let mut lexed = Lexed { found: Vec::new(), tokens: 0 };
    let module: Vec<String> = module.iter().map(|&segment| segment.to_owned()).collect();
    lexed.walk(stream, &module, false);
    Ok(lexed)
}

pub(crate) fn punct(token: Option<&TokenTree>) -> Option<char> {
    match token? {
        TokenTree::Punct(punct) => Some(punct.as_char()),
        _ => None,
    }
}

pub(crate) fn ident(token: Option<&TokenTree>) -> Option<String> {
    match token? {
        TokenTree::Ident(ident) => Some(ident.to_string().trim_start_matches("r#").to_owned()),
        _ => None,
    }
}

pub(crate) fn group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<TokenStream> {
    match token? {
        TokenTree::Group(group) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}

fn is_double_colon(tokens: &[TokenTree], at: usize) -> bool {
    punct(tokens.get(at)) == Some(':') && punct(tokens.get(at + 1)) == Some(':')
}

/// Words that are never part of a path: in `dyn ::name` another path begins.
const KEYWORDS: &[&str] = &[
    "as", "async", "await", "break", "const", "continue", "dyn", "else", "enum", "extern", "fn", "for", "if", "impl",
    "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return", "static", "struct", "trait", "type",
    "unsafe", "use", "where", "while",
];

impl Lexed {
    fn walk(&mut self, stream: TokenStream, module: &[String], test: bool) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        self.tokens += tokens.len();
        let mut at = 0;
        // Up to where `#[cfg(test)]` reaches: the end of the item after it.
        let mut test_until = 0;
        while at < tokens.len() {
            if is_cfg_test(&tokens, at) {
                test_until = test_until.max(end_of_item(&tokens, at));
            }
            let test = test || at < test_until;
            at = match &tokens[at] {
                TokenTree::Group(inner) => {
                    // `mod name { .. }` is a module of its own.
                    let mut module = module.to_vec();
                    if inner.delimiter() == Delimiter::Brace
                        && at >= 2
                        && ident(tokens.get(at - 2)).as_deref() == Some("mod")
                    {
                        module.extend(ident(tokens.get(at - 1)));
                    }
                    self.walk(inner.stream(), &module, test);
                    at + 1
                }
                TokenTree::Ident(_) => self.word(&tokens, at, module, test),
                _ => at + 1,
            };
        }
    }

    /// Handles the word at `at`; returns where to go on.
    fn word(&mut self, tokens: &[TokenTree], at: usize, module: &[String], test: bool) -> usize {
        let word = ident(tokens.get(at)).unwrap_or_default();
        let before = |back: usize| at.checked_sub(back).and_then(|place| tokens.get(place));
        if word == "use" && punct(tokens.get(at + 1)) != Some('<') {
            let end = (at..tokens.len()).find(|&end| punct(tokens.get(end)) == Some(';')).unwrap_or(tokens.len());
            self.use_tree(&tokens[at + 1..end], &[], module, test);
            return end;
        }
        if word == "extern" && ident(tokens.get(at + 1)).as_deref() == Some("crate") {
            self.note(&ident(tokens.get(at + 2)).into_iter().collect::<Vec<_>>(), tokens, at, module, test);
            return at + 3;
        }
        // A field or method (but not the end of a range), a lifetime.
        let is_field = punct(before(1)) == Some('.') && punct(before(2)) != Some('.');
        if is_field || punct(before(1)) == Some('\'') || KEYWORDS.contains(&word.as_str()) {
            return at + 1;
        }
        let (segments, next) = segments(tokens, at);
        if segments.len() > 1 || is_double_colon(tokens, next) {
            self.note(&segments, tokens, at, module, test);
        }
        next
    }

    /// The paths of `a::{b, c as d, e::*}` with `prefix` in front.
    fn use_tree(&mut self, tokens: &[TokenTree], prefix: &[String], module: &[String], test: bool) {
        self.tokens += tokens.len();
        for tree in tokens.split(|token| punct(Some(token)) == Some(',')) {
            let start = if is_double_colon(tree, 0) { 2 } else { 0 };
            let (more, next) = segments(tree, start);
            let path = [prefix, &more].concat();
            let next = if is_double_colon(tree, next) { next + 2 } else { next };
            if let Some(inner) = group(tree.get(next), Delimiter::Brace) {
                self.use_tree(&inner.into_iter().collect::<Vec<_>>(), &path, module, test);
            } else if punct(tree.get(next)) == Some('*') {
                self.note(&[path, vec!["*".into()]].concat(), tree, 0, module, test);
            } else if !more.is_empty() {
                self.note(&path, tree, 0, module, test);
            }
        }
    }

    fn note(&mut self, path: &[String], tokens: &[TokenTree], at: usize, module: &[String], test: bool) {
        let line = tokens.get(at).map_or(0, |token| token.span().start().line);
        let mut rest = path;
        let mut base = None;
        while let Some((first, more)) = rest.split_first() {
            match first.as_str() {
                "crate" | "gpu_logreg" if base.is_none() => base = Some(Vec::new()),
                "self" => base = base.or_else(|| Some(module.to_vec())),
                "super" => {
                    let mut above = base.unwrap_or_else(|| module.to_vec());
                    above.pop();
                    base = Some(above);
                }
                _ => break,
            }
            rest = more;
        }
        let segments = match base {
            Some(base) => [vec!["crate".to_owned()], base, rest.to_vec()].concat(),
            None => rest.to_vec(),
        };
        if !segments.is_empty() {
            self.found.push(Found { segments, line, test });
        }
    }
}

/// The words joined by `::` from `at` on, and the place after them.
fn segments(tokens: &[TokenTree], at: usize) -> (Vec<String>, usize) {
    let Some(first) = ident(tokens.get(at)) else { return (Vec::new(), at) };
    let (mut segments, mut next) = (vec![first], at + 1);
    while is_double_colon(tokens, next) {
        let Some(segment) = ident(tokens.get(next + 2)) else { break };
        segments.push(segment);
        next += 3;
    }
    (segments, next)
}

pub(crate) fn is_cfg_test(tokens: &[TokenTree], at: usize) -> bool {
    let attribute = group(tokens.get(at + 1), Delimiter::Bracket).filter(|_| punct(tokens.get(at)) == Some('#'));
    let inner: Vec<TokenTree> = attribute.into_iter().flatten().collect();
    inner.len() == 2
        && ident(inner.first()).as_deref() == Some("cfg")
        && group(inner.get(1), Delimiter::Parenthesis).is_some_and(|condition| condition.to_string() == "test")
}

/// The place after the item at `at`: after its first `;` or braces.
pub(crate) fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let ends = |token: &TokenTree| punct(Some(token)) == Some(';') || group(Some(token), Delimiter::Brace).is_some();
    tokens[at..].iter().position(ends).map_or(tokens.len(), |length| at + length + 1)
}
