//! Sums of what is written to the columns of a table, by several threads, in any order and piece by piece: what tells whether two
//! writers wrote the same.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// What was written of a column since everything settled last.
#[derive(Clone, Copy, Default)]
struct Sum {
    epoch: u32,
    rows: usize,
    total: u64,
}

/// The sums of some columns.
pub struct ColumnSums {
    sums: Vec<Mutex<Sum>>,
    epoch: AtomicU32,
}

impl ColumnSums {
    /// Of so many columns.
    pub fn new(columns: usize) -> Self {
        Self { sums: (0..columns).map(|_| Mutex::default()).collect(), epoch: AtomicU32::new(0) }
    }

    /// So many more rows of a column were written, which add up to `more`.
    pub fn add(&self, column: usize, rows: usize, more: u64) {
        let epoch = self.epoch.load(Ordering::Relaxed);
        let mut sum = self.sums[column].lock().expect("nothing panics while it holds this lock");
        if sum.epoch != epoch {
            // A column that is written again is written whole.
            *sum = Sum { epoch, ..Sum::default() };
        }
        sum.rows += rows;
        sum.total = sum.total.wrapping_add(more);
    }

    /// What is written from here on replaces what was written before.
    pub fn settle(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// Rows and sum of each column.
    pub fn finish(self) -> impl Iterator<Item = (usize, u64)> {
        self.sums.into_iter().map(|sum| {
            let Sum { rows, total, .. } = sum.into_inner().expect("nothing panics while it holds this lock");
            (rows, total)
        })
    }
}
