//! The rows of a table piece by piece in their order, as a model takes them.

use super::decode::{BATCH_ROWS, block_rows};
use super::encode::{Encoder, Piece};
use super::scan::{Batch, Pace, scan};
use super::table::Table;
use crate::error::Result;
use crate::monitor::Monitor;

/// What becomes of a range of rows, which waits for those before.
#[derive(Clone, Copy, Debug)]
pub enum Results {
    /// About the same whatever the rows: of so many ranges at a time, at least 1.
    Sums(usize),
    /// So many values of each row.
    Rows(usize),
}

/// Ranges of a pass whose results are small: enough for all cores to be done at about the same time.
pub const MANY_RANGES: usize = 64;

/// Values that ranges may leave behind for each thread, if those are more than two batches: 128 MiB of numbers.
const WAITING_VALUES: usize = 1 << 24;

impl Results {
    /// Ranges that are worked on before what became of them is used, and the most rows of each.
    fn room(self) -> (usize, usize) {
        match self {
            Self::Sums(at_once) => (at_once, usize::MAX),
            Self::Rows(values) => {
                let values = values.max(1);
                // Four ranges for each thread, so that none waits for another, or two of a batch.
                let rows = (WAITING_VALUES / 4 / values).max(BATCH_ROWS);
                (rayon::current_num_threads() * (WAITING_VALUES / (rows * values)).clamp(2, 4), rows)
            }
        }
    }
}

/// Goes through the rows of `table` in ranges: `work` adds the pieces of a range, in the order of the rows, to what
/// `start` made; `sink` gets what became of the ranges, in the order of the rows. Memory is that of a piece for each thread
/// and of what became of as many ranges as `results` allows, whatever the table has.
pub fn fold_pieces<T: Send>(
    table: &Table,
    encoder: &Encoder,
    results: Results,
    monitor: &dyn Monitor,
    start: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, &mut Piece) -> Result<()> + Sync,
    sink: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let columns = encoder.columns();
    let (at_once, range_rows) = results.room();
    let pace = Pace { block_rows: block_rows(columns.len()), range_rows, at_once };
    let each = |piece: &mut Piece, state: &mut T, batch: &Batch<'_>| {
        encoder.encode(table, batch, piece)?;
        monitor.advance(piece.rows as u64);
        work(state, piece)
    };
    scan(table, &columns, pace, monitor, Piece::default, start, each, sink)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_its_turn_is_bounded() {
        let room = |values: usize| {
            let (at_once, rows) = Results::Rows(values).room();
            (at_once / rayon::current_num_threads(), rows)
        };
        // A row of 1000 probabilities takes 16 kB.
        assert_eq!(
            [0, 1, 32, 1_000, 100_000].map(room),
            [(4, 4_194_304), (4, 4_194_304), (4, 131_072), (2, BATCH_ROWS), (2, BATCH_ROWS)]
        );
        assert_eq!(Results::Sums(3).room(), (3, usize::MAX));
    }
}
