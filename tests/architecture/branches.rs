//! Where the number of classes is asked for. All else goes over the margins that there are.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::files;
use crate::lexer::{end_of_item, group, ident, is_cfg_test, punct};

/// The file, how often it asks, and what differs.
const BRANCHES: &[(&str, usize, &str)] = &[
    ("bench.rs", 2, "what a stage has to move"),
    ("cli/bench.rs", 1, "several classes are said, two are not"),
    ("cli/mod.rs", 1, "a threshold decides between two classes alone"),
    ("data/mod.rs", 1, "the number of margins"),
    ("engine/cpu/mod.rs", 3, "which loss: tiles, the engine's loops, roots of factors that are not negative"),
    ("engine/device.rs", 1, "the bias is measured with the kernels that run"),
    ("engine/gpu/chunks.rs", 2, "the parameters of one margin have the sources of its features behind them"),
    ("engine/gpu/device_chunk.rs", 1, "the slots of several margins' gradients"),
    ("engine/gpu/dispatch.rs", 1, "the same"),
    ("engine/gpu/kernels.rs", 2, "which kernels serve a table"),
    ("engine/gpu/shared.rs", 1, "parameters in eights, factors of pairs of margins"),
    ("engine/gpu/slots.rs", 2, "the slots of several margins' gradients"),
    ("engine/gpu/table.rs", 1, "which program of kernels"),
    ("engine/layout.rs", 1, "rows of a block whose slot has a sum for each margin"),
    ("model/mod.rs", 1, "the first of several classes may be a reference"),
    ("profile/mod.rs", 1, "rows lie over one margin; of several the probability of their own class is a number"),
    ("report/html/coefficients.rs", 1, "one dot a column, or a mark for each class"),
    ("report/html/levels.rs", 1, "one probability a level, or a bar of those of all classes"),
    ("report/html/mod.rs", 2, "the title; pictures of the one line along which two classes lie"),
    ("report/html/path.rs", 2, "one picture of coefficients along a path, or one for each class with its name"),
    ("report/html/pictures.rs", 1, "the probability of the positive class, or those of all"),
    ("report/html/quality.rs", 1, "one calibration, or macro averages"),
    ("report/html/summary.rs", 1, "a share of positives, or the rows of each class"),
    ("report/mod.rs", 1, "a share of positives, or the rows of each class"),
    ("score/evaluate.rs", 1, "a threshold, or the likeliest class"),
    ("score/mod.rs", 1, "one column of predictions, or one a class"),
    ("train/fit.rs", 2, "the bound on a softmax' Hessian; the penalty's curvature of one margin"),
    ("train/job.rs", 1, "a bound, and how many coefficients have a covariance"),
    (
        "train/strategy.rs",
        5,
        "what the solver gets for a Hessian, what that costs, and levels that the classes of a softmax tie",
    ),
];

/// Whether a question begins at a token: a call of `softmax()`, the margins compared with 1, or what is made of the field
/// `classes`, which is none for a logistic model.
fn asks_at(tokens: &[TokenTree], at: usize) -> bool {
    const OF_OPTION: &[&str] =
        &["is_none", "is_none_or", "is_some", "is_some_and", "map", "map_or", "map_or_else", "unwrap_or"];
    let word = |at: usize| ident(tokens.get(at)).unwrap_or_default();
    let is_call =
        |at: usize| group(tokens.get(at), Delimiter::Parenthesis).is_some_and(|arguments| arguments.is_empty());
    if word(at) == "match" {
        let head: Vec<&TokenTree> =
            tokens[at..].iter().take_while(|token| group(Some(token), Delimiter::Brace).is_none()).collect();
        return ident(head.last().copied()).as_deref() == Some("classes");
    }
    if punct(tokens.get(at)) != Some('.') {
        return false;
    }
    match word(at + 1).as_str() {
        "softmax" => is_call(at + 2),
        "classes" => punct(tokens.get(at + 2)) == Some('.') && OF_OPTION.contains(&word(at + 3).as_str()),
        "margins" => {
            let compared = is_call(at + 2) && matches!(punct(tokens.get(at + 3)), Some('>' | '<' | '='));
            let number = |at: usize| tokens.get(at).is_some_and(|token| token.to_string() == "1");
            compared && (number(at + 4) || number(at + 5))
        }
        _ => false,
    }
}

/// How often a text asks, in macros too, tests left out.
fn asks(stream: TokenStream) -> usize {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let (mut count, mut at) = (0, 0);
    while at < tokens.len() {
        if is_cfg_test(&tokens, at) {
            at = end_of_item(&tokens, at);
            continue;
        }
        count += usize::from(asks_at(&tokens, at));
        if let TokenTree::Group(inner) = &tokens[at] {
            count += asks(inner.stream());
        }
        at += 1;
    }
    count
}

#[test]
fn the_number_of_classes_is_asked_for_where_the_list_says() {
    let asks = |text: &str| asks(text.parse().expect("a source that compiles"));
    let found: Vec<(String, usize)> =
        files().iter().map(|(file, text)| (file.clone(), asks(text))).filter(|(_, count)| *count > 0).collect();
    let listed: Vec<(String, usize)> = BRANCHES.iter().map(|(file, count, _)| ((*file).to_owned(), *count)).collect();
    assert_eq!(found, listed);
    assert!(BRANCHES.iter().all(|(.., reason)| !reason.is_empty()));
}

#[test]
fn a_branch_on_the_number_of_classes_is_noticed() {
    let asks = |text: &str| asks(text.parse().expect("a source that compiles"));
    assert_eq!(asks("fn f() { html! { @if a.model.softmax().is_none() { (x(m.softmax())) } } }"), 2);
    assert_eq!(asks("fn softmax() { self.softmax; softmax(); x.softmax(1); y.softmaxes() }"), 0);
    assert_eq!(asks("fn f() { if shape.classes.is_some() { g(self.loss.margins() > 1, 1 == 1) } }"), 2);
    assert_eq!(asks("fn f() { match layout.shape.classes { None => 1, Some(k) => k } }"), 1);
    assert_eq!(asks("fn f() { shape.classes; match classes.len() { _ => shape.margins() + 1 } }"), 0);
    assert_eq!(asks("#[cfg(test)] mod tests { fn f() { shape.classes.is_none(); } }"), 0);
}
