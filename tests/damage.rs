//! Damaged Parquet files: bits flipped, bytes overwritten, ranges zeroed and swapped, ends cut off, numbers of the footer
//! changed. Nothing may panic, hang or take memory without end; and where pages have checksums, the answer is that of the
//! whole file, or the file is refused as data that cannot be used. Without checksums other answers cannot be excluded: they
//! are counted, and none may contradict what the footer says of the values.
//!
//! A run takes 2,000 files of a series; `GPU_LOGREG_DAMAGED_FILES` is another number, `GPU_LOGREG_DAMAGED_FROM` begins
//! elsewhere, and `tests/campaigns/damage.sh` takes 20,000. With `GPU_LOGREG_DAMAGED_TO` the files with which something is
//! wrong are kept in that folder.

#[allow(dead_code, reason = "each test file takes the parts that it uses")]
mod common {
    pub(crate) mod random;
}
#[allow(dead_code, reason = "each test file uses its part of the harness")]
mod harness;
#[allow(dead_code, reason = "each test file uses its part of the damage")]
mod wreck;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gpu_logreg::data::inspect::inspect;
use gpu_logreg::data::{Nulls, Spec, Table};
use gpu_logreg::engine::Selection;
use gpu_logreg::error::Kind;
use gpu_logreg::monitor::Silent;
use gpu_logreg::train::{Job, train};
use serde_json::Value;

use common::random::Random;
use harness::{Check, Suite};
use wreck::{Base, KINDS, bases, contradiction, damaged};

const FILES: u64 = 2_000;

/// Files of the series with which something was wrong once, beside what a run takes: a chunk that goes on into the next one,
/// levels that are read as truth values, and a header of a page with a list that never ends.
const KNOWN: [u64; 3] = [5_345, 7_687, 7_000];

/// One of so many files is given to the program too, to train and another one to predict.
const TO_THE_PROGRAM: u64 = 80;

/// A file of this size may take so long on a busy machine, and so much memory.
const LONGEST: Duration = Duration::from_secs(30);
const MOST_MEMORY: u64 = 512 << 20;

/// How a training ended.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    /// With these numbers.
    Answer(String),
    /// Refused as data.
    Refused(String),
    /// As nothing may end.
    Fault(String),
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: a number")))
}

/// What a model says, but for names: all its numbers, as text.
fn answer(model: &Value) -> String {
    let mut text = format!("{} {} {}", model["training"]["rows"], model["training"]["positives"], model["intercept"]);
    for feature in model["features"].as_array().into_iter().flatten() {
        for part in ["coefficient", "mean", "scale", "fill", "filled"] {
            write!(text, " {}", feature[part]).expect("a text takes it");
        }
    }
    text
}

fn spec(base: &Base) -> Spec {
    Spec {
        label: Some("y".into()),
        features: (!base.features.is_empty()).then(|| base.features.iter().map(|name| (*name).to_owned()).collect()),
        nulls: if base.nulls { Nulls::Indicator } else { Nulls::Error },
        ..Spec::default()
    }
}

/// Trains on a file, and looks at it as `inspect` does.
fn outcome(path: &Path, base: &Base) -> Outcome {
    let job = Job::new(spec(base), Selection::Cpu);
    let run = || {
        let _ = inspect(path);
        Table::open(path).and_then(|table| train(&table, &job, &Silent, &mut |_| {}))
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(model)) => Outcome::Answer(answer(&serde_json::from_str(&model.to_json()).expect("a model is JSON"))),
        Ok(Err(error)) if error.kind == Kind::Data => Outcome::Refused(error.fact),
        Ok(Err(error)) => Outcome::Fault(format!("{:?}: {}", error.kind, error.fact)),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Outcome::Fault(format!("panic: {text}"))
        }
    }
}

/// The same by the program; the model is left at `model`, if that is given.
fn outcome_of_program(path: &Path, base: &Base, model: Option<&Path>) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-logreg"));
    command.arg("train").arg(path).args(["--label", "y", "--device", "cpu", "--json"]);
    if let Some(model) = model {
        command.arg("-o").arg(model);
    }
    if !base.features.is_empty() {
        command.args(["--features", &base.features.join(",")]);
    }
    if base.nulls {
        command.args(["--nulls", "indicator"]);
    }
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    let document = serde_json::from_slice::<Value>(&output.stdout);
    match (output.status.code(), document) {
        (Some(0), Ok(model)) => Outcome::Answer(answer(&model)),
        (Some(3), Ok(error)) => Outcome::Refused(error["error"]["message"].as_str().unwrap_or_default().to_owned()),
        (code, _) => Outcome::Fault(format!("exit code {code:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// What the program predicts with a model.
fn predictions(path: &Path, model: &Path) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-logreg"));
    command.arg("predict").arg(path).arg("-m").arg(model).args(["-o", "-", "--quiet"]);
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    match (output.status.code(), String::from_utf8(output.stdout)) {
        (Some(0), Ok(text)) => Outcome::Answer(text),
        (Some(3), _) => Outcome::Refused(String::from_utf8_lossy(&output.stderr).into_owned()),
        (code, _) => {
            Outcome::Fault(format!("predict: exit code {code:?}: {}", String::from_utf8_lossy(&output.stderr)))
        }
    }
}

/// What was counted of one kind of damage.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    files: usize,
    refused: usize,
    same: usize,
    /// Another answer, in a file with checksums or without.
    other: [usize; 2],
    contradicting: usize,
}

#[derive(Default)]
struct Found {
    tallies: BTreeMap<&'static str, Tally>,
    faults: Vec<String>,
}

/// What is wrong with an outcome. Without checksums, another answer is wrong only if it contradicts the footer.
fn verdict(base: &Base, bytes: &[u8], outcome: &Outcome, tally: &mut Tally) -> Check {
    tally.files += 1;
    match outcome {
        Outcome::Refused(_) => tally.refused += 1,
        Outcome::Fault(fault) => return Err(fault.clone()),
        Outcome::Answer(found) if *found == base.answer => tally.same += 1,
        Outcome::Answer(found) if base.checksums => {
            tally.other[0] += 1;
            return Err(format!("another answer in spite of checksums: {}", difference(&base.answer, found)));
        }
        Outcome::Answer(_) => {
            tally.other[1] += 1;
            if let Some(what) = contradiction(bytes, base) {
                tally.contradicting += 1;
                return Err(format!("another answer, and {what}"));
            }
        }
    }
    Ok(())
}

/// The first numbers that differ.
fn difference(expected: &str, found: &str) -> String {
    let pairs = expected.split(' ').zip(found.split(' ')).enumerate();
    let different: Vec<String> = pairs
        .filter(|(_, (a, b))| a != b)
        .take(3)
        .map(|(place, (a, b))| format!("{a} became {b} at {place}"))
        .collect();
    let (all, now) = (expected.split(' ').count(), found.split(' ').count());
    format!("{} ({all} numbers, now {now})", different.join(", "))
}

/// The most memory that this process has had, in bytes.
fn peak() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn damage_is_seen() -> Check {
    let mut all = bases();
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    for base in &mut all {
        let path = folder.path().join("whole.parquet");
        fs::write(&path, &base.bytes).map_err(|e| e.to_string())?;
        let model = folder.path().join(&base.name);
        let by_program = outcome_of_program(&path, base, Some(&model));
        match (outcome(&path, base), predictions(&path, &model)) {
            (Outcome::Answer(answer), Outcome::Answer(predictions)) => {
                if by_program != Outcome::Answer(answer.clone()) || predictions.lines().count() < 100 {
                    return Err(format!("{}: {answer}, {by_program:?}, {predictions}", base.name));
                }
                (base.answer, base.predictions) = (answer, predictions);
            }
            other => return Err(format!("{}: {other:?}", base.name)),
        }
        if let Some(what) = contradiction(&base.bytes, base) {
            return Err(format!("{} as it is: {what}", base.name));
        }
        controls(base)?;
    }
    let (first, count) = (number("GPU_LOGREG_DAMAGED_FROM", 0), number("GPU_LOGREG_DAMAGED_FILES", FILES));
    let start = Instant::now();
    let before = peak();
    let seeds: Vec<u64> = (first..first + count).chain(KNOWN).collect();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Found::default());
    // What each worker has in hand, for the one who watches: a number of the series, and since when.
    let hands: [Mutex<Option<(u64, Instant)>>; 2] = Default::default();
    let over = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for hand in &hands {
            let (all, found, next, seeds, over, folder) = (&all, &found, &next, &seeds, &over, folder.path());
            scope.spawn(move || {
                while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    *hand.lock().expect("nobody panics with it") = Some((seed, Instant::now()));
                    one(seed, all, folder, before, found);
                }
                *hand.lock().expect("nobody panics with it") = None;
                over.fetch_add(1, Ordering::Relaxed);
            });
        }
        let (hands, over, found) = (&hands, &over, &found);
        scope.spawn(move || {
            while over.load(Ordering::Relaxed) < hands.len() {
                for hand in hands {
                    let held = *hand.lock().expect("nobody panics with it");
                    if let Some((seed, _)) = held.filter(|(_, since)| since.elapsed() > LONGEST) {
                        // A thread cannot be ended, so the run is.
                        let found = found.lock().expect("nobody panics with it");
                        eprintln!("file {seed} of the series hangs; before it:\n{}", found.faults.join("\n"));
                        std::process::exit(101);
                    }
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        });
    });
    let found = found.into_inner().expect("nobody panics with it");
    println!("{count} damaged files in {:.1} s", start.elapsed().as_secs_f64());
    for (kind, tally) in &found.tallies {
        println!(
            "{kind:40} {:5} files: {:5} refused, {:5} the same answer, {:3} another with checksums, {:3} without, {:3} of \
             them against the footer",
            tally.files, tally.refused, tally.same, tally.other[0], tally.other[1], tally.contradicting
        );
    }
    let sum = |of: fn(&Tally) -> usize| found.tallies.values().map(of).sum::<usize>();
    if count >= FILES && (found.tallies.len() < KINDS || sum(|t| t.refused) * 4 < count as usize) {
        return Err(format!("the damage is too little: {:?}", found.tallies));
    }
    if found.faults.is_empty() {
        return Ok(());
    }
    let most = number("GPU_LOGREG_DAMAGED_SHOWN", 40) as usize;
    let shown: Vec<&str> = found.faults.iter().take(most).map(String::as_str).collect();
    Err(format!("{} faults:\n{}", found.faults.len(), shown.join("\n")))
}

/// One file of the series.
fn one(seed: u64, all: &[Base], folder: &Path, before: u64, found: &Mutex<Found>) {
    let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let base = &all[(seed % all.len() as u64) as usize];
    let wreck = damaged(&base.bytes, &mut random);
    // Under a name that says which it was, if the process does not survive it.
    let path = folder.join(format!("{seed}.parquet"));
    fs::write(&path, &wreck.bytes).expect("the file is written");
    let outcome = outcome(&path, base);
    let by_program = seed.is_multiple_of(TO_THE_PROGRAM).then(|| outcome_of_program(&path, base, None));
    let predicted = (seed % TO_THE_PROGRAM == TO_THE_PROGRAM / 2).then(|| predictions(&path, &folder.join(&base.name)));
    let _ = fs::remove_file(&path);
    let mut found = found.lock().expect("nobody panics with it");
    let tally = found.tallies.entry(wreck.kind).or_default();
    let mut faults = Vec::new();
    faults.extend(verdict(base, &wreck.bytes, &outcome, tally).err());
    if let Some(other) = by_program {
        let alike = match (&outcome, &other) {
            (Outcome::Answer(a), Outcome::Answer(b)) => a == b,
            (Outcome::Refused(_), Outcome::Refused(_)) => true,
            _ => matches!(outcome, Outcome::Fault(_)),
        };
        if !alike {
            faults.push(format!("the library says {outcome:?}, the program {other:?}"));
        }
    }
    match predicted {
        Some(Outcome::Fault(fault)) => faults.push(fault),
        Some(Outcome::Answer(text)) if base.checksums && text != base.predictions => {
            faults.push("other predictions in spite of checksums".into());
        }
        _ => (),
    }
    if peak() > before + MOST_MEMORY {
        faults.push(format!("{} MB of memory", peak() >> 20));
    }
    if let Some(to) = std::env::var_os("GPU_LOGREG_DAMAGED_TO").filter(|_| !faults.is_empty()) {
        fs::write(Path::new(&to).join(format!("{seed}.parquet")), &wreck.bytes).expect("the file is kept");
    }
    for fault in faults {
        found.faults.push(format!("{seed}, {}, {}, {}: {fault}", base.name, wreck.kind, wreck.what));
    }
}

/// The rule sees answers that are silently others, and whatever is no refusal.
fn controls(base: &Base) -> Check {
    let mut tally = Tally::default();
    let mut wrong = |outcome: Outcome, bytes: &[u8]| verdict(base, bytes, &outcome, &mut tally).is_err();
    // A number in another place of the answer.
    let other = Outcome::Answer(format!("{} 1", base.answer));
    let sees = wrong(other.clone(), &base.bytes);
    if sees != base.checksums {
        return Err(format!("{}: another answer is seen: {sees}", base.name));
    }
    if !wrong(Outcome::Fault("Internal: a fault".into()), &base.bytes) {
        return Err("a fault passes".into());
    }
    if wrong(Outcome::Answer(base.answer.clone()), &base.bytes)
        || wrong(Outcome::Refused("damaged".into()), &base.bytes)
    {
        return Err("what is right does not pass".into());
    }
    if base.checksums {
        return Ok(());
    }
    // A footer that says another number of nulls, and one with another bound.
    for (what, bytes) in wreck::against_the_footer(&base.bytes) {
        if !wrong(other.clone(), &bytes) {
            return Err(format!("{}: {what} passes", base.name));
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    // Panics are counted, with their messages; nobody wants to see them one by one.
    std::panic::set_hook(Box::new(|_| ()));
    let mut suite = Suite::new();
    suite.cpu("damage_is_seen", damage_is_seen);
    suite.run()
}
