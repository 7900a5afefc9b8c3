//! Plants faults in a copy of the sources, all of them at once; the variable `MUTANT` chooses which one is there when the
//! program runs.
//!
//! ```text
//! plant apply TREE COUNT SEED DROPPED EQUIVALENT TABLE
//!                                             plants COUNT faults but those whose numbers are in the file DROPPED, and
//!                                             those of EQUIVALENT
//! plant blame TREE TABLE < MESSAGES           prints the numbers of the faults that cargo's short messages point to
//! ```
//!
//! A fault of Rust is an expression that chooses, `(if crate::mutants::on(17) { a <= b } else { a < b })`, found by
//! parsing, so that only what does not type-check fails to build. One of a shader is another text, which takes the place
//! of the first when the kernels are made.
//!
//! An edit that no result depends on is no fault (an equivalent mutant). Those that somebody looked into are listed in
//! EQUIVALENT, a line each: the file, the edit, the text of its line, the reason, with tabs between. Where a line has
//! several such edits, `#2` behind the edit is the second. An entry that fits nothing is an error, so that the list stays
//! as young as the sources.

mod rust;
mod wgsl;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::num::ParseIntError;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

/// What is looked at: files, and folders with all below.
const PLACES: &[&str] =
    &["src/solve", "src/train", "src/model", "src/metrics", "src/score", "src/engine/cpu", "shaders"];

/// A fault that can be planted.
struct Fault {
    file: String,
    line: usize,
    /// Bytes of the file.
    range: Range<usize>,
    /// What stands there instead; of Rust with `@` for the condition that the fault is there.
    text: String,
    /// What it does, in a few words.
    what: String,
}

fn has_ending(path: impl AsRef<Path>, ending: &str) -> bool {
    path.as_ref().extension().is_some_and(|found| found == ending)
}

/// The files of the places, with their text.
fn files(tree: &Path) -> Result<Vec<(String, String)>, String> {
    fn collect(path: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
        if path.is_file() {
            found.push(path.to_owned());
            return Ok(());
        }
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), found)?;
        }
        Ok(())
    }
    let mut paths = Vec::new();
    for place in PLACES {
        collect(&tree.join(place), &mut paths).map_err(|cause| format!("{place}: {cause}"))?;
    }
    paths.retain(|path| ["rs", "wgsl"].iter().any(|ending| has_ending(path, ending)));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(|cause| format!("{}: {cause}", path.display()))?;
        let name = path.strip_prefix(tree).map_err(|cause| cause.to_string())?;
        Ok((name.to_string_lossy().replace('\\', "/"), text))
    };
    paths.into_iter().map(read).collect()
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % n as u64).expect("below a usize")
    }

    fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i + 1));
        }
    }
}

/// All faults in the order in which they are taken: by chance within each file, and the files in turn, so that a large
/// one has no more of them than a small one as long as both have some.
fn in_order(files: &[(String, String)], seed: u64) -> Result<Vec<Fault>, String> {
    let mut random = Random(seed);
    let mut by_file: Vec<Vec<Fault>> = Vec::new();
    for (name, text) in files {
        let mut faults = if has_ending(name, "rs") { rust::faults(name, text)? } else { wgsl::faults(name, text) };
        // Of one kind a file has many, of another few: each kind in turn too.
        random.shuffle(&mut faults);
        let mut kinds: BTreeMap<String, Vec<Fault>> = BTreeMap::new();
        for fault in faults {
            kinds.entry(fault.what.clone()).or_default().push(fault);
        }
        let mut kinds: Vec<Vec<Fault>> = kinds.into_values().collect();
        random.shuffle(&mut kinds);
        by_file.push(in_turn(kinds));
    }
    random.shuffle(&mut by_file);
    Ok(in_turn(by_file))
}

/// The first of each, then the second of each, and so on.
fn in_turn<T>(lists: Vec<Vec<T>>) -> Vec<T> {
    let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(lists.iter_mut().filter_map(Iterator::next));
        if all.len() == before {
            return all;
        }
    }
}

/// The faults to plant, with their numbers from 1 on: the first ones that are not dropped and do not overlap.
fn chosen(faults: Vec<Fault>, count: usize, dropped: &BTreeSet<usize>) -> Vec<(usize, Fault)> {
    let mut chosen: Vec<(usize, Fault)> = Vec::new();
    for (number, fault) in (1..).zip(faults) {
        let overlaps = |(_, other): &(usize, Fault)| {
            other.file == fault.file && other.range.start < fault.range.end && fault.range.start < other.range.end
        };
        if chosen.len() < count && !dropped.contains(&number) && !chosen.iter().any(overlaps) {
            chosen.push((number, fault));
        }
    }
    chosen
}

/// A file with its faults, and where each of them stands now.
fn planted(text: &str, faults: &mut [&(usize, Fault)]) -> (String, Vec<(usize, Range<usize>)>) {
    faults.sort_by_key(|(_, fault)| fault.range.start);
    let (mut out, mut places, mut from) = (String::new(), Vec::new(), 0);
    for (number, fault) in faults {
        out += &text[from..fault.range.start];
        let begin = out.len();
        out += &fault.text.replace('@', &format!("crate::mutants::on({number})"));
        places.push((*number, begin..out.len()));
        from = fault.range.end;
    }
    (out + &text[from..], places)
}

/// The module that knows which fault is there.
fn module(shaders: &[&(usize, Fault)]) -> String {
    let mut text = String::from(
        "//! Which planted fault is there.\n\
         use std::sync::OnceLock;\n\
         fn chosen() -> usize {\n\
             static CHOSEN: OnceLock<usize> = OnceLock::new();\n\
             *CHOSEN.get_or_init(|| std::env::var(\"MUTANT\").ok().and_then(|n| n.parse().ok()).unwrap_or(0))\n\
         }\n\
         #[inline]\n\
         pub fn on(number: usize) -> bool { chosen() == number }\n\
         pub fn twice<T: Copy + std::ops::Add<Output = T>>(x: T) -> T { x + x }\n\
         pub fn none<T: Copy + std::ops::Sub<Output = T>>(x: T) -> T { x - x }\n\
         /// The text of a kernel, with the chosen fault if it is one of its.\n\
         pub fn shader(text: &str) -> String {\n\
             for (number, file, from, to, new) in FAULTS {\n\
                 // Behind the prelude, and before a kernel that it is a part of.\n\
                 if on(*number) && let Some(first) = text.find(file) {\n\
                     return format!(\"{}{new}{}\", &text[..first + from], &text[first + to..]);\n\
                 }\n\
             }\n\
             text.to_owned()\n\
         }\n\
         static FAULTS: &[(usize, &str, usize, usize, &str)] = &[\n",
    );
    for (number, Fault { file, range, text: new, .. }) in shaders {
        let Range { start, end } = range;
        writeln!(text, "({number}, include_str!(\"../{file}\"), {start}, {end}, {new:?}),")
            .expect("writing to a string");
    }
    text + "];\n"
}

/// Replaces the one place where `old` stands.
fn replace_once(path: &Path, old: &str, new: &str) -> Result<(), String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|cause| format!("{shown}: {cause}"))?;
    if text.matches(old).count() != 1 {
        return Err(format!("{shown} has no one `{old}`; bring the planting up to date"));
    }
    fs::write(path, text.replace(old, new)).map_err(|cause| format!("{shown}: {cause}"))
}

/// The numbers of the faults, from 1 on, that the lines of `list` name.
fn equivalents(list: &str, files: &[(String, String)], faults: &[Fault]) -> Result<BTreeSet<usize>, String> {
    let mut numbers = BTreeSet::new();
    for entry in list.lines().filter(|line| !line.starts_with('#')) {
        let [file, edit, code, _] = entry.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("`{entry}` is not FILE, EDIT, LINE, REASON"));
        };
        let (what, which) = edit.split_once(" #").unwrap_or((edit, "1"));
        let text = files.iter().find(|(name, _)| name == file).map_or("", |(_, text)| text);
        let is_named = |fault: &Fault| {
            fault.file == file
                && fault.what == what
                && text.lines().nth(fault.line - 1).is_some_and(|line| line.trim() == code)
        };
        let mut named: Vec<(usize, &Fault)> = (1..).zip(faults).filter(|(_, fault)| is_named(fault)).collect();
        named.sort_by_key(|(_, fault)| fault.range.start);
        let which: usize = number(which)?;
        if which == 0 || named.len() < which || (named.len() > 1 && !edit.contains(" #")) {
            let count = named.len();
            return Err(format!("{file} has {count} faults `{what}` at `{code}`, of which {edit:?} is to name one"));
        }
        numbers.insert(named[which - 1].0);
    }
    Ok(numbers)
}

fn apply(tree: &Path, count: usize, seed: u64, [dropped, equivalent]: [&Path; 2], table: &Path) -> Result<(), String> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|cause| format!("{}: {cause}", path.display()));
    let dropped = read(dropped)?;
    let mut dropped: BTreeSet<usize> = dropped.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let files = files(tree)?;
    let faults = in_order(&files, seed)?;
    dropped.extend(equivalents(&read(equivalent)?, &files, &faults)?);
    let all = faults.len();
    let chosen = chosen(faults, count, &dropped);
    let mut lines = String::new();
    for (name, text) in &files {
        let mut here: Vec<&(usize, Fault)> = chosen.iter().filter(|(_, fault)| fault.file == *name).collect();
        let mut places = Vec::new();
        if has_ending(name, "rs") && !here.is_empty() {
            let (text, found) = planted(text, &mut here);
            fs::write(tree.join(name), text).map_err(|cause| format!("{name}: {cause}"))?;
            places = found;
        }
        for (number, fault) in here {
            let place = places.iter().find(|(other, _)| other == number).map_or(0..0, |(_, place)| place.clone());
            let Fault { line, what, .. } = fault;
            writeln!(lines, "{number}\t{name}\t{line}\t{what}\t{}\t{}", place.start, place.end)
                .expect("writing to a string");
        }
    }
    fs::write(table, lines).map_err(|cause| format!("{}: {cause}", table.display()))?;
    let shaders: Vec<&(usize, Fault)> = chosen.iter().filter(|(_, fault)| has_ending(&fault.file, "wgsl")).collect();
    fs::write(tree.join("src/mutants.rs"), module(&shaders)).map_err(|cause| format!("mutants.rs: {cause}"))?;
    let library = tree.join("src/lib.rs");
    replace_once(&library, "\npub mod solve;\n", "\n#[allow(missing_docs)]\npub mod mutants;\npub mod solve;\n")?;
    let kernels = tree.join("src/engine/gpu/kernels.rs");
    replace_once(&kernels, "sources.map(str::to_owned)", "sources.map(crate::mutants::shader)")?;
    eprintln!("{} of {all} possible faults planted", chosen.len());
    Ok(())
}

/// The faults that stand where the compiler points to, or nearest to it in the same file.
fn blame(tree: &Path, table: &Path, messages: &str) -> Result<BTreeSet<usize>, String> {
    let table = fs::read_to_string(table).map_err(|cause| format!("{}: {cause}", table.display()))?;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    let mut blamed = BTreeSet::new();
    // `src/solve/mod.rs:12:34: error[E0308]: mismatched types`.
    for line in messages.lines() {
        let Some((place, _)) = line.split_once(": error") else { continue };
        let mut parts = place.rsplitn(3, ':');
        let (column, line, file) = (parts.next(), parts.next(), parts.next());
        let (Some(column), Some(line), Some(file)) = (column, line, file) else { continue };
        let Ok(text) = fs::read_to_string(tree.join(file)) else { continue };
        let before: usize = text.split_inclusive('\n').take(number::<usize>(line)? - 1).map(str::len).sum();
        let at = before + number::<usize>(column)? - 1;
        let mut nearest: Option<(usize, usize)> = None;
        for row in rows.iter().filter(|row| row[1] == file) {
            let (from, to): (usize, usize) = (number(row[4])?, number(row[5])?);
            let away = from.saturating_sub(at).max(at.saturating_sub(to));
            if nearest.is_none_or(|(least, _)| away < least) {
                nearest = Some((away, number(row[0])?));
            }
        }
        blamed.extend(nearest.map(|(_, number)| number));
    }
    Ok(blamed)
}

fn number<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|cause| format!("{text}: {cause}"))
}

fn run(arguments: &[&str]) -> Result<(), String> {
    match arguments {
        ["apply", tree, count, seed, dropped, equivalent, table] => {
            let left_out = [Path::new(dropped), Path::new(equivalent)];
            apply(Path::new(tree), number(count)?, number(seed)?, left_out, Path::new(table))
        }
        ["blame", tree, table] => {
            let mut messages = String::new();
            std::io::stdin().read_to_string(&mut messages).map_err(|cause| cause.to_string())?;
            for number in blame(Path::new(tree), Path::new(table), &messages)? {
                println!("{number}");
            }
            Ok(())
        }
        _ => Err("plant apply TREE COUNT SEED DROPPED EQUIVALENT TABLE, or plant blame TREE TABLE".into()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("plant: {fault}");
            ExitCode::FAILURE
        }
    }
}
