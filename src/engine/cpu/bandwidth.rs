//! What the memory of the host gives.

use std::time::Instant;

use rayon::prelude::*;

use crate::vectors::{LANES, in_vectors};

/// More than any cache holds.
const BYTES: usize = 1 << 30;

/// Bytes a second at which all cores together read memory: the median of five readings.
pub(in crate::engine) fn read_bandwidth() -> f64 {
    let values = vec![1.0_f32; BYTES / 4];
    let piece = values.len().div_ceil(4 * rayon::current_num_threads());
    let mut seconds = [(); 5].map(|()| {
        let begin = Instant::now();
        let sums = values.par_chunks(piece).map(|piece| {
            in_vectors(
                #[inline(always)]
                || sum(piece),
            )
        });
        std::hint::black_box(sums.sum::<f32>());
        begin.elapsed().as_secs_f64()
    });
    seconds.sort_by(f64::total_cmp);
    BYTES as f64 / seconds[2]
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]
fn sum(values: &[f32]) -> f32 {
    // Enough accumulators that memory is waited for, not the adders.
    let mut sums = [0.0; 16 * LANES];
    for part in values.as_chunks::<{ 16 * LANES }>().0 {
        for (sum, value) in sums.iter_mut().zip(part) {
            *sum += value;
        }
    }
    sums.iter().sum()
}
