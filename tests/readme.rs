//! README's commands, run as they stand there: those with an output print it, and the others end well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A path of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A command of a fenced block, and the lines that are shown behind it; none in blocks of commands alone.
#[derive(Debug)]
struct Shown {
    command: String,
    output: Option<Vec<String>>,
}

/// The commands of all fenced blocks of a page: lines behind `$ ` with what they print, and all lines of `sh` blocks.
fn commands(page: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    let mut language: Option<&str> = None;
    for line in page.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            language = if language.is_some() { None } else { Some(fence) };
            continue;
        }
        match (language, line.strip_prefix("$ ")) {
            (Some("text"), Some(command)) => {
                found.push(Shown { command: command.into(), output: Some(Vec::new()) });
            }
            (Some("text"), None) => {
                let shown = found.last_mut().and_then(|shown| shown.output.as_mut());
                shown.expect("a command before its output").push(line.into());
            }
            (Some("sh"), _) => found.push(Shown { command: line.into(), output: None }),
            // What the examples do, in short, which are compiled and run; and what the tests of the Python package run.
            (None | Some("rust" | "python"), _) => {}
            (Some(other), _) => panic!("a block of `{other}`, which nothing here runs"),
        }
    }
    assert_eq!(language, None, "a block without an end");
    found
}

/// The words of a command line; quotes keep what stands between them together.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in command.chars() {
        match quote {
            None if c == ' ' => words.push(String::new()),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(end) if c == end => quote = None,
            _ => words.last_mut().expect("one word at least").push(c),
        }
    }
    words
}

/// The program's arguments in a command; `None` for the tests themselves.
fn arguments(command: &str) -> Option<Vec<String>> {
    if command == "bash tests/run.sh" {
        return None;
    }
    let rest = command.strip_prefix("gpu-logreg ").or_else(|| command.strip_prefix("cargo run --release -- "));
    Some(words(rest.unwrap_or_else(|| panic!("`{command}` is no command of the program"))))
}

/// A folder with the examples, and new rows for a model.
fn place() -> TempDir {
    let place = tempfile::tempdir().expect("a temporary folder");
    let examples = place.path().join("examples");
    fs::create_dir(&examples).expect("a folder");
    for entry in fs::read_dir(repository("examples")).expect("the examples are listed") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), examples.join(entry.file_name())).expect("an example is copied");
    }
    fs::copy(examples.join("weather.parquet"), place.path().join("new.parquet")).expect("it is copied");
    place
}

/// What a command of the program prints, which must end well.
fn printed(folder: &Path, arguments: &[String]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_gpu-logreg"));
    program.env_remove("GPU_LOGREG_DEVICE").env_remove("GPU_LOGREG_THREADS").stdin(Stdio::null());
    let output = program.args(arguments).current_dir(folder).output().expect("the program starts");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("stdout is UTF-8")
}

/// A line without what differs from one machine to the next: the device, seconds, and the digits of a distance that is
/// next to nothing, which are rounding.
fn masked(line: &str) -> String {
    let digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "#");
    match line.split_once(' ') {
        Some(("device", _)) => "device".into(),
        Some(("seconds", _)) => digits(line),
        Some(("distance", rest)) => {
            let first = rest.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
            assert!(first.is_some_and(|distance| distance <= 1e-4), "not within the tolerance: {line}");
            digits(line)
        }
        _ => line.into(),
    }
}

/// Compares what was printed with what is shown, line by line; a line of three dots stands for any others. Gives how many
/// lines were compared.
fn check(printed: &str, shown: &[String]) -> Result<usize, String> {
    let mut printed = printed.lines();
    let mut compared = 0;
    let mut skips = false;
    for shown in shown {
        if shown == "..." {
            skips = true;
            continue;
        }
        let found = printed.by_ref().find(|line| !skips || masked(line) == masked(shown));
        match found {
            Some(line) if masked(line) == masked(shown) => compared += 1,
            other => return Err(format!("`{shown}` is shown, and printed was {other:?}")),
        }
        skips = false;
    }
    match printed.next() {
        Some(line) if !skips => Err(format!("`{line}` is not shown")),
        _ => Ok(compared),
    }
}

/// Runs all commands of a page of the repository; gives how many there were, and how many lines were compared.
fn check_page(name: &str) -> (usize, usize) {
    let commands = commands(&fs::read_to_string(repository(name)).expect("the page is there"));
    let place = place();
    let mut lines = 0;
    for Shown { command, output } in &commands {
        let Some(arguments) = arguments(command) else {
            assert!(repository("tests/run.sh").exists());
            continue;
        };
        let printed = printed(place.path(), &arguments);
        if let Some(shown) = output {
            lines += check(&printed, shown).unwrap_or_else(|fault| panic!("{name}, {command}: {fault}"));
        }
    }
    (commands.len(), lines)
}

#[test]
fn the_readme_shows_what_its_commands_print() {
    let (commands, lines) = check_page("README.md");
    assert!(commands >= 9 && lines >= 15 + 9, "{commands} commands, {lines} lines");
}

#[test]
fn the_two_main_commands_are_those_of_the_readme() {
    let commands = commands(&fs::read_to_string(repository("README.md")).expect("the README is there"));
    let first: Vec<&str> = commands.iter().take(2).map(|shown| shown.command.as_str()).collect();
    assert_eq!(
        first,
        ["cargo run --release -- train examples/weather.parquet --label rain --features temp_max", "bash tests/run.sh"]
    );
}

#[test]
fn the_commands_of_the_examples_end_well() {
    let (commands, _) = check_page("examples/README.md");
    assert!(commands >= 5, "{commands} commands");
}

#[test]
fn an_output_that_is_not_what_is_shown_is_noticed() {
    let shown: Vec<String> =
        ["model      m", "seconds    0.001 read", "...", "x          1.25"].map(str::to_owned).to_vec();
    let check = |printed: &str| check(printed, &shown);
    assert_eq!(check("model      m\nseconds    0.027 read\n\nhead\nx          1.25\n"), Ok(3));
    for printed in [
        "",
        "model      m\nx          1.25\n",
        "model      m\nseconds    0.027 reads\nx          1.25\n",
        "model      m\nseconds    0.027 read\nx          1.26\n",
        "model      m\nseconds    0.027 read\nx          1.25\nmore\n",
    ] {
        assert!(check(printed).is_err(), "{printed}");
    }
    assert_eq!(words("a --where \"x = '1 2'\" 'b c'"), ["a", "--where", "x = '1 2'", "b c"]);
    assert_eq!(arguments("bash tests/run.sh"), None);
}
