//! What the passes of a run gave, in their order, so that a run that was cut off goes on where it ended.
//!
//! A run is a function of what its engine answers: with the same answers it asks the same questions. [`Journaled`] keeps every
//! answer in a [`Journal`]. A later run over the same table gets the answers of the journal as long as it asks the same, without a
//! pass over the rows, and the engine goes to where the run stands before it answers itself. A question that is another one ends
//! the replay: the rest of the journal is forgotten.

mod encoding;
mod line;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::work::{CellMoments, CellSums, HeldOut, Work};
use crate::engine::{Engine, KeptRows, RowTerms};
use crate::error::Result;
use crate::lda::ClassMoments;
use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Line, Need, Objective, Passes};

use encoding::{Answer, Question, Reader, Writer};
use line::{FollowedLine, ReplayedLine};

/// Answers of an engine, in their order.
#[derive(Default)]
pub struct Journal {
    /// Those of a run before that are still to be asked for.
    ahead: VecDeque<Record>,
    /// Those since the last line began, which count once it ends.
    open: Vec<Record>,
    /// All of the run, where another engine may have to go on.
    memory: Option<Memory>,
    /// What the run had cost at the last answer that was replayed.
    replayed: Passes,
    /// Who else keeps them.
    keeper: Option<Arc<Mutex<dyn Keep + Send>>>,
}

/// Keeps records outside a run.
pub trait Keep {
    /// The next record of the run, a replayed one too.
    fn keep(&mut self, record: &Record);

    /// The records behind the last one that came are of no use any more: the run went another way.
    fn cut(&mut self);

    /// The run begins again, with the records that came so far.
    fn rewind(&mut self);
}

/// Bytes of answers that are remembered at most.
const MEMORY_BYTES: usize = 256 << 20;

/// Answers that are remembered, as long as they are few.
#[derive(Default)]
struct Memory {
    records: Vec<Record>,
    bytes: usize,
}

/// An answer, and what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    question: u64,
    answer: Vec<u8>,
    /// Whether a line began before it that has not ended with it.
    is_within_line: bool,
}

impl Record {
    /// The record as bytes: its length, what was asked, the answer, and a checksum.
    pub fn to_bytes(&self) -> Vec<u8> {
        encoding::framed(self)
    }

    /// The records of a sequence of bytes up to the first one that is not whole, without a line that has not ended: an engine would
    /// look along it again for every answer that is missing.
    pub fn all_of(bytes: &[u8]) -> Vec<Self> {
        let (mut records, mut read) = (Vec::new(), 0);
        while let Some((record, length)) = encoding::unframed(&bytes[read..]) {
            records.push(record);
            read += length;
        }
        while records.last().is_some_and(Self::is_within_line) {
            records.pop();
        }
        records
    }

    /// Whether a line began before it that has not ended with it.
    pub fn is_within_line(&self) -> bool {
        self.is_within_line
    }

    /// What the run had cost with it, if it has an answer.
    pub fn passes(&self) -> Option<Passes> {
        Passes::read(&mut Reader::new(&self.answer))
    }
}

impl Journal {
    /// Has these records replayed first.
    pub fn replay(&mut self, records: Vec<Record>) {
        self.ahead = records.into();
    }

    /// A journal that remembers what it is told, for [`Journal::rewind`], up to 256 MiB of it.
    pub fn remembering() -> Self {
        Self { memory: Some(Memory::default()), ..Self::default() }
    }

    /// Has somebody else keep the answers too.
    pub fn keep_in(&mut self, keeper: Arc<Mutex<dyn Keep + Send>>) {
        self.keeper = Some(keeper);
    }

    /// Goes back to the first answer that is remembered, for a new engine that does what the old one did. Says whether there
    /// is one.
    pub fn rewind(&mut self) -> bool {
        self.open.clear();
        let left = std::mem::take(&mut self.ahead);
        // Behind what is forgotten nothing can be replayed.
        if let Some(memory) = self.memory.replace(Memory::default()) {
            self.ahead = memory.records.into();
            self.ahead.extend(left);
        }
        self.tell(|keeper| keeper.rewind());
        self.is_replaying()
    }

    fn tell(&self, act: impl FnOnce(&mut (dyn Keep + Send))) {
        if let Some(keeper) = &self.keeper {
            act(&mut *keeper.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The record counts.
    fn pass(&mut self, record: Record) {
        self.tell(|keeper| keeper.keep(&record));
        if let Some(memory) = &mut self.memory {
            memory.bytes += record.answer.len();
            memory.records.push(record);
            if memory.bytes > MEMORY_BYTES {
                self.memory = None;
            }
        }
    }

    /// What is ahead is of no use.
    fn cut(&mut self) {
        if !self.ahead.is_empty() {
            self.ahead.clear();
            self.tell(|keeper| keeper.cut());
        }
    }

    /// Passes over the data that answers were replayed of.
    pub fn replayed(&self) -> u64 {
        self.replayed.data
    }

    /// Whether there are still answers to replay.
    pub fn is_replaying(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// The answer to a question, if it is the next one of the journal.
    fn answer<A: Answer>(&mut self, question: Question) -> Option<A> {
        let question = question.finish();
        if self.ahead.front().is_some_and(|record| record.question == question) {
            let record = self.ahead.pop_front()?;
            let mut reader = Reader::new(&record.answer);
            let found = Passes::read(&mut reader).and_then(|passes| Some((A::read(&mut reader)?, passes)));
            if let Some((answer, passes)) = found {
                self.replayed = passes;
                self.pass(record);
                return Some(answer);
            }
            if record.answer.is_empty() {
                // It is asked for again, and kept then.
                return None;
            }
            self.ahead.push_front(record);
        }
        self.cut();
        None
    }

    /// Keeps an answer where somebody wants it, and what the run has cost with it. One that has no bytes is asked for again.
    fn keep<A: Answer>(&mut self, question: Question, answer: &A, passes: Passes, is_within_line: bool) {
        if self.keeper.is_none() && self.memory.is_none() {
            return;
        }
        let mut writer = Writer::default();
        passes.write(&mut writer);
        let answer = if answer.write(&mut writer) { writer.finish() } else { Vec::new() };
        self.open.push(Record { question: question.finish(), answer, is_within_line });
        if !is_within_line {
            self.settle();
        }
    }

    /// What was answered so far counts: no line is open.
    fn settle(&mut self) {
        for record in std::mem::take(&mut self.open) {
            self.pass(record);
        }
    }
}

/// An engine whose answers are kept, and replayed where they are known.
pub struct Journaled<'j> {
    engine: &'j mut dyn Engine,
    journal: &'j mut Journal,
    /// Where the run stands; empty where that was not said.
    standing: Vec<f64>,
    /// Whether the engine stands elsewhere.
    is_behind: bool,
}

impl<'j> Journaled<'j> {
    /// Over an engine that has not been asked anything.
    pub fn new(engine: &'j mut dyn Engine, journal: &'j mut Journal) -> Self {
        Self { engine, journal, standing: Vec::new(), is_behind: false }
    }

    /// The engine goes to where the run stands.
    fn catch_up(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_behind) {
            self.engine.move_to(&self.standing, Need::Gradient)?;
        }
        Ok(())
    }

    fn keep<A: Answer>(&mut self, question: Question, answer: &A) {
        let passes = self.passes();
        self.journal.keep(question, answer, passes, false);
    }

    /// Answers a question that has nothing to do with where the engine stands.
    fn ask<A: Answer>(&mut self, question: Question, ask: impl FnOnce(&mut dyn Engine) -> Result<A>) -> Result<A> {
        if let Some(known) = self.journal.answer(question) {
            return Ok(known);
        }
        let answer = ask(&mut *self.engine)?;
        self.keep(question, &answer);
        Ok(answer)
    }
}

impl Objective for Journaled<'_> {
    fn dimension(&self) -> usize {
        self.engine.dimension()
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        let question = Question::new("move_to").of(&[need as u64]).of_numbers(point);
        self.standing = point.to_vec();
        if let Some(known) = self.journal.answer(question) {
            self.is_behind = true;
            return Ok(known);
        }
        self.is_behind = false;
        let answer = self.engine.move_to(point, need)?;
        self.keep(question, &answer);
        Ok(answer)
    }

    fn evaluate_with(&mut self, point: &[f64], kept: &[usize]) -> Result<Evaluation> {
        let question = Question::new("evaluate_with").of_numbers(point).of_places(kept);
        self.ask(question, |engine| engine.evaluate_with(point, kept))
    }

    fn evaluate_all(&mut self, points: &[Vec<f64>]) -> Result<Vec<Evaluation>> {
        let question = points.iter().fold(Question::new("evaluate_all"), |question, point| question.of_numbers(point));
        self.ask(question, |engine| engine.evaluate_all(points))
    }

    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        let question = Question::new("line").of_numbers(direction).of_numbers(&[first_step]);
        let given = direction.to_vec();
        if let Some((taken, first)) = self.journal.answer::<(Vec<f64>, _)>(question) {
            direction.copy_from_slice(&taken);
            return Ok(Box::new(ReplayedLine { run: self, given, taken, first, first_step }));
        }
        self.catch_up()?;
        let before = self.passes();
        let Self { engine, journal, standing, .. } = self;
        journal.settle();
        // What the line costs it cannot say while it borrows the engine.
        let passes = Passes { data: before.data + 1, ..before };
        let line = engine.line(direction, first_step)?;
        let taken = direction.to_vec();
        journal.keep(question, &(taken.clone(), line.first()), passes, true);
        Ok(Box::new(FollowedLine { line, taken, standing, journal, passes }))
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        let question = Question::new("scatter");
        if let Some(known) = self.journal.answer(question) {
            return Ok(known);
        }
        self.catch_up()?;
        let answer = self.engine.scatter()?;
        self.keep(question, &answer);
        Ok(answer)
    }

    fn passes(&self) -> Passes {
        added(self.journal.replayed, self.engine.passes())
    }
}

/// What two parts of a run have cost together.
fn added(a: Passes, b: Passes) -> Passes {
    Passes { data: a.data + b.data, hessian: a.hessian + b.hessian, line: a.line + b.line, file: a.file + b.file }
}

impl Engine for Journaled<'_> {
    fn weight(&self) -> f64 {
        self.engine.weight()
    }

    fn moments(&mut self) -> Result<ClassMoments> {
        self.ask(Question::new("moments"), |engine| engine.moments())
    }

    fn margins(&self) -> usize {
        self.engine.margins()
    }

    fn cell_weights(&mut self) -> Result<Vec<f64>> {
        self.engine.cell_weights()
    }

    fn run(&mut self, work: &[Work<'_>]) -> Result<Vec<Vec<CellSums>>> {
        let question = work.iter().fold(Question::new("run"), |question, work| {
            let question = question.of(&[u64::from(work.takes_hessian)]).of_numbers(work.point);
            let [cells, columns] = [work.cells, work.columns].map(|places| places.map_or(&[usize::MAX][..], |all| all));
            question.of_places(cells).of_places(columns)
        });
        self.ask(question, |engine| engine.run(work))
    }

    fn moments_of_cells(&mut self) -> Result<Vec<CellMoments>> {
        self.ask(Question::new("moments_of_cells"), |engine| engine.moments_of_cells())
    }

    fn held_out(&mut self, points: &[Vec<Vec<f64>>], keeps_margins: bool) -> Result<Vec<Vec<HeldOut>>> {
        if keeps_margins {
            // As large as the table: another pass is cheaper.
            return self.engine.held_out(points, keeps_margins);
        }
        let question = points.iter().fold(Question::new("held_out"), |question, points| {
            points.iter().fold(question.of(&[points.len() as u64]), |question, point| question.of_numbers(point))
        });
        self.ask(question, |engine| engine.held_out(points, keeps_margins))
    }

    fn outcomes_of_cells(&mut self) -> Result<Vec<[Vec<f64>; 2]>> {
        self.engine.outcomes_of_cells()
    }

    fn check(&mut self) -> Result<()> {
        self.engine.check()
    }

    fn kept_rows(&mut self) -> Result<Option<KeptRows>> {
        self.engine.kept_rows()
    }

    fn row_terms(&mut self) -> Result<RowTerms> {
        self.catch_up()?;
        self.engine.row_terms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Column, Shape};
    use crate::engine::TableBuilder;
    use crate::engine::cpu::CpuTableBuilder;
    use crate::engine::storage::Limits;

    /// 300 rows of two columns.
    fn engine() -> Box<dyn Engine> {
        let mut table = CpuTableBuilder::within(Shape::plain(300, 2), &Limits::default()).expect("room");
        let store = table.as_store();
        let column = |seed: usize| (0..300).map(|row| ((row * seed) % 17) as f32 / 8.0 - 1.0).collect::<Vec<f32>>();
        store.write(Column::Feature(0), 0, &column(5)).expect("writes");
        store.write(Column::Feature(1), 0, &column(11)).expect("writes");
        let labels: Vec<f32> = (0..300).map(|row| f32::from(u8::from(row % 3 == 0))).collect();
        store.write(Column::Label, 0, &labels).expect("writes");
        drop(store);
        Box::new(table).finish().expect("an engine")
    }

    /// A start, two lines and a Hessian at the end of the second; `steps` of these five questions.
    fn ask(engine: &mut dyn Engine, steps: usize) -> Vec<f64> {
        let mut seen = Vec::new();
        let mut note = |evaluation: &Evaluation| {
            seen.push(evaluation.value);
            seen.extend(&evaluation.gradient);
            seen.extend(evaluation.hessian.iter().flat_map(Symmetric::diagonal));
        };
        for step in 0..steps {
            match step {
                0 => note(&engine.move_to(&[0.1, 0.2, 0.3], Need::Hessian).expect("evaluates")),
                1 | 2 => {
                    let mut line = engine.line(&mut [-0.5, 0.25, f64::from(step as u32)], 0.5).expect("a line");
                    line.probe(&[0.1, 0.7]).expect("probes");
                    let need = if step == 1 { Need::Gradient } else { Need::Hessian };
                    note(&line.accept(0.7, need).expect("accepts"));
                }
                3 => note(&engine.evaluate_with(&[0.0, 0.5, 0.0], &[0, 2]).expect("evaluates")),
                _ => {
                    let scatter = engine.scatter().expect("a pass");
                    seen.extend(scatter.diagonal());
                    return seen;
                }
            }
        }
        seen
    }

    #[derive(Default)]
    struct Kept(Vec<Record>);

    impl Keep for Kept {
        fn keep(&mut self, record: &Record) {
            self.0.push(record.clone());
        }

        fn cut(&mut self) {}

        fn rewind(&mut self) {}
    }

    /// A run that goes on asks its engine for what is not known alone, after one evaluation that brings the engine there; the answers
    /// are those of a run that nobody cut off, and so is what it says that it has cost.
    #[test]
    fn what_is_known_is_not_asked_for_again() {
        let mut whole = engine();
        let expected = ask(&mut *whole, 5);
        let cost = whole.passes();
        for steps in 0..=5 {
            let kept = Arc::new(Mutex::new(Kept::default()));
            let mut journal = Journal::default();
            journal.keep_in(Arc::<Mutex<Kept>>::clone(&kept));
            ask(&mut Journaled::new(&mut *engine(), &mut journal), steps);
            let bytes: Vec<u8> = kept.lock().expect("a lock").0.iter().flat_map(Record::to_bytes).collect();
            let records = Record::all_of(&bytes);
            assert_eq!(records, kept.lock().expect("a lock").0);
            let mut journal = Journal::default();
            journal.replay(records);
            let mut again = engine();
            let mut journaled = Journaled::new(&mut *again, &mut journal);
            let found = ask(&mut journaled, 5);
            let said = journaled.passes();
            assert!(!journal.is_replaying());
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() <= 1e-14, "{found} {expected}");
            }
            let own = again.passes().data;
            let left = [cost.data, 6, 4, 2, 1, 0][steps];
            assert!(own <= left + 1, "{steps}: {own} passes of its own, {left} left");
            assert!(said.data <= cost.data + 1 && said.data >= cost.data, "{steps}: {said:?} for {cost:?}");
        }
    }

    /// A device that fails while answers are replayed leaves all of them to the next one.
    #[test]
    fn what_was_not_replayed_yet_is_not_lost() {
        let mut journal = Journal::remembering();
        let expected = ask(&mut Journaled::new(&mut *engine(), &mut journal), 4);
        assert!(journal.rewind());
        let mut second = engine();
        ask(&mut Journaled::new(&mut *second, &mut journal), 2);
        assert!(journal.is_replaying() && second.passes().data == 0);
        assert!(journal.rewind());
        let mut third = engine();
        let found = ask(&mut Journaled::new(&mut *third, &mut journal), 4);
        assert!(!journal.is_replaying() && third.passes().data == 0 && found == expected);
        // Without a memory there is nothing to go back to.
        let mut forgetful = Journal::default();
        forgetful.replay(vec![Record { question: 1, answer: Vec::new(), is_within_line: false }]);
        assert!(!forgetful.rewind());
    }

    /// Wherever the records end, a run goes on in at most two passes more than are left: one for what was under way, and one that
    /// brings the engine there.
    #[test]
    fn a_line_that_has_not_ended_is_begun_again() {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let mut journal = Journal::default();
        journal.keep_in(Arc::<Mutex<Kept>>::clone(&kept));
        let mut whole = engine();
        ask(&mut Journaled::new(&mut *whole, &mut journal), 5);
        let records = kept.lock().expect("a lock").0.clone();
        assert!(records.iter().filter(|record| record.is_within_line()).count() >= 4);
        for count in 0..=records.len() {
            let bytes: Vec<u8> = records[..count].iter().flat_map(Record::to_bytes).collect();
            let mut journal = Journal::default();
            journal.replay(Record::all_of(&bytes));
            let mut again = engine();
            ask(&mut Journaled::new(&mut *again, &mut journal), 5);
            let known = if count == 0 { 0 } else { records[count - 1].passes().expect("an answer").data };
            let (own, left) = (again.passes().data, whole.passes().data - known);
            assert!(own <= left + 2, "{count}: {own} passes, and {left} are left");
        }
    }

    /// Another question ends the replay; damage does too.
    #[test]
    fn another_question_is_asked() {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let mut journal = Journal::default();
        journal.keep_in(Arc::<Mutex<Kept>>::clone(&kept));
        ask(&mut Journaled::new(&mut *engine(), &mut journal), 3);
        let records = kept.lock().expect("a lock").0.clone();
        let mut journal = Journal::default();
        journal.replay(records.clone());
        let mut other = engine();
        let mut journaled = Journaled::new(&mut *other, &mut journal);
        let found = journaled.move_to(&[0.1, 0.2, 0.4], Need::Gradient).expect("evaluates");
        assert!(!journal.is_replaying());
        let direct = engine().move_to(&[0.1, 0.2, 0.4], Need::Gradient).expect("evaluates");
        assert_eq!((found.value, found.gradient), (direct.value, direct.gradient));
        let mut bytes: Vec<u8> = records.iter().flat_map(Record::to_bytes).collect();
        let first = records[0].to_bytes().len();
        bytes[first + 20] ^= 1;
        assert_eq!(Record::all_of(&bytes), records[..1]);
        assert_eq!(Record::all_of(&bytes[..first - 1]), []);
    }
}
