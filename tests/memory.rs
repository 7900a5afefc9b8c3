//! Tables larger than the memory they may take, as the user meets them: where the chunks go, that the answer does not
//! depend on it, what a run says beforehand, and what the benchmark prints.

/// What tests of the program as a process share; each file takes the parts that it uses.
mod common {
    pub(crate) mod adapter;
    pub(crate) mod data;
    pub(crate) mod fields;
    #[cfg(target_os = "linux")]
    pub(crate) mod peak;
    pub(crate) mod process;
    pub(crate) mod random;
    #[cfg(target_os = "linux")]
    pub(crate) mod running;
    pub(crate) mod says;
}

use std::fs;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use serde_json::{Value, json};

use common::adapter::{has_adapter, skipped};
use common::data::write_parquet;
use common::fields::fields;
#[cfg(target_os = "linux")]
use common::peak::peak;
use common::process::{Place, number};
use common::random::Random;
#[cfg(target_os = "linux")]
use common::running::Running;
use common::says::assert_says;

// ---- checks ---------------------------------------------------------------------------------------------------

/// Asserts that `arguments` are refused with this exit code and a message and a help line of these words, in text and
/// as JSON, and that no file appears.
fn assert_refused(place: &Place, arguments: &str, code: i32, fact: &[&str], way_out: &[&str]) {
    let before = place.files();
    let run = place.run(arguments);
    assert_eq!((run.code, run.stdout.as_str()), (Some(code), ""), "{arguments}: {run:?}");
    assert_says(&run.stderr, &["error:", "help:"]);
    assert_says(&run.stderr, fact);
    assert_says(&run.stderr, way_out);

    let run = place.run(&format!("{arguments} --json"));
    assert_eq!(run.code, Some(code), "{arguments} --json: {run:?}");
    let error = &run.json()["error"];
    assert_eq!(error["exit_code"], code);
    assert_says(error["message"].as_str().expect("a message"), fact);
    assert_says(error["help"].as_str().expect("a way out"), way_out);
    assert_eq!(place.files(), before, "a refused command leaves no file");
}

/// Everything in the model of `train data.parquet --label y` with these arguments but what may differ from run to run.
/// The numbers have the bits of the program's: they read back exactly.
fn answer(place: &Place, arguments: &str) -> Value {
    let mut model = place.done(&format!("train data.parquet --label y {arguments} --json")).json();
    let training = model["training"].as_object_mut().expect("a training part");
    for name in ["seconds", "command"] {
        assert!(training.remove(name).is_some(), "no {name}");
    }
    model
}

/// What a dry run with these arguments says.
fn plan(place: &Place, arguments: &str) -> Value {
    let document = place.done(&format!("train data.parquet --label y {arguments} --dry-run --json")).json();
    assert_eq!(fields(&document), ["plan"]);
    document["plan"].clone()
}

/// A number of chunks or bytes in a plan.
fn placed(plan: &Value, name: &str) -> u64 {
    plan["placement"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {plan:#}"))
}

/// Chunks on the device, in memory and in the scratch file.
fn chunks(plan: &Value) -> [u64; 3] {
    ["device_chunks", "memory_chunks", "scratch_chunks"].map(|name| placed(plan, name))
}

/// Bytes on the device, in memory and in the scratch file.
fn bytes(plan: &Value) -> [u64; 3] {
    ["device_bytes", "memory_bytes", "scratch_bytes"].map(|name| placed(plan, name))
}

const ROWS: u64 = 200_000;
const FEATURES: u64 = 12;

/// `data.parquet` of a size that takes some ten of the smallest chunks.
fn table() -> Place {
    let place = Place::new();
    place.done(&format!("synth -o data.parquet --rows {ROWS} --features {FEATURES}"));
    place
}

// ---- where the chunks are kept --------------------------------------------------------------------------------

/// The least that `--host-memory` must be for this table to stay in memory.
fn whole(place: &Place) -> u64 {
    bytes(&plan(place, "--device cpu --host-memory 0"))[2]
}

#[test]
fn a_plan_places_every_chunk_within_its_limit() {
    let place = table();
    // What a row costs at least on the CPU: features and the label in f32, two margins in f64.
    let table_bytes = ROWS * (4 * (FEATURES + 1) + 16);

    let resident = plan(&place, "--device cpu");
    assert_eq!((&resident["rows"], &resident["features"]), (&json!(ROWS), &json!(FEATURES)));
    assert_eq!((chunks(&resident)[0], chunks(&resident)[2]), (0, 0), "{resident:#}");
    assert!(chunks(&resident)[1] >= 1 && bytes(&resident)[1] >= table_bytes, "{resident:#}");

    let on_disk = plan(&place, "--device cpu --host-memory 0");
    let [_, _, count] = chunks(&on_disk);
    assert_eq!((chunks(&on_disk), bytes(&on_disk)[..2].to_vec()), ([0, 0, count], vec![0, 0]), "{on_disk:#}");
    let whole = bytes(&on_disk)[2];
    assert!(count >= 8, "{on_disk:#}");
    // Padding is a small part.
    assert!((table_bytes..table_bytes * 5 / 4).contains(&whole), "{on_disk:#}");

    let fits = plan(&place, &format!("--device cpu --host-memory {whole}"));
    assert_eq!((chunks(&fits), bytes(&fits)), ([0, count, 0], [0, whole, 0]));

    for limit in [whole - 1, whole / 4 * 3] {
        let half = plan(&place, &format!("--device cpu --host-memory {limit}"));
        let ([_, in_memory, in_scratch], [_, memory, scratch]) = (chunks(&half), bytes(&half));
        assert!(in_memory > 0 && in_scratch > 0, "{half:#}");
        assert_eq!((in_memory + in_scratch, memory + scratch), (count, whole), "{half:#}");
        assert_eq!((memory * count, scratch * count), (in_memory * whole, in_scratch * whole), "{half:#}");
        // What streams needs room within the limit too.
        assert!(memory + whole / count <= limit, "{half:#}");
    }
}

#[test]
fn the_answer_has_the_same_bits_wherever_the_chunks_are() {
    let place = table();
    let half = whole(&place) - 1;
    let [_, in_memory, in_scratch] = chunks(&plan(&place, &format!("--device cpu --host-memory {half}")));
    assert!(in_memory >= 2 && in_scratch >= 2, "{in_memory} and {in_scratch}");
    // Each of them reads and writes other parts of the rows' state.
    for rest in ["", "--inference --robust", "--preconditioner diagonal", "--solver lbfgs", "--solver newton --l2 0.01"]
    {
        let resident = answer(&place, &format!("--device cpu {rest}"));
        assert_eq!(resident["features"].as_array().map(Vec::len), Some(12));
        assert_eq!(resident["training"]["status"], "converged", "{rest}");
        for limit in [0, half] {
            let streamed = answer(&place, &format!("--device cpu {rest} --host-memory {limit}"));
            for part in ["/features", "/intercept", "/training/loss", "/training/passes"] {
                assert!(resident.pointer(part).is_some(), "no {part}");
                assert_eq!(resident.pointer(part), streamed.pointer(part), "{part}: --host-memory {limit} {rest}");
            }
            assert_eq!(resident, streamed, "--host-memory {limit} {rest}");
        }
    }
}

#[test]
fn the_gpus_answer_has_the_same_bits_wherever_the_chunks_are() {
    if !has_adapter() {
        return;
    }
    let place = Place::new();
    // Seven of the smallest chunks. Chunks away from the device visit it in turn in two places: with no more chunks
    // than that, what is left there from the pass before would be right by chance.
    place.done("synth -o data.parquet --rows 350000 --features 5");
    let resident = plan(&place, "--device gpu");
    assert!(chunks(&resident)[0] > 0 && bytes(&resident)[0] > 0, "{resident:#}");
    assert_eq!((&chunks(&resident)[1..], &bytes(&resident)[1..]), (&[0, 0][..], &[0, 0][..]), "{resident:#}");
    let resident = answer(&place, "--device gpu");
    assert_eq!(resident["features"].as_array().map(Vec::len), Some(5));

    let in_memory = plan(&place, "--device gpu --gpu-memory 0");
    let ([_, count, _], [_, whole, _]) = (chunks(&in_memory), bytes(&in_memory));
    assert!(count >= 7, "{in_memory:#}");
    let chunk = whole / count;
    // Room for the two that visit and one that stays, and for all others but one byte.
    let everywhere = format!("--gpu-memory {} --host-memory {}", chunk * 7 / 2, whole - chunk - 1);
    for (limits, wanted) in [
        ("--gpu-memory 0", [false, true, false]),
        ("--gpu-memory 0 --host-memory 0", [false, false, true]),
        (everywhere.as_str(), [true, true, true]),
    ] {
        let limits = format!("--device gpu {limits}");
        let plan = plan(&place, &limits);
        assert_eq!(chunks(&plan).iter().sum::<u64>(), count, "{plan:#}");
        assert_eq!(chunks(&plan).map(|chunks| chunks > 0), wanted, "{limits}: {plan:#}");
        assert_eq!(bytes(&plan).map(|bytes| bytes > 0), wanted, "{limits}: {plan:#}");
        let streamed = answer(&place, &limits);
        for part in ["/features", "/intercept", "/training/loss", "/training/passes"] {
            assert!(resident.pointer(part).is_some(), "no {part}");
            assert_eq!(resident.pointer(part), streamed.pointer(part), "{part}: {limits}");
        }
        assert_eq!(resident, streamed, "{limits}");
    }
}

// ---- how much memory a run takes ------------------------------------------------------------------------------

#[cfg(target_os = "linux")]
#[test]
fn a_table_of_eight_times_the_memory_keeps_to_it() {
    const ROWS: u64 = 2_000_000;
    const FEATURES: u64 = 28;
    let place = Place::new();
    place.done(&format!("synth -o data.parquet --rows {ROWS} --features {FEATURES}"));
    place.done(&format!("synth -o quarter.parquet --rows {} --features {FEATURES}", ROWS / 4));
    // Two threads, since each of them decodes a column of its own.
    let peak = |file: &str, limits: &str| {
        peak(&mut place.command(&format!("train {file} --label y --device cpu --threads 2 {limits}")))
    };
    let decoded = 4 * ROWS * FEATURES;
    let limit = decoded / 8;
    // What a training takes that keeps nothing: it must not grow with the rows, so it is measured on fewer of them. In
    // longer ones up to 10 MiB are left in the allocator's hands between one row group and the next.
    let baseline = peak("quarter.parquet", "--host-memory 0");
    let allowed = baseline + limit + (16 << 20);
    let kept = peak("data.parquet", &format!("--host-memory {limit}"));
    assert!(
        kept <= allowed,
        "{} MiB, {} allowed, {} of them without any table",
        kept >> 20,
        allowed >> 20,
        baseline >> 20
    );
    // The bound is narrow enough to tell a limit from its double.
    let doubled = peak("data.parquet", &format!("--host-memory {}", 2 * limit));
    assert!(doubled > allowed, "{} MiB, {} allowed for half the limit", doubled >> 20, allowed >> 20);
    // Without the limit it takes what the columns take: or the limit would be no news, or something else was measured.
    let free = peak("data.parquet", "");
    assert!(free >= decoded && free > allowed, "{} MiB", free >> 20);
}

#[cfg(target_os = "linux")]
#[test]
fn predictions_take_the_same_memory_for_any_number_of_rows() {
    // Pieces grow with the table up to some four million rows, and no further.
    const ROWS: [u64; 2] = [4_500_000, 9_000_000];
    const FEATURES: u64 = 3;
    let place = Place::new();
    place.done("synth -o small.parquet --rows 20000 --features 3");
    place.done("train small.parquet --label y --device cpu -o model.json");
    let peaks = ROWS.map(|rows| {
        place.done(&format!("synth -o data.parquet --rows {rows} --features {FEATURES}"));
        peak(&mut place.command("predict -m model.json data.parquet -o out.parquet --keep x1,x2,x3,y"))
    });
    let allowed = 300 << 20;
    // All features and predictions together would not fit, nor would what is written of one half of the rows.
    let [least, written] = [FEATURES + 1, FEATURES + 1].map(|columns| 8 * columns * ROWS[1]);
    assert!(least > allowed * 9 / 10 && written / 2 > 2 * (64 << 20));
    assert!(peaks.iter().all(|peak| *peak <= allowed), "{:?} MiB", peaks.map(|peak| peak >> 20));
    assert!(peaks[1] <= peaks[0] + (64 << 20), "{:?} MiB", peaks.map(|peak| peak >> 20));
}

// ---- the scratch file -----------------------------------------------------------------------------------------

#[cfg(target_os = "linux")]
mod scratch {
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn names(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).expect("the folder can be listed").map(|entry| entry.expect("an entry").path()).collect()
    }

    /// Whether a process has a file open that lies in `folder`, with a name or without.
    fn has_open(running: &Running, folder: &Path) -> bool {
        let Ok(open) = fs::read_dir(format!("/proc/{}/fd", running.id())) else { return false };
        open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).any(|path| path.starts_with(folder))
    }

    /// Starts a training whose chunks are all in the folder `scratch`, which is made here.
    fn start(place: &Place, arguments: &str) -> (Running, PathBuf) {
        let folder = place.path("scratch");
        fs::create_dir(&folder).expect("a folder");
        let mut command =
            place.command(&format!("train data.parquet --label y --device cpu --host-memory 0 {arguments}"));
        let running = Running::start(command.args(["--scratch", "scratch", "-o", "model.json"]));
        (running, folder.canonicalize().expect("the folder is there"))
    }

    #[test]
    fn the_scratch_file_has_no_name() {
        let place = table();
        let (mut running, folder) = start(&place, "");
        let mut looks = 0;
        while !running.is_over() {
            looks += usize::from(has_open(&running, &folder));
            assert_eq!(names(&folder), Vec::<PathBuf>::new(), "during the run");
            sleep(Duration::from_millis(1));
        }
        let run = running.end();
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(looks > 0, "no scratch file was seen in {}", folder.display());
        assert_eq!(names(&folder), Vec::<PathBuf>::new(), "after the run");
        assert_eq!(place.files(), ["data.parquet", "model.json", "scratch"]);
    }

    #[test]
    fn an_interrupt_leaves_neither_scratch_nor_model() {
        let place = Place::new();
        place.done("synth -o data.parquet --rows 1000000 --features 12");
        // Never reached: it would go on for tens of seconds.
        let (mut running, folder) = start(&place, "--threads 1 --gradient-tolerance 1e-300 --max-iterations 1000000");
        let start = Instant::now();
        // The output file is begun after the scratch file.
        while !(has_open(&running, &folder) && place.files().iter().any(|name| name.starts_with('.'))) {
            assert!(start.elapsed() <= PATIENCE, "no scratch file or no output file was begun");
            sleep(Duration::from_millis(1));
        }
        // Into the passes, well beyond the reading.
        sleep(Duration::from_millis(300));
        assert!(has_open(&running, &folder), "it ended before it was interrupted");
        assert_eq!(names(&folder), Vec::<PathBuf>::new(), "during the run");
        running.send("-INT");
        let run = running.end();
        assert_eq!((run.code, run.stdout.as_str()), (Some(130), ""), "{run:?}");
        assert_says(&run.stderr, &["interrupted"]);
        assert_eq!(names(&folder), Vec::<PathBuf>::new(), "after the run");
        assert_eq!(place.files(), ["data.parquet", "scratch"]);
    }

    /// A file system of 1 MiB, until it is dropped.
    struct Small<'p>(&'p Path);

    impl<'p> Small<'p> {
        fn mount(folder: &'p Path) -> Result<Self, String> {
            let mut command = Command::new("mount");
            command.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder);
            match command.output() {
                Ok(output) if output.status.success() => Ok(Self(folder)),
                Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
                Err(cause) => Err(cause.to_string()),
            }
        }
    }

    impl Drop for Small<'_> {
        fn drop(&mut self) {
            // No assertion: one that fails while another one is reported would abort and hide it.
            let unmounted = Command::new("umount").arg(self.0).status();
            if !unmounted.is_ok_and(|status| status.success()) {
                let _ = writeln!(std::io::stderr(), "{} is still mounted", self.0.display());
            }
        }
    }

    /// The limit of a control group counts as memory does. What the system says of the groups is replaced for one process, in
    /// a mount namespace of its own: setting a limit takes a mount of the groups that may be written to.
    #[test]
    fn the_limit_of_the_control_group_is_kept() {
        let place = table();
        let listed = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        if listed.is_empty() {
            return skipped("there are no control groups");
        }
        let limit = whole(&place) / 2;
        let write = |limit: &str| {
            let _ = fs::remove_dir_all(place.path("groups"));
            for line in listed.lines() {
                let mut fields = line.splitn(3, ':').skip(1);
                let (controllers, group) = (fields.next().expect("controllers"), fields.next().expect("a group"));
                let (folder, names) = match controllers {
                    "" => (String::new(), ["memory.max", "memory.current"]),
                    _ if controllers.split(',').any(|name| name == "memory") => {
                        ("memory".to_owned(), ["memory.limit_in_bytes", "memory.usage_in_bytes"])
                    }
                    _ => continue,
                };
                let folder = place.path("groups").join(folder).join(group.trim_start_matches('/'));
                fs::create_dir_all(&folder).expect("a folder");
                fs::write(folder.join(names[0]), limit).expect("the limit is written");
                fs::write(folder.join(names[1]), "0").expect("the usage is written");
            }
        };
        let chunks_under = |limit: &str| -> Result<[u64; 3], String> {
            write(limit);
            let mut command = Command::new("unshare");
            let script = "mount --bind groups /sys/fs/cgroup && exec \"$0\" \"$@\"";
            command.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_gpu-logreg")]);
            command.args(["train", "data.parquet", "--label", "y", "--device", "cpu", "--dry-run", "--json"]);
            let output = command.current_dir(place.path(".")).output().map_err(|cause| cause.to_string())?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
            }
            let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            Ok(chunks(&document["plan"]))
        };
        let [_, memory, scratch] = match chunks_under("max") {
            Ok(chunks) => chunks,
            Err(why) => return skipped(&format!("nothing could be mounted over the control groups: {why}")),
        };
        assert!(memory > 0 && scratch == 0, "{memory} chunks in memory, {scratch} in a file");
        let limited = chunks_under(&limit.to_string()).expect("it could be mounted before");
        assert!(limited[2] > 0, "{limited:?} under a limit of {limit} bytes");
    }

    #[test]
    fn a_scratch_folder_without_room_is_refused_before_the_work() {
        let place = table();
        let folder = place.path("small");
        fs::create_dir(&folder).expect("a folder");
        let small = match Small::mount(&folder) {
            Ok(small) => small,
            Err(why) => return skipped(&format!("no small file system could be mounted: {why}")),
        };
        let needed = format!("needs {:.0} MB", whole(&place) as f64 / 1e6);
        let arguments = "train data.parquet --label y --device cpu --host-memory 0 --scratch small -o model.json";
        let fact = ["scratch", &needed, "small", "1 MB free"];
        assert_refused(&place, arguments, 6, &fact, &["--scratch", "--host-memory"]);
        assert_eq!(names(&folder), Vec::<PathBuf>::new());
        // Where everything fits into memory, the folder does not matter.
        place.done("train data.parquet --label y --device cpu --scratch small");
        drop(small);
    }
}

#[test]
fn a_scratch_folder_that_is_not_there_is_refused() {
    let place = table();
    fs::write(place.path("file"), "no folder").expect("the file is written");
    for name in ["nowhere", "file"] {
        let arguments = format!("train data.parquet --label y --device cpu --scratch {name} -o model.json");
        assert_refused(&place, &arguments, 2, &["--scratch", name, "no such folder"], &["another"]);
    }
}

// ---- sizes ----------------------------------------------------------------------------------------------------

#[test]
fn a_size_has_a_unit_that_counts() {
    let place = table();
    for flag in ["--host-memory", "--gpu-memory"] {
        for size in ["12XB", "GB", "some"] {
            let arguments = format!("train data.parquet --label y --device cpu {flag} {size} --dry-run");
            assert_refused(&place, &arguments, 2, &[flag, size], &["6GB", "512MiB"]);
        }
    }
    for size in ["0", "1.5GB", "512MiB"] {
        let [device, memory, scratch] = chunks(&plan(&place, &format!("--device cpu --host-memory {size}")));
        assert_eq!((device, memory == 0, scratch > 0), (0, size == "0", size == "0"), "{size}");
        place.done(&format!("train data.parquet --label y --device cpu --gpu-memory {size} --dry-run"));
    }
    // As many MB as MiB are a little less: enough to tell the two apart for this table.
    let whole = whole(&place);
    let count = whole.div_ceil(1 << 20);
    assert!(count * 1_000_000 < whole, "{whole} bytes are no good example");
    for (unit, fits) in [("MiB", true), ("MB", false)] {
        let [_, _, scratch] = chunks(&plan(&place, &format!("--device cpu --host-memory {count}{unit}")));
        assert_eq!(scratch == 0, fits, "{count}{unit}");
    }
}

// ---- dry runs -------------------------------------------------------------------------------------------------

#[test]
fn a_dry_run_prints_the_plan_and_writes_nothing() {
    let place = table();
    let files = "-o model.json --history history.jsonl --covariance covariance.json";
    for limits in ["", "--host-memory 0"] {
        let train = format!("train data.parquet --label y --device cpu {limits}");
        let run = place.done(&format!("{train} {files} --dry-run"));
        assert_eq!((run.stderr.as_str(), run.stdout.lines().count()), ("", 1), "{run:?}");
        assert_says(&run.stdout, &["200000 rows", "12 features", "CPU", "MB in", "passes"]);
        assert_says(&run.stdout, &[if limits.is_empty() { "memory" } else { "scratch" }]);
        let document = place.done(&format!("{train} {files} --dry-run --json")).json();
        assert_eq!(
            fields(&document["plan"]),
            [
                "categories",
                "device",
                "features",
                "levels",
                "passes",
                "placement",
                "preconditioner_bytes",
                "rows",
                "working_bytes",
            ]
        );
        let [least, most] = ["/plan/passes/0", "/plan/passes/1"].map(|path| number(&document, path));
        assert!(1.0 <= least && least <= most, "{document:#}");
        assert_eq!(place.files(), ["data.parquet"]);
        // A run that does the work says the same before it, and keeps to it.
        let note = format!("note: {}", run.stdout);
        let run = place.done(&format!("{train} --json"));
        assert!(run.stderr.contains(&note), "`{note}` is not in {run:?}");
        let passes = number(&run.json(), "/training/passes/data");
        assert!((least..=most).contains(&passes), "{passes} passes instead of {least} to {most}");
    }
}

#[test]
fn a_dry_run_reads_no_rows() {
    let place = table();
    let mut bytes = place.read("data.parquet");
    // The footer stays: its length comes before the last magic number.
    let end = bytes.len();
    let length: [u8; 4] = bytes[end - 8..end - 4].try_into().expect("four bytes");
    let footer = u32::from_le_bytes(length) as usize + 8;
    bytes[4..end - footer].fill(0xff);
    fs::write(place.path("data.parquet"), bytes).expect("the file is written");
    let arguments = "train data.parquet --label y --device cpu";
    let run = place.run(arguments);
    assert_eq!(run.code, Some(3), "there were rows to miss: {run:?}");
    let run = place.done(&format!("{arguments} --dry-run"));
    assert_says(&run.stdout, &["200000 rows", "12 features"]);
}

#[test]
fn a_dry_run_refuses_what_the_run_would_refuse() {
    let place = table();
    let arguments = "train data.parquet --label z --device cpu -o model.json --dry-run";
    assert_refused(&place, arguments, 3, &["z"], &[]);
}

// ---- the benchmark --------------------------------------------------------------------------------------------

const STAGES: [&str; 7] = ["decode", "read", "upload", "evaluate", "probe", "hessian", "train"];

#[test]
fn bench_json_has_a_figure_for_every_stage() {
    let place = Place::new();
    let figures = place.done("bench --rows 20000 --features 3 --compare cpu --runs 1 --json").json();
    assert_eq!(
        (&figures["rows"], &figures["features"], &figures["runs"]),
        (&json!(20_000), &json!(3), &json!(1)),
        "{figures:#}"
    );
    assert_eq!(figures["machines"].as_array().map(Vec::len), Some(1));
    let bandwidth = number(&figures, "/machines/0/bandwidth");
    assert!(bandwidth > 0.0);
    let stages = figures["stages"].as_array().expect("a list of stages");
    assert_eq!(stages.iter().map(|stage| stage["stage"].as_str()).collect::<Vec<_>>(), STAGES.map(Some));
    for stage in stages {
        assert_eq!(stage["device"], "cpu");
        let [seconds, fastest, slowest] = ["/seconds", "/fastest", "/slowest"].map(|path| number(stage, path));
        assert!(0.0 < fastest && fastest <= seconds && seconds <= slowest, "{stage}");
        // Decoding and the solver are bound by more than the memory.
        let streams = ["evaluate", "probe", "hessian"].contains(&stage["stage"].as_str().expect("a name"));
        assert_eq!(stage["share"].is_number(), streams, "{stage}");
        if streams {
            let share = number(stage, "/bytes") / seconds / bandwidth;
            assert!((number(stage, "/share") - share).abs() <= 1e-9 * share, "{stage}");
        }
    }
    // A row is three features and the label in f32, and two margins in f64.
    let evaluate = stages.iter().find(|stage| stage["stage"] == "evaluate").expect("just seen");
    assert_eq!(evaluate["bytes"], 20_000 * (4 * (3 + 1) + 16));
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn bench_prints_a_table_of_the_stages_of_a_file() {
    let place = Place::new();
    place.done("synth -o data.parquet --rows 30000 --features 4");
    let run = place.done("bench data.parquet --label y --compare cpu --runs 2 --host-memory 0");
    assert_says(&run.stdout, &["30000 rows", "4 features", "2 runs", "GB/s", "bandwidth"]);
    for stage in STAGES {
        let line = run.stdout.lines().find(|line| line.starts_with(stage));
        let words: Vec<&str> = line.unwrap_or_else(|| panic!("no {stage} in {run:?}")).split_whitespace().collect();
        assert_eq!(words[1], "cpu", "{words:?}");
        assert!(words[2].parse::<f64>().is_ok_and(|milliseconds| milliseconds > 0.0), "{words:?}");
        assert_eq!(words.last() == Some(&"%"), ["evaluate", "probe", "hessian"].contains(&stage), "{words:?}");
    }
    assert_eq!(place.files(), ["data.parquet"]);
}

/// Numbers made up in memory, of two classes and of several: no file is written, and only the passes are timed.
#[test]
fn bench_without_a_file_times_the_passes() {
    let place = Place::new();
    let devices = if has_adapter() { "cpu,gpu" } else { "cpu" };
    for classes in [2, 4] {
        let flags = format!("--rows 3000 --features 5 --classes {classes} --compare {devices} --runs 1 --chunk 16KiB");
        let figures = place.done(&format!("bench --no-file {flags} --json")).json();
        assert_eq!(figures["classes"], if classes > 2 { json!(classes) } else { json!(null) });
        let stages = figures["stages"].as_array().expect("a list of stages");
        for device in devices.split(',') {
            let names = stages.iter().filter(|stage| stage["device"] == device).map(|stage| stage["stage"].as_str());
            assert_eq!(names.collect::<Vec<_>>(), ["upload", "evaluate", "probe", "hessian"].map(Some), "{figures:#}");
        }
        // A GPU with a clock tells of every kernel.
        let Some(kernels) = figures["kernels"].as_array() else { continue };
        let of = |stage: &str, kernel: &str| {
            let found = kernels.iter().find(|entry| entry["stage"] == stage && entry["kernel"] == kernel);
            found.unwrap_or_else(|| panic!("no {kernel} of {stage}: {figures:#}"))
        };
        let evaluated = if classes > 2 { of("evaluate", "softmax_terms") } else { of("evaluate", "evaluate") };
        assert!(number(evaluated, "/seconds") > 0.0 && number(evaluated, "/dispatches") >= 2.0, "{figures:#}");
    }
    assert_eq!(place.files(), Vec::<String>::new());
}

/// Levels of text columns are no numbers, and three classes no two: what is timed is the objective of the file's model, whose
/// mean loss is known where all parameters are 0.01.
#[test]
fn bench_measures_the_model_of_the_file() {
    const ROWS: usize = 3_000;
    let place = Place::new();
    let text = |name: &'static str, levels: usize, seed: u64| -> (&'static str, Vec<usize>) {
        let mut random = Random(seed);
        (name, (0..ROWS).map(|_| (random.unit() * levels as f64) as usize).collect())
    };
    let columns = [text("a", 40, 1), text("b", 7, 2), text("class", 3, 3)];
    let arrays = columns.iter().map(|(name, codes)| {
        let values = codes.iter().map(|code| format!("{name}{code:02}"));
        (*name, Arc::new(StringArray::from_iter_values(values)) as ArrayRef)
    });
    write_parquet(&place.path("data.parquet"), &arrays.collect::<Vec<_>>(), 1_000);
    let devices = if has_adapter() { "cpu,gpu" } else { "cpu" };
    let figures = place.done(&format!("bench data.parquet --label class --compare {devices} --runs 1 --json")).json();
    assert_eq!((&figures["features"], &figures["classes"]), (&json!(39 + 6), &json!(3)), "{figures:#}");
    // The first level in order is the reference.
    let loss = |row: usize| {
        let margin = 0.01 * (1 + usize::from(columns[0].1[row] > 0) + usize::from(columns[1].1[row] > 0)) as f64;
        let of_label = if columns[2].1[row] > 0 { margin } else { 0.0 };
        (1.0 + 2.0 * margin.exp()).ln() - of_label
    };
    let expected = (0..ROWS).map(loss).sum::<f64>() / ROWS as f64;
    assert!((expected - 3.0_f64.ln()).abs() > 1e-4, "the control: at 0 it is ln 3");
    for machine in figures["machines"].as_array().expect("a list of devices") {
        let found = number(machine, "/loss");
        let tolerance = if machine["device"] == "cpu" { 1e-12 } else { 1e-6 };
        assert!((found - expected).abs() <= tolerance, "{machine}: {found} {expected}");
    }
}

#[test]
fn bench_refuses_what_it_cannot_measure() {
    let place = Place::new();
    let bench = "bench --rows 1000 --features 2";
    assert_refused(&place, "bench --no-file --rows 0 --compare cpu", 2, &["0 rows"], &["a row"]);
    assert_refused(&place, "bench --no-file --classes 1 --compare cpu", 2, &["1 classes"], &["two classes"]);
    assert_refused(&place, &format!("{bench} --compare cpu --runs 0"), 2, &["--runs 0"], &["from 1"]);
    assert_refused(&place, &format!("{bench} --compare nonsense-name --runs 1"), 5, &["adapter"], &[]);
    assert_refused(&place, &format!("{bench} --compare cpu --host-memory 12XB"), 2, &["--host-memory"], &["6GB"]);
    assert_refused(&place, &format!("{bench} --compare cpu --scratch nowhere"), 2, &["nowhere"], &["another"]);
}
