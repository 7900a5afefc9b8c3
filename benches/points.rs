//! What several points in one pass cost beside one, on the CPU: the ratio of medians of passes in turn.
//!
//! The floor is the larger of two: what the same points take on rows that a second-level cache holds already, as many times as
//! the table has such rows, shared by all threads (the operations at their rate), and one pass at one point, which reads the
//! features once.

use std::time::Instant;

use gpu_logreg::data::{Column, Shape};
use gpu_logreg::engine::cpu::CpuTableBuilder;
use gpu_logreg::engine::storage::Limits;
use gpu_logreg::engine::work::Work;
use gpu_logreg::engine::{Engine, TableBuilder};
use gpu_logreg::objective::Need;

const POINTS: usize = 8;
const RUNS: usize = 9;

fn table(rows: usize, features: usize) -> Box<dyn Engine> {
    let mut table = Box::new(CpuTableBuilder::within(Shape::plain(rows, features), &Limits::default()).expect("room"));
    let store = table.as_store();
    let mut state = 1_u64;
    let mut unit = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    for feature in 0..features {
        let column: Vec<f32> = (0..rows).map(|_| 2.0 * unit() - 1.0).collect();
        store.write(Column::Feature(feature), 0, &column).expect("writes");
    }
    let labels: Vec<f32> = (0..rows).map(|_| f32::from(u8::from(unit() < 0.4))).collect();
    store.write(Column::Label, 0, &labels).expect("writes");
    drop(store);
    table.finish().expect("a table")
}

fn seconds(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64()
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn main() {
    println!(
        "{:>10} {:>5} {:>12} {:>12} {:>12} {:>7} {:>14}",
        "rows", "d", "1 point ms", "8 points ms", "floor ms", "ratio", "of the floor"
    );
    for (rows, features) in [(2_000_000, 28), (200_000, 256), (50_000, 1000)] {
        let points: Vec<Vec<f64>> = (0..POINTS)
            .map(|p| (0..=features).map(|j| ((p * 31 + j * 7) % 13) as f64 / 13.0 / (features as f64).sqrt()).collect())
            .collect();
        let work: Vec<Work<'_>> = points.iter().map(|point| Work::at(point)).collect();
        let mut engine = table(rows, features);
        let few = (1 << 19) / 4 / features / 32 * 32;
        let mut cached = table(few, features);
        let [mut one, mut several, mut of_cache] = [const { Vec::new() }; 3];
        for _ in 0..=RUNS {
            one.push(seconds(|| drop(engine.move_to(&points[0], Need::Gradient).expect("a pass"))));
            several.push(seconds(|| drop(engine.run(&work).expect("a pass"))));
            of_cache.push(seconds(|| {
                for _ in 0..50 {
                    drop(cached.run(&work).expect("a pass"));
                }
            }));
        }
        let [one, several, of_cache] = [one, several, of_cache].map(|seconds| median(seconds[1..].to_vec()));
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
        // A table of one block is the work of one thread.
        let floor = (of_cache / 50.0 * rows as f64 / few as f64 / threads).max(one);
        println!(
            "{rows:>10} {features:>5} {:>12.2} {:>12.2} {:>12.2} {:>7.2} {:>14.2}",
            1e3 * one,
            1e3 * several,
            1e3 * floor,
            several / one,
            several / floor
        );
    }
}
