//! Which classes pictures tell apart: as many as eyes can.

use crate::model::Model;

/// Classes that pictures tell apart at most.
const APART: usize = 10;

/// Which classes a picture tells apart: each of them has a slot, in the order of the label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Their places among the model's classes.
    pub classes: Vec<usize>,
    /// Classes that share the slot behind the last.
    pub others: usize,
}

impl Apart {
    /// All classes where they are few, else those with most rows in the training.
    pub fn of(model: &Model) -> Self {
        let count = model.label.classes.len();
        let classes = if count <= APART { (0..count).collect() } else { Self::largest(model, APART - 1) };
        Self { others: count - classes.len(), classes }
    }

    /// The places of the classes with most rows in the training, in the order of the label.
    pub fn largest(model: &Model, most: usize) -> Vec<usize> {
        let rows = |class: usize| model.training.class_rows.get(class).copied().unwrap_or(0);
        let mut classes: Vec<usize> = (0..model.label.classes.len()).collect();
        // A stable sort: of equal ones the first.
        classes.sort_by_key(|&class| std::cmp::Reverse(rows(class)));
        classes.truncate(most);
        classes.sort_unstable();
        classes
    }

    /// Slots, that of the others included if there are some.
    pub fn slots(&self) -> usize {
        self.classes.len() + usize::from(self.others > 0)
    }

    /// The slot of a class.
    pub fn slot(&self, class: usize) -> usize {
        self.classes.binary_search(&class).unwrap_or(self.classes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_classes_share_a_slot() {
        let apart = Apart { classes: vec![1, 4, 5], others: 3 };
        assert_eq!([0, 1, 2, 3, 4, 5].map(|class| apart.slot(class)), [3, 0, 3, 3, 1, 2]);
        assert_eq!(apart.slots(), 4);
        assert_eq!(Apart { classes: vec![0, 1], others: 0 }.slots(), 2);
    }
}
