//! Time of each pass on each engine, side by side: `cargo bench`. Throughput is bytes of features over time, so
//! it can be held against the memory bandwidth of the device.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gpu_logreg::data::{Column, Shape};
use gpu_logreg::engine::gpu::{Gpu, adapters};
use gpu_logreg::engine::storage::Limits;
use gpu_logreg::engine::{Engine, TableBuilder, cpu::CpuTableBuilder};
use gpu_logreg::objective::Need;

const SHAPES: [(usize, usize); 2] = [(1_000_000, 28), (100_000, 200)];

fn fill(mut table: Box<dyn TableBuilder>, rows: usize, features: usize) -> Box<dyn Engine> {
    let store = table.as_store();
    for j in 0..features {
        let column: Vec<f32> = (0..rows).map(|k| ((k * (j + 3)) % 101) as f32 / 50.0 - 1.0).collect();
        store.write(Column::Feature(j), 0, &column).expect("writes");
    }
    let labels: Vec<f32> = (0..rows).map(|k| f32::from(u8::from(k % 3 == 0))).collect();
    store.write(Column::Label, 0, &labels).expect("writes");
    drop(store);
    table.finish().expect("the table is whole")
}

fn passes(criterion: &mut Criterion) {
    for (rows, features) in SHAPES {
        let mut engines = vec![(
            "cpu".to_owned(),
            fill(
                Box::new(CpuTableBuilder::new(Shape::plain(rows, features)).expect("the host has room")),
                rows,
                features,
            ),
        )];
        for adapter in adapters().iter().filter(|adapter| adapter.obstacle().is_none()) {
            let gpu = Gpu::open(adapter).expect("opens");
            let table = gpu.reserve(Shape::plain(rows, features), &Limits::default()).expect("the device has room");
            engines.push((adapter.name(), fill(Box::new(table), rows, features)));
        }
        let shape = format!("{rows}x{features}");
        let point = vec![0.01; features + 1];
        let mut group = criterion.benchmark_group("evaluate");
        group.sample_size(10).throughput(Throughput::Bytes((rows * features * 4) as u64));
        for (name, engine) in &mut engines {
            engine.move_to(&point, Need::Gradient).expect("evaluates");
            group.bench_function(BenchmarkId::new(name.as_str(), &shape), |bencher| {
                bencher.iter(|| engine.line(&mut point.clone(), 0.5).expect("evaluates").first());
            });
        }
        group.finish();
        let mut group = criterion.benchmark_group("hessian");
        group.sample_size(10).throughput(Throughput::Bytes((rows * features * 4) as u64));
        for (name, engine) in &mut engines {
            engine.move_to(&point, Need::Gradient).expect("evaluates");
            group.bench_function(BenchmarkId::new(name.as_str(), &shape), |bencher| {
                bencher.iter(|| engine.scatter().expect("evaluates"));
            });
        }
        group.finish();
        let mut group = criterion.benchmark_group("probe");
        group.sample_size(10).throughput(Throughput::Bytes((rows * 3 * 4) as u64));
        for (name, engine) in &mut engines {
            engine.move_to(&point, Need::Gradient).expect("evaluates");
            let mut direction = point.clone();
            let mut line = engine.line(&mut direction, 0.5).expect("evaluates");
            group.bench_function(BenchmarkId::new(name.as_str(), &shape), |bencher| {
                bencher.iter(|| line.probe(&[0.25]).expect("probes"));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, passes);
criterion_main!(benches);
