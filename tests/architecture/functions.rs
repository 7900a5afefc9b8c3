//! Functions stay short. Those that are long today may become shorter, and no longer: each stands here with its lines, and a
//! line less is written down here too.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::files;
use crate::lexer::{end_of_item, ident, is_cfg_test};

/// Lines of code of a function at most.
const MOST: usize = 60;

/// Longer functions, each with its lines of code.
const LONG: &[(&str, usize)] = &[
    ("bench.rs: bench", 111),
    ("cli/bench.rs: run", 63),
    ("cli/predict.rs: run", 62),
    ("cli/train/mod.rs: run", 102),
    ("data/decode.rs: decode", 71),
    ("data/encode.rs: find", 72),
    ("data/load.rs: load", 151),
    ("data/load.rs: read", 72),
    ("data/numbers.rs: to_f64", 67),
    ("data/plan.rs: check", 95),
    ("data/predicate/bind.rs: test", 66),
    ("data/predicate/moment.rs: parse", 71),
    ("data/predicate/parse.rs: about", 64),
    ("data/predicate/second_opinion.rs: random_rows", 107),
    ("data/predicate/token.rs: tokens", 86),
    ("data/scan.rs: read_run", 65),
    ("data/select.rs: select", 72),
    ("data/weightless.rs: without_weightless", 64),
    ("engine/exact/products.rs: products_file", 65),
    ("engine/gpu/device_chunk.rs: new", 61),
    ("engine/gpu/kernels.rs: bindings", 71),
    ("engine/gpu/moments.rs: moments", 76),
    ("engine/gpu/survey.rs: survey", 62),
    ("report/html/coefficients.rs: forest", 75),
    ("report/html/contours.rs: contours", 88),
    ("report/html/levels.rs: levels", 89),
    ("report/html/margins.rs: margins", 76),
    ("report/html/search.rs: search", 86),
    ("report/html/summary.rs: cost", 80),
    ("report/html/surface.rs: surface", 82),
    ("report/inspect.rs: parquet", 62),
    ("report/mod.rs: table", 106),
    ("solve/cone.rs: project", 62),
    ("solve/descent.rs: descend", 93),
    ("train/estimates.rs: model", 154),
    ("train/fit.rs: fit", 64),
];

/// The lines of code of each function with a body, by its file and name, tests left out. Of several of one name the longest.
fn lengths(files: &[(String, String)]) -> BTreeMap<String, usize> {
    let mut lengths = BTreeMap::new();
    for (file, text) in files {
        let stream: TokenStream = text.parse().expect("a source that compiles");
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        let lines: Vec<bool> = text.lines().map(|line| is_code(&line)).collect();
        walk(stream, &mut |name, first, last| {
            let count = lines[first - 1..last].iter().filter(|is_code| **is_code).count();
            let longest = lengths.entry(format!("{file}: {name}")).or_insert(0);
            *longest = count.max(*longest);
        });
    }
    lengths
}

/// Hands every function with a body to `found`: its name, first line and last line.
fn walk(stream: TokenStream, found: &mut impl FnMut(&str, usize, usize)) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_cfg_test(&tokens, at) {
            at = end_of_item(&tokens, at);
            continue;
        }
        if ident(tokens.get(at)).as_deref() == Some("fn")
            && let Some(name) = ident(tokens.get(at + 1))
        {
            let end = end_of_item(&tokens, at);
            if let Some(TokenTree::Group(body)) = tokens.get(end - 1)
                && body.delimiter() == Delimiter::Brace
            {
                found(&name, tokens[at].span().start().line, body.span_close().end().line);
            }
        }
        if let TokenTree::Group(inner) = &tokens[at] {
            walk(inner.stream(), found);
        }
        at += 1;
    }
}

/// What is longer than it may be, or is listed as longer than it is.
fn complaints(lengths: &BTreeMap<String, usize>, long: &[(&str, usize)]) -> Vec<String> {
    let listed: BTreeMap<&str, usize> = long.iter().copied().collect();
    let too_long = lengths.iter().filter_map(|(name, lines)| {
        let most = listed.get(name.as_str()).copied().unwrap_or(MOST);
        (*lines > most).then(|| format!("{name} has {lines} lines, and {most} at most"))
    });
    let too_much = long.iter().filter_map(|(name, most)| match lengths.get(*name) {
        Some(lines) if *lines > MOST => (lines < most).then(|| format!("{name} has {lines} lines now: say so")),
        _ => Some(format!("{name} is no long function any more: take it out")),
    });
    too_long.chain(too_much).collect()
}

#[test]
fn functions_become_no_longer() {
    let lengths = lengths(&files());
    assert!(lengths.len() > 1_000, "{} functions are too few to believe", lengths.len());
    let complaints = complaints(&lengths, LONG);
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn a_long_function_is_noticed() {
    let body = |lines: usize| "    f();\n".repeat(lines);
    let source = |lines: usize| {
        let text =
            format!("impl S {{\n// a comment\nfn long(x: [u8; 3]) -> u8 {{\n\n{}}}\n}}\nfn short() {{}}", body(lines));
        lengths(&[("a.rs".to_owned(), format!("{text}\n#[cfg(test)]\nmod tests {{ fn g() {{\n{}}} }}", body(90)))])
    };
    assert_eq!(source(58)["a.rs: long"], 60);
    assert_eq!(source(58).len(), 2, "tests are left out");
    assert!(complaints(&source(58), &[]).is_empty());
    assert_eq!(complaints(&source(59), &[]), ["a.rs: long has 61 lines, and 60 at most"]);
    assert!(complaints(&source(59), &[("a.rs: long", 61)]).is_empty());
    assert_eq!(complaints(&source(59), &[("a.rs: long", 62)]), ["a.rs: long has 61 lines now: say so"]);
    assert_eq!(
        complaints(&source(58), &[("a.rs: long", 61)]),
        ["a.rs: long is no long function any more: take it out"]
    );
}
