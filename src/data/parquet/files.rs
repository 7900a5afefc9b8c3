//! The files that the DATA arguments of the command line name.
//!
//! An argument is one of
//!
//! - a file, taken whatever its name is;
//! - a folder: every file below it called `*.parquet`, `*.parq` or `*.pq` (in any case). Names that begin with `_` or
//!   `.` are passed over, as are folders called so with all below them: writers keep their notes there (`_SUCCESS`,
//!   `_temporary`). A folder `_key=value` is a partition all the same. Links are followed, loops refused;
//! - where nothing has that very name, a pattern: `*`, `?` and `[...]` within a name, `**` for any number of folders.
//!   Files that match are taken whatever their ending is, folders that match are read as folders, and names that
//!   begin with `_` or `.` only match a pattern with a part that begins so. Windows shells leave patterns to us.
//!
//! The files of an argument are sorted by their paths, name by name, so that the order of the rows depends on no file
//! system; the arguments keep their own order.
//!
//! Folders of a table with a log (`lakes`) are refused, and its files are read where they are named one by one.
//!
//! The folders on the way to a file may say more about it: see `keys`.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};
use walkdir::{DirEntry, WalkDir};

use super::keys::{Key, key_and_value, keys_of};
use super::lakes::check_no_lake;
use crate::error::{Error, Result};

const ENDINGS: [&str; 3] = ["parquet", "parq", "pq"];
const ENDINGS_TEXT: &str = "*.parquet, *.parq or *.pq";

/// A file of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it is, as it was named or found below what was named.
    pub(super) path: PathBuf,
    /// What its folders say, the outermost first.
    pub(super) keys: Vec<Key>,
}

/// The files that `inputs` name, no file twice, all with the same partition keys.
pub(super) fn find(inputs: &[PathBuf]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for input in inputs {
        match fs::metadata(input) {
            Ok(about) if about.is_dir() => found.extend(folder(input)?),
            Ok(about) => found.push(Found { path: regular(input, &about)?, keys: Vec::new() }),
            Err(cause)
                if matches!(
                    cause.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
                ) =>
            {
                match input.to_str().filter(|text| is_pattern(text)) {
                    Some(text) => found.extend(pattern(text)?),
                    None => return Err(missing(input)),
                }
            }
            Err(cause) => return Err(unreadable(input, &cause)),
        }
    }
    check_distinct(&found)?;
    check_keys(&found)?;
    Ok(found)
}

fn unreadable(path: &Path, cause: &std::io::Error) -> Error {
    Error::data(format!("{} cannot be read: {cause}", path.display()), "Check its permissions, or where a link leads.")
}

fn missing(path: &Path) -> Error {
    let nearest = path.ancestors().skip(1).find(|above| above.as_os_str().is_empty() || above.exists());
    let way_out = match nearest {
        Some(above) if above.as_os_str().is_empty() => match std::env::current_dir() {
            Ok(here) => format!("Check the path; it was looked for in {}.", here.display()),
            Err(_) => "Check the path.".into(),
        },
        Some(above) if above.is_dir() => format!("Check the path; the folder {} does exist.", above.display()),
        Some(above) => format!("Check the path; {} exists and is no folder.", above.display()),
        None => "Check the path.".into(),
    };
    Error::data(format!("{} does not exist", path.display()), way_out)
}

fn regular(path: &Path, about: &fs::Metadata) -> Result<PathBuf> {
    if about.is_file() {
        return Ok(path.to_owned());
    }
    Err(Error::data(
        format!("{} is no regular file", path.display()),
        "Parquet is read from both ends; save it as a file.",
    ))
}

// ---- Folders ----

/// Whether a name is passed over where it was not asked for.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name.starts_with('_') && key_and_value(name).is_none()
}

fn has_ending(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// What lies below `root`, links followed, in the order of the paths.
fn walk(root: &Path) -> WalkDir {
    WalkDir::new(root).follow_links(true).sort_by_file_name().min_depth(1)
}

fn walk_error(error: &walkdir::Error) -> Error {
    let path = error.path().unwrap_or(Path::new("a folder"));
    match (error.loop_ancestor(), error.io_error()) {
        (Some(ancestor), _) => Error::data(
            format!("{} leads back to {}, in which it lies", path.display(), ancestor.display()),
            "Remove the link, or name the folders that are meant.",
        ),
        (None, Some(cause)) => unreadable(path, cause),
        (None, None) => Error::data(format!("{} cannot be read: {error}", path.display()), ""),
    }
}

/// Whether what could not be looked at would have been passed over anyway, such as a hidden link to nowhere.
fn is_hidden_error(error: &walkdir::Error) -> bool {
    error.path().and_then(Path::file_name).is_some_and(|name| is_hidden(&name.to_string_lossy()))
}

/// The Parquet files below `root`, at least one.
fn folder(root: &Path) -> Result<Vec<Found>> {
    let (files, others) = parquet_files(root)?;
    if files.is_empty() {
        let others = match others {
            0 => "is no file at all".into(),
            1 => "is 1 file by another name".into(),
            n => format!("are {n} files by other names"),
        };
        return Err(Error::data(
            format!("the folder {} has no file called {ENDINGS_TEXT}; there {others}", root.display()),
            "Name the files themselves if they are Parquet; names that begin with _ or . are passed over.",
        ));
    }
    with_keys(files, root)
}

/// The Parquet files below `root`, and the number of other files.
fn parquet_files(root: &Path) -> Result<(Vec<PathBuf>, usize)> {
    let (mut files, mut others) = (Vec::new(), 0);
    let mut entries = walk(root).into_iter();
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Err(error) if is_hidden_error(&error) => continue,
            entry => entry.map_err(|error| walk_error(&error))?,
        };
        let is_folder = entry.file_type().is_dir();
        if is_hidden(&entry.file_name().to_string_lossy()) {
            others += usize::from(!is_folder);
            if is_folder {
                entries.skip_current_dir();
            }
        } else if !is_folder {
            if has_ending(entry.path()) {
                files.push(regular_entry(&entry)?);
            } else {
                others += 1;
            }
        }
    }
    Ok((files, others))
}

fn regular_entry(entry: &DirEntry) -> Result<PathBuf> {
    let about = entry.metadata().map_err(|error| walk_error(&error))?;
    regular(entry.path(), &about)
}

// ---- Patterns ----

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The files that match a pattern, at least one.
///
/// The walk is our own, not that of the crate, which follows a link that leads back again and again.
fn pattern(text: &str) -> Result<Vec<Found>> {
    let path = Path::new(text);
    let mut base = PathBuf::new();
    let mut parts: Vec<&str> = Vec::new();
    for component in path.components() {
        let part = component.as_os_str().to_str().unwrap_or_default();
        let is_name = matches!(component, Component::Normal(_));
        // A folder that is really called so, `a[1]`, is no pattern.
        if parts.is_empty() && (!is_name || !is_pattern(part) || base.join(component).exists()) {
            base.push(component);
        } else {
            parts.push(part);
        }
    }
    for part in &parts {
        Pattern::new(part).map_err(|error| {
            Error::usage(
                format!("{text} is no pattern, at `{part}`: {}", error.msg),
                "`*` stands for part of a name, `**` for folders; a bracket itself is written [[]",
            )
        })?;
    }
    // `data/**` is all that lies in its folders: the folders, each read as one.
    let only_folders = parts.last() == Some(&"**");
    while parts.last() == Some(&"**") {
        parts.pop();
    }
    let root = if base.as_os_str().is_empty() { Path::new(".") } else { &base };
    if !root.is_dir() {
        return Err(missing(root));
    }
    if parts.is_empty() {
        return folder(root);
    }
    let mut files = matching(root, &parts, only_folders)?;
    if base.as_os_str().is_empty() {
        files = files.iter().map(|file| file.strip_prefix(".").unwrap_or(file).to_owned()).collect();
    }
    if files.is_empty() {
        return Err(Error::data(
            format!("no file matches {text}"),
            format!("It was looked for in {}; quote a pattern so that it comes here as it stands.", root.display()),
        ));
    }
    with_keys(files, &base)
}

/// The files below `root` that match, and those of the folders that match, each once, in the order of the paths.
fn matching(root: &Path, parts: &[&str], only_folders: bool) -> Result<Vec<PathBuf>> {
    let options = MatchOptions {
        case_sensitive: !cfg!(windows),
        require_literal_separator: true,
        // Hidden names are looked after here, those with `_` too.
        require_literal_leading_dot: false,
    };
    let compile = |part: &str| {
        Pattern::new(part)
            .map_err(|error| Error::internal(format!("the pattern {part} was accepted, then not: {error}")))
    };
    let each = parts.iter().map(|part| compile(part)).collect::<Result<Vec<Pattern>>>()?;
    let whole = compile(&parts.join("/"))?;
    // Up to the first `**` a folder that does not match its part cannot lead to a match.
    let fixed = parts.iter().position(|part| *part == "**").unwrap_or(parts.len());
    let deepest = if fixed < parts.len() { usize::MAX } else { parts.len() };
    let is_passed_over = |name: &str| is_hidden(name) && !parts.iter().any(|part| part.starts_with(&name[..1]));
    let mut files = Vec::new();
    let mut entries = walk(root).max_depth(deepest).into_iter();
    while let Some(entry) = entries.next() {
        let (path, depth) = match &entry {
            Ok(entry) => (entry.path(), entry.depth()),
            Err(error) => (error.path().ok_or_else(|| walk_error(error))?, error.depth()),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let on_the_way =
            !is_passed_over(&name) && (depth > fixed || depth == 0 || each[depth - 1].matches_with(&name, options));
        let matches = on_the_way && whole.matches_with(&slashed(path.strip_prefix(root).unwrap_or(path)), options);
        let entry = match entry {
            // Nobody asked for what cannot be looked at here.
            Err(_) if !(matches || on_the_way && depth < deepest) => continue,
            entry => entry.map_err(|error| walk_error(&error))?,
        };
        let is_folder = entry.file_type().is_dir();
        if matches && is_folder {
            files.extend(parquet_files(entry.path())?.0);
        } else if matches && !only_folders {
            files.push(regular_entry(&entry)?);
        }
        if is_folder && (matches || !on_the_way) {
            entries.skip_current_dir();
        }
    }
    Ok(files)
}

/// A path as patterns take it, on every system.
fn slashed(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

fn with_keys(files: Vec<PathBuf>, base: &Path) -> Result<Vec<Found>> {
    let found =
        files.into_iter().map(|path| Ok(Found { keys: keys_of(&path, base)?, path })).collect::<Result<Vec<_>>>()?;
    check_no_lake(found.iter().map(|file| file.path.as_path()))?;
    Ok(found)
}

// ---- What must hold for all of them ----

fn check_distinct(found: &[Found]) -> Result<()> {
    let mut known: HashMap<PathBuf, &Path> = HashMap::with_capacity(found.len());
    for Found { path, .. } in found {
        let canonical = path.canonicalize().map_err(|cause| unreadable(path, &cause))?;
        if let Some(before) = known.insert(canonical, path) {
            let fact = if before == path {
                format!("{} is named twice", path.display())
            } else {
                format!("{} and {} are the same file", before.display(), path.display())
            };
            return Err(Error::data(fact, "Name it once; its rows would count twice."));
        }
    }
    Ok(())
}

fn check_keys(found: &[Found]) -> Result<()> {
    fn keys(found: &Found) -> Vec<&str> {
        found.keys.iter().map(|(key, _)| key.as_str()).collect()
    }
    let Some(first) = found.first() else { return Ok(()) };
    let Some(other) = found.iter().find(|other| keys(other) != keys(first)) else { return Ok(()) };
    let listed = |found: &Found| match keys(found)[..] {
        [] => "none".to_owned(),
        ref keys => keys.join(", "),
    };
    Err(Error::data(
        format!(
            "the files lie in different partitions:\n    {}: {}\n    {}: {}",
            first.path.display(),
            listed(first),
            other.path.display(),
            listed(other)
        ),
        "Name folders with the same key=value levels, in the same order.",
    ))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::error::Kind;

    /// A folder with empty files.
    fn tree(files: &[&str]) -> TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
            fs::write(path, "").expect("a file");
        }
        root
    }

    fn find_in(root: &TempDir, inputs: &[&str]) -> Result<Vec<Found>> {
        find(&inputs.iter().map(|input| root.path().join(input)).collect::<Vec<_>>())
    }

    /// The paths that were found below `root`.
    #[track_caller]
    fn paths(root: &TempDir, inputs: &[&str]) -> Vec<String> {
        let found = find_in(root, inputs).unwrap_or_else(|error| panic!("{inputs:?}: {error}"));
        found.iter().map(|found| slashed(found.path.strip_prefix(root).expect("a path below the root"))).collect()
    }

    #[track_caller]
    fn partitions(root: &TempDir, inputs: &[&str]) -> Vec<String> {
        let found = find_in(root, inputs).unwrap_or_else(|error| panic!("{inputs:?}: {error}"));
        let pair = |(key, value): &Key| match value {
            Some(value) => format!("{key}={value}"),
            None => format!("{key} null"),
        };
        found.iter().map(|found| found.keys.iter().map(pair).collect::<Vec<_>>().join(" ")).collect()
    }

    /// The fact of the error, `ROOT` for the path of the folder, and the way out.
    #[track_caller]
    fn refusal(root: &TempDir, inputs: &[&str]) -> (String, String) {
        let error = find_in(root, inputs).expect_err("a refusal");
        assert_eq!(error.kind, Kind::Data, "{error}");
        let plain = |text: &str| text.replace(&root.path().display().to_string(), "ROOT").replace('\\', "/");
        (plain(&error.fact), plain(&error.way_out))
    }

    const MIXED: [&str; 11] = [
        "d/b.parquet",
        "d/a/z.PARQUET",
        "d/a/y.parq",
        "d/a.b/x.pq",
        "d/README.md",
        "d/parquet",
        "d/_SUCCESS",
        "d/.c.parquet",
        "d/_temporary/0/p.parquet",
        "d/.git/q.parquet",
        "e.dat",
    ];

    #[test]
    fn a_folder_gives_its_files_name_by_name_and_a_file_itself() {
        let root = tree(&MIXED);
        assert_eq!(paths(&root, &["d"]), ["d/a/y.parq", "d/a/z.PARQUET", "d/a.b/x.pq", "d/b.parquet"]);
        assert_eq!(paths(&root, &["e.dat", "d/a.b", "d/README.md"]), ["e.dat", "d/a.b/x.pq", "d/README.md"]);
        // What is named itself is not hidden.
        assert_eq!(paths(&root, &["d/_temporary", "d/.c.parquet"]), ["d/_temporary/0/p.parquet", "d/.c.parquet"]);
        assert_eq!(paths(&tree(&["x.parquet/part-1.parquet"]), &["x.parquet"]), ["x.parquet/part-1.parquet"]);
    }

    #[test]
    fn a_pattern_gives_what_it_matches() {
        let root = tree(&MIXED);
        assert_eq!(paths(&root, &["*.dat"]), ["e.dat"]);
        assert_eq!(paths(&root, &["d/*.parquet"]), ["d/b.parquet"]);
        assert_eq!(paths(&root, &["d/.*.parquet"]), ["d/.c.parquet"]);
        assert_eq!(paths(&root, &["d/_*/*/*"]), ["d/_temporary/0/p.parquet"]);
        assert_eq!(paths(&root, &["d/?"]), ["d/a/y.parq", "d/a/z.PARQUET"]);
        assert_eq!(paths(&root, &["d/a*/[x-y].p*"]), ["d/a/y.parq", "d/a.b/x.pq"]);
        assert_eq!(paths(&root, &["*/*/[!y].*"]), ["d/a/z.PARQUET", "d/a.b/x.pq"]);
        assert_eq!(paths(&root, &["**/*.p*"]), ["d/a/y.parq", "d/a.b/x.pq", "d/b.parquet"]);
        assert_eq!(paths(&root, &["d/**/y.*"]), ["d/a/y.parq"]);
        assert_eq!(paths(&root, &["d/**"]), paths(&root, &["d"]));
        assert_eq!(paths(&root, &["*/**"]), paths(&root, &["d"]));
        assert_eq!(paths(&root, &["d/*"])[..4], ["d/README.md", "d/a/y.parq", "d/a/z.PARQUET", "d/a.b/x.pq"]);
        // A `*` ends with its name.
        assert_eq!(refusal(&root, &["**/a*q"]).0, "no file matches ROOT/**/a*q");
        let here = find(&["Carg?.toml".into()]).expect("the manifest of the package");
        assert_eq!(here, [Found { path: "Cargo.toml".into(), keys: vec![] }]);
        let odd = tree(&["a[1].parquet", "b[2]/c.parquet", "a1.parquet"]);
        assert_eq!(paths(&odd, &["a[1].parquet"]), ["a[1].parquet"]);
        assert_eq!(paths(&odd, &["b[2]/*"]), ["b[2]/c.parquet"]);
        assert_eq!(paths(&odd, &["a[1-3].*"]), ["a1.parquet"]);
        assert_eq!(paths(&odd, &["[ab][[]?[]]*"]), ["a[1].parquet", "b[2]/c.parquet"]);
    }

    #[test]
    fn folders_with_a_key_and_a_value_are_partitions() {
        let root = tree(&[
            "t/year=2024/raw/m%20n=a%2Fb%C3%A9/x.parquet",
            "t/year=__HIVE_DEFAULT_PARTITION__/raw/m%20n=%zz%/x.parquet",
            "t/year=/raw/m%20n=a=b/x.parquet",
        ]);
        assert_eq!(partitions(&root, &["t"]), ["year= m n=a=b", "year=2024 m n=a/bé", "year null m n=%zz%"]);
        assert_eq!(partitions(&root, &["t/*"]), partitions(&root, &["t"]));
        assert_eq!(partitions(&root, &["t/*/raw/*/*.parquet"]), partitions(&root, &["t"]));
        assert_eq!(partitions(&root, &["**/x.parquet"]), partitions(&root, &["t"]));
        // The folders with which the name ends count, whether a shell or this expands the pattern.
        assert_eq!(partitions(&root, &["t/year=2024"]), ["year=2024 m n=a/bé"]);
        assert_eq!(partitions(&root, &["t/year=2024/raw/m*"]), ["m n=a/bé"]);
        assert_eq!(partitions(&root, &["t/year=2024/raw/m%20n=a%2Fb%C3%A9"]), ["m n=a/bé"]);
        assert_eq!(partitions(&root, &["t/year=2024/raw/m%20n=a%2Fb%C3%A9/x.parquet"]), [""]);
        let underscore = tree(&["_k=1/x.parquet", "_temporary/k=2/x.parquet", "=3/x.parq"]);
        assert_eq!(partitions(&underscore, &["_k=1"]), ["_k=1"]);
        assert_eq!(partitions(&underscore, &["?k=*"]), ["_k=1"]);
        assert_eq!(partitions(&underscore, &["=3"]), [""]);
    }

    #[test]
    fn keys_that_differ_are_refused_with_both_files() {
        let root = tree(&["t/a=1/x.parquet", "t/a=2/x.parquet", "t/b=1/x.parquet", "u/a=1/a=2/x.parquet"]);
        let (fact, way_out) = refusal(&root, &["t"]);
        assert_eq!(
            fact,
            "the files lie in different partitions:\n    ROOT/t/a=1/x.parquet: a\n    ROOT/t/b=1/x.parquet: b"
        );
        assert_eq!(way_out, "Name folders with the same key=value levels, in the same order.");
        let (fact, _) = refusal(&root, &["t/a=*", "t/b=1/x.parquet"]);
        assert!(fact.ends_with("ROOT/t/a=1/x.parquet: a\n    ROOT/t/b=1/x.parquet: none"), "{fact}");
        assert_eq!(partitions(&root, &["t/a=*"]), ["a=1", "a=2"]);
        let (fact, _) = refusal(&root, &["u"]);
        assert_eq!(fact, "ROOT/u/a=1/a=2/x.parquet lies in two partitions called `a`");
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is() {
        let root = tree(&["d/README.md", "d/_SUCCESS", "one/x.csv", "e/f.parquet"]);
        fs::create_dir(root.path().join("empty")).expect("a folder");
        let cases = [
            (
                "d",
                "the folder ROOT/d has no file called *.parquet, *.parq or *.pq; there are 2 files by other names",
                "Name the files themselves",
            ),
            (
                "one",
                "the folder ROOT/one has no file called *.parquet, *.parq or *.pq; there is 1 file by another name",
                "Name the files themselves",
            ),
            (
                "empty",
                "the folder ROOT/empty has no file called *.parquet, *.parq or *.pq; there is no file at all",
                "Name the files themselves",
            ),
            ("e/*.parq", "no file matches ROOT/e/*.parq", "looked for in ROOT/e;"),
            ("*/*/*/*", "no file matches ROOT/*/*/*/*", "looked for in ROOT;"),
            ("g/*/x", "ROOT/g does not exist", "the folder ROOT does exist"),
            ("e/g/h.parquet", "ROOT/e/g/h.parquet does not exist", "the folder ROOT/e does exist"),
            ("e/f.parquet/g", "ROOT/e/f.parquet/g does not exist", "ROOT/e/f.parquet exists and is no folder"),
        ];
        for (input, fact, way_out) in cases {
            let (found, out) = refusal(&root, &[input]);
            assert_eq!(found, fact, "{input}");
            assert!(out.contains(way_out), "{input}: {out}");
        }
        let error = find(&["no such file".into()]).expect_err("nothing there");
        assert_eq!(error.fact, "no such file does not exist");
        assert!(error.way_out.starts_with("Check the path; it was looked for in "), "{}", error.way_out);
        let error = find_in(&root, &["e/[f"]).expect_err("no pattern");
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.fact.contains("is no pattern, at `[f`: "), "{}", error.fact);
        assert_eq!(find(&[]).expect("nothing asked"), []);
    }

    #[test]
    fn a_file_counts_once() {
        let root = tree(&["d/a.parquet", "d/b.parquet"]);
        let (fact, way_out) = refusal(&root, &["d/a.parquet", "d/a.parquet"]);
        assert_eq!(fact, "ROOT/d/a.parquet is named twice");
        assert_eq!(way_out, "Name it once; its rows would count twice.");
        let (fact, _) = refusal(&root, &["d/../d/b.parquet", "d"]);
        assert_eq!(fact, "ROOT/d/../d/b.parquet and ROOT/d/b.parquet are the same file");
        assert_eq!(paths(&root, &["d/b.parquet", "d/a*"]), ["d/b.parquet", "d/a.parquet"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_loops_refused() {
        use std::os::unix::fs::symlink;
        use std::os::unix::net::UnixListener;

        let root = tree(&["real/x.parquet", "d/a.parquet", "twice/a.parquet", "loop/in/a.parquet", "dead/a.parquet"]);
        let at = |path: &str| root.path().join(path);
        symlink(at("real"), at("d/linked")).expect("a link");
        symlink("a.parquet", at("twice/b.parquet")).expect("a link");
        symlink(at("loop"), at("loop/in/again")).expect("a link");
        symlink(at("nowhere"), at("dead/.lock")).expect("a link");
        assert_eq!(paths(&root, &["d"]), ["d/a.parquet", "d/linked/x.parquet"]);
        assert_eq!(paths(&root, &["d/*/*"]), ["d/linked/x.parquet"]);
        let (fact, _) = refusal(&root, &["twice"]);
        assert_eq!(fact, "ROOT/twice/a.parquet and ROOT/twice/b.parquet are the same file");
        for input in ["loop", "loop/**/*.parquet", "lo*"] {
            let (fact, way_out) = refusal(&root, &[input]);
            assert_eq!(fact, "ROOT/loop/in/again leads back to ROOT/loop, in which it lies", "{input}");
            assert!(way_out.contains("Remove the link"), "{way_out}");
        }
        assert_eq!(paths(&root, &["loop/in/*.parquet"]), ["loop/in/a.parquet"]);
        // What no part of the pattern leads to is not looked at.
        assert_eq!(paths(&root, &["[d]/**/*.parquet"]), ["d/a.parquet", "d/linked/x.parquet"]);
        // A link to nowhere matters where it was asked for.
        assert_eq!(paths(&root, &["dead"]), ["dead/a.parquet"]);
        symlink(at("nowhere"), at("dead/b.parquet")).expect("a link");
        for input in ["dead", "dead/*"] {
            let (fact, _) = refusal(&root, &[input]);
            assert!(fact.starts_with("ROOT/dead/b.parquet cannot be read: "), "{fact}");
        }
        assert_eq!(paths(&root, &["dead/a*"]), ["dead/a.parquet"]);
        let _socket = UnixListener::bind(at("real/socket.parquet")).expect("a socket");
        for input in ["real/socket.parquet", "real", "real/s*"] {
            assert_eq!(refusal(&root, &[input]).0, "ROOT/real/socket.parquet is no regular file", "{input}");
        }
    }
}
