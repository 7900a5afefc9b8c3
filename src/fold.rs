//! One way to add: a fixed binary tree over parts of a table by their position.
//!
//! Floating-point addition is not associative, so a sum has the same bits everywhere only if it is made by the same tree.
//! The tree here depends on the positions alone: node `i` of height `h` is the sum of the leaves `i 2^h .. (i + 1) 2^h`, and
//! what is left at the end is joined from the right. Threads, chunks, devices and machines that hold neighbouring leaves
//! each make what they can of the tree, and [`Fold::append`] goes on where they end.

/// Something that is added up. `a.join(b)` is a, then what follows it: it need not be the same as b, then a.
pub trait Monoid {
    /// Adds what follows.
    fn join(&mut self, following: Self);
}

/// The nodes of the tree that the leaves `first..end` fill, from left to right.
#[derive(Clone, Debug)]
pub struct Fold<T> {
    /// Position after the last leaf.
    end: usize,
    /// Complete nodes, with the height of each.
    nodes: Vec<(u32, T)>,
}

impl<T> Default for Fold<T> {
    fn default() -> Self {
        Self::from(0)
    }
}

impl<T> Fold<T> {
    /// No leaves yet; the first one has this position.
    pub fn from(first: usize) -> Self {
        Self { end: first, nodes: Vec::new() }
    }
}

impl<T: Monoid> Fold<T> {
    /// Adds the next leaf.
    pub fn push(&mut self, leaf: T) {
        self.push_node(0, leaf);
    }

    /// Adds the leaves that follow.
    ///
    /// # Panics
    /// If they do not begin where these end.
    pub fn append(&mut self, following: Self) {
        let leaves: usize = following.nodes.iter().map(|(height, _)| 1 << height).sum();
        assert_eq!(self.end, following.end - leaves, "leaves that follow each other");
        for (height, node) in following.nodes {
            self.push_node(height, node);
        }
    }

    /// The next complete node: it joins its left neighbour if both are children of the same node, and so on.
    fn push_node(&mut self, mut height: u32, mut node: T) {
        let first = self.end;
        self.end += 1 << height;
        while (first >> height) % 2 == 1 && self.nodes.last().is_some_and(|(neighbour, _)| *neighbour == height) {
            let Some((_, mut left)) = self.nodes.pop() else { break };
            left.join(node);
            node = left;
            height += 1;
        }
        self.nodes.push((height, node));
    }

    /// The sum of all leaves; `None` if there are none.
    pub fn finish(self) -> Option<T> {
        let mut nodes = self.nodes.into_iter().rev();
        let (_, mut sum) = nodes.next()?;
        for (_, mut left) in nodes {
            left.join(sum);
            sum = left;
        }
        Some(sum)
    }
}

/// A [`Fold`] whose leaves are sums of several parts each, from the left, where nodes for each part would take too much memory
/// or time.
#[derive(Clone, Debug)]
pub struct Segments<T> {
    parts: usize,
    /// The leaf at hand, and how many parts it has.
    current: Option<T>,
    filled: usize,
    fold: Fold<T>,
}

impl<T: Monoid> Segments<T> {
    /// Leaves of so many parts.
    pub fn of(parts: usize) -> Self {
        Self { parts, current: None, filled: 0, fold: Fold::default() }
    }

    /// Adds the next part.
    pub fn push(&mut self, part: T) {
        match &mut self.current {
            Some(current) => current.join(part),
            None => self.current = Some(part),
        }
        self.advance(1);
    }

    /// Parts that the leaf at hand has room for: at least one.
    pub fn room(&self) -> usize {
        self.parts - self.filled
    }

    /// Adds the next parts, [`Segments::room`] of them at most, by `add` to the leaf at hand, which is `new` before its first
    /// part.
    pub fn push_with(&mut self, parts: usize, new: impl FnOnce() -> T, add: impl FnOnce(&mut T)) {
        debug_assert!(parts <= self.room(), "parts of one leaf");
        add(self.current.get_or_insert_with(new));
        self.advance(parts);
    }

    fn advance(&mut self, parts: usize) {
        self.filled += parts;
        if self.filled == self.parts {
            self.filled = 0;
            if let Some(leaf) = self.current.take() {
                self.fold.push(leaf);
            }
        }
    }

    /// The sum of all parts; `None` if there are none.
    pub fn finish(mut self) -> Option<T> {
        if let Some(leaf) = self.current.take() {
            self.fold.push(leaf);
        }
        self.fold.finish()
    }
}

/// Parts of a leaf of [`Segments`], a power of two, so that the nodes of `all` parts, of so many bytes each, take `most` bytes
/// or not much more.
pub fn parts_within(most: usize, bytes: usize, all: usize) -> usize {
    let height = (most / bytes.max(1)).min(30);
    all.div_ceil(1 << height).next_power_of_two()
}

/// Adds numbers entry by entry.
///
/// # Panics
/// In debug builds, if there are not as many.
pub fn add_entries(sums: &mut [f64], terms: &[f64]) {
    debug_assert_eq!(sums.len(), terms.len(), "entries of both");
    for (sum, term) in sums.iter_mut().zip(terms) {
        *sum += term;
    }
}

impl Monoid for f64 {
    fn join(&mut self, following: Self) {
        *self += following;
    }
}

impl Monoid for Vec<f64> {
    fn join(&mut self, following: Self) {
        add_entries(self, &following);
    }
}

impl<const N: usize> Monoid for [f64; N] {
    fn join(&mut self, following: Self) {
        add_entries(self, &following);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which leaves were joined, as a text with brackets.
    impl Monoid for String {
        fn join(&mut self, following: Self) {
            *self = format!("({self}{following})");
        }
    }

    fn leaf(position: usize) -> String {
        char::from(b'a' + position as u8).to_string()
    }

    fn fold(leaves: std::ops::Range<usize>) -> Fold<String> {
        let mut fold = Fold::from(leaves.start);
        leaves.for_each(|position| fold.push(leaf(position)));
        fold
    }

    #[test]
    fn the_tree_depends_on_the_positions_alone() {
        let tree = |leaves| fold(0..leaves).finish().unwrap_or_default();
        assert_eq!([0, 1, 2, 3, 4].map(tree), ["", "a", "(ab)", "((ab)c)", "((ab)(cd))"]);
        assert_eq!(tree(7), "(((ab)(cd))((ef)g))");
        assert_eq!(tree(8), "(((ab)(cd))((ef)(gh)))");
        // Any cut into neighbouring parts, each a fold of its own.
        for leaves in 1..=20 {
            for first in 0..=leaves {
                for second in first..=leaves {
                    let mut parts = fold(0..first);
                    parts.append(fold(first..second));
                    parts.append(fold(second..leaves));
                    assert_eq!(parts.finish().unwrap_or_default(), tree(leaves), "{leaves}: {first} {second}");
                }
            }
        }
        // The control: a sum from the left is another tree.
        let from_left = (1..4).map(leaf).fold(leaf(0), |mut sum, leaf| {
            sum.join(leaf);
            sum
        });
        assert_ne!(from_left, tree(4));
    }

    /// What is added up before its place in a larger tree is known, has the shape that it has there: runs of leaves whose
    /// number is a power of two, the last one of fewer.
    #[test]
    fn runs_of_leaves_are_nodes() {
        for leaves in 1..=20 {
            for run in [1, 2, 4, 8] {
                let mut runs = Fold::default();
                for first in (0..leaves).step_by(run) {
                    let mut of_run = Fold::default();
                    (first..leaves.min(first + run)).for_each(|position| of_run.push(leaf(position)));
                    runs.push(of_run.finish().unwrap_or_default());
                }
                assert_eq!(runs.finish(), fold(0..leaves).finish(), "{leaves} in runs of {run}");
            }
        }
    }

    #[test]
    fn segments_are_leaves_of_several_parts() {
        let tree = |parts, all| {
            let mut segments = Segments::of(parts);
            (0..all).for_each(|position| segments.push(leaf(position)));
            segments.finish().unwrap_or_default()
        };
        assert_eq!(tree(1, 7), fold(0..7).finish().unwrap_or_default());
        assert_eq!([tree(4, 0), tree(4, 3), tree(2, 6)], ["", "((ab)c)", "(((ab)(cd))(ef))"]);
        assert_eq!(tree(4, 6), "((((ab)c)d)(ef))");
        let mut segments = Segments::of(2);
        for position in 0..3 {
            segments.push_with(1, String::new, |current| current.push_str(&leaf(position)));
        }
        assert_eq!(segments.finish().as_deref(), Some("(abc)"));
        // A few nodes at most where each is large, and any number of small ones.
        let parts = |bytes, all| parts_within(1 << 20, bytes, all);
        assert_eq!(
            [parts(1, 1_000_000), parts(1 << 18, 100), parts(1 << 20, 100), parts(1 << 21, 100)],
            [1, 8, 64, 128]
        );
    }

    #[test]
    #[should_panic(expected = "leaves that follow each other")]
    fn a_gap_is_refused() {
        fold(0..2).append(fold(3..4));
    }
}
