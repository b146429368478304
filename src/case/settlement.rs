//! How a person settles what nobody can tell.

/// How a person settles what nobody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Look again.
    LookAgain,
    /// It took effect.
    TookEffect,
    /// Give up.
    GiveUp,
}

impl Settlement {
    /// The word by which people say it.
    pub fn word(self) -> &'static str {
        match self {
            Settlement::LookAgain => "look-again",
            Settlement::TookEffect => "took-effect",
            Settlement::GiveUp => "give-up",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Settlement> {
        [Settlement::LookAgain, Settlement::TookEffect, Settlement::GiveUp]
            .into_iter()
            .find(|how| how.word() == word)
    }
}
