//! The direction of the dependencies, proved from the tokens of every source file: each foreign crate has
//! one home, and modules know of each other one way only.
//!
//! Tokens, not lines: a path counts wherever it stands, inside macros and derives too, and a mention in a
//! comment or a string does not. `super::` and `self::` are followed to the module they mean.

mod branches;
mod circles;
mod engines;
mod functions;
mod lexer;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lexer::{Found, paths};

/// Where each dependency may be named: files and folders under `src/`. No home: everywhere.
const HOMES: &[(&str, &[&str])] = &[
    ("arrow", &["data/"]),
    ("base64", &["data/parquet/schema.rs"]),
    ("bytemuck", &["engine/", "vectors/"]),
    ("bytes", &["data/parquet/input.rs"]),
    ("clap", &["cli/"]),
    ("ctrlc", &["cli/"]),
    ("fs4", &["engine/storage/scratch.rs"]),
    ("glob", &["data/"]),
    ("indicatif", &["cli/"]),
    ("maud", &["report/html/"]),
    ("memmap2", &["engine/storage/host_chunk.rs"]),
    ("mimalloc", &["main.rs"]),
    ("nalgebra", &["matrix/"]),
    (
        "parquet",
        &["data/levels.rs", "data/parquet/", "data/predicate/prune.rs", "data/predictions.rs", "data/synth.rs"],
    ),
    ("pollster", &["engine/gpu/"]),
    ("rand", &["data/synth.rs"]),
    ("rand_chacha", &["data/synth.rs"]),
    ("rand_distr", &["data/synth.rs"]),
    (
        "rayon",
        &[
            "engine/",
            "bench.rs",
            "cli/",
            "data/",
            "matrix/",
            "metrics/",
            "score/batches.rs",
            "solve/elastic_net/path/folds.rs",
        ],
    ),
    ("serde", &[]),
    ("serde_json", &[]),
    ("signal_hook", &["cli/"]),
    ("statrs", &["model/"]),
    ("strsim", &["wording.rs"]),
    ("sysinfo", &["engine/storage/limits.rs"]),
    (
        "tempfile",
        &[
            "engine/storage/",
            "cli/bench.rs",
            "data/parquet/files.rs",
            "data/levels.rs",
            "data/predicate/prune.rs",
            "model/",
        ],
    ),
    ("thrift", &["data/parquet/footer.rs"]),
    ("walkdir", &["data/parquet/files.rs"]),
    ("wgpu", &["engine/gpu/"]),
];

/// What a module may name of the others, by the beginning of the path; itself always.
struct Module {
    name: &'static str,
    uses: &'static [&'static str],
    /// Under `#[cfg(test)]` in addition.
    tests: &'static [&'static str],
}

const fn module(name: &'static str, uses: &'static [&'static str]) -> Module {
    Module { name, uses, tests: &[] }
}

const MODULES: &[Module] = &[
    // The ground: errors, scalar functions, matrices, and the traits through which the parts see each other.
    module("error", &["wording"]),
    module("fold", &[]),
    module("logistic", &[]),
    module("softmax", &["logistic"]),
    module("sum", &[]),
    module("lda", &["matrix"]),
    module("matrix", &["fold", "vectors"]),
    module("objective", &["error", "matrix"]),
    module("monitor", &["error"]),
    module("panics", &[]),
    module("vectors", &[]),
    module("wording", &[]),
    // How good probabilities are, whatever they come from.
    module("metrics", &["error", "logistic", "sum", "vectors"]),
    // What a solver minimises: a loss in its coordinates, and a penalty.
    module("penalty", &["matrix", "objective"]),
    module("every_class", &["error", "matrix", "objective", "penalty"]),
    module("standardize", &["lda", "matrix", "objective"]),
    module("problem", &["error", "matrix", "objective", "penalty", "standardize"]),
    // A store that passes everything on, and keeps some rows.
    module("subsample", &["data", "error"]),
    // A solver sees an objective, never a table or a device; the Hessian that it gets is a matrix. Where rows are few it
    // calculates with them, by a loss that it is given.
    Module { name: "solve", uses: &["error", "matrix", "monitor", "objective", "penalty"], tests: &["logistic"] },
    // Of `standardize`, a table only fills in the scales of its columns.
    module("data", &["error", "logistic", "monitor", "panics", "standardize::ColumnScale", "vectors", "wording"]),
    // The exact pass reads the file itself: it reports to a monitor, and needs to know where the columns lie.
    module(
        "engine",
        &[
            "data",
            "error",
            "fold",
            "lda",
            "logistic",
            "matrix",
            "monitor",
            "objective",
            "panics",
            "softmax",
            "standardize::ColumnScale",
            "sum",
            "vectors",
        ],
    ),
    module("model", &["data", "error", "matrix", "objective", "penalty", "solve"]),
    // Of a run it tells what is planned, its iterations, how it stopped and what came out, and of a file what its footer says.
    module(
        "report",
        &[
            "engine::storage",
            "data::inspect",
            "logistic",
            "metrics",
            "model",
            "objective::Probe",
            "penalty::PenaltyScale",
            "profile",
            "solve::Iteration",
            "solve::Status",
            "train::RunPlan",
            "wording",
        ],
    ),
    // What pictures need of the rows, counted while a model goes through them.
    module("profile", &["data", "logistic", "model", "vectors"]),
    // A model goes through a table of its own accord: no device, no solver.
    module("score", &["data", "error", "logistic", "metrics", "model", "monitor", "profile", "wording"]),
    module("bench", &["engine", "data", "error", "monitor", "objective", "train"]),
    // The parts are put together once, for every caller.
    module(
        "train",
        &[
            "engine",
            "data",
            "error",
            "every_class",
            "lda",
            "logistic",
            "matrix",
            "metrics",
            "model",
            "monitor",
            "objective",
            "penalty",
            "problem",
            "solve",
            "standardize",
            "subsample",
            "wording",
        ],
    ),
    module(
        "cli",
        &[
            "engine",
            "bench",
            "data",
            "error",
            "logistic",
            "matrix",
            "metrics",
            "model",
            "monitor",
            "objective",
            "penalty",
            "report",
            "score",
            "solve",
            "standardize",
            "subsample",
            "train",
            "wording",
        ],
    ),
    module("main", &["cli"]),
    module(
        "lib",
        &["engine", "data", "error", "model", "monitor", "penalty", "score", "solve::Preconditioner", "train"],
    ),
];

/// Names at the crate's root that are not modules, and the module that they come from.
const ROOT_NAMES: &[(&str, &str)] = &[("Error", "error"), ("Result", "error")];

// ---- Rules ----

/// The module of a file given by its path under `src/`: `solve/line_search.rs` is `[solve, line_search]`.
fn module_of(file: &str) -> Vec<&str> {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    path.strip_suffix("/mod").unwrap_or(path).split('/').collect()
}

/// Whether `path` lies under `rule`, segment by segment.
fn begins_with(path: &[String], rule: &str) -> bool {
    let rule: Vec<&str> = rule.split("::").collect();
    path.len() >= rule.len() && path.iter().zip(rule).all(|(segment, rule)| segment == rule)
}

/// Checks one file; returns how many of its paths a rule was applied to.
fn check(file: &str, text: &str) -> Result<usize, Vec<String>> {
    let whole = module_of(file);
    // The two files at the root are modules of the rules, but their `self` is the root.
    let place: &[&str] = if matches!(whole[..], ["main" | "lib"]) { &[] } else { &whole };
    let Some(module) = MODULES.iter().find(|module| module.name == whole[0]) else {
        return Err(vec![format!("{file}: no rule says what this module may use")]);
    };
    let lexed = paths(text, place).map_err(|error| vec![format!("{file}: {error}")])?;
    let (mut applied, mut violations) = (0, Vec::new());
    for Found { segments, line, test } in &lexed.found {
        let path = segments.join("::");
        if let Some((name, homes)) = HOMES.iter().find(|(name, _)| name == &segments[0]) {
            applied += 1;
            if !homes.is_empty() && !homes.iter().any(|home| file.starts_with(home)) {
                violations.push(format!("{file}:{line}: {path}: the home of {name} is {homes:?}"));
            }
        } else if segments[0] == "crate" || segments[0] == "gpu_logreg" {
            // The program is a crate of its own, over the library.
            applied += 1;
            let mut inner = segments[1..].to_vec();
            if let Some((_, home)) =
                ROOT_NAMES.iter().find(|(name, _)| inner.first().is_some_and(|first| first == name))
            {
                inner.insert(0, (*home).to_owned());
            }
            let own = inner.first().is_some_and(|first| first == whole[0]) || (place.is_empty() && inner.is_empty());
            let mut allowed = module.uses.iter().chain(module.tests.iter().filter(|_| *test));
            if !own && !allowed.any(|rule| begins_with(&inner, rule)) {
                violations.push(format!("{file}:{line}: {path}: {} may not use that", module.name));
            }
        }
    }
    if violations.is_empty() { Ok(applied) } else { Err(violations) }
}

/// Tables of dependencies of some systems.
const SYSTEMS: &[&str] = &["target.'cfg(unix)'.dependencies", "target.'cfg(not(unix))'.dependencies"];

/// The names under `[dependencies]`, as Rust spells them.
fn dependencies(manifest: &str) -> Result<Vec<String>, String> {
    let (mut names, mut inside) = (Vec::new(), false);
    for line in manifest.lines() {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.split(']').next().unwrap_or_default();
            // What one system needs has a home as well.
            inside = header == "dependencies" || SYSTEMS.contains(&header);
            if header.contains("dependencies") && !inside && header != "dev-dependencies" {
                return Err(format!("dependencies in a table that this test does not read: [{header}]"));
            }
        } else if inside
            && line.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_' || first == '"')
        {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            names.push(name.trim_matches('"').replace('-', "_"));
        }
    }
    Ok(names)
}

/// Every dependency has a home, and every home a dependency.
fn check_homes(manifest: &str) -> Result<usize, String> {
    let names: BTreeSet<String> = dependencies(manifest)?.into_iter().collect();
    let homes: BTreeSet<String> = HOMES.iter().map(|(name, _)| (*name).to_owned()).collect();
    if names == homes {
        return Ok(names.len());
    }
    Err(format!("without a home: {:?}; no dependency: {:?}", &names - &homes, &homes - &names))
}

// ---- Tests ----

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn manifest() -> String {
    fs::read_to_string(root().join("Cargo.toml")).expect("the manifest")
}

/// Every file under `src/`, by its path there, with its text.
fn files() -> Vec<(String, String)> {
    fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry of the folder").path();
            let name = format!("{prefix}{}", path.file_name().and_then(|name| name.to_str()).expect("a readable name"));
            if path.is_dir() {
                collect(&path, &format!("{name}/"), files);
            } else {
                assert!(
                    path.extension().is_some_and(|extension| extension == "rs"),
                    "src/{name} is not Rust, so no rule covers it"
                );
                files.push((name, fs::read_to_string(&path).expect("a readable source")));
            }
        }
    }
    let mut files_found = Vec::new();
    collect(&root().join("src"), "", &mut files_found);
    files_found.sort();
    files_found
}

#[test]
fn every_dependency_has_a_home() {
    let checked = check_homes(&manifest()).unwrap_or_else(|error| panic!("{error}"));
    assert!(checked > 0);
}

#[test]
fn every_file_keeps_the_rules() {
    let (mut checked, mut applied, mut violations) = (0, 0, Vec::new());
    for (file, text) in files() {
        match check(&file, &text) {
            Ok(paths) => applied += paths,
            Err(found) => violations.extend(found),
        }
        checked += 1;
    }
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
    assert!(checked > 0 && applied > checked, "{applied} paths of {checked} files is too few to believe");
}

#[test]
fn every_rule_is_about_something() {
    let files = files();
    for module in MODULES {
        assert!(files.iter().any(|(file, _)| module_of(file)[0] == module.name), "no file of {}", module.name);
        for rule in module.uses.iter().chain(module.tests) {
            let target = rule.split("::").next().unwrap_or_default();
            assert!(MODULES.iter().any(|module| module.name == target), "{}: no module {target}", module.name);
        }
    }
    for (name, homes) in HOMES {
        for home in *homes {
            assert!(files.iter().any(|(file, _)| file.starts_with(home)), "{name}: no file in its home {home}");
        }
        let used = files.iter().any(|(file, text)| {
            let lexed = paths(text, &module_of(file)).expect("a source that compiles");
            lexed.found.iter().any(|found| found.segments[0] == *name)
        });
        assert!(used, "no file names the dependency {name}");
    }
}

#[test]
fn modules_form_no_circle() {
    // Taken away one by one, each when what it uses is gone.
    let mut left: Vec<&Module> = MODULES.iter().collect();
    while !left.is_empty() {
        let names: Vec<&str> = left.iter().map(|module| module.name).collect();
        let uses =
            |module: &Module| module.uses.iter().any(|rule| names.contains(&rule.split("::").next().unwrap_or(rule)));
        let before = left.len();
        left.retain(|module| uses(module));
        assert!(left.len() < before, "a circle among {names:?}");
    }
}

/// A text in a file breaks a rule, and the complaint names the line and the path.
#[track_caller]
fn assert_refused(file: &str, text: &str, complaint: &str) {
    match check(file, text) {
        Ok(applied) => panic!("{text:?} in {file}: not noticed ({applied} paths)"),
        Err(violations) => {
            assert!(violations.iter().any(|violation| violation.contains(complaint)), "{text:?}: {violations:?}");
        }
    }
}

#[test]
fn a_foreign_crate_away_from_home_is_noticed() {
    let solve = "solve/mod.rs";
    assert_refused(solve, "\n\nfn f(b: wgpu::Buffer) {}", "solve/mod.rs:3: wgpu::Buffer");
    assert_refused(solve, "fn f(b: ::wgpu::Buffer) {}", "wgpu::Buffer");
    assert_refused(solve, "fn f(b: &'static dyn ::wgpu::Buffer) {}", "wgpu::Buffer");
    assert_refused(solve, "fn f() -> ::wgpu::Buffer { return ::wgpu::g(); }", "wgpu::Buffer");
    assert_refused(solve, "struct S(pub ::wgpu::Buffer);", "wgpu::Buffer");
    assert_refused(solve, "fn f() { Vec::<u8>::new(wgpu::g()) }", "wgpu::g");
    assert_refused(solve, "use wgpu;", "wgpu");
    assert_refused(solve, "use ::wgpu as gpu;", "wgpu");
    assert_refused(solve, "pub use wgpu::*;", "wgpu::*");
    assert_refused(solve, "use {std::fmt, wgpu::{self, Buffer}};", "wgpu::Buffer");
    assert_refused(solve, "use {{std::fmt, {wgpu}}};", "wgpu");
    assert_refused(solve, "extern crate wgpu;", "wgpu");
    assert_refused(solve, "extern crate wgpu as gpu;", "wgpu");
    assert_refused(solve, "fn f() { println!(\"{:?}\", wgpu::Backends::all()) }", "wgpu::Backends");
    assert_refused(solve, "fn f() { assert!(matches!(x, [wgpu::Backend::Vulkan])) }", "wgpu::Backend");
    assert_refused(solve, "macro_rules! m { () => { wgpu::Buffer } }", "wgpu::Buffer");
    assert_refused(solve, "#[derive(bytemuck::Pod)] struct S;", "bytemuck::Pod");
    assert_refused(solve, "#[cfg(test)] mod tests { use rayon::prelude::*; }", "rayon::prelude");
    assert_refused(solve, "fn f() { for i in 0..wgpu::LIMIT {} }", "wgpu::LIMIT");
    assert_refused(solve, "fn f() -> Option<wgpu::Buffer> { <wgpu::Buffer as Default>::default() }", "wgpu::Buffer");
    assert_refused(solve, "fn f() { r#wgpu::g() }", "wgpu::g");
    assert_refused(solve, "fn f() { wgpu::<u8>::g() }", "wgpu");
    assert_refused("engine/mod.rs", "use wgpu::Buffer;", "the home of wgpu");
    assert_refused("engine/gpu_other.rs", "use wgpu::Buffer;", "the home of wgpu");
    assert_refused("data/load.rs", "use rand::Rng;", "the home of rand");
    assert_refused("train/mod.rs", "use rayon::prelude::*;", "the home of rayon");
    for (name, homes) in HOMES.iter().filter(|(_, homes)| !homes.is_empty()) {
        assert_refused("error.rs", &format!("use {name}::thing;"), &format!("the home of {name} is {homes:?}"));
    }
}

#[test]
fn an_arrow_against_the_direction_is_noticed() {
    let solve = "solve/line_search.rs";
    let refusal = "crate::engine::gpu: solve may not use that";
    assert_refused(solve, "use crate::engine::gpu;", refusal);
    assert_refused(solve, "use crate::{error::Error, engine::{gpu}};", refusal);
    assert_refused(solve, "use {crate::engine::gpu, std::fmt};", refusal);
    assert_refused(solve, "fn f() { x(vec![crate::engine::gpu::g()]) }", "crate::engine::gpu::g");
    assert_refused(solve, "macro_rules! m { () => { $crate::engine::gpu } }", refusal);
    assert_refused(solve, "use super::super::engine::gpu;", refusal);
    assert_refused(solve, "mod tests { use super::super::super::engine::gpu; }", refusal);
    assert_refused("solve/mod.rs", "use super::engine::gpu;", refusal);
    assert_refused("solve/mod.rs", "use self::super::engine::gpu;", refusal);
    assert_refused(solve, "use gpu_logreg::engine::gpu;", refusal);
    // The root as a whole would hide what is used of it.
    assert_refused(solve, "use crate::*;", "crate::*");
    assert_refused(solve, "use crate as root;", "crate: solve");
    assert_refused(solve, "use crate::{self as root};", "crate: solve");
    assert_refused(solve, "use super::super::*;", "crate::*");
    assert_refused(solve, "use crate::Unknown;", "crate::Unknown");

    // What is allowed to tests only, and where the tests end.
    let sigmoid = "use crate::logistic::sigmoid;";
    assert!(check(solve, &format!("#[cfg(test)] mod tests {{ {sigmoid} }}")).is_ok());
    assert!(check(solve, &format!("#[cfg(test)] {sigmoid}")).is_ok());
    assert!(check(solve, &format!("#[cfg(test)] #[expect(dead_code)] fn f() {{ {sigmoid} }}")).is_ok());
    assert_refused(solve, sigmoid, "crate::logistic::sigmoid");
    assert_refused(solve, &format!("#[cfg(test)] mod tests {{ }} {sigmoid}"), "crate::logistic::sigmoid");
    assert_refused(solve, &format!("#[cfg(not(test))] {sigmoid}"), "crate::logistic::sigmoid");

    assert_refused("data/load.rs", "use crate::standardize::{ColumnScale, Coordinates};", "Coordinates");
    assert_refused("data/load.rs", "use crate::standardize;", "crate::standardize");
    assert_refused("logistic.rs", "use crate::Error;", "crate::Error");
    assert_refused("report/mod.rs", "use crate::data::Class;", "crate::data");
    assert_refused("unheard_of.rs", "", "no rule says");
    for module in MODULES.iter().filter(|module| !matches!(module.name, "cli" | "main")) {
        assert_refused(&format!("{}.rs", module.name), "fn f() { crate::cli::run() }", "crate::cli::run");
    }
}

#[test]
fn what_is_no_path_is_left_alone() {
    let harmless = "
        //! wgpu::Buffer, crate::engine
        /// [`crate::engine::gpu`] and [`wgpu::Buffer`]
        /* use wgpu; */
        fn f<'rand>(x: &'rand X, rand: f32) -> impl Iterator<Item = u8> + use<'rand> {
            // use crate::engine;
            let text = \"wgpu::Buffer crate::engine\";
            let raw = r#\"use wgpu;\"#;
            x.rand.rand::<u8>().g(other::rand::LIMIT, Type::<u8>::rand(rand));
            crate::error::Error::new(text, raw)
        }
        pub(crate) mod clap {}
        pub(in crate::solve) struct S;
        #[cfg(test)]
        mod tests { use super::*; use super::super::conjugate_gradient; }
    ";
    let applied = check("solve/line_search.rs", harmless).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(applied, 4, "the error, the visibility and two of the tests");
    assert!(check("engine/gpu/mod.rs", "use wgpu::Buffer; use crate::engine::layout;").is_ok());
    assert!(check("solve/mod.rs", "use broken {").is_err());
}

#[test]
fn a_dependency_without_a_home_is_noticed() {
    let manifest = manifest();
    let more = manifest.replacen("[dependencies]\n", "[dependencies]\nburn-core = \"1\"\n", 1);
    assert!(check_homes(&more).is_err_and(|error| error.contains("without a home: {\"burn_core\"}")));
    let dotted = manifest.replacen("[dependencies]\n", "[dependencies]\nburn.version = \"1\"\n", 1);
    assert!(check_homes(&dotted).is_err_and(|error| error.contains("without a home: {\"burn\"}")));
    let fewer = manifest.replacen("\npollster = ", "\n# pollster = ", 1);
    assert!(check_homes(&fewer).is_err_and(|error| error.contains("no dependency: {\"pollster\"}")));
    for table in ["dependencies.burn", "target.'cfg(windows)'.dependencies", "build-dependencies"] {
        let elsewhere = format!("{manifest}\n[{table}]\nversion = \"1\"\n");
        assert!(check_homes(&elsewhere).is_err_and(|error| error.contains("does not read")), "{table}");
    }
}
