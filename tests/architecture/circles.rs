//! Files of a folder know of each other one way only, as modules do.
//!
//! A folder's `mod.rs` stands for the folder: it names its files, and they may take what it says for all of them. Between
//! the others a circle means that none can be read, moved or tested without the rest.

use std::collections::{BTreeMap, BTreeSet};

use crate::lexer::paths;
use crate::{files, module_of};

/// What each file takes of others in the same top folder, `mod.rs` left out, beyond the tests.
fn arrows(files: &[(String, String)]) -> BTreeMap<&str, BTreeSet<&str>> {
    let is_folder = |file: &str| file.ends_with("/mod.rs") || !file.contains('/');
    let by_module: BTreeMap<Vec<&str>, &str> = files.iter().map(|(file, _)| (module_of(file), file.as_str())).collect();
    let mut arrows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, text) in files.iter().filter(|(file, _)| !is_folder(file)) {
        let own = module_of(file);
        let lexed = paths(text, &own).expect("a source that compiles");
        for found in lexed.found.iter().filter(|found| !found.test && found.segments[0] == "crate") {
            let path: Vec<&str> = found.segments[1..].iter().map(String::as_str).collect();
            let target = (1..=path.len()).rev().find_map(|length| by_module.get(&path[..length]));
            let Some(target) = target.filter(|target| !is_folder(target) && **target != file.as_str()) else {
                continue;
            };
            if module_of(target)[0] == own[0] {
                arrows.entry(file).or_default().insert(target);
            }
        }
    }
    arrows
}

/// Groups of files of which each reaches every other.
fn circles<'f>(arrows: &BTreeMap<&'f str, BTreeSet<&'f str>>) -> BTreeSet<BTreeSet<&'f str>> {
    let reached = |from: &'f str| {
        let (mut reached, mut ahead) = (BTreeSet::new(), vec![from]);
        while let Some(file) = ahead.pop() {
            ahead.extend(arrows.get(file).into_iter().flatten().filter(|next| reached.insert(**next)));
        }
        reached
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = arrows.keys().map(|file| (*file, reached(file))).collect();
    let together = |file: &&'f str| -> BTreeSet<&'f str> {
        reached[file]
            .iter()
            .filter(|other| reached.get(*other).is_some_and(|back| back.contains(file)))
            .copied()
            .collect()
    };
    reached.keys().map(together).filter(|circle| !circle.is_empty()).collect()
}

#[test]
fn files_of_a_folder_form_no_circle() {
    let files = files();
    let arrows = arrows(&files);
    assert!(arrows.len() > 40, "{} files with arrows are too few to believe", arrows.len());
    let circles = circles(&arrows);
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_circle_of_files_is_noticed() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let found = |files: &[(String, String)]| circles(&arrows(files)).into_iter().flatten().map(str::to_owned).collect();
    let two = [
        file("data/mod.rs", "mod a; mod b; mod c; pub use a::A; use b::B;"),
        file("data/a.rs", "use super::b::B; use super::C; fn f() { crate::data::c::g() }"),
        file("data/b.rs", "use crate::data::a::A;"),
        file("data/c.rs", "use super::C; #[cfg(test)] mod tests { use super::super::a::A; }"),
    ];
    let circle: Vec<String> = found(&two);
    assert_eq!(circle, ["data/a.rs", "data/b.rs"]);
    let long = [
        file("data/a.rs", "use super::b::B;"),
        file("data/b.rs", "use super::deep::c::C;"),
        file("data/deep/c.rs", "use crate::data::a::A;"),
        file("cli/d.rs", "use crate::data::a::A;"),
    ];
    let circle: Vec<String> = found(&long);
    assert_eq!(circle, ["data/a.rs", "data/b.rs", "data/deep/c.rs"]);
    let none: Vec<String> = found(&long[..2]);
    assert!(none.is_empty(), "{none:?}");
}
