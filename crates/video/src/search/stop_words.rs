//! Words too common to be looked for: they count when they are there, and are not missed.

/// Folded, sorted; the most frequent function words of English, German, French and Spanish.
const STOP_WORDS: &[&str] = &[
    "a", "al", "am", "an", "and", "are", "as", "at", "auf", "aus", "be", "bei", "by", "das", "de", "del", "dem", "den",
    "der", "des", "die", "du", "ein", "eine", "einem", "einen", "einer", "el", "en", "et", "for", "from", "fur", "im",
    "in", "is", "ist", "it", "la", "las", "le", "les", "lo", "los", "mit", "of", "on", "or", "ou", "par", "por",
    "pour", "sur", "the", "to", "un", "una", "und", "une", "von", "vom", "was", "with", "y", "zu", "zum", "zur",
];

/// Whether the folded `word` is one of them.
pub(super) fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.contains(&word)
}
