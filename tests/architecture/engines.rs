//! A device has one engine, whatever the number of margins, and nothing that is out of reach between worlds.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::files;
use crate::lexer::{end_of_item, group, ident, is_cfg_test, punct};

/// What each implementation is of and for, tests left out: `impl<L: Loss> Line for CpuLine<'_, L>` is `Line for CpuLine`.
fn implementations(stream: TokenStream) -> Vec<String> {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if is_cfg_test(&tokens, at) {
            at = end_of_item(&tokens, at);
            continue;
        }
        if ident(tokens.get(at)).as_deref() == Some("impl") {
            let end = end_of_item(&tokens, at);
            let words: Vec<String> = tokens[at..end].iter().filter_map(|token| ident(Some(token))).collect();
            if let Some(place) = words.iter().position(|word| word == "for")
                && let (Some(of), Some(target)) = (words.get(place.wrapping_sub(1)), words.get(place + 1))
            {
                found.push(format!("{of} for {target}"));
            }
        }
        at += 1;
    }
    found
}

/// Calls of a macro, tests left out.
fn macros(stream: TokenStream, name: &str) -> usize {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let (mut count, mut at) = (0, 0);
    while at < tokens.len() {
        if is_cfg_test(&tokens, at) {
            at = end_of_item(&tokens, at);
            continue;
        }
        let is_call = ident(tokens.get(at)).as_deref() == Some(name)
            && punct(tokens.get(at + 1)) == Some('!')
            && group(tokens.get(at + 2), Delimiter::Parenthesis).is_some();
        count += usize::from(is_call);
        if let TokenTree::Group(inner) = &tokens[at] {
            count += macros(inner.stream(), name);
        }
        at += 1;
    }
    count
}

#[test]
fn a_device_has_one_engine() {
    for (device, engine, line) in [("cpu", "Cpu", "CpuLine"), ("gpu", "GpuEngine", "GpuLine")] {
        let folder = format!("engine/{device}/");
        let all: Vec<String> = files()
            .iter()
            .filter(|(file, _)| file.starts_with(&folder))
            .flat_map(|(_, text)| implementations(text.parse().expect("a source that compiles")))
            .collect();
        for (of, target) in [("Objective", engine), ("Engine", engine), ("Line", line)] {
            let found: Vec<&String> = all.iter().filter(|name| name.starts_with(&format!("{of} for "))).collect();
            assert_eq!(found, [&format!("{of} for {target}")], "{device}");
        }
    }
    let text =
        "impl<L: Loss> Line for A<'_, L> {} #[cfg(test)] impl Line for B {} impl crate::objective::Line for C {}";
    assert_eq!(implementations(text.parse().expect("Rust")), ["Line for A", "Line for C"]);
}

/// Where the program says that it cannot get, and why. None of it is about the number of margins.
const UNREACHABLE: &[(&str, usize, &str)] = &[
    ("bench.rs", 1, "a file was resolved before"),
    ("data/coder.rs", 1, "texts are told apart by themselves"),
    ("engine/device.rs", 1, "the CPU was chosen before"),
    ("engine/gpu/device_chunk.rs", 1, "names of buffers are those of the kernels"),
    ("metrics/ranks.rs", 1, "all rows have weights or none"),
    ("solve/conjugate_gradient.rs", 1, "a step or a search"),
    ("solve/few_rows.rs", 1, "a line over few rows is not accepted"),
];

#[test]
fn nothing_is_out_of_reach_between_worlds() {
    let count = |text: &str| macros(text.parse().expect("a source that compiles"), "unreachable");
    let found: Vec<(String, usize)> =
        files().iter().map(|(file, text)| (file.clone(), count(text))).filter(|(_, count)| *count > 0).collect();
    let listed: Vec<(String, usize)> =
        UNREACHABLE.iter().map(|(file, count, _)| ((*file).to_owned(), *count)).collect();
    assert_eq!(found, listed);
    assert_eq!(count("fn f() { g(|| unreachable!(\"x\")); } #[cfg(test)] fn h() { unreachable!() }"), 1);
}
