//! What messages say.

/// Asserts that `text` has all `words`, whatever the case.
#[track_caller]
pub(crate) fn assert_says(text: &str, words: &[&str]) {
    let lower = text.to_lowercase();
    for word in words {
        assert!(lower.contains(&word.to_lowercase()), "`{word}` is not in: {text}");
    }
}
