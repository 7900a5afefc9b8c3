//! What is made of a row with a score for each class.

/// What is made of one row.
pub(super) struct Row {
    pub(super) probabilities: Vec<f64>,
    /// What the classes are ranked by: the probabilities, or their log-odds if margins are given.
    pub(super) scores: Vec<f64>,
    pub(super) loss: f64,
    pub(super) brier: f64,
    /// The class of the highest probability.
    pub(super) predicted: usize,
}

impl Row {
    pub(super) fn new(classes: usize) -> Self {
        Self { probabilities: vec![0.0; classes], scores: vec![0.0; classes], loss: 0.0, brier: 0.0, predicted: 0 }
    }

    pub(super) fn set_probabilities(&mut self, probabilities: &[f64], label: usize) {
        self.predicted = highest(probabilities, None);
        self.probabilities.copy_from_slice(probabilities);
        self.scores.copy_from_slice(probabilities);
        // Of 1 it would be -0.
        self.loss = -probabilities[label].ln() + 0.0;
        let deviation = |(i, p): (usize, &f64)| (p - f64::from(u8::from(i == label))).powi(2);
        self.brier = probabilities.iter().enumerate().map(deviation).sum();
    }

    /// With `e_k = exp(z_k - max z)`: probabilities `e_k / sum e`, log-odds `ln(e_k / sum of the others)`. The sum of
    /// the others is never a difference of nearly equal numbers.
    pub(super) fn set_margins(&mut self, margins: &[f64], label: usize) {
        let top = highest(margins, None);
        let second = highest(margins, Some(top));
        let others = |of: f64| -> f64 {
            let others = margins.iter().enumerate().filter(|&(i, _)| i != top);
            others.map(|(_, margin)| (margin - of).exp()).sum()
        };
        let rest = others(margins[top]);
        let whole = 1.0 + rest;
        self.predicted = top;
        self.brier = 0.0;
        for (i, &margin) in margins.iter().enumerate() {
            let below = margin - margins[top];
            let e = below.exp();
            // In units of the second, so that a sum far below the first does not vanish.
            let (odds, against) = if i == top {
                (margin - margins[second] - others(margins[second]).ln(), rest)
            } else {
                let against = whole - e;
                (below - against.ln(), against)
            };
            self.scores[i] = odds;
            self.probabilities[i] = e / whole;
            self.brier += (if i == label { against } else { e } / whole).powi(2);
        }
        self.loss = margins[top] - margins[label] + rest.ln_1p();
    }
}

/// The first of the highest but for `without`.
fn highest(scores: &[f64], without: Option<usize>) -> usize {
    let mut found = usize::from(without == Some(0));
    for (i, score) in scores.iter().enumerate() {
        if Some(i) != without && *score > scores[found] {
            found = i;
        }
    }
    found
}
